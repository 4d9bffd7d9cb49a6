"""The legal copy of a model, which is only looked at, and the ways to walk it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

from npugate.findings.values import Location, Problem


class Skeleton(Struct):
    """A model as shape inference and the checker may see it.

    Attributes:
        proto: legal copy; weights whose data is not held are declared as inputs.
        inputs: names of the inputs that the user feeds.
        opsets: by domain, ``""`` for ai.onnx.
        problems: faults that were corrected in the copy, or cannot be.
        symbolic_batches: input name -> symbol of its leading axis, now 1.
    """

    proto: ModelProto
    inputs: frozenset[str] = frozenset()
    opsets: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    symbolic_batches: dict[str, str] = field(default_factory=dict)

    def fault(self, rule: str, message: str, location: Location | None = None) -> None:
        """Record a fault for the rule that owns it."""
        self.problems.append(Problem(rule, location or Location(), message))


def nodes_below(graph: GraphProto) -> Iterator[NodeProto]:
    """Yield every node of a graph and of the bodies below it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from nodes_below(attribute.g)


def graphs_below(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield a graph and every body below it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from graphs_below(attribute.g)
