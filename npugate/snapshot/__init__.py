"""The text twin of a model."""
