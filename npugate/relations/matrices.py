"""Products of matrices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from npugate.facts.graph import Dim
from npugate.relations.compare import broadcast, differ, one_way, scalar
from npugate.relations.operands import Operands, Relation, shown

_MATRIX: Final = 2


def gemm(ops: Operands) -> Iterator[str]:
    """Gemm: A [M, K], B [K, N] or the other way around, C that broadcasts to [M, N]."""
    first, second = ops.shape(0), ops.shape(1)
    for at, shape in ((0, first), (1, second)):
        if shape is not None and len(shape) != _MATRIX:
            yield f"{ops.name(at)} {shown(shape)} has {len(shape)} axes, {_MATRIX} are wanted"
            return
    if first is None or second is None:
        return
    if ops.node.int_attribute("transA", 0):
        first = first[::-1]
    if ops.node.int_attribute("transB", 0):
        second = second[::-1]
    if differ(first[1], second[0]):
        yield f"{ops.name(0)} has {first[1]} columns, {ops.name(1)} has {second[0]} rows"
    yield from one_way(ops, 2, (first[0], second[1]), "C")


def matmul(ops: Operands) -> Iterator[str]:
    """MatMul: the inner sizes agree, the batches broadcast."""
    yield from _product(ops, 0, 1)


def matmul_integer(ops: Operands) -> Iterator[str]:
    """MatMulInteger: as MatMul; zero points of the whole, or one for each row or column."""
    yield from _product(ops, 0, 1)
    yield from _points(ops, 2, ops.dim(0, -2), "row")
    yield from _points(ops, 3, ops.dim(1, -1), "column")


def qlinear_matmul(ops: Operands) -> Iterator[str]:
    """QLinearMatMul: a, its scale and zero point, b and its, those of the result."""
    yield from _product(ops, 0, 3)
    for at, what in ((1, "scale"), (2, "zero point"), (6, "scale"), (7, "zero point")):
        rank = ops.rank(at)
        if rank is not None and rank > 1:
            yield f"the {what} {ops.name(at)} has {rank} axes, a single number is wanted"
        else:
            yield from scalar(ops, at, f"the {what}")
    for at in (4, 5):
        rank = ops.rank(at)
        alike = rank == ops.rank(3) and ops.dim(at, -2) == 1
        if rank is not None and rank > 1 and (not alike or ops.dim(at, -1) != ops.dim(3, -1)):
            yield f"{ops.name(at)} has {rank} axes, a number or one for each column is wanted"
        yield from _points(ops, at, ops.dim(3, -1), "column")


def _product(ops: Operands, left: int, right: int) -> Iterator[str]:
    first, second = ops.shape(left), ops.shape(right)
    if first is None or second is None:
        return
    if not first or not second:
        yield f"{shown(first)} times {shown(second)}: a single number is no matrix"
        return
    inner = second[-2] if len(second) > 1 else second[0]
    if differ(first[-1], inner):
        yield (
            f"{ops.name(left)} {shown(first)} has {first[-1]} columns, "
            f"{ops.name(right)} {shown(second)} has {inner} rows"
        )
    if not broadcast(first[:-2], second[:-2]):
        yield f"the batches of {shown(first)} and {shown(second)} do not broadcast"


def _points(ops: Operands, position: int, size: Dim, what: str) -> Iterator[str]:
    count = ops.count(position)
    if count is not None and count != 1 and differ(count, size):
        yield f"{ops.name(position)} has {count} elements, 1 or one for each {what} ({size})"


def det(ops: Operands) -> Iterator[str]:
    """Det: square matrices."""
    shape = ops.shape(0)
    if shape is not None and (len(shape) < _MATRIX or differ(shape[-1], shape[-2])):
        yield f"{ops.name(0)} {shown(shape)} is no square matrix"


def einsum(ops: Operands) -> Iterator[str]:
    """Einsum: a letter for each axis, and one size for each letter."""
    terms = ops.node.text_attribute("equation", "").replace(" ", "").partition("->")[0].split(",")
    count = len(ops.node.inputs)
    if len(terms) != count:
        yield f"the equation has {len(terms)} terms, the node has {count} inputs"
        return
    sizes: dict[str, int] = {}
    for at, term in enumerate(terms):
        shape = ops.shape(at)
        if shape is None:
            continue
        head, dots, tail = term.partition("...")
        letters = len(head) + len(tail)
        if letters > len(shape) or (not dots and letters < len(shape)):
            yield f"term {term!r} has {letters} letters, {ops.name(at)} has {len(shape)} axes"
            return
        ends = (*shape[: len(head)], *shape[len(shape) - len(tail) :])
        for letter, size in zip(head + tail, ends, strict=True):
            if not isinstance(size, int) or size == 1:
                continue
            if sizes.setdefault(letter, size) != size:
                yield f"{letter!r} is {sizes[letter]} and {size} (of {ops.name(at)})"
                return


RELATIONS: Final[Mapping[str, Relation]] = {
    "Gemm": gemm,
    "MatMul": matmul,
    "MatMulInteger": matmul_integer,
    "QLinearMatMul": qlinear_matmul,
    "Det": det,
    "Einsum": einsum,
}
