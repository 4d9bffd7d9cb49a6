"""The straight line: discover, load, facts, check, repair, report."""
