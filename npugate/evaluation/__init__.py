"""Compare an int8 model with its float original on data that did not calibrate it."""
