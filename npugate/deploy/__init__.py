"""The road to the board as one resumable run: steps, each a command of npugate, and a report."""
