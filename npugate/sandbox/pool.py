"""Run work on untrusted models in child processes, each within bounds of memory and time.

The parsers and shape inference below us are C++ and may crash, hang or allocate without end on a
hostile file. One forked child a model turns each of that into a value. A child notes what it is
doing in a page of memory that it shares with its parent, so the note survives its death, costs no
system call, and can never fill a pipe.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import pickle
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from math import ceil
from typing import Any, Final, Generic, NoReturn, TypeVar

from msgspec import Struct, field

from npugate import log
from npugate.limits import Limits

try:
    import resource
except ImportError:  # pragma: no cover  # Windows, where nothing is forked either
    resource = None  # type: ignore[assignment]  # checked before use

T = TypeVar("T")
Item = TypeVar("Item")

_PAGE: Final = 4096
_NOTE_BYTES: Final = 2000  # for each of stage and detail
_READ_BYTES: Final = 1 << 18
_TICK_SECONDS: Final = 0.25  # how soon a death is seen when a grandchild keeps the pipe open
_GRACE_SECONDS: Final = 2.0  # for a child that has sent its result: to flush, to save coverage
_POLL_SECONDS: Final = 0.0005
_LENGTH_BYTES: Final = 8
_TERMINATED: Final = 128 + 15  # exit status of a program that SIGTERM ended
COLLECT_AT: Final = (50_000, 20, 50)  # a graph is many objects that all stay: a tenth of the time
_ENDING: Final = (signal.SIGINT, signal.SIGTERM)
_DONE, _NO_MEMORY, _RAISED = range(3)


class Done(Struct, Generic[T], frozen=True):
    """The work came to its end."""

    value: T


class Died(Struct, frozen=True):
    """The work was ended by a crash or a bound.

    Attributes:
        stage, detail: what it was doing, as it last said by ``stage``.
        reason: a phrase such as ``it ran out of memory``.
    """

    stage: str
    detail: str
    reason: str


class Raised(Struct, frozen=True):
    """The work raised: a fault of ours, not of the model.

    Attributes:
        text: the traceback.
    """

    text: str


_note: mmap.mmap | None = None  # the shared page, in a child only


def stage(name: str, detail: str = "") -> None:
    """Note what is being done, for the case that it is the last; costs about a microsecond.

    Args:
        name: the step, for example ``shape inference``.
        detail: what it is about, for example a node's name.
    """
    if _note is not None:
        text = f"{name[:_NOTE_BYTES]}\0{detail[:_NOTE_BYTES]}".encode("utf-8", "replace")
        text = text[: _PAGE - 1]
        _note[: len(text) + 1] = text + b"\1"


def enforced() -> bool:
    """Tell whether work runs in a child whose memory is bounded; false off Linux."""
    return hasattr(os, "fork") and resource is not None and os.path.exists("/proc/self/statm")  # noqa: PTH110  # no Path is worth making


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
) -> list[Done[T] | Died | Raised]:
    """Do the work for each item in a process of its own.

    Args:
        work: called with an item, in the child; its result must be picklable.
        items: what to work on.
        limits: memory, in bytes on top of what the process has mapped already, and wall clock, in
            seconds, for each item.
        jobs: processes at a time; None takes one for each core.
        progress: called with the index of each item that has ended, in the parent.

    Returns:
        One outcome for each item, in their order.

    Raises:
        KeyboardInterrupt: after every child has been ended and waited for.
        SystemExit: the same, on SIGTERM.
    """
    tell = progress or (lambda _: None)
    if not hasattr(os, "fork"):
        return [_here(work, item, index, tell) for index, item in enumerate(items)]
    outcomes: dict[int, Done[T] | Died | Raised] = {}
    pool = _Pool(limits)
    with _terminable(), pool:
        waiting = iter(enumerate(items))
        room = max(1, jobs or default_jobs())
        while True:
            while len(pool.children) < room and (pair := next(waiting, None)) is not None:
                pool.start(work, *pair)
            if not pool.children:
                break
            for index, outcome in pool.ended():
                outcomes[index] = outcome
                tell(index)
    return [outcomes[index] for index in range(len(items))]


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


class _Child(Struct):
    """A running child; ``is_silent`` once no more can come out of its pipe."""

    index: int
    pid: int
    pipe: int
    note: mmap.mmap
    deadline: float
    data: bytearray = field(default_factory=bytearray)
    is_silent: bool = False

    @property
    def is_complete(self) -> bool:
        """True when the whole result has arrived."""
        if len(self.data) < _LENGTH_BYTES:
            return False
        return len(self.data) - _LENGTH_BYTES >= int.from_bytes(self.data[:_LENGTH_BYTES], "big")

    def last_note(self) -> tuple[str, str]:
        """Return the stage and detail that the child noted last."""
        text = self.note[:_PAGE].partition(b"\1")[0].decode("utf-8", "replace")
        name, _, detail = text.partition("\0")
        return name, detail.rstrip("\0")


class _Pool:
    """The children that are running; leaving the ``with`` block ends them all."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._selector = selectors.DefaultSelector()
        self.children: dict[int, _Child] = {}

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for child in list(self.children.values()):
            self._end(child)
        self._selector.close()

    def start(self, work: Callable[[Item], object], index: int, item: Item) -> None:
        """Fork a child for an item."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()  # else the child would print what is buffered once more
        note = mmap.mmap(-1, _PAGE)
        ours, theirs = os.pipe()
        # A child that nobody has noted yet would outlive a signal that unwinds this stack.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        try:
            pid = os.fork()
            if pid == 0:
                _be_child(work, item, theirs, note, self._limits)
            self._register(index, pid, ours, note)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(theirs)

    def _register(self, index: int, pid: int, ours: int, note: mmap.mmap) -> None:
        """Note a child that was just forked."""
        os.set_blocking(ours, False)
        with contextlib.suppress(OSError):  # the child has done so, or is gone
            os.setpgid(pid, pid)
        deadline = time.monotonic() + self._limits.seconds
        child = _Child(index, pid, ours, note, deadline)
        self.children[pid] = child
        self._selector.register(ours, selectors.EVENT_READ, child)

    def ended(self) -> Iterator[tuple[int, Done[Any] | Died | Raised]]:
        """Wait until something happens; yield the index and outcome of each child that ended."""
        soonest = min(child.deadline for child in self.children.values())
        patience = max(0.0, min(soonest - time.monotonic(), _TICK_SECONDS))
        ready = self._selector.select(patience)
        for key, _ in ready:
            _receive(key.data)
        for child in list(self.children.values()):
            if _is_dead(child.pid):
                _receive(child)  # what it wrote since
                child.is_silent = True
            if child.is_complete:
                self._end(child, _GRACE_SECONDS)
                yield child.index, _result(child)
            elif child.is_silent:
                status = self._end(child, _GRACE_SECONDS)
                yield child.index, Died(*child.last_note(), _cause(status))
            elif time.monotonic() >= child.deadline:
                self._end(child)
                reason = f"it took longer than {self._limits.seconds:g} s"
                yield child.index, Died(*child.last_note(), reason)

    def _end(self, child: _Child, grace_seconds: float = 0.0) -> int:
        """End a child and all that it started, and return its wait status.

        Args:
            child: one of ``children``.
            grace_seconds: time that it has to leave by itself.
        """
        del self.children[child.pid]
        self._selector.unregister(child.pipe)
        os.close(child.pipe)
        until = time.monotonic() + grace_seconds
        while not _is_dead(child.pid) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        # Not yet waited for, so the number cannot have passed to another process group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        return os.waitpid(child.pid, 0)[1]


def _receive(child: _Child) -> None:
    """Take what is in the pipe, without waiting for more."""
    with contextlib.suppress(BlockingIOError):
        while data := os.read(child.pipe, _READ_BYTES):
            child.data += data
        child.is_silent = True


def _is_dead(pid: int) -> bool:
    """Tell whether a child has ended, without waiting for it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _cause(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"it left with status {code}"
    if -code == signal.SIGKILL:
        return "it was killed from outside, as the system does when memory runs out"
    if -code == signal.SIGXCPU:
        return "it used up its processor time"
    return f"it crashed ({signal.Signals(-code).name})"


def _result(child: _Child) -> Done[Any] | Died | Raised:
    # What a child of ours wrote; whoever controls that process is us already.
    kind, value = pickle.loads(memoryview(child.data)[_LENGTH_BYTES:])  # noqa: S301  # see above
    if kind == _DONE:
        return Done(value)
    if kind == _NO_MEMORY:
        return Died(*child.last_note(), "it ran out of memory")
    return Raised(value)


def _be_child(
    work: Callable[[Item], object], item: Item, pipe: int, note: mmap.mmap, limits: Limits
) -> NoReturn:
    """Do the work, send the result and leave; the stack above belongs to the parent."""
    status = 1
    try:
        _settle(note)
        data = _attempt(work, item, limits)
        for part in (len(data).to_bytes(_LENGTH_BYTES, "big"), data):
            frame = memoryview(part)  # a repaired model is large: it is not copied to be sent
            while frame:
                frame = frame[os.write(pipe, frame) :]
        status = 0
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(status)


def _settle(note: mmap.mmap) -> None:
    global _note  # noqa: PLW0603  # one page for one process
    _note = note
    os.setpgid(0, 0)
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)  # standard output is the report; what C++ prints goes to the log
    gc.freeze()  # else the first collection would copy every page of the parent
    gc.set_threshold(*COLLECT_AT)


def _attempt(work: Callable[[Item], object], item: Item, limits: Limits) -> bytes:
    """Return the pickled outcome."""
    try:
        with _bounded(limits):
            return pickle.dumps((_DONE, work(item)), protocol=pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        return pickle.dumps((_NO_MEMORY, None))
    except BaseException:  # noqa: BLE001  # the parent is told; nothing may unwind into its stack
        return pickle.dumps((_RAISED, log.traceback()))


@contextlib.contextmanager
def _bounded(limits: Limits) -> Iterator[None]:
    """Bound this process; on the way out its memory is free again, so that it can say so."""
    if not enforced():
        yield
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cores = os.cpu_count() or 1  # a backstop, should the parent die: the wall clock comes first
    _lower(resource.RLIMIT_CPU, (ceil(limits.seconds) + 1) * cores)
    before = resource.getrlimit(resource.RLIMIT_AS)
    _lower(resource.RLIMIT_AS, _mapped_bytes() + limits.memory_bytes)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _lower(kind: int, value: int) -> None:
    soft, hard = resource.getrlimit(kind)
    known = [bound for bound in (soft, hard, value) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(kind, (min(known), hard))


def _mapped_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  # no Path is worth making
        return int(file.read().split()[0]) * resource.getpagesize()


def _here(
    work: Callable[[Item], T], item: Item, index: int, tell: Callable[[int], None]
) -> Done[T] | Died | Raised:
    """Do the work in this process, where there is no fork; ``enforced`` is false then."""
    try:
        outcome: Done[T] | Died | Raised = Done(work(item))
    except MemoryError:
        outcome = Died("", "", "it ran out of memory")
    except Exception:  # noqa: BLE001  # handed on as a value, as a child does
        outcome = Raised(log.traceback())
    tell(index)
    return outcome
