"""Matrix products: axes in front of the matrices are merged, or expanded first."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from npugate.surgery.lowering.elementwise import expanded
from npugate.surgery.lowering.form import Lowering, lead, runs
from npugate.surgery.node import Node, NoFormError, Value

_MATRIX = 2  # axes of one


def matmul(low: Lowering, node: Node) -> None:
    """Replace a MatMul, whose axes in front of the matrices are merged.

        [B1, ..., Bk, M, K] @ [K, N]  =>  [1, B1 * ... * Bk * M, K] @ [K, N]
        [B1, ..., Bk, M, K] @ [B1, ..., Bk, K, N]  =>  [1, B, M, K] @ [1, B, K, N]
        with B = B1 * ... * Bk

    A batch axis that only one operand has is repeated in the other where it cannot be merged.
    """
    left, right = low.data(node), low.data(node, 1)
    first, second = low.dims(left), low.dims(right)
    first = [1, *first] if len(first) == 1 else first
    second = [*second, 1] if len(second) == 1 else second
    rows, inner = first[-_MATRIX:]
    columns = second[-1]
    if prod(second[:-_MATRIX]) == 1:
        made = _by_one_matrix(low, node, (left, right), (prod(first[:-1]), inner, columns))
    else:
        made = _batched(low, node, (left, right), (first, second), (rows, inner, columns))
    low.finish(made, node)


def _by_one_matrix(
    low: Lowering, node: Node, values: tuple[Value, Value], sizes: tuple[int, int, int]
) -> Value:
    """Take everything in front of the matrices of the left side as rows."""
    rows, inner, columns = sizes
    front = low.spread([rows], low.usable - 1)[0]
    inputs = [
        low.draft.reshape(values[0], [1, *front, inner]),
        low.draft.reshape(values[1], [inner, columns]),
    ]
    return low.draft.emit("MatMul", inputs, [1, *front, columns], low.dtype(node))


def _batched(
    low: Lowering,
    node: Node,
    values: tuple[Value, Value],
    dims: tuple[Sequence[int], Sequence[int]],
    sizes: tuple[int, int, int],
) -> Value:
    rows, inner, columns = sizes
    depth = max(len(dims[0]), len(dims[1])) - _MATRIX
    sides = [[1] * (depth + _MATRIX - len(side)) + list(side) for side in dims]
    front = [max(a, b) for a, b in zip(sides[0][:depth], sides[1][:depth], strict=True)]
    operands = list(values)
    usable = low.rank - _MATRIX - 1
    if usable < 1:
        raise NoFormError(f"MatMul of batches within rank {low.rank}")
    while True:
        axes = [axis for axis, dim in enumerate(front) if dim != 1]
        kinds = [tuple(side[axis] == front[axis] for side in sides) for axis in axes]
        parts = [(kind, axes[start:end]) for kind, start, end in runs(kinds)]
        if len(parts) <= usable:
            break
        kind, part = next((k, p) for k, p in parts if k != (True, True))
        which = list(kind).index(False) if isinstance(kind, tuple) else 0
        out = [*front, *sides[which][depth:]]
        operands[which], sides[which] = expanded(
            low, operands[which], sides[which], part[0], part[-1] + 1, out
        )
    merged = [[prod(side[axis] for axis in part) for _, part in parts] for side in sides]
    inputs = [
        low.draft.reshape(operands[0], lead([*merged[0], rows, inner])),
        low.draft.reshape(operands[1], lead([*merged[1], inner, columns])),
    ]
    total = [prod(front[axis] for axis in part) for _, part in parts]
    return low.draft.emit("MatMul", inputs, lead([*total, rows, columns]), low.dtype(node))
