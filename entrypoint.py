"""The program: ``python entrypoint.py check …``, and the entry point of the container."""

import sys

from npugate.cli import main

if __name__ == "__main__":
    sys.exit(main())
