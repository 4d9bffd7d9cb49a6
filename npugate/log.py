"""The log on standard error: few lines unless ``--verbose`` is set.

``logging`` is not used: it takes half a megabyte of a check that wants to stay within a tenth of
the memory that loading the model takes, and writes what a model or a path says as it is.
"""

from __future__ import annotations

import sys
from typing import TextIO

_verbose = False
_stream: TextIO | None = None


def set_up(stream: TextIO, *, verbose: bool) -> None:
    """Say where lines go, and whether ``debug`` lines do; called once, at the edge."""
    global _stream, _verbose
    _stream, _verbose = stream, verbose


def debug(text: str) -> None:
    """Log what only ``--verbose`` shows."""
    if _verbose:
        tell(text)


def warning(text: str) -> None:
    """Log what a user ought to see."""
    tell(text)


def error(text: str) -> None:
    """Log a fault."""
    tell(text)


def traceback() -> str:
    """Return that of the exception being handled."""
    from traceback import format_exc  # noqa: PLC0415 - see above

    return format_exc()


def tell(text: str, stream: TextIO | None = None) -> None:
    """Write a text, made harmless for a terminal and a CI log; lost where the stream is closed.

    Args:
        text: may have several lines.
        stream: another than was set up.
    """
    from npugate import escape  # noqa: PLC0415 - most runs have nothing to say

    place = next((s for s in (stream, _stream, sys.stderr) if s is not None), None)
    if place is None:  # it was closed before the program began
        return
    try:
        place.write(escape.log_lines(f"npugate: {text}"))
        place.flush()
    except OSError:  # full or gone: the exit status says the rest
        return
