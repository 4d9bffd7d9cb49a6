"""What a model costs on the chip, from the file alone: placement, memory, time, and how sure."""
