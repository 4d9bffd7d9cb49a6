"""The parent's side of the children that ``isolate`` forks: start, listen, and end them."""

from __future__ import annotations

import contextlib
import mmap
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn

from msgspec import Struct, field

from npugate.limits import Limits
from npugate.sandbox import confine, transfer
from npugate.sandbox.outcome import Died, Done, Ended, Raised

PAGE: Final = 4096
LENGTH_BYTES: Final = 8
TRACEBACK_BYTES: Final = 1 << 16
DONE, NO_MEMORY, RAISED = b"D", b"M", b"R"
ENDING: Final = (signal.SIGINT, signal.SIGTERM)
_READ_BYTES: Final = 1 << 18
_TICK_SECONDS: Final = 0.25  # how soon a death is seen when a grandchild keeps the pipe open
_GRACE_SECONDS: Final = 2.0  # for a child that has sent its result: to flush, to save coverage
_POLL_SECONDS: Final = 0.0005


class Ties(Struct, frozen=True):
    """What links a child to its parent.

    Attributes:
        parent: its process id.
        pipe: to write the result to.
        others: ends of pipes that the parent reads, open here only because of the fork: with one
            of them open, a child could write to a parent that is gone, and wait for ever.
        note: the shared page.
    """

    parent: int
    pipe: int
    others: Sequence[int]
    note: mmap.mmap


class Child(Struct):
    """A running child; ``is_silent`` once no more can come out of its pipe."""

    index: int
    pid: int
    pipe: int
    note: mmap.mmap
    limits: Limits
    start: float
    data: bytearray = field(default_factory=bytearray)
    is_silent: bool = False

    @property
    def deadline(self) -> float:
        """When it is ended."""
        return self.start + self.limits.seconds

    @property
    def length(self) -> int | None:
        """What it has announced to send, in bytes; None until it has."""
        if len(self.data) < LENGTH_BYTES:
            return None
        return int.from_bytes(self.data[:LENGTH_BYTES], "big")

    @property
    def is_excessive(self) -> bool:
        """True when it announces more than it may send."""
        length = self.length
        return length is not None and length > self.limits.result_bytes

    @property
    def is_complete(self) -> bool:
        """True when the whole result has arrived."""
        length = self.length
        return length is not None and len(self.data) - LENGTH_BYTES >= length

    def last_note(self) -> tuple[str, str]:
        """Return the stage and detail that the child noted last."""
        text = self.note[:PAGE].partition(b"\1")[0].decode("utf-8", "replace")
        name, _, detail = text.partition("\0")
        return name, detail.rstrip("\0")


class Pool:
    """The children that are running; leaving the ``with`` block ends them all."""

    def __init__(self, kind: Any) -> None:  # noqa: ANN401  # a type
        """Start with none.

        Args:
            kind: type of the results.
        """
        self._kind = kind
        self._selector = selectors.DefaultSelector()
        self._leaving: dict[int, float] = {}  # those with a result, until when they may take
        self.running: dict[int, Child] = {}

    def __enter__(self) -> None:
        """Do nothing: children come one by one."""

    def __exit__(self, *_: object) -> None:
        """End what still runs, and wait for what is leaving."""
        for child in list(self.running.values()):
            self._end(child)
        while self._leaving:
            self._reap()
            time.sleep(_POLL_SECONDS if self._leaving else 0)
        self._selector.close()

    def fits(self, limits: Limits) -> bool:
        """Tell whether there is memory for another child; one alone always has it."""
        taken = sum(child.limits.memory_bytes for child in self.running.values())
        return not taken or taken + limits.memory_bytes <= confine.machine_bytes()

    def start(self, index: int, limits: Limits, main: Callable[[Ties], NoReturn]) -> None:
        """Fork a child.

        Args:
            index: names its end in the result.
            limits: of its time and of what it may send; memory is its own matter.
            main: all that it does.
        """
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()  # else the child would print what is buffered once more
        note = mmap.mmap(-1, PAGE)
        ours, theirs = os.pipe()
        others = (ours, *(child.pipe for child in self.running.values()))
        ties = Ties(os.getpid(), theirs, others, note)
        # A child that is not in the table yet would outlive a signal that unwinds this stack.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            pid = os.fork()
            if pid == 0:
                main(ties)
            self._register(index, pid, ours, note, limits)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(theirs)

    def _register(self, index: int, pid: int, ours: int, note: mmap.mmap, limits: Limits) -> None:
        """Note a child that was just forked."""
        os.set_blocking(ours, False)
        with contextlib.suppress(OSError):  # the child has done so, or is gone
            os.setpgid(pid, pid)
        child = Child(index, pid, ours, note, limits, time.monotonic())
        self.running[pid] = child
        self._selector.register(ours, selectors.EVENT_READ, child)

    def ended(self) -> Iterator[Ended[Any]]:
        """Wait until something happens; yield each child that ended."""
        soonest = min(child.deadline for child in self.running.values())
        patience = max(0.0, min(soonest - time.monotonic(), _TICK_SECONDS))
        for key, _ in self._selector.select(patience):
            _receive(key.data)
        self._reap()
        for child in list(self.running.values()):
            if not child.is_complete and _is_dead(child.pid):
                _receive(child)  # what it wrote since
                child.is_silent = True
            outcome = self._outcome(child)
            if outcome is not None:
                yield Ended(child.index, outcome, time.monotonic() - child.start)

    def _outcome(self, child: Child) -> Done[Any] | Died | Raised | None:
        """Return what came of a child, which is not among the children then; None while it runs."""
        if child.is_complete:
            self._leave(child)
            return _result(child, self._kind)
        if child.is_excessive:
            self._end(child)
            most = child.limits.result_bytes
            return Died(*child.last_note(), f"its result has more than {most} bytes")
        if child.is_silent:
            return Died(*child.last_note(), _cause(self._end(child, _GRACE_SECONDS)))
        if time.monotonic() >= child.deadline:
            self._end(child)
            reason = f"it took longer than {child.limits.seconds:.3g} s"
            return Died(*child.last_note(), reason)
        return None

    def _leave(self, child: Child) -> None:
        """Let a child that has sent its result leave by itself, while others are looked after."""
        self._forget(child)
        self._leaving[child.pid] = time.monotonic() + _GRACE_SECONDS

    def _reap(self) -> None:
        """Wait for the children that have left, and end those that take too long."""
        for pid, until in list(self._leaving.items()):
            if _is_dead(pid) or time.monotonic() >= until:
                del self._leaving[pid]
                _kill(pid)

    def _end(self, child: Child, grace_seconds: float = 0.0) -> int:
        """End a child and all that it started, and return its wait status.

        Args:
            child: one of ``running``.
            grace_seconds: time that it has to leave by itself.
        """
        self._forget(child)
        until = time.monotonic() + grace_seconds
        while not _is_dead(child.pid) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        return _kill(child.pid)

    def _forget(self, child: Child) -> None:
        del self.running[child.pid]
        self._selector.unregister(child.pipe)
        os.close(child.pipe)


def _kill(pid: int) -> int:
    """End a child and its process group, wait for it and return its status."""
    # Not yet waited for, so the number cannot have passed to another process group.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _receive(child: Child) -> None:
    """Take what is in the pipe, without waiting for more and never more than was announced."""
    with contextlib.suppress(BlockingIOError):
        while not child.is_complete and not child.is_excessive:
            data = os.read(child.pipe, _READ_BYTES)
            if not data:
                child.is_silent = True
                break
            child.data += data


def _is_dead(pid: int) -> bool:
    """Tell whether a child has ended, without waiting for it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _cause(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"it left with status {code}"
    if -code == signal.SIGKILL:
        return "it was killed from outside, as the system does when memory runs out"
    if -code in {signal.SIGXCPU, signal.SIGPROF}:
        return "it used up its processor time"
    return f"it crashed ({signal.Signals(-code).name})"


def _result(child: Child, kind: Any) -> Done[Any] | Died | Raised:  # noqa: ANN401  # a type
    frame = memoryview(child.data)[LENGTH_BYTES:]
    word, body = bytes(frame[:1]), frame[1:]
    if word == DONE:
        try:
            return Done(transfer.decode(body, kind))
        except transfer.TransferError as error:
            return Raised(f"a child has sent what is no result: {error}")
    if word == NO_MEMORY:
        return Died(*child.last_note(), "it ran out of memory")
    return Raised(bytes(body[-TRACEBACK_BYTES:]).decode("utf-8", "replace"))
