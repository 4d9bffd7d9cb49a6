"""What a chip and its compiler accept, as data with sources."""
