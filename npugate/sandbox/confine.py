"""What a child process does to itself before it works on a model: bounds, a tie to its parent.

``native`` bounds a piece of C++ more narrowly than the whole of the work: shape inference of a
small model is a matter of milliseconds and kilobytes, and a file of a hundred bytes can make it one
of minutes and gigabytes. It does so in a child only, where the process may be ended for it.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from math import ceil
from typing import Final

try:
    import resource
except ImportError:  # pragma: no cover  # Windows, where nothing is forked either
    resource = None  # type: ignore[assignment]  # checked before use

_PR_SET_PDEATHSIG: Final = 1
_MACHINE_SHARE: Final = 0.75  # of its memory may go to children
_UNKNOWN_MACHINE_BYTES: Final = 8 << 30
_CGROUPS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")

_is_child = False


def enforced() -> bool:
    """Tell whether work runs in a child whose memory is bounded; false off Linux."""
    return hasattr(os, "fork") and resource is not None and os.path.exists("/proc/self/statm")  # noqa: PTH110  # no Path is worth making


@cache
def machine_bytes() -> int:
    """Return what all children of this process may take together: a share of the machine's memory.

    In a container that has a bound of its own it is a share of that.
    """
    known = [bound for bound in (_physical_bytes(), *map(_bound_in, _CGROUPS)) if bound]
    return int(min(known, default=_UNKNOWN_MACHINE_BYTES) * _MACHINE_SHARE)


def _physical_bytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # pragma: no cover  # off Linux
        return 0


def _bound_in(place: str) -> int:
    """Return the number in a file of the control group; 0 when there is none."""
    try:
        with open(place, "rb") as file:  # noqa: PTH123  # no Path is worth making
            return int(file.read(32))
    except (OSError, ValueError):
        return 0


def prepare() -> None:
    """Load what ``die_with`` needs, once in the parent instead of in each child."""
    _prctl()


@cache
def _prctl() -> object:
    return getattr(ctypes.CDLL(None), "prctl", None) if os.name == "posix" else None


def die_with(parent: int) -> None:
    """Have the system end this process as soon as its parent has ended, however that was.

    Args:
        parent: process id of the parent, which may be gone already: then this process ends here.
    """
    call = _prctl()
    if callable(call):
        call(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


@contextmanager
def bounded(seconds: float, memory_bytes: int) -> Iterator[None]:
    """Bound this process; on the way out its memory is free again, so that it can say so.

    Args:
        seconds: of wall clock, as the parent gives; a backstop here, in processor time.
        memory_bytes: of address space, on top of what is mapped already.
    """
    global _is_child  # noqa: PLW0603  # a process is a child or is not
    if not enforced():
        yield
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_CPU, (ceil(seconds) + 1) * (os.cpu_count() or 1))
    before = resource.getrlimit(resource.RLIMIT_AS)
    _lower(resource.RLIMIT_AS, _mapped_bytes() + memory_bytes)
    _is_child = True
    try:
        yield
    finally:
        _is_child = False
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def native(seconds: float, memory_bytes: int) -> Iterator[None]:
    """Bound a call into C++ that a file decides the length of; the process ends with SIGPROF.

    Outside of a child of ours nothing is bounded.

    Args:
        seconds: of processor time, so that a busy machine changes nothing.
        memory_bytes: of address space, on top of what is mapped already.

    Raises:
        MemoryError: by what runs, when that is not enough.
    """
    if not _is_child:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    _lower(resource.RLIMIT_AS, _mapped_bytes() + memory_bytes)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)


def _lower(kind: int, value: int) -> None:
    soft, hard = resource.getrlimit(kind)
    known = [bound for bound in (soft, hard, value) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(kind, (min(known), hard))


def _mapped_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  # no Path is worth making
        return int(file.read().split()[0]) * resource.getpagesize()
