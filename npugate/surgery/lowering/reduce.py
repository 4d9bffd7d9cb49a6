"""Reductions: over runs of axes, the innermost first where there are too many runs."""

from __future__ import annotations

from math import prod
from typing import Final

from npugate.surgery.lowering.form import Lowering, lead, positive, runs
from npugate.surgery.node import Node, NoFormError, Value

# What reduces the other runs after the first: means of equally many are a mean, and so on.
NEXT: Final = {
    "ReduceL1": "ReduceL1",
    "ReduceL2": "ReduceL2",
    "ReduceLogSumExp": "ReduceLogSumExp",
    "ReduceMax": "ReduceMax",
    "ReduceMean": "ReduceMean",
    "ReduceMin": "ReduceMin",
    "ReduceProd": "ReduceProd",
    "ReduceSum": "ReduceSum",
    "ReduceSumSquare": "ReduceSum",
    "ReduceLogSum": "ReduceSum",
}
_SUM_INPUT: Final = 13  # ReduceSum takes its axes as an input from here on, the others later
_OTHERS_INPUT: Final = 18


def reduce(low: Lowering, node: Node) -> None:
    """Replace a reduction; neighbours that are both reduced or both kept become one axis.

        reduce(x, {a, b}) = reduce(reduce(x, {b}), {a})

    Where too many axes are left, the innermost run is reduced first and the others after it by the
    operator of ``NEXT``, since the mean of means of equally many elements is their mean.
    """
    data, dims = low.data(node), low.shape(node)
    axes = _axes(low, node, len(dims))
    if axes is None:
        low.finish(data, node)
        return
    real = [axis for axis, dim in enumerate(dims) if dim != 1]
    parts = [
        (bool(flag), prod(dims[axis] for axis in real[start:end]))
        for flag, start, end in runs([axis in axes for axis in real])
    ]
    if not any(flag for flag, _ in parts):
        low.finish(_of_single_elements(low, node, data, prod(dims)), node)
    elif len(parts) <= low.usable:
        cut = low.spread([size for _, size in parts])
        flags = [flag for (flag, _), part in zip(parts, cut, strict=True) for _ in part]
        value = low.draft.reshape(data, lead(size for part in cut for size in part))
        chosen = [position + 1 for position, flag in enumerate(flags) if flag]
        low.finish(_reduced(low, node.op, value, chosen), node)
    else:
        low.finish(_step_by_step(low, node, data, parts), node)


def _axes(low: Lowering, node: Node, rank: int) -> set[int] | None:
    """Return the reduced axes; None when the operator does nothing."""
    axes = node.integers("axes")
    if axes is None:
        axes = low.constants(node, 1)
    if not axes:
        if node.integer("noop_with_empty_axes", 0):
            return None
        return set(range(rank))
    return {positive(axis, rank) for axis in axes}


def _of_single_elements(low: Lowering, node: Node, data: Value, size: int) -> Value:
    """Return what a reduction makes of one element each.

    L1, L2: |x|;  SumSquare: x * x;  LogSum: log(x);  all others: x
    """
    dims = lead(low.spread([size])[0])
    flat = low.draft.reshape(data, dims)
    dtype = low.dtype(node)
    if node.op in {"ReduceL1", "ReduceL2"}:
        return low.draft.emit("Abs", [flat], dims, dtype)
    if node.op == "ReduceSumSquare":
        return low.draft.emit("Mul", [flat, flat], dims, dtype)
    if node.op == "ReduceLogSum":
        return low.draft.emit("Log", [flat], dims, dtype)
    return flat


def _step_by_step(low: Lowering, node: Node, value: Value, parts: list[tuple[bool, int]]) -> Value:
    following = NEXT.get(node.op)
    if following is None:
        raise NoFormError(f"{node.op} over runs of axes that cannot be merged")
    op = "ReduceSum" if node.op == "ReduceLogSum" else node.op
    while any(flag for flag, _ in parts):
        last = max(position for position, (flag, _) in enumerate(parts) if flag)
        before = prod(size for _, size in parts[:last])
        behind = prod(size for _, size in parts[last + 1 :])
        small = low.around([before, parts[last][1], behind], 1)
        value = low.draft.reshape(value, small.dims)
        value = _reduced(low, op, value, [small.axis])
        op = following
        left = parts[:last] + parts[last + 1 :]
        parts = [
            (bool(flag), prod(size for _, size in left[start:end]))
            for flag, start, end in runs([flag for flag, _ in left])
        ]
    if node.op == "ReduceLogSum":
        value = low.draft.emit("Log", [value], low.draft.dims(value), low.dtype(node))
    return value


def _reduced(low: Lowering, op: str, value: Value, axes: list[int]) -> Value:
    dims = [1 if axis in axes else dim for axis, dim in enumerate(low.draft.dims(value))]
    dtype = low.draft.dtype(value)
    first_input = _SUM_INPUT if op == "ReduceSum" else _OTHERS_INPUT
    if low.draft.opset < first_input:
        return low.draft.emit(op, [value], dims, dtype, axes=axes, keepdims=1)
    inputs = [value, low.draft.int64(axes, "axes")]
    return low.draft.emit(op, inputs, dims, dtype, keepdims=1)
