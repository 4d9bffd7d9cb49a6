"""The outcome of a run, as values."""
