"""Which files: discovery, git, the base revision, lines of Python."""
