"""Operators that move, cut, join and repeat elements."""

from __future__ import annotations

from typing import Final

import numpy as np
from onnx import NodeProto

from npugate.surgery.node import NoFormError
from npugate.surgery.opsets.rewrite_context import attribute, integer, integers, put
from npugate.surgery.per_sample.rows import Rows, axes_of, axis_of, has, mixes, numbers

_AXES_ARE_INPUTS: Final = 13  # of Squeeze
_PADS_ARE_INPUTS: Final = 11
_SLICE_BY_INPUTS: Final = 10


def reshaped(rows: Rows, node: NodeProto) -> bool:
    """Divide the target of a Reshape: any shape whose leading axis the samples divide.

    The order of the elements stays, so each block of the leading axis is one sample's.
    """
    if rows.array(node.input[1]) is None:
        raise NoFormError(f"the target of {node.op_type} {node.name!r} is computed")
    shape = np.array(rows.one(node.output[0]), np.int64)
    node.input[1] = rows.constant(shape, f"{node.output[0]}_shape")
    return True


def expanded(rows: Rows, node: NodeProto) -> bool:
    """Divide the target of an Expand that adds no axis in front of the samples."""
    before, after = rows.dims(node.input[0]), rows.dims(node.output[0])
    if len(before) != len(after) or before[0] != after[0]:
        mixes(node)
    return reshaped(rows, node)


def flattened(rows: Rows, node: NodeProto) -> bool:
    """Check Flatten, whose axis may also be behind the last one."""
    rank = len(rows.dims(node.input[0]))
    axis = integer(node, "axis", 1)
    if not 0 < (axis if axis >= 0 else axis + rank) <= rank:
        mixes(node)
    rows.one(node.output[0])
    return False


def squeezed(rows: Rows, node: NodeProto) -> bool:
    """Check Squeeze; name the axes of one that takes every axis of size 1."""
    dims = rows.dims(node.input[0])
    axes = axes_of(rows, node, 1, len(dims))
    if axes is not None:
        if 0 in axes:
            mixes(node)
        return False
    axes = [axis for axis, size in enumerate(dims) if size == 1]
    if rows.opset < _AXES_ARE_INPUTS:
        put(node, "axes", axes)
    else:
        del node.input[1:]
        node.input.append(rows.constant(np.array(axes, np.int64), f"{node.output[0]}_axes"))
    return True


def unsqueezed(rows: Rows, node: NodeProto) -> bool:
    """Check Unsqueeze: an axis put in front pushes the samples behind it."""
    axes = axes_of(rows, node, 1, len(rows.dims(node.output[0])))
    if axes is None or 0 in axes:
        mixes(node)
    return False


def transposed(rows: Rows, node: NodeProto) -> bool:
    """Check Transpose; without a permutation it turns the order round."""
    perm = integers(node, "perm") or list(reversed(range(len(rows.dims(node.input[0])))))
    if perm[0] != 0:
        mixes(node)
    return False


def sliced(rows: Rows, node: NodeProto) -> bool:
    """Check Slice: constant axes, and all of the leading one in order."""
    dims = rows.dims(node.input[0])
    if rows.opset < _SLICE_BY_INPUTS:
        starts, ends = integers(node, "starts") or [], integers(node, "ends") or []
        axes = axes_of(rows, node, len(node.input), len(dims))
        steps = [1] * len(starts)
    else:
        axes = axes_of(rows, node, 3, len(dims))
        if axes is not None and 0 not in axes:
            return False
        starts, ends = (numbers(rows, node, at, "bounds") for at in (1, 2))
        steps = numbers(rows, node, 4, "steps") if has(node, 4) else [1] * len(starts)
    axes = list(range(len(starts))) if axes is None else axes
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        is_whole = step == 1 and (start == 0 or start <= -dims[0]) and end >= dims[0]
        if axis == 0 and not is_whole:
            mixes(node)
    return False


def padded(rows: Rows, node: NodeProto) -> bool:
    """Check Pad: nothing in front of or behind the samples."""
    rank = len(rows.dims(node.input[0]))
    given = integers(node, "pads") or integers(node, "paddings")
    pads = given if given is not None else numbers(rows, node, 1, "pads")
    axes = axes_of(rows, node, 3, rank) if rows.opset >= _PADS_ARE_INPUTS else None
    axes = list(range(rank)) if axes is None else axes
    if len(pads) != 2 * len(axes):
        raise NoFormError(f"the pads of {node.op_type} {node.name!r} are not two for each axis")
    sides = (pads[: len(axes)], pads[len(axes) :])
    if any(axis == 0 and (low or high) for axis, low, high in zip(axes, *sides, strict=True)):
        mixes(node)
    return False


def gathered(rows: Rows, node: NodeProto) -> bool:
    """Check Gather: rows taken within each sample, or a table that the samples look into."""
    data, indices = node.input[:2]
    axis = axis_of(node, 0, len(rows.dims(data)))
    if data in rows.followed:
        if axis == 0 or indices in rows.followed:
            mixes(node)
    elif axis != 0:
        mixes(node)
    return False


def gathered_elements(rows: Rows, node: NodeProto) -> bool:
    """Check GatherElements and ScatterElements: every tensor has the samples in front."""
    dims = rows.dims(node.input[0])
    if axis_of(node, 0, len(dims)) == 0:
        mixes(node)
    for name in node.input:
        if name not in rows.followed or rows.dims(name)[0] != dims[0]:
            mixes(node)
    return False


def gathered_nd(rows: Rows, node: NodeProto) -> bool:
    """Check GatherND: within each sample, or a table that the samples look into."""
    data, indices = node.input[:2]
    batch = integer(node, "batch_dims", 0)
    if indices not in rows.followed:
        mixes(node)
    if data in rows.followed:
        if batch < 1 or rows.dims(data)[0] != rows.dims(indices)[0]:
            mixes(node)
    elif batch != 0 or len(rows.dims(indices)) < 2:  # noqa: PLR2004 - a list of places
        mixes(node)
    return False


def joined(rows: Rows, node: NodeProto) -> bool:
    """Check Concat; cut constants that have a row for each sample."""
    made = rows.dims(node.output[0])
    if axis_of(node, 1 if attribute(node, "axis") is None else 0, len(made)) == 0:
        mixes(node)
    changed = False
    for position, name in enumerate(node.input):
        if rows.dims(name)[0] != made[0]:
            mixes(node)
        if name not in rows.followed:
            rows.first_block(node, position)
            changed = True
    return changed


def parted(rows: Rows, node: NodeProto) -> bool:
    """Check Split."""
    if axis_of(node, 0, len(rows.dims(node.input[0]))) == 0:
        mixes(node)
    return False


def tiled(rows: Rows, node: NodeProto) -> bool:
    """Check Tile: the samples are not repeated."""
    if numbers(rows, node, 1, "repeats")[:1] != [1]:
        mixes(node)
    return False


def encoded(rows: Rows, node: NodeProto) -> bool:
    """Check OneHot: the new axis is not in front."""
    if axis_of(node, -1, len(rows.dims(node.output[0]))) == 0:
        mixes(node)
    return False


def sampled(rows: Rows, node: NodeProto) -> bool:
    """Check GridSample: a grid for each sample."""
    data, grid = (rows.dims(name) for name in node.input[:2])
    if any(name not in rows.followed for name in node.input[:2]) or data[0] != grid[0]:
        mixes(node)
    return False
