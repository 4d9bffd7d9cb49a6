"""Sentences for what several operators have in common: lengths, ranges, broadcasting."""

from __future__ import annotations

from collections.abc import Iterator

from npugate.facts.graph import Dim, Shape
from npugate.relations.operands import Operands, shown


def differ(first: Dim, second: Dim) -> bool:
    """Tell whether two dimensions are both known and not the same."""
    return isinstance(first, int) and isinstance(second, int) and first != second


def vector(ops: Operands, position: int, size: int | None, what: str, why: str) -> Iterator[str]:
    """Yield a sentence when an operand is no vector of a size.

    Args:
        ops: of the node.
        position: of the operand.
        size: elements that it must have; None when that is not known.
        what: the operand's part, for example ``bias``.
        why: what the size comes from, for example ``the weight makes 4 output channels``.
    """
    if not ops.given(position):
        return
    shape = ops.shape(position)
    if shape is None:
        return
    if len(shape) != 1:
        yield f"{what} {ops.name(position)} has shape {shown(shape)}, a vector is wanted: {why}"
    elif differ(ops.dim(position, 0), size):
        yield f"{what} {ops.name(position)} has {elements(shape[0])}, {why}"


def elements(count: Dim) -> str:
    """Return a number of elements as words."""
    return "1 element" if count == 1 else f"{count} elements"


def scalar(ops: Operands, position: int, what: str) -> Iterator[str]:
    """Yield a sentence when an operand does not hold exactly one element."""
    if not ops.given(position):
        return
    count = ops.count(position)
    if count is not None and count != 1:
        yield f"{what} {ops.name(position)} has {elements(count)}, 1 is wanted"


def axis_in(name: str, axis: int, rank: int | None, *, low: int | None = None) -> Iterator[str]:
    """Yield a sentence when an axis is not within a rank."""
    if rank is None:
        return
    least = -rank if low is None else low
    if not least <= axis < rank:
        yield f"{name} is {axis}, a value of rank {rank} has axes {least} to {rank - 1}"


def entries(ops: Operands, name: str, count: int | None, why: str) -> Iterator[str]:
    """Yield a sentence when an attribute of integers has another length than it must have."""
    given = ops.node.ints_attribute(name)
    if given is not None and count is not None and len(given) != count:
        yield f"{name} has {len(given)} entries, {why} want {count}"


def same(first: tuple[Dim, ...], second: tuple[Dim, ...]) -> bool:
    """Tell whether two shapes may be one, as far as they are known."""
    return len(first) == len(second) and not any(map(differ, first, second))


def broadcast(first: tuple[Dim, ...], second: tuple[Dim, ...]) -> bool:
    """Tell whether two shapes may broadcast with each other, as far as they are known."""
    pairs = zip(reversed(first), reversed(second), strict=False)
    return all(1 in {a, b} or not differ(a, b) for a, b in pairs)


def one_way(ops: Operands, position: int, target: Shape | None, what: str) -> Iterator[str]:
    """Yield a sentence when an operand does not broadcast to a shape."""
    shape = ops.shape(position)
    if shape is None or target is None:
        return
    pairs = zip(reversed(shape), reversed(target), strict=False)
    if len(shape) > len(target) or any(a != 1 and differ(a, b) for a, b in pairs):
        yield (
            f"{what} {ops.name(position)} of shape {shown(shape)} "
            f"does not broadcast to {shown(target)}"
        )
