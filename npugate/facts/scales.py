"""Scales of quantisation: which operands are scales, and along which axis of a weight they run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Final

from msgspec import Struct

from npugate.facts.graph import Node, Tensor
from npugate.operators import CONVERSIONS, RESHAPES

# Positions of the scales of operators in QOperator form, by name without its domain.
_SCALES: Final[Mapping[str, tuple[int, ...]]] = {
    "QuantizeLinear": (1,),
    "DequantizeLinear": (1,),
    "QLinearConv": (1, 4, 6),
    "QLinearMatMul": (1, 4, 6),
    "QLinearAdd": (1, 4, 6),
    "QLinearMul": (1, 4, 6),
    "QLinearWhere": (2, 5, 7),
    "QLinearAveragePool": (1, 3),
    "QLinearGlobalAveragePool": (1, 3),
    "QLinearLeakyRelu": (1, 3),
    "QLinearSigmoid": (1, 3),
    "QLinearSoftmax": (1, 3),
    "QLinearReduceMean": (1, 3),
    "QGemm": (1, 4, 7),
}
_MOST_VIEWS: Final = 8


class ScaleAxis(Struct, frozen=True):
    """Where the scales of a quantised weight run.

    Attributes:
        node: the DequantizeLinear.
        stored: axis of the tensor that it reads.
        axis: the same axis as the layer sees it, behind the views; None when a view joins it with
            another axis.
    """

    node: Node
    stored: int
    axis: int | None


def scale_positions(node: Node) -> tuple[int, ...]:
    """Return which inputs of a node are scales; none for an operator that has no fixed place."""
    if node.op_type == "QLinearConcat":  # output first, then value, scale, zero point of each input
        return (0, *range(3, len(node.inputs), 3))
    return _SCALES.get(node.op_type, ())


def scale_axis(tensor: Tensor | None) -> ScaleAxis | None:
    """Return the axis of the several scales of a weight, looking through views.

    None when it has one scale, blocks of scales, or comes from somewhere else, and when a shape or
    a permutation on the way is unknown.
    """
    views: list[Node] = []
    node = tensor.producer if tensor is not None else None
    while node is not None and node.op_type not in CONVERSIONS and len(views) < _MOST_VIEWS:
        if node.op_type not in RESHAPES and node.op_type not in {"Transpose", "Identity"}:
            return None
        views.append(node)
        source = node.input(0)
        node = source.producer if source is not None else None
    if node is None or node.op_type != "DequantizeLinear" or not _several(node):
        return None
    held = node.input(0)
    rank = held.rank if held is not None else None
    axis = node.int_attribute("axis", 1)
    if not rank or not -rank <= axis < rank or node.int_attribute("block_size", 0):
        return None
    stored = seen = axis % rank
    for view in reversed(views):
        moved = _moved(view, seen)
        if moved is None:
            return None
        if moved < 0:
            return ScaleAxis(node, stored, None)
        seen = moved
    return ScaleAxis(node, stored, seen)


def _several(node: Node) -> bool:
    scale = node.input(1)
    return scale is not None and (scale.elements or 1) > 1


def _moved(view: Node, axis: int) -> int | None:
    """Return where a view puts an axis; -1 when it joins or splits it, None when unknown."""
    if view.op_type == "Identity":
        return axis
    source, made = view.input(0), view.output()
    before = source.static_shape if source is not None else None
    after = made.static_shape if made is not None else None
    if view.op_type == "Transpose":
        rank = source.rank if source is not None else None
        if rank is None:
            return None
        order = view.ints_attribute("perm") or tuple(reversed(range(rank)))
        return order.index(axis) if axis in order else None
    if before is None or after is None:
        return None
    return next((at for at in _same(before, after, axis)), -1)


def _same(before: tuple[int, ...], after: tuple[int, ...], axis: int) -> Iterator[int]:
    """Yield the axis behind a reshape that has the size and the stride of one before it."""
    inner = prod(before[axis + 1 :])
    for at, size in enumerate(after):
        if size == before[axis] and prod(after[at + 1 :]) == inner:
            yield at
