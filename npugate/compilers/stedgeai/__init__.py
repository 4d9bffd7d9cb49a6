"""The vendor's own compiler, where it is licensed: run it, read what it says, compare."""
