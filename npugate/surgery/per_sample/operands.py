"""Operators whose inputs are aligned with each other: broadcasts, products, sums of products.

Numbers are aligned from the last axis on, so the samples are in front of the result only when each
followed input has as many axes as the result: (N, C) beside (N, C, 1) would put them on channels.
"""

from __future__ import annotations

from onnx import NodeProto

from npugate.surgery.node import NoFormError
from npugate.surgery.opsets.rewrite_context import attribute, integer, text
from npugate.surgery.per_sample.rows import Rows, has, mixes

_MATRIX = 2  # axes of a matrix
_BATCHED = 3  # axes of a stack of matrices, the fewest
_SLOPE = 2  # inputs of PRelu


def aligned(rows: Rows, node: NodeProto) -> bool:
    """Check a broadcast; cut constants that have a row for each sample."""
    if attribute(node, "broadcast") or attribute(node, "axis") is not None:
        raise NoFormError(f"{node.op_type} {node.name!r} broadcasts as before opset 7")
    return _aligned(rows, node, range(len(node.input)), rows.dims(node.output[0]))


def _aligned(rows: Rows, node: NodeProto, positions: range, made: tuple[int, ...]) -> bool:
    changed = False
    for position in positions:
        if has(node, position):
            changed |= _operand(rows, node, position, made)
    return changed


def _operand(rows: Rows, node: NodeProto, position: int, made: tuple[int, ...]) -> bool:
    """Check one operand of a broadcast to a shape; return True when it was cut."""
    name = node.input[position]
    dims = rows.dims(name)
    if name in rows.followed:
        if len(dims) != len(made) or dims[0] != made[0]:
            mixes(node)
        return False
    if len(dims) < len(made) or dims[0] == 1:
        return False
    rows.first_block(node, position)
    return True


def slope(rows: Rows, node: NodeProto) -> bool:
    """Check PRelu: its slope is broadcast to its data, never the other way round."""
    if rows.dims(node.output[0]) != rows.dims(node.input[0]) or len(node.input) != _SLOPE:
        mixes(node)
    return aligned(rows, node)


def matmul(rows: Rows, node: NodeProto) -> bool:
    """Check a product: the samples are rows of the left side, or in front of both."""
    left, right = (rows.dims(name) for name in node.input[:2])
    rank = max(len(left), len(right))
    left_followed, right_followed = (name in rows.followed for name in node.input[:2])
    for dims, followed in ((left, left_followed), (right, right_followed)):
        if followed and len(dims) != rank:
            mixes(node)
    if right_followed and rank < _BATCHED:
        mixes(node)  # its leading axis is summed over
    if rank < _MATRIX:
        mixes(node)
    if rank == _MATRIX:
        return _zero_points(rows, node)
    made = max(left[0] if len(left) == rank else 1, right[0] if len(right) == rank else 1)
    shape = (made,) * rank  # only the leading axis is looked at
    changed = _operand(rows, node, 0, shape) | _operand(rows, node, 1, shape)
    return _zero_points(rows, node) | changed


def _zero_points(rows: Rows, node: NodeProto) -> bool:
    """Take scales and zero points of the integer forms only where they are one for all rows."""
    for name in node.input[2:] if node.op_type != "MatMul" else ():
        dims = rows.dims(name) if name else ()
        if dims not in {(), (1,)}:
            raise NoFormError(
                f"{node.op_type} {node.name!r} has a zero point or scale for each row"
            )
    return False


def gemm(rows: Rows, node: NodeProto) -> bool:
    """Check Gemm: the samples are rows of the left side; the bias is added as a broadcast."""
    if integer(node, "transA", 0) or node.input[0] not in rows.followed:
        mixes(node)
    if not has(node, 2):
        return False
    return _operand(rows, node, 2, rows.dims(node.output[0]))


def einsum(rows: Rows, node: NodeProto) -> bool:
    """Check an equation: one letter stands in front of each followed operand and the result."""
    equation = text(node, "equation", "").replace(" ", "")
    before, arrow, result = equation.partition("->")
    terms = before.split(",")
    if not arrow or "." in equation or len(terms) != len(node.input) or not result:
        raise NoFormError(f"{node.op_type} {node.name!r} is not followed")
    letter = result[0]
    for name, term in zip(node.input, terms, strict=True):
        followed = name in rows.followed
        if followed and (not term or term[0] != letter or term.count(letter) != 1):
            mixes(node)
        if not followed and letter in term:
            mixes(node)
    if result.count(letter) != 1:
        mixes(node)
    return False
