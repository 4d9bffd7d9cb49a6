"""Operators that look elements up."""

from __future__ import annotations

from math import prod

import numpy as np

from npugate.surgery.lowering.form import Lowering, positive
from npugate.surgery.node import Node, NoFormError


def gather(low: Lowering, node: Node) -> None:
    """Look up along the axis by a vector of all indices.

    y[b, i, j, a] = x[b, index[i, j], a]
        =>  Gather(x[1, B, D, A], reshape(index, [I * J]), axis=2)
    """
    data, dims = low.data(node), low.shape(node)
    axis = positive(node.integer("axis", 0), len(dims))
    indices = low.data(node, 1)
    count = prod(low.dims(indices))
    small = low.around(dims, axis)
    inputs = [low.draft.reshape(data, small.dims), low.draft.reshape(indices, [count])]
    made = low.draft.emit("Gather", inputs, small.sized(count), low.dtype(node), axis=small.axis)
    low.finish(made, node)


def elements(low: Lowering, node: Node) -> None:
    """Replace GatherElements and ScatterElements whose indices cover every other axis."""
    data, dims = low.data(node), low.shape(node)
    axis = positive(node.integer("axis", 0), len(dims))
    indices = low.shape(node, 1)
    if any(indices[a] != dims[a] for a in range(len(dims)) if a != axis):
        raise NoFormError(f"{node.op} whose indices leave out part of another axis")
    small = low.around(dims, axis)
    looked_up = small.sized(indices[axis])
    inputs = [low.draft.reshape(data, small.dims)]
    inputs += [
        low.draft.reshape(low.data(node, position), looked_up)
        for position in range(1, len(node.inputs))
    ]
    result = looked_up if node.op == "GatherElements" else small.dims
    attributes = {**node.attrs, "axis": small.axis}
    low.finish(low.draft.emit(node.op, inputs, result, low.dtype(node), **attributes), node)


def gather_nd(low: Lowering, node: Node) -> None:
    """Look up by constant indices, whose positions in the merged axes are computed here.

    y[i] = x[index[i, 0], ..., index[i, k]]  =>  Gather(x[1, D0 * ... * Dk, A], index @ strides)
    """
    data, dims = low.data(node), low.shape(node)
    if node.integer("batch_dims", 0):
        raise NoFormError("GatherND with batch_dims")
    table = low.draft.array(node.input(1))
    if table is None:
        raise NoFormError("GatherND whose indices are computed at run time")
    depth = table.shape[-1]
    looked_up = dims[:depth]
    rows = table.reshape(-1, depth).astype(np.int64)
    rows = np.where(rows < 0, rows + np.array(looked_up), rows)
    strides = np.array([prod(looked_up[axis + 1 :]) for axis in range(depth)], np.int64)
    places = low.draft.constant(rows @ strides, "indices")
    small = [1, prod(looked_up), prod(dims[depth:])]
    inputs = [low.draft.reshape(data, small), places]
    small[1] = len(rows)
    low.finish(low.draft.emit("Gather", inputs, small, low.dtype(node), axis=1), node)
