"""Recurrent layers: RNN, GRU, LSTM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from npugate.facts.graph import Dim, Shape
from npugate.relations.compare import differ
from npugate.relations.operands import Operands, Relation, shown

_DIRECTIONS: Final = {"forward": 1, "reverse": 1, "bidirectional": 2}
_SEQUENCE_RANK: Final = 3


def recurrent(gates: int, functions: int, ops: Operands) -> Iterator[str]:
    """Yield operands that do not fit hidden size, directions and the input.

    Args:
        gates: weights of an input for each hidden value: 1, 3 (GRU), 4 (LSTM).
        functions: activations of one direction.
        ops: of the node.
    """
    node = ops.node
    direction = node.text_attribute("direction", "forward")
    count = _DIRECTIONS.get(direction)
    if count is None:
        yield f"direction is {direction!r}, one of {', '.join(_DIRECTIONS)} is wanted"
        return
    value, hidden = ops.shape(0), node.int_attribute("hidden_size", 0)
    if hidden < 1:
        yield f"hidden_size is {hidden if node.has('hidden_size') else 'left out'}, 1 is the least"
        return
    if value is None:
        return
    if len(value) != _SEQUENCE_RANK:
        yield f"the input {ops.name(0)} {shown(value)} has {len(value)} axes, 3 are wanted"
        return
    batch = value[0] if node.int_attribute("layout", 0) else value[1]
    yield from _fits(ops, 1, (count, gates * hidden, value[2]), "W")
    yield from _fits(ops, 2, (count, gates * hidden, hidden), "R")
    yield from _fits(ops, 3, (count, 2 * gates * hidden), "B")
    yield from _fits(ops, 4, (batch,), "sequence_lens")
    yield from _state(ops, count, batch, hidden)
    yield from _activations(ops, functions * count)


def _state(ops: Operands, count: int, batch: Dim, size: int) -> Iterator[str]:
    first = ops.node.int_attribute("layout", 0)
    state: Shape = (batch, count, size) if first else (count, batch, size)
    yield from _fits(ops, 5, state, "initial_h")
    if ops.node.op_type == "LSTM":
        yield from _fits(ops, 6, state, "initial_c")
        yield from _fits(ops, 7, (count, 3 * size), "P")
    lengths = ops.ints(4)
    steps = ops.dim(0, 1 if first else 0)
    if lengths and steps is not None and (max(lengths) > steps or min(lengths) < 0):
        yield f"sequence_lens {shown(lengths)} are beyond the {steps} steps of the input"


def _fits(ops: Operands, position: int, wanted: Shape, what: str) -> Iterator[str]:
    shape = ops.shape(position)
    if shape is None:
        return
    if len(shape) != len(wanted) or any(differ(a, b) for a, b in zip(shape, wanted, strict=True)):
        yield f"{what} {ops.name(position)} is {shown(shape)}, {shown(wanted)} is wanted"


def _activations(ops: Operands, wanted: int) -> Iterator[str]:
    given = ops.node.attribute("activations")
    if isinstance(given, tuple) and len(given) != wanted:
        yield f"activations names {len(given)} functions, {wanted} are wanted"


RELATIONS: Final[Mapping[str, Relation]] = {
    "RNN": partial(recurrent, 1, 1),
    "GRU": partial(recurrent, 3, 2),
    "LSTM": partial(recurrent, 4, 3),
}
