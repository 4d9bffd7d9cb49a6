"""Hold an int8 model against its float original on data that neither was calibrated with."""
