"""The data that a model is calibrated and evaluated with: read by the sample, never all at once."""
