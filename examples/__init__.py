"""Worked examples; not part of the package."""
