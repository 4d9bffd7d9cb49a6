"""What the system refuses: standard output that takes nothing, a disk that is full: status 2."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Final, TextIO

from npugate.errors import UsageError

_REFUSALS: Final = frozenset(
    {errno.EAGAIN, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
    | {errno.ENOSPC, errno.EROFS}
)
"""What a system runs out of: no fault of the program, and nothing that it can correct."""


class OutputError(UsageError):
    """Standard output takes nothing more: the disk is full, or it was closed."""


class Output(io.TextIOBase):
    """A text stream whose failure is an error of ours, told once; a broken pipe stays one."""

    def __init__(self, stream: TextIO | None) -> None:
        """Write to a stream; None where the program was begun without one."""
        self._stream = stream
        self.has_failed = False

    def write(self, text: str) -> int:
        """Write a text.

        Raises:
            OutputError: it cannot be written.
            BrokenPipeError: the reader went away.
        """
        if self._stream is None:
            raise OutputError("standard output is closed")
        try:
            return self._stream.write(text)
        except (OSError, ValueError) as error:
            raise self._failure(error) from error

    def flush(self) -> None:
        """Write what was held back; raises as ``write``, after a failure nothing."""
        if self._stream is None or self.has_failed:
            return
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            raise self._failure(error) from error

    def isatty(self) -> bool:
        """Tell whether somebody watches."""
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def _failure(self, error: OSError | ValueError) -> Exception:
        self.has_failed = True
        if isinstance(error, BrokenPipeError):
            return error
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return OutputError(f"cannot write to standard output: {reason}")


def give_up(number: int) -> None:
    """Point a descriptor at nothing, so that what a stream still holds does no harm at the exit."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    if nothing != number:
        os.dup2(nothing, number)
        os.close(nothing)


def fill_gaps() -> None:
    """Take the numbers of standard streams that were closed: no file of ours may get one.

    What is read from a standard input that was closed has nothing in it.
    """
    while (nothing := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - standard error
        pass
    os.close(nothing)
    given: TextIO | None = sys.stdin
    if given is None:
        sys.stdin = io.TextIOWrapper(io.BytesIO())


def refusal(error: Exception) -> str:
    """Say what the system has run out of, when an error is that; else nothing."""
    if not isinstance(error, OSError) or error.errno not in _REFUSALS:
        return ""
    where = f"{error.filename}: " if error.filename else ""
    return f"the system refused: {where}{error.strerror}"
