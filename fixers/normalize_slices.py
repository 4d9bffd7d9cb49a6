"""Write the bounds of a Slice as positions inside the axis.

    b  =>  min(max(b + size if b < 0 else b, 0), size)

**Keeps.** The elements: negative bounds are counted from the end and large ones cut, as ONNX says.

**Declines.** Nothing: a Slice that runs backwards, or whose bounds or axis are known only at run
time, stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from npugate.api import Applied, Repair, RepairOptions, RepairResult, Skipped, Target
from npugate.surgery.draft import Draft
from npugate.surgery.node import Node

_INPUTS = (1, 2)


def apply(draft: Draft, target: Target, options: RepairOptions) -> RepairResult:
    """Rewrite the bounds of each Slice where they differ."""
    edits: list[str] = []
    for node in draft.nodes:
        bounds = _bounds(draft, node)
        if bounds is None:
            continue
        before, after = bounds
        if before == after:
            continue
        array = draft.array(node.input(1))
        kind = np.int64 if array is None else array.dtype
        for position, numbers in zip(_INPUTS, after, strict=True):
            draft.set_input(node, position, draft.constant(np.array(numbers, kind), "bound"))
        edits.append(f"Slice {node.label!r} goes from {after[0]} to {after[1]} now")
    if not edits:
        return Skipped("the bounds of every Slice are positions inside the axis, or not known")
    return Applied(tuple(edits))


Bounds = tuple[list[int], list[int]]


def _bounds(draft: Draft, node: Node) -> tuple[Bounds, Bounds] | None:
    """Return the bounds of a Slice as they are and as positions; None when it has no such form."""
    if not node.is_a("Slice") or node.input(0) is None:
        return None
    starts, ends = draft.ints(node.input(1)), draft.ints(node.input(2))
    sizes = _sizes(draft, node, 0 if starts is None else len(starts))
    steps = [1] if node.input(4) is None else draft.ints(node.input(4))
    if starts is None or ends is None or sizes is None or steps is None:
        return None
    if not len(starts) == len(ends) == len(sizes) or min(steps, default=1) < 1:
        return None
    first = [_inside(start, size) for start, size in zip(starts, sizes, strict=True)]
    last = [_inside(end, size) for end, size in zip(ends, sizes, strict=True)]
    return (starts, ends), (first, [max(pair) for pair in zip(first, last, strict=True)])


def _sizes(draft: Draft, node: Node, count: int) -> Sequence[int] | None:
    dims = draft.maybe_dims(node.inputs[0])
    axes = list(range(count)) if node.input(3) is None else draft.ints(node.input(3))
    if dims is None or axes is None or any(not -len(dims) <= axis < len(dims) for axis in axes):
        return None
    return [dims[axis] for axis in axes]


def _inside(bound: int, size: int) -> int:
    return min(max(bound + size if bound < 0 else bound, 0), size)


REPAIR = Repair(
    name="normalize-slices",
    doc=__doc__,
    edit=apply,
    needs=("make-legal", "inline-functions", "set-static-shapes", "fold-constants"),
    example="""
        <ir_version: 8, opset_import: ["" : 14]>
        net (float[1, 4] x) => (float[1, 2] y)
        <int64[1] a = {-2}, int64[1] b = {9223372036854775807}, int64[1] axis = {1}>
        { y = Slice (x, a, b, axis) }
    """,
)
