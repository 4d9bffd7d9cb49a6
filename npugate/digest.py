"""SHA-256 of short data, without OpenSSL.

``hashlib`` loads OpenSSL, whose library is four megabytes of every small check; Python's own
implementation is built in. It is several times slower, so what is long goes to ``hashlib``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Final, Protocol


class _Hash(Protocol):
    def hexdigest(self) -> str:
        """Return the digest in hexadecimal."""


_NAMES: Final = ("_sha2", "_sha256", "hashlib")  # from Python 3.12 on, before, and of any other


def _implementation() -> Callable[[bytes], _Hash]:
    for name in _NAMES:
        try:
            found: Callable[[bytes], _Hash] = importlib.import_module(name).sha256
        except ImportError:
            continue  # not in this Python: the next name is
        return found
    raise ImportError("this Python has no SHA-256")


_sha256: Final = _implementation()


def sha256(data: bytes) -> str:
    """Return the SHA-256 of data, in hexadecimal."""
    return _sha256(data).hexdigest()
