"""Memory that the C library keeps after it was freed."""

from __future__ import annotations

import ctypes
import sys


def trim() -> None:
    """Give freed memory back to the system, where the C library can (glibc).

    Weights of some ten MB each lie in one heap, which is kept at its largest size: without this,
    a process that is about to copy a large model once more holds the freed weights beside it.
    """
    if sys.platform == "win32":
        return
    trimming = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trimming is not None:
        trimming(0)
