"""Operators that work on each element: on any view, and with broadcasting on merged axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

import numpy as np

from npugate.surgery.lowering.form import Lowering, had_view, lead, low_view, runs
from npugate.surgery.node import Node, NoFormError, Value

UNARY: Final = (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil"),
    *("Celu", "Clip", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid"),
    *("HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal"),
    *("Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus"),
    *("Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu"),
)
BROADCAST: Final = (
    *("Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal"),
    *("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul"),
    *("Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor"),
)
VIEWS: Final = ("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")


def view(low: Lowering, node: Node) -> None:
    """Replace an operator that only gives another shape."""
    low.finish(low.data(node), node)


def dropout(low: Lowering, node: Node) -> None:
    """Replace a Dropout, which does nothing when it is not trained."""
    mode = low.draft.array(node.input(2))
    if len(node.used_outputs()) > 1 or (node.input(2) is not None and (mode is None or mode.any())):
        raise NoFormError("Dropout in training mode, or whose mask is used")
    view(low, node)


def unary(low: Lowering, node: Node) -> None:
    """Compute each element by itself: f(x) = reshape(f(reshape(x, [1, n])), shape(x)).

    A shape of few axes that the elements have already is preferred to the flat one.
    """
    data = low.data(node)
    dims = low_view(low, data)
    inputs = [low.draft.reshape(data, dims), *(node.input(i) for i in range(1, len(node.inputs)))]
    made = low.draft.emit(node.op, inputs, dims, low.dtype(node), **node.attrs)
    low.finish(made, node)


def broadcast(low: Lowering, node: Node) -> None:
    """Compute on operands that broadcast; axes along which the same operands do are merged.

    f(x[A, B, C], y[A, 1, 1])  =>  f(reshape(x, [1, A, B * C]), reshape(y, [1, A, 1]))
    """
    values = [low.data(node, position) for position in range(len(node.inputs))]
    out = low.dims(node.outputs[0])
    shapes = [[1] * (len(out) - len(dims)) + dims for dims in map(low.dims, values)]
    parts = _groups(shapes, out)
    while len(parts) > low.usable:
        _stretch_cheapest(low, values, shapes, out, parts)
        parts = _groups(shapes, out)
    axes = _had_axes(low, values, shapes, out) if len(parts) == 1 else None
    axes = axes or low.spread(_merged(out, parts))
    small = [_spread(_merged(shape, parts), axes) for shape in shapes]
    inputs = [
        low.draft.reshape(value, lead(dims)) for value, dims in zip(values, small, strict=True)
    ]
    dims = lead(dim for part in axes for dim in part)
    low.finish(low.draft.emit(node.op, inputs, dims, low.dtype(node), **node.attrs), node)


def _groups(shapes: Sequence[Sequence[int]], out: Sequence[int]) -> list[list[int]]:
    """Return axes that may be merged: neighbours along which the same operands are broadcast."""
    axes = [axis for axis, dim in enumerate(out) if dim != 1]
    kinds = [tuple(shape[axis] == out[axis] for shape in shapes) for axis in axes]
    return [axes[start:end] for _, start, end in runs(kinds)]


def _merged(shape: Sequence[int], parts: Sequence[Sequence[int]]) -> list[int]:
    return [prod(shape[axis] for axis in part) for part in parts]


def _had_axes(
    low: Lowering, values: Sequence[Value], shapes: Sequence[Sequence[int]], out: Sequence[int]
) -> list[list[int]] | None:
    """Return the axes of a view that an operand of full size has already."""
    full = (value for value, dims in zip(values, shapes, strict=True) if list(dims) == list(out))
    views = (had_view(low, value) for value in full)
    return next(([list(dims[1:])] for dims in views if dims and len(dims) > 1), None)


def _spread(sizes: Sequence[int], axes: Sequence[Sequence[int]]) -> list[int]:
    """Return the dimensions of an operand where those of the result are cut in two."""
    return [
        dim
        for size, part in zip(sizes, axes, strict=True)
        for dim in (part if size == prod(part) else [1] * len(part))
    ]


def _stretch_cheapest(
    low: Lowering,
    values: list[Value],
    shapes: list[list[int]],
    out: Sequence[int],
    parts: Sequence[Sequence[int]],
) -> None:
    """Stretch operands along one group of axes, so that it is like its neighbour afterwards."""
    best: tuple[int, int, list[int]] | None = None
    for index, part in enumerate(parts):
        for near in (index - 1, index + 1):
            if not 0 <= near < len(parts):
                continue
            full = [shape[part[0]] == out[part[0]] for shape in shapes]
            wanted = [shape[parts[near][0]] == out[parts[near][0]] for shape in shapes]
            if any(is_full and not want for is_full, want in zip(full, wanted, strict=True)):
                continue
            need = [i for i in range(len(shapes)) if wanted[i] and not full[i]]
            cost = sum(
                prod(shapes[i]) * prod(out[axis] for axis in part)
                for i in need
                if low.draft.array(values[i]) is None
            )
            if best is None or cost < best[0]:
                best = cost, index, need
    if best is None:  # no group is like a neighbour but for operands it lacks: stretch one fully
        first = [i for i, shape in enumerate(shapes) if shape[parts[0][0]] != out[parts[0][0]]]
        best = 0, 0, first
    for i in best[2]:
        part = parts[best[1]]
        values[i], shapes[i] = expanded(low, values[i], shapes[i], part[0], part[-1] + 1, out)


def expanded(
    low: Lowering, value: Value, dims: Sequence[int], start: int, end: int, out: Sequence[int]
) -> tuple[Value, list[int]]:
    """Repeat a value along the axes from start to end, all of size 1 in it; (value, dims)."""
    result = [*dims[:start], *out[start:end], *dims[end:]]
    array = low.draft.array(value)
    if array is not None:
        wide = np.broadcast_to(array.reshape(list(dims)), result)
        return low.draft.constant(np.array(wide, order="C"), value.name), result
    before, behind = prod(dims[:start]), prod(dims[end:])
    small = low.around([before, 1, behind], 1)
    target = small.sized(prod(out[start:end]))
    source = low.draft.reshape(value, small.dims)
    shape = low.draft.int64(target, "shape")
    wide_value = low.draft.emit("Expand", [source, shape], target, low.draft.dtype(value))
    return low.draft.reshape(wide_value, result), result
