"""Apply repairs to a copy, and keep it only when it is proved."""
