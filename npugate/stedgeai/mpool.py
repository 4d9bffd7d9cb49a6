"""Read a memory pool file: the memories that the user's profile gives to the compiler."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from npugate.errors import NpugateError
from npugate.stedgeai.values import CompiledPool

_COMMENT: Final = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*')
_COMMA: Final = re.compile(r",(\s*[}\]])")
_ADDRESSES: Final = 1 << 32
_MAGNITUDES: Final = {"BYTES": 1, "KBYTES": 1024, "MBYTES": 1024**2, "GBYTES": 1024**3}


class MpoolError(NpugateError):
    """A memory pool file cannot be read."""


def read(data: bytes) -> tuple[CompiledPool, ...]:
    """Return the memories of a file, in its order; comments and trailing commas are allowed.

    Raises:
        MpoolError: it is no such file.
    """
    text = _COMMENT.sub(lambda m: m[1] or "", data.decode("utf-8", "replace"))
    try:
        found = json.loads(_COMMA.sub(r"\1", text))
        rows = found["memory"]["mempools"]
        return tuple(_pools(rows))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MpoolError(f"a memory pool file cannot be read: {error!r}") from error


def _pools(rows: list[dict[str, dict[str, object]]]) -> Iterator[CompiledPool]:
    """Yield the memories; what the compiler adds for itself has no bounds and is none."""
    for row in rows:
        size = _bytes(row["size"])
        if size <= _ADDRESSES:
            yield CompiledPool(str(row["name"]), _bytes(row["offset"]), size, is_exact=True)


def _bytes(value: dict[str, object]) -> int:
    return int(str(value["value"]), 0) * _MAGNITUDES[str(value.get("magnitude", "BYTES"))]
