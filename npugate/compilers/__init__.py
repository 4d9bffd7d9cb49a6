"""Compilers of vendors, asked for their own verdict."""
