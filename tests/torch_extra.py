"""Whether the tests that need torch run: the extra ``npugate[export]``.

``make test`` installs it and says so by NPUGATE_EXPORT=1, so that a missing torch fails there;
NPUGATE_EXPORT=0, or no torch and no word, skips them.
"""

import importlib.util
import os

import pytest

WANTED = os.environ.get("NPUGATE_EXPORT", "")  # noqa: TID251 - the switch of `make test`
HAVE = all(importlib.util.find_spec(name) for name in ("torch", "onnxscript"))
needs_torch = pytest.mark.skipif(
    WANTED == "0" or (WANTED != "1" and not HAVE),
    reason="EXPORT=0 leaves torch out" if WANTED == "0" else "no torch: install npugate[export]",
)
