"""What the operands of an operator have to do with each other: sizes, ranks, types, values.

A table of relations by operator, as the standard states them and as onnxruntime enforces them. Each
asks for the sizes it compares, and what it asks and is not known when the file is read is written
down, so that *nothing contradicts* and *not known* are two answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from npugate.facts import Facts
from npugate.facts.graph import UNKNOWN_DOMAIN, Node
from npugate.findings.values import Hit
from npugate.relations.elements import types
from npugate.relations.operands import Operands, Relation

RELATIONS: Final[Mapping[str, Relation]] = {}


def contradictions(facts: Facts) -> Iterator[Hit]:
    """Yield a hit for each relation that does not hold, at its node, in file order."""
    for node in facts.nodes:
        for message in _judge(Operands(node, facts.opset)):
            yield node.hit(message)


def unknown(facts: Facts) -> Iterator[str]:
    """Yield what the relations would have to know and do not, each thing once."""
    seen: set[str] = set()
    for node in facts.nodes:
        operands = Operands(node, facts.opset)
        found = list(_judge(operands))
        for what in [] if found else operands.unknown:
            if what not in seen:
                seen.add(what)
                yield what


def _judge(operands: Operands) -> Iterator[str]:
    node = operands.node
    if node.domain or node.proto.domain == UNKNOWN_DOMAIN:
        return
    found = list(types(operands))
    yield from found
    relation = RELATIONS.get(node.op_type)
    if relation is not None and not found:
        yield from relation(operands)
