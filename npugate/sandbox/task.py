"""Do one long piece of work in a bounded child process, with its temporary files cleared after it.

What the child raises on purpose is raised here again; what it dies of becomes an error that says
what it was doing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from npugate.errors import NpugateError, UsageError
from npugate.limits import Limits
from npugate.sandbox import pool
from npugate.sandbox.pool import Died, Done

T = TypeVar("T")


class _Refused(Struct, frozen=True):
    text: str
    is_usage: bool


def run(work: Callable[[], T], limits: Limits) -> T:
    """Do the work; return what it returns, which must be picklable.

    Args:
        work: called in the child; may raise ``NpugateError``.
        limits: of memory and time.

    Raises:
        UsageError: the work did, or ran out of memory, time or disk.
        NpugateError: a fault of ours.
        KeyboardInterrupt: once the child has ended and its files are gone.
    """
    with tempfile.TemporaryDirectory(prefix="npugate-") as folder:

        def attempt(place: str) -> T | _Refused:
            tempfile.tempdir = place
            try:
                return work()
            except NpugateError as error:
                return _Refused(str(error), isinstance(error, UsageError))
            except OSError as error:
                return _Refused(_said(error), is_usage=True)

        outcome = pool.run(attempt, [folder], limits, jobs=1)[0]
        tempfile.tempdir = None
    if isinstance(outcome, Done):
        value = outcome.value
        if isinstance(value, _Refused):
            raise (UsageError if value.is_usage else NpugateError)(value.text)
        return value
    if isinstance(outcome, Died):
        raise UsageError(f"ended during {outcome.stage or 'the start'}: {outcome.reason}")
    last = outcome.text.strip().splitlines()[-1]
    raise NpugateError(f"npugate itself failed: {last}\n{outcome.text}")


def _said(error: OSError) -> str:
    """Say what the system refused, and where."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; nothing was written"
