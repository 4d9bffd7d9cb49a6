"""Do one long piece of work in a bounded child process, with its temporary files cleared after it.

What the child raises on purpose is raised here again; what it dies of becomes an error that says
what it was doing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from npugate.errors import NpugateError, UsageError
from npugate.limits import Limits
from npugate.sandbox import pool
from npugate.sandbox.pool import Died, Done

T = TypeVar("T")


_RESULT_BYTES = 2**31 + 2**28  # the largest protobuf file, and its report


class _Refused(Struct, frozen=True):
    text: str
    is_usage: bool


class _Answer(Struct, Generic[T], frozen=True):
    """What the child sends: one of the two."""

    value: T | None = None
    refused: _Refused | None = None


def run(work: Callable[[], T], limits: Limits, kind: type[T]) -> T:
    """Do the work; return what it returns.

    Args:
        work: called in the child; may raise ``NpugateError``.
        limits: of memory and time.
        kind: type of the result, which is data: see ``transfer``.

    Raises:
        UsageError: the work did, or ran out of memory, time or disk.
        NpugateError: a fault of ours.
        KeyboardInterrupt: once the child has ended and its files are gone.
    """
    with tempfile.TemporaryDirectory(prefix="npugate-") as folder:

        def attempt(place: str) -> _Answer[T]:
            tempfile.tempdir = place
            try:
                return _Answer(work())
            except NpugateError as error:
                usage = isinstance(error, UsageError)
                return _Answer(refused=_Refused(str(error), usage))
            except OSError as error:
                return _Answer(refused=_Refused(_said(error), is_usage=True))

        limits = replace(limits, result_bytes=_RESULT_BYTES)
        answer = _Answer[kind]  # type: ignore[valid-type]  # a type by its value
        outcome = pool.run(attempt, [folder], limits, jobs=1, kind=answer)[0]
        tempfile.tempdir = None
    if isinstance(outcome, Done):
        value, refused = outcome.value.value, outcome.value.refused
        if refused is not None:
            raise (UsageError if refused.is_usage else NpugateError)(refused.text)
        if value is not None:
            return value
        raise NpugateError("npugate itself failed: a child has sent nothing")
    if isinstance(outcome, Died):
        raise UsageError(f"ended during {outcome.stage or 'the start'}: {outcome.reason}")
    last = outcome.text.strip().splitlines()[-1]
    raise NpugateError(f"npugate itself failed: {last}\n{outcome.text}")


def _said(error: OSError) -> str:
    """Say what the system refused, and where."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; nothing was written"
