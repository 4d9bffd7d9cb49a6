"""What the operands of an operator have to do with each other: sizes, ranks, types, values.

A table of relations by operator, as the standard states them and as onnxruntime enforces them. Each
asks for the sizes it compares, and what it asks and is not known when the file is read is written
down, so that *nothing contradicts* and *not known* are two answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from npugate.facts import Facts
from npugate.facts.graph import UNKNOWN_DOMAIN, Graph
from npugate.findings import rule_names
from npugate.findings.values import Hit, Location
from npugate.relations import (
    attention,
    indexing,
    matrices,
    normalize,
    patches,
    quantize,
    rearrange,
    recurrent,
    reduce,
    resize,
    sequences,
    windows,
)
from npugate.relations.declared import declared
from npugate.relations.elements import types
from npugate.relations.operands import Operands, Relation
from npugate.relations.words import words

RELATIONS: Final[Mapping[str, Relation]] = {
    **attention.RELATIONS,
    **indexing.RELATIONS,
    **matrices.RELATIONS,
    **normalize.RELATIONS,
    **patches.RELATIONS,
    **quantize.RELATIONS,
    **rearrange.RELATIONS,
    **recurrent.RELATIONS,
    **reduce.RELATIONS,
    **resize.RELATIONS,
    **sequences.RELATIONS,
    **windows.RELATIONS,
}
_NAMED: Final = (rule_names.SHAPE_INFERENCE_FAILED, rule_names.INVALID_MODEL)


def contradictions(facts: Facts) -> Iterator[Hit]:
    """Yield a hit for each relation that does not hold, at its node, in file order.

    A node that shape inference or the ONNX checker has refused is left out: it is named by them.
    """
    problems = [problem for rule in _NAMED for problem in facts.problems(rule)]
    refused = {problem.location for problem in problems}  # those of an output name it, too
    for node in facts.nodes:
        if node.location() not in refused:
            for message in _contradictions(Operands(node, facts.opset)):
                yield node.hit(message)
    yield from declared(facts)


def explained(facts: Facts, location: Location) -> str:
    """Return which relations of a node do not hold, in a sentence; empty when all do."""
    found = [
        message
        for node in facts.nodes
        if node.location() == location
        for message in _contradictions(Operands(node, facts.opset))
    ]
    return "; ".join(found)


def unknown(facts: Facts) -> Iterator[str]:
    """Yield what the relations would have to know and do not, each thing once."""
    seen: set[str] = set()
    for node in facts.nodes:
        operands = Operands(node, facts.opset)
        if node.domain or node.proto.domain == UNKNOWN_DOMAIN:
            operands.unknown.append(f"what {node.full_type} is")
        found = list(_contradictions(operands))
        for what in [] if found else operands.unknown:
            if what not in seen:
                seen.add(what)
                yield what


def _contradictions(operands: Operands) -> Iterator[str]:
    node = operands.node
    if node.domain or node.proto.domain == UNKNOWN_DOMAIN:
        return
    found = [*types(operands), *words(operands)]
    yield from found
    relation = RELATIONS.get(node.op_type)
    if relation is None or found:
        return
    if _runs(node.graph):
        yield from relation(operands)
    else:
        operands.unknown.append(f"whether {node.graph.path} runs")


def _runs(graph: Graph) -> bool:
    """Tell whether a body runs for all that is known; a branch may be for other sizes than these.

    Exporters write *squeeze it if it has one channel*: what contradicts itself is never reached.
    """
    while graph.owner is not None:
        node, name = graph.owner
        if node.op_type == "If":
            test = node.constant(0)
            taken = None if test is None or test.size != 1 else bool(test.reshape(-1)[0])
            if taken is None or name != ("then_branch" if taken else "else_branch"):
                return False
        graph = node.graph
    return True
