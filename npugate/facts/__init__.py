"""What is known of a model, computed once and only read afterwards.

The order is: make the graph legal enough to look at (``structure``), inline local functions, read
a symbolic leading batch as 1, infer shapes and fold what shapes are computed from (``inference``,
``evaluate``), link nodes and tensors (``graph``). What goes wrong on the way is kept as a
``Problem`` and reported by the rule of that name; unknown stays None and is never guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property

from npugate.facts.graph import Array, Dim, Graph, Node, Shape, Tensor
from npugate.model import Model
from npugate.types import Census, Limits, Problem

__all__ = ["Array", "Dim", "Facts", "Graph", "Node", "Shape", "Tensor"]


class Facts:
    """Everything the rules may read about one model.

    Attributes:
        model: the file: path, digest, size, protobuf without the large weights.
        opsets: opset version by domain; ``""`` is ai.onnx.
        ir_version: as in the file; 0 when absent.
        graphs: the main graph first, then every body below it, outermost first.
        symbolic_batches: name of an input -> the symbol of its leading axis, which is read as 1.
    """

    model: Model
    opsets: Mapping[str, int]
    ir_version: int
    graphs: tuple[Graph, ...]
    symbolic_batches: Mapping[str, str]

    def __init__(self, model: Model, limits: Limits | None = None) -> None:
        raise NotImplementedError

    @property
    def main(self) -> Graph:
        """The main graph."""
        return self.graphs[0]

    @property
    def opset(self) -> int:
        """Version of the default operator set; 0 when the file imports none."""
        return self.opsets.get("", 0)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node of every graph, in file order, outermost graph first."""
        return tuple(node for graph in self.graphs for node in graph.nodes)

    @cached_property
    def _by_type(self) -> Mapping[str, tuple[Node, ...]]:
        found: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            found[node.full_type].append(node)
        return {key: tuple(nodes) for key, nodes in found.items()}

    def nodes_of(self, *full_types: str) -> Iterator[Node]:
        """Yield the nodes of some operators, for example ``nodes_of("Conv", "MaxPool")``."""
        for full_type in full_types:
            yield from self._by_type.get(full_type, ())

    @property
    def op_types(self) -> tuple[str, ...]:
        """Every operator that occurs, with its domain, sorted."""
        return tuple(sorted(self._by_type))

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """Every value of every graph: inputs, initializers, node outputs."""
        return tuple(tensor for graph in self.graphs for tensor in graph.tensors.values())

    def problems(self, rule: str) -> Iterator[Problem]:
        """Yield the faults that one rule owns, in the order they were found."""
        raise NotImplementedError

    @cached_property
    def census(self) -> Census:
        """The model in a few figures, for the reports."""
        raise NotImplementedError
