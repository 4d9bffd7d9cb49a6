"""``python -m npugate``: the same program as ``entrypoint.py`` and the console script."""

import sys

from npugate.cli import main

if __name__ == "__main__":
    sys.exit(main())
