"""``python -m npugate.docgen``: write the generated pages, or compare them with --check."""

import sys

from npugate.docgen.pages import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout))
