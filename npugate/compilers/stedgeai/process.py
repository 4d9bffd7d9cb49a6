"""Run a program that we did not write: bounded in time and output, ended with all its children."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Final

from msgspec import Struct

from npugate.compilers.stedgeai.record import Ended, Tail

TOTAL_BYTES: Final = 1024 * 1024 * 1024
"""A program that prints more than this is ended: it will not come to an end by itself."""

_CHUNK: Final = 1 << 16
_GRACE_SECONDS: Final = 3.0


class Result(Struct, frozen=True):
    """How a program ended and what it printed."""

    ended: Ended
    status: int | None
    stdout: bytes
    seconds: float
    reason: str = ""


def run(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    seconds: float,
    total_bytes: int = TOTAL_BYTES,
) -> Result:
    """Run a program in a process group of its own and wait for its end.

    Args:
        arguments: the program first; no shell sees them.
        folder: its working directory.
        environment: all that it gets.
        seconds: wall clock; the whole group is ended when it is over.
        total_bytes: of standard output and error together; the same.
    """
    start = monotonic()
    try:
        process = subprocess.Popen(  # noqa: S603 - a list, and the user named the program
            list(arguments),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Result(Ended.NOT_STARTED, None, b"", 0.0, f"cannot be started: {error}")
    kept = Tail()
    try:
        ended = _follow(process, kept, start + seconds, total_bytes)
    finally:
        _end(process)
    status = process.returncode if ended is Ended.EXIT else None
    return Result(ended, status, kept.bytes(), monotonic() - start, _reason(ended, seconds))


def _follow(process: subprocess.Popen[bytes], kept: Tail, deadline: float, most: int) -> Ended:
    """Read until the program ends; a child that holds the pipe open does not keep us."""
    assert process.stdout is not None  # noqa: S101 - it was asked for above
    with process.stdout as pipe, selectors.DefaultSelector() as selector:
        os.set_blocking(pipe.fileno(), False)
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            left = deadline - monotonic()
            if left <= 0:
                return Ended.TIME_OUT
            gone = process.poll() is not None
            ready = selector.select(0 if gone else min(left, 0.2))
            chunk = pipe.read(_CHUNK) if ready else None
            if chunk:
                kept.add(chunk)
            elif gone:
                return Ended.EXIT
            elif ready:  # it closed its output and works on
                selector.unregister(pipe)
                return _wait(process, deadline)
            if kept.total > most:
                return Ended.TOO_MUCH_OUTPUT


def _wait(process: subprocess.Popen[bytes], deadline: float) -> Ended:
    try:
        process.wait(max(deadline - monotonic(), 0))
    except subprocess.TimeoutExpired:
        return Ended.TIME_OUT
    return Ended.EXIT


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the group: politely, then for good. Its number is ours until we have waited."""
    if process.poll() is None:
        _signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
    _signal(process.pid, signal.SIGKILL)
    process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _reason(ended: Ended, seconds: float) -> str:
    if ended is Ended.TIME_OUT:
        return f"it was ended after {seconds:g} s"
    if ended is Ended.TOO_MUCH_OUTPUT:
        return "it was ended because it printed without end"
    return ""
