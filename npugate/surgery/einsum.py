"""Write an Einsum of two operands as one MatMul between transposes.

    bmk,bkn->bmn:  y = transpose(reshape(x, [B, M, K]) @ reshape(w, [B, K, N]))

The labels of the operands fall into four groups: those of both that stay (the batch B of the
product), those of the left that stay (its rows M), those of the right that stay (its columns N),
and those of both that go (K, which is summed over). Each operand is brought into that order,
flattened group by group, multiplied, and brought into the order of the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from msgspec import Struct

from npugate.surgery.draft import Draft
from npugate.surgery.node import Node, NoFormError, Value
from npugate.surgery.permute import plan


class Equation(Struct, frozen=True):
    """A two-operand equation: labels of both operands and of the result."""

    left: str
    right: str
    result: str

    @property
    def batch(self) -> str:
        """Labels of both operands that stay."""
        return "".join(c for c in self.result if c in self.left and c in self.right)

    @property
    def rows(self) -> str:
        """Labels of the left operand alone."""
        return "".join(c for c in self.result if c not in self.right)

    @property
    def columns(self) -> str:
        """Labels of the right operand alone."""
        return "".join(c for c in self.result if c not in self.left)

    @property
    def summed(self) -> str:
        """Labels of both operands that go."""
        return "".join(c for c in self.left if c in self.right and c not in self.result)


def parse(text: str) -> Equation:
    """Read an equation.

    Raises:
        NoFormError: it is no product of two operands that a MatMul computes.
    """
    terms, _, result = text.replace(" ", "").partition("->")
    operands = terms.split(",")
    if len(operands) != 2:  # noqa: PLR2004 - a product has two factors
        raise NoFormError(f"{len(operands)} operands, two are needed")
    if "." in text:
        raise NoFormError("it has an ellipsis")
    left, right = operands
    if "->" not in text:
        result = "".join(sorted(c for c in set(left + right) if (left + right).count(c) == 1))
    if any(len(set(labels)) != len(labels) for labels in (left, right, result)):
        raise NoFormError("it takes a diagonal: a label is repeated")
    if not set(result) <= set(left) | set(right):
        raise NoFormError("the result has a label that no operand has")
    alone = set(left) ^ set(right)
    if alone - set(result):
        raise NoFormError("it sums over a label of one operand alone")
    return Equation(left, right, result)


def split(draft: Draft, node: Node, rank: int) -> None:
    """Emit what stands for an Einsum.

    Args:
        draft: at the node.
        node: an Einsum.
        rank: largest rank of a transpose, at least 4.

    Raises:
        NoFormError: the node is no product of two operands of known shape.
    """
    try:
        equation = parse(node.text("equation", ""))
    except NoFormError as error:
        raise NoFormError(f"Einsum {node.label!r} stays: {error}") from error
    if len(node.inputs) != 2:  # noqa: PLR2004 - as the equation says
        raise NoFormError(f"Einsum {node.label!r} stays: it has {len(node.inputs)} operands")
    left, right, result = node.inputs[0], node.inputs[1], node.outputs[0]
    sizes = _sizes(draft, node, equation)
    batch, rows, summed, columns = (
        prod(sizes[c] for c in group)
        for group in (equation.batch, equation.rows, equation.summed, equation.columns)
    )
    lead = (1,) if batch == 1 else (1, batch)  # the leading axis must stay 1
    order = equation.batch + equation.rows + equation.summed
    a = _ordered(draft, left, equation.left, order, sizes, rank)
    order = equation.batch + equation.summed + equation.columns
    b = _ordered(draft, right, equation.right, order, sizes, rank)
    a, b = draft.reshape(a, (*lead, rows, summed)), draft.reshape(b, (*lead, summed, columns))
    made = draft.emit("MatMul", [a, b], (*lead, rows, columns), draft.dtype(result))
    order = equation.batch + equation.rows + equation.columns
    made = _ordered(draft, made, order, equation.result, sizes, rank)
    draft.reshape(made, draft.dims(result), result)


def _sizes(draft: Draft, node: Node, equation: Equation) -> Mapping[str, int]:
    sizes: dict[str, int] = {}
    for labels, value in zip((equation.left, equation.right), node.inputs, strict=True):
        dims = draft.dims(value)
        if len(dims) != len(labels):
            raise NoFormError(f"Einsum {node.label!r} stays: {labels!r} names {len(dims)} axes")
        for label, dim in zip(labels, dims, strict=True):
            if sizes.setdefault(label, dim) != dim:
                raise NoFormError(f"Einsum {node.label!r} stays: {label!r} is broadcast")
    return sizes


def _ordered(
    draft: Draft, value: Value, have: str, want: str, sizes: Mapping[str, int], rank: int
) -> Value:
    """Return a value with its labels in another order, flattened or not."""
    dims = [sizes[label] for label in have]
    return transpose(draft, value, dims, [have.index(label) for label in want], rank)


def transpose(
    draft: Draft, value: Value, dims: Sequence[int], perm: Sequence[int], rank: int
) -> Value:
    """Return a permutation of a value that holds these dims, behind a leading axis of 1."""
    array = draft.array(value)
    if array is not None:
        return draft.constant(array.reshape(dims).transpose(perm), value.name)
    try:
        steps = plan(dims, perm, rank - 1)
    except ValueError as error:
        raise NoFormError(str(error)) from error
    for shape, order in steps:
        value = draft.reshape(value, (1, *shape))
        moved = (1, *(shape[axis] for axis in order))
        order_behind = [0, *(axis + 1 for axis in order)]
        value = draft.emit("Transpose", [value], moved, draft.dtype(value), perm=order_behind)
    return value
