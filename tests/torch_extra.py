"""Whether the tests that need torch run: the extra ``npugate[export]``.

``make test`` installs it and says so by NPUGATE_EXPORT=1, so that a missing torch fails there;
NPUGATE_EXPORT=0, or no torch and no word, skips them.
"""

import importlib.util
import os
from collections.abc import Callable
from typing import TypeVar

import pytest

WANTED = os.environ.get("NPUGATE_EXPORT", "")  # noqa: TID251 - the switch of `make test`
HAVE = all(importlib.util.find_spec(name) for name in ("torch", "onnxscript"))
_skip = pytest.mark.skipif(
    WANTED == "0" or (WANTED != "1" and not HAVE),
    reason="EXPORT=0 leaves torch out" if WANTED == "0" else "no torch: install npugate[export]",
)
Test = TypeVar("Test", bound=Callable[..., None])


def needs_torch(test: Test) -> Test:
    """Mark a test that exports: skipped without torch, and forked from a process that has it.

    Each export is a child, and to load torch there takes longer than the export itself. The
    program, which loads it in the child, is run by a test of its own.
    """
    return pytest.mark.usefixtures("torch_loaded")(_skip(test))
