"""Try a model again, more calmly, where one try was ended; all tries share one deadline."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from npugate.facts import Inference
from npugate.limits import Limits
from npugate.sandbox import pool
from npugate.sandbox.pool import Died, Ended

T = TypeVar("T")
Item = TypeVar("Item")

CALMER: Final[Mapping[Inference, Inference]] = {
    "full": "careful",
    "careful": "traced",
    "traced": "off",
}
"""What is tried next when onnx dies of a model in shape inference, so that the rules still run."""

_LEAST_SECONDS: Final = 0.5  # a try with less has no use
_EXAMINED_BYTES, _EXAMINED_TIMES = 384 << 20, 24
_FOUND_BYTES, _FOUND_TIMES = 16 << 20, 16  # what is said of a model; decoded, it is ten times that
_MENDED_BYTES, _MENDED_TIMES, _BESIDE_TIMES = 3 << 30, 16, 4
_RESULT_BYTES: Final = 2**31 + 2**28  # the largest file of protobuf, and what is said of it


def examining(file: Path, limits: Limits) -> Limits:
    """Return the limits of looking at a model: memory and result grow with the file alone.

    Args:
        file: the model; it need not be there.
        limits: the most that any model gets.
    """
    size = _size(file)
    memory = min(limits.memory_bytes, _EXAMINED_BYTES + _EXAMINED_TIMES * size)
    result = min(limits.result_bytes, _FOUND_BYTES + _FOUND_TIMES * size)
    return replace(limits, memory_bytes=memory, result_bytes=result)


def mending(file: Path, limits: Limits) -> Limits:
    """Return the limits of repairing a model, which holds its weights and runs it."""
    wanted = _MENDED_BYTES + _MENDED_TIMES * _size(file) + _BESIDE_TIMES * _beside(file)
    memory = min(limits.memory_bytes, wanted)
    return replace(limits, memory_bytes=memory, result_bytes=_RESULT_BYTES)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0  # the reader will say why


def _beside(file: Path) -> int:
    """Return the size of the files in a model's folder that may hold its weights."""
    try:
        with os.scandir(file.parent) as entries:
            return sum(
                entry.stat(follow_symlinks=False).st_size
                for entry in entries
                if entry.is_file(follow_symlinks=False) and not entry.name.endswith(".onnx")
            )
    except OSError:
        return 0


def settle(
    work: Callable[[Item], T],
    items: Sequence[Item],
    limits: Callable[[Item], Limits],
    again: Callable[[Item, Died], Item | None],
    *,
    jobs: int | None = None,
    kind: Any = Any,  # noqa: ANN401  # a type, of which ``T`` is not always one
) -> Iterator[tuple[Item, Ended[T]]]:
    """Do the work for each item until it ends or there is nothing else to try.

    Args:
        work: called with an item, in a child.
        items: what to work on.
        limits: of an item; its seconds are for all tries of it.
        again: called with an item that died; what to try instead, or None.
        jobs: processes at a time; None takes one for each core.
        kind: type of the results.

    Yields:
        The item as it was tried last, and what came of it, with the index of the first try.
    """
    spent = dict.fromkeys(range(len(items)), 0.0)
    waiting = dict(enumerate(items))
    while waiting:
        order = list(waiting)
        trying = [_Try(item, _left(limits(item), spent[key])) for key, item in waiting.items()]
        waiting = {}
        for ended in pool.each(partial(_do, work), trying, _granted, jobs=jobs, kind=kind):
            key = order[ended.index]
            spent[key] += ended.seconds
            item, outcome = trying[ended.index].item, ended.outcome
            other = again(item, outcome) if isinstance(outcome, Died) else None
            if other is not None and limits(other).seconds - spent[key] >= _LEAST_SECONDS:
                waiting[key] = other
            else:
                yield item, Ended(key, _said(outcome, limits(item)), spent[key])


class _Try(Struct, Generic[Item], frozen=True):
    item: Item
    limits: Limits


def _do(work: Callable[[Item], T], trying: _Try[Item]) -> T:
    return work(trying.item)


def _granted(trying: _Try[Item]) -> Limits:
    return trying.limits


def _left(limits: Limits, spent: float) -> Limits:
    return replace(limits, seconds=max(limits.seconds - spent, _LEAST_SECONDS))


def _said(outcome: Any, limits: Limits) -> Any:  # noqa: ANN401  # of ``isolate``
    """Name the whole time in place of what was left for the last try."""
    if isinstance(outcome, Died) and outcome.reason.startswith("it took longer"):
        return replace(outcome, reason=f"it took longer than {limits.seconds:g} s")
    return outcome
