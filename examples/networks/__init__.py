"""Three small networks of other kinds, each with data made from a seed: see README.md."""
