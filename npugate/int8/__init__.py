"""Quantise a float model to int8 the way that ST's compiler reads it, and check that it worked."""
