"""What whoever runs the program is told on standard error: few lines unless ``--verbose`` is set.

``logging`` and what it imports take half a megabyte of a check that wants to stay within a tenth of
the memory that loading the model takes, and most runs have nothing to log: it is loaded with the
first line.
"""

from __future__ import annotations

from typing import Final, TextIO

_DEBUG: Final = 10  # levels of ``logging``
_WARNING: Final = 30
_ERROR: Final = 40

_verbose = False
_stream: TextIO | None = None


def set_up(stream: TextIO, *, verbose: bool) -> None:
    """Say where lines go, and whether ``debug`` lines do; called once, at the edge."""
    global _stream, _verbose
    _stream, _verbose = stream, verbose


def debug(text: str) -> None:
    """Log what only ``--verbose`` shows."""
    if _verbose:
        _log(_DEBUG, text)


def warning(text: str) -> None:
    """Log what a user ought to see."""
    _log(_WARNING, text)


def error(text: str) -> None:
    """Log a fault."""
    _log(_ERROR, text)


def traceback() -> str:
    """Return that of the exception being handled."""
    from traceback import format_exc  # noqa: PLC0415 - see above

    return format_exc()


def _log(level: int, text: str) -> None:
    import logging  # noqa: PLC0415 - see above

    shown_from = _DEBUG if _verbose else _WARNING
    logging.basicConfig(stream=_stream, level=shown_from, format="npugate: %(message)s")
    logging.getLogger("npugate").log(level, "%s", text)
