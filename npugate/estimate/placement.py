"""Predict the epochs that the compiler makes of a model, and where each runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from npugate.estimate.compiled_graph import CompiledGraph, CompiledNode
from npugate.estimate.lives import OWN
from npugate.estimate.lowering import Made, of_row
from npugate.facts import Node, Tensor
from npugate.facts.elements import readers, source
from npugate.facts.quantization import dequantize
from npugate.facts.topology import scope_of
from npugate.operators import WINDOWED
from npugate.report.estimate import Access, Engine, Epoch, Operator, Window
from npugate.target.values import Target

_BITS: Final = {True: 8, False: 32}


class _Draft(Struct):
    """An epoch while it is being filled; ``inner`` is what never leaves it."""

    engine: Engine
    operators: list[Operator]
    reads: list[Access]
    writes: list[Access]
    macs: int = 0
    window: Window | None = None
    inner: set[str] = field(default_factory=set)


class _Builder(Struct):
    """The epochs so far, and which of them a node runs in."""

    graph: CompiledGraph
    integer: frozenset[int]
    epochs: list[_Draft] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)

    def add(self, item: CompiledNode) -> None:
        """Append what a node becomes."""
        if item.is_converted:
            self._dequantise(item.node)
        first = len(self.epochs)
        for made in item.operators:
            self._place(item, made)
        if len(self.epochs) > first + 1:
            self._chain(item.node, first)
        if item.is_converted:
            self._quantise(item.node)

    def _place(self, item: CompiledNode, made: Made) -> None:
        node = item.node
        operator = Operator(
            made.kind, made.engine, node.location(), scope_of(node.proto), made.reason, made.advice,
            made.rule,
        )  # fmt: skip
        reads = list(_reads(node, is_integer=item.is_integer))
        writes = list(_writes(node, is_integer=item.is_integer))
        work = item.macs if made.is_main else 0
        if item.lead is not None and item.lead is not node:
            self._join(self.places[id(item.lead)], operator, reads, writes, work)
            return
        window = item.window if made.is_main else None
        for number in range(made.epochs):
            share = work // made.epochs + (work % made.epochs if not number else 0)
            self.epochs.append(_Draft(made.engine, [operator], reads, writes, share, window))
        self.places[id(node)] = len(self.epochs) - 1

    def _join(
        self, at: int, operator: Operator, reads: list[Access], writes: list[Access], work: int
    ) -> None:
        epoch = self.epochs[at]
        inner = epoch.inner | {access.tensor for access in epoch.writes}
        epoch.inner = inner
        epoch.operators.append(operator)
        known = {access.tensor for access in epoch.reads}
        epoch.reads += [a for a in reads if not self._is_inner(a, inner) and a.tensor not in known]
        epoch.writes = writes
        epoch.macs += work

    def _is_inner(self, access: Access, inner: set[str]) -> bool:
        tensor = self.graph.facts.main.tensors.get(access.tensor)
        return access.tensor in inner or (tensor is not None and source(tensor).name in inner)

    def _dequantise(self, node: Node) -> None:
        seen: set[int] = set()
        for tensor in node.inputs:
            if tensor is None or tensor.is_constant:
                continue
            root = source(tensor)
            is_integer = dequantize(tensor) is not None or self._is_integer(root)
            if is_integer and id(root) not in seen:
                seen.add(id(root))
                self._convert("convert-in", "DequantizeLinear", node, root)

    def _is_integer(self, root: Tensor) -> bool:
        return root.producer is not None and id(root.producer) in self.integer

    def _quantise(self, node: Node) -> None:
        """Quantise the result of a float operator, once for each operand that an operator reads."""
        for made in node.outputs:
            if made is None:
                continue
            for _ in range(sum(self._uses(made))):
                self._convert("convert-out", "QuantizeLinear", node, made)

    def _uses(self, made: Tensor) -> Iterator[int]:
        """Yield how often each integer operator reads a value: a product of two does so twice."""
        for reader in readers(made):
            if id(reader) not in self.integer:
                continue
            runtime = [t for t in reader.inputs if t is not None and not t.is_constant]
            yield 2 if reader.op_type == "Mul" and len(runtime) > 1 else 1

    def _convert(self, rule: str, kind: str, node: Node, root: Tensor) -> None:
        made = of_row(rule, kind, self.graph.target)
        operator = Operator(
            kind, made.engine, node.location(), scope_of(node.proto), made.reason, made.advice, rule
        )
        to_float = kind == "DequantizeLinear"
        shape = root.static_shape or (0,)
        own = f"{root.name}{OWN}{len(self.epochs)}"
        reads = [Access(root.name, shape, _BITS[to_float])]
        writes = [Access(own, shape, _BITS[not to_float])]
        self.epochs.append(_Draft(made.engine, [operator], reads, writes))

    def _chain(self, node: Node, first: int) -> None:
        """Give the epochs of one node tensors between them, so that each is alive in its turn."""
        made = next((t for t in node.outputs if t is not None), None)
        if made is None or made.static_shape is None:
            return
        chain = self.epochs[first:]
        for number, (before, after) in enumerate(pairwise(chain)):
            if before.operators[0].kind == after.operators[0].kind:
                continue
            bits = before.writes[0].bits if before.writes else 8
            between = Access(f"{made.name}{OWN}{first + number}", made.static_shape, bits)
            before.writes = [between]
            after.reads = [between]


def place(graph: CompiledGraph) -> tuple[Epoch, ...]:
    """Return the epochs of a compiled graph, in running order."""
    integer = frozenset(id(item.node) for item in graph.nodes if item.is_integer)
    builder = _Builder(graph, integer)
    for item in graph.running():
        builder.add(item)
    return tuple(_finished(builder.epochs, graph.target))


def _finished(drafts: Sequence[_Draft], target: Target) -> Iterator[Epoch]:
    for index, draft in enumerate(drafts):
        epoch = Epoch(
            index, draft.engine, tuple(draft.operators), tuple(draft.reads), tuple(draft.writes),
            draft.macs, draft.window,
        )  # fmt: skip
        yield epoch if target.npu else replace(epoch, engine=Engine.CPU)


def _reads(node: Node, *, is_integer: bool) -> Iterator[Access]:
    for tensor in node.inputs:
        if tensor is None or tensor.static_shape is None:
            continue
        if not tensor.is_constant:
            yield Access(tensor.name, tensor.static_shape, _BITS[is_integer])
        elif (tensor.elements or 0) > 1 and node.op_type in WINDOWED:
            pair = dequantize(tensor)
            held = pair.input(0) if pair is not None else tensor
            bits = _weight_bits(held, is_integer=is_integer)
            yield Access(tensor.name, tensor.static_shape, bits, is_weight=True)


def _weight_bits(tensor: Tensor | None, *, is_integer: bool) -> int:
    if not is_integer or tensor is None:
        return 32
    return {21: 4, 22: 4, 6: 32}.get(tensor.dtype, 8)  # onnx.TensorProto: UINT4, INT4, INT32


def _writes(node: Node, *, is_integer: bool) -> Iterator[Access]:
    for tensor in node.outputs:
        if tensor is not None and tensor.static_shape is not None:
            yield Access(tensor.name, tensor.static_shape, _BITS[is_integer])
