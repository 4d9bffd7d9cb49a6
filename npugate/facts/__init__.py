"""What is known of a model, computed once and only read afterwards.

The order is: inline local functions and make the graph legal enough to look at (``structure``,
which also reads a symbolic leading batch as 1), infer shapes and fold what shapes are computed from
(``inference``, ``evaluate``), link nodes and tensors (``graph``), ask the ONNX checker
(``validity``). What goes wrong on the way is kept as a ``Problem`` and reported by the rule of that
name; unknown stays None and is never guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Literal

from npugate.facts import quantization, validity
from npugate.facts.graph import Array, Dim, Graph, Node, Shape, Tensor, build, shape_of, walk
from npugate.facts.inference import infer, infer_by_node
from npugate.facts.quantization import Quantization
from npugate.facts.structure import legalise
from npugate.findings.values import Problem
from npugate.limits import Limits
from npugate.model.reader import Model
from npugate.report.census import Census

__all__ = ["Array", "Dim", "Facts", "Graph", "Node", "Quantization", "Shape", "Tensor"]


# ``full``; ``careful`` without value propagation; ``traced`` node by node, so that a crash names
# its node; ``off`` with every shape unknown. Tried in this order when onnx dies of a model.
Inference = Literal["full", "careful", "traced", "off"]


def _silent(_stage: str) -> None:
    """Ignore progress; the isolated worker passes a function that reports it."""


class Facts:
    """Everything the rules may read about one model.

    Attributes:
        model: the file: path, digest, size, protobuf without the large weights.
        opsets: opset version by domain; ``""`` is ai.onnx.
        ir_version: as in the file; 0 when absent.
        graphs: the main graph first, then every body below it, outermost first.
        symbolic_batches: name of an input -> the symbol of its leading axis, which is read as 1.
    """

    def __init__(
        self,
        model: Model,
        limits: Limits | None = None,
        stage: Callable[[str], None] = _silent,
        inference: Inference = "full",
    ) -> None:
        """Compute the facts of a model.

        Args:
            model: as ``model.load`` returns it.
            limits: bounds on what is computed.
            stage: told what is being done, so that a crash in onnx can be placed.
            inference: how far to trust onnx with this model, see ``Inference``.
        """
        limits = limits or Limits()
        stage("structure")
        skeleton = legalise(model.proto)
        self.model = model
        self.ir_version = int(model.proto.ir_version)
        self.opsets: Mapping[str, int] = skeleton.opsets
        self.symbolic_batches: Mapping[str, str] = skeleton.symbolic_batches
        if inference == "off":
            main = build(skeleton.proto.graph, skeleton.inputs)
        elif inference == "traced":
            main = infer_by_node(skeleton, limits, stage)
        else:
            main = infer(skeleton, limits, stage, propagate=inference == "full")
            validity.compare_outputs(skeleton, model.proto, main)
        self.graphs = tuple(walk(main))
        stage("ONNX checker")
        validity.check(skeleton, main)
        self._problems: dict[str, list[Problem]] = defaultdict(list)
        for problem in (*model.problems, *skeleton.problems):
            self._problems[problem.rule].append(problem)

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

    @cached_property
    def quantization(self) -> Quantization:
        """How the model is quantised."""
        return quantization.census(self.nodes)

    @cached_property
    def declared_inputs(self) -> Mapping[str, Shape | None]:
        """Shapes of the user's inputs as the file states them, symbols included."""
        real = {tensor.name for tensor in self.main.inputs}
        inputs = self.model.proto.graph.input
        return {info.name: shape_of(info.type)[1] for info in inputs if info.name in real}

    def problems(self, rule: str) -> Iterator[Problem]:
        """Yield the faults that one rule owns, in the order they were found."""
        yield from self._problems.get(rule, ())

    @cached_property
    def census(self) -> Census:
        """The model in a few numbers, for the reports."""
        proto = self.model.proto
        producer = f"{proto.producer_name} {proto.producer_version}".strip()
        return Census(
            ir_version=self.ir_version,
            opset=self.opset,
            producer=producer,
            nodes=len(self.nodes),
            quantized=self.quantization.label,
            inputs=tuple(_described(tensor) for tensor in self.main.inputs),
            outputs=tuple(_described(tensor) for tensor in self.main.outputs),
            domains=dict(self.opsets),
        )


def _described(tensor: Tensor) -> str:
    if tensor.shape is None:
        return f"{tensor.name}[?]"
    return f"{tensor.name}[{', '.join('?' if dim is None else str(dim) for dim in tensor.shape)}]"
