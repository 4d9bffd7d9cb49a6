"""Run work on untrusted models in child processes, each within bounds of memory and time.

The parsers and shape inference below us are C++ and may crash, hang or allocate without end on a
hostile file. One forked child a model turns each of that into a value. A child notes what it is
doing in a page of memory that it shares with its parent, so the note survives its death, costs no
system call, and can never fill a pipe. It ends when its parent does, and what it sends is read by a
schema (``transfer``).
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NoReturn, TypeVar

from npugate import log
from npugate.limits import Limits
from npugate.sandbox import children, confine, transfer
from npugate.sandbox.children import ENDING, PAGE, Pool, Ties
from npugate.sandbox.confine import enforced
from npugate.sandbox.outcome import Died, Done, Ended, Raised

__all__ = ["Died", "Done", "Ended", "Raised", "each", "enforced", "run", "stage"]

T = TypeVar("T")
Item = TypeVar("Item")

_NOTE_BYTES: Final = 2000  # for each of stage and detail
_TERMINATED: Final = 128 + 15  # exit status of a program that SIGTERM ended
COLLECT_AT: Final = (50_000, 20, 50)  # a graph is many objects that all stay: a tenth of the time

_note: mmap.mmap | None = None  # the shared page, in a child only


def stage(name: str, detail: str = "") -> None:
    """Note what is being done, for the case that it is the last; costs about a microsecond.

    Args:
        name: the step, for example ``shape inference``.
        detail: what it is about, for example a node's name.
    """
    if _note is not None:
        text = f"{name[:_NOTE_BYTES]}\0{detail[:_NOTE_BYTES]}".encode("utf-8", "replace")
        text = text[: PAGE - 1]
        _note[: len(text) + 1] = text + b"\1"


def default_jobs() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(
    work: Callable[[Item], T],
    items: Sequence[Item],
    limits: Limits,
    jobs: int | None = None,
    progress: Callable[[int], None] | None = None,
    *,
    kind: Any = Any,  # noqa: ANN401  # a type, of which ``T`` is not always one
) -> list[Done[T] | Died | Raised]:
    """Do the work for each item in a process of its own, as ``each`` does.

    Args:
        work: called with an item, in the child.
        items: what to work on.
        limits: for each item.
        jobs: processes at a time; None takes one for each core.
        progress: called with the index of each item that has ended, in the parent.
        kind: type of the results.

    Returns:
        One outcome for each item, in their order.
    """
    outcomes: dict[int, Done[T] | Died | Raised] = {}
    for ended in each(work, items, lambda _: limits, jobs=jobs, kind=kind):
        outcomes[ended.index] = ended.outcome
        if progress is not None:
            progress(ended.index)
    return [outcomes[index] for index in range(len(items))]


def each(
    work: Callable[[Item], T],
    items: Sequence[Item],
    limits: Callable[[Item], Limits],
    *,
    jobs: int | None = None,
    kind: Any = Any,  # noqa: ANN401  # a type, of which ``T`` is not always one
) -> Iterator[Ended[T]]:
    """Do the work for each item in a process of its own; yield what came of it as they end.

    All children together get no more memory than ``confine.machine_bytes``: one that does not fit
    beside the others waits for them.

    Args:
        work: called with an item, in the child; its result is data, see ``transfer``.
        items: what to work on.
        limits: of an item: memory, in bytes on top of what the process has mapped already; wall
            clock, in seconds; size of its result.
        jobs: processes at a time; None takes one for each core.
        kind: type of the results; ``Any`` gives lists, maps, numbers and text.

    Raises:
        KeyboardInterrupt: after every child has been ended and waited for.
        SystemExit: the same, on SIGTERM.
    """
    if not hasattr(os, "fork"):
        for index, item in enumerate(items):
            yield _here(work, item, index)
        return
    confine.prepare()
    children = Pool(kind)
    with _terminable(), children:
        room = max(1, jobs or default_jobs())
        following = 0
        while following < len(items) or children.running:
            while following < len(items) and len(children.running) < room:
                bounds = limits(items[following])
                if not children.fits(bounds):
                    break
                main = partial(_be_child, work, items[following], limits=bounds)
                children.start(following, bounds, main)
                following += 1
            yield from children.ended()


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that the children are ended too."""

    def leave(_number: int, _frame: object) -> NoReturn:
        sys.exit(_TERMINATED)

    try:
        before = signal.signal(signal.SIGTERM, leave)
    except ValueError:  # not in the main thread: signals are somebody else's there
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _be_child(work: Callable[[Item], object], item: Item, ties: Ties, limits: Limits) -> NoReturn:
    """Do the work, send the result and leave; the stack above belongs to the parent."""
    status = 1
    try:
        _settle(ties)
        word, data = _attempt(work, item, limits)
        for part in ((len(data) + 1).to_bytes(children.LENGTH_BYTES, "big") + word, data):
            frame = memoryview(part)  # a repaired model is large: it is not copied to be sent
            while frame:
                frame = frame[os.write(ties.pipe, frame) :]
        status = 0
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(status)


def _settle(ties: Ties) -> None:
    global _note  # noqa: PLW0603  # one page for one process
    _note = ties.note
    os.setpgid(0, 0)
    confine.die_with(ties.parent)
    for end in ties.others:
        os.close(end)
    for number in (*ENDING, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)  # standard output is the report; what C++ prints goes to the log
    gc.freeze()  # else the first collection would copy every page of the parent
    gc.set_threshold(*COLLECT_AT)


def _attempt(work: Callable[[Item], object], item: Item, limits: Limits) -> tuple[bytes, bytes]:
    """Return the outcome: a word and what belongs to it."""
    try:
        with confine.bounded(limits.seconds, limits.memory_bytes):
            return children.DONE, transfer.encode(work(item))
    except (MemoryError, SystemError):  # the latter is how C code loses the former
        return children.NO_MEMORY, b""
    except BaseException:  # noqa: BLE001  # the parent is told; nothing may unwind into its stack
        return children.RAISED, log.traceback().encode("utf-8", "backslashreplace")[
            -children.TRACEBACK_BYTES :
        ]


def _here(work: Callable[[Item], T], item: Item, index: int) -> Ended[T]:
    """Do the work in this process, where there is no fork; ``enforced`` is false then."""
    start = time.monotonic()
    try:
        outcome: Done[T] | Died | Raised = Done(work(item))
    except MemoryError:
        outcome = Died("", "", "it ran out of memory")
    except Exception:  # noqa: BLE001  # returned as a value, as a child does
        outcome = Raised(log.traceback())
    return Ended(index, outcome, time.monotonic() - start)
