"""The conditions that a target profile can put on an operator, by subject."""
