"""Operators that pick or place elements by index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from npugate.relations.compare import axis_in, differ
from npugate.relations.operands import Operands, Relation, shown


def gather(ops: Operands) -> Iterator[str]:
    """Gather: indices within the axis."""
    axis = ops.node.int_attribute("axis", 0)
    rank = ops.rank(0)
    if rank == 0:
        yield f"the input {ops.name(0)} has no axis to gather along"
        return
    yield from axis_in("axis", axis, rank)
    yield from indices_in(ops, 1, ops.dim(0, axis), axis)


def indices_in(ops: Operands, position: int, size: int | None, axis: int) -> Iterator[str]:
    """Yield an index that is beyond the axis it counts along."""
    indices = ops.ints(position)
    if indices is None or size is None or not indices:
        return
    wrong = next((index for index in indices if not -size <= index < size), None)
    if wrong is not None:
        yield f"index {wrong} of {ops.name(position)} is beyond axis {axis}, which has {size}"


def gather_elements(ops: Operands) -> Iterator[str]:
    """GatherElements: indices of the input's rank, no larger than it but along the axis."""
    data, indices = ops.shape(0), ops.shape(1)
    axis = ops.node.int_attribute("axis", 0)
    if data is None or indices is None:
        return
    if len(data) != len(indices):
        yield f"indices {shown(indices)} and the input {shown(data)} differ in rank"
        return
    yield from axis_in("axis", axis, len(data))
    if not data or not -len(data) <= axis < len(data):
        return
    for at, (size, asked) in enumerate(zip(data, indices, strict=True)):
        larger = isinstance(size, int) and isinstance(asked, int) and asked > size
        if at != axis % len(data) and larger:
            yield f"indices {shown(indices)} are larger than the input {shown(data)} in axis {at}"
            return
    yield from indices_in(ops, 1, ops.dim(0, axis), axis)


def gather_nd(ops: Operands) -> Iterator[str]:
    """GatherND: as many indices as axes at most, behind the batch."""
    data, indices = ops.shape(0), ops.shape(1)
    batch = ops.node.int_attribute("batch_dims", 0)
    if data is None or indices is None:
        return
    if not data or not indices:
        yield f"the input has {len(data)} and the indices have {len(indices)} axes"
        return
    if batch < 0 or batch >= min(len(data), len(indices)):
        yield f"batch_dims is {batch}, the ranks are {len(data)} and {len(indices)}"
        return
    if any(differ(a, b) for a, b in zip(data[:batch], indices[:batch], strict=True)):
        yield f"the batches of {shown(data)} and {shown(indices)} differ"
        return
    yield from _index_tuples(ops, data[batch:])


def scatter_nd(ops: Operands) -> Iterator[str]:
    """ScatterND: updates of the shape that the indices leave."""
    data, indices, updates = ops.shape(0), ops.shape(1), ops.shape(2)
    if data is None or indices is None or updates is None:
        return
    if not data or not indices:
        yield f"the input has {len(data)} and the indices have {len(indices)} axes"
        return
    found = list(_index_tuples(ops, data))
    yield from found
    depth = indices[-1]
    if found or not isinstance(depth, int):
        return
    wanted = (*indices[:-1], *data[depth:])
    if len(wanted) != len(updates) or any(
        differ(a, b) for a, b in zip(wanted, updates, strict=True)
    ):
        yield f"updates {ops.name(2)} are {shown(updates)}, the indices leave {shown(wanted)}"


def _index_tuples(ops: Operands, axes: tuple[object, ...]) -> Iterator[str]:
    depth = ops.dim(1, -1)
    if depth is None:
        return
    if not 1 <= depth <= len(axes):
        yield f"the last axis of the indices has {depth} entries, there are {len(axes)} axes"
        return
    value = ops.values(1)
    if value is None or not value.size or value.dtype.kind not in "iu":
        return
    rows = value.reshape(-1, depth)
    for at in range(depth):
        size = axes[at]
        if not isinstance(size, int):
            continue
        column = rows[:, at]
        wrong = column[np.less(column, -size) | np.greater_equal(column, size)]
        if wrong.size:
            yield f"index {wrong[0]} of {ops.name(1)} is beyond an axis of {size}"
            return


def scatter_elements(ops: Operands) -> Iterator[str]:
    """ScatterElements: indices and updates of one shape, of the input's rank."""
    data, indices, updates = ops.shape(0), ops.shape(1), ops.shape(2)
    axis = ops.node.int_attribute("axis", 0)
    if data is not None:
        yield from axis_in("axis", axis, len(data))
    if indices is None or updates is None:
        return
    if len(indices) != len(updates) or any(
        differ(a, b) for a, b in zip(indices, updates, strict=True)
    ):
        yield f"indices {shown(indices)} and updates {shown(updates)} differ"
        return
    if data is None:
        return
    if len(data) != len(indices):
        yield f"indices {shown(indices)} and the input {shown(data)} differ in rank"
        return
    for at, (size, asked) in enumerate(zip(data, indices, strict=True)):
        larger = isinstance(size, int) and isinstance(asked, int) and asked > size
        if larger and at != axis % len(data):
            yield f"indices {shown(indices)} are larger than the input {shown(data)} in axis {at}"
            return
    yield from indices_in(ops, 1, ops.dim(0, axis), axis)


RELATIONS: Final[Mapping[str, Relation]] = {
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "ScatterND": scatter_nd,
    "ScatterElements": scatter_elements,
    "Scatter": scatter_elements,
}
