"""Normalisations and pools over everything behind the channels."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

from npugate.surgery.lowering.form import Lowering, lead, positive
from npugate.surgery.node import Node, NoFormError

_MAP: Final = 2  # axes in front of the map: batch, channels


def channelwise(low: Lowering, node: Node) -> None:
    """Replace BatchNormalization, InstanceNormalization and LRN: the map becomes one axis.

    x: [N, C, D1, ..., Dk]  =>  op(reshape(x, [N, C, D1 * ... * Dk])), reshaped back
    """
    if len(node.used_outputs()) > 1:
        raise NoFormError(f"{node.op} in training mode")
    data, dims = low.data(node), low.shape(node)
    small = [*dims[:_MAP], *_map(low, dims)]
    if node.op == "LRN" and len(small) == _MAP + 1:
        small.append(1)
    inputs = [low.draft.reshape(data, small), *(node.input(i) for i in range(1, len(node.inputs)))]
    low.finish(low.draft.emit(node.op, inputs, small, low.dtype(node), **node.attrs), node)


def _map(low: Lowering, dims: Sequence[int]) -> list[int]:
    return low.spread([prod(dims[_MAP:])], low.rank - _MAP)[0]


def global_pool(low: Lowering, node: Node) -> None:
    """Replace a pool over the whole map.

    x: [N, C, D1, ..., Dk]  =>  pool(reshape(x, [N, C, D1 * ... * Dk])): [N, C, 1]
    """
    data, dims = low.data(node), low.shape(node)
    axes = _map(low, dims)
    value = low.draft.reshape(data, [*dims[:_MAP], *axes])
    small = [*dims[:_MAP], *(1 for _ in axes)]
    low.finish(low.draft.emit(node.op, [value], small, low.dtype(node), **node.attrs), node)


def layer(low: Lowering, node: Node) -> None:
    """Replace LayerNormalization: everything from its axis a on becomes one axis.

    x: [D0, ..., Dk]  =>  op(reshape(x, [1, D0 * ... * Da-1, Da * ... * Dk]), axis=2)
    """
    if len(node.used_outputs()) > 1:
        raise NoFormError("LayerNormalization whose mean or deviation is used")
    data, dims = low.data(node), low.shape(node)
    axis = positive(node.integer("axis", -1), len(dims))
    size = prod(dims[axis:])
    before, behind = low.spread([prod(dims[:axis]), size])
    small = lead([*before, *behind])
    inputs = [low.draft.reshape(data, small)]
    for position in range(1, len(node.inputs)):
        value = low.data(node, position)
        if prod(low.dims(value)) != size:
            raise NoFormError("LayerNormalization whose scale is broadcast")
        inputs.append(low.draft.reshape(value, behind))
    attributes = {**node.attrs, "axis": 1 + len(before)}
    low.finish(low.draft.emit(node.op, inputs, small, low.dtype(node), **attributes), node)
