"""Predict the epochs that the compiler makes of a model, and where each runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from npugate.estimate.integers import integer_nodes, runs, source
from npugate.estimate.lowering import Made, lower, of_row
from npugate.estimate.model_size import macs
from npugate.facts import Facts, Node, Tensor
from npugate.facts.quantization import dequantize
from npugate.facts.topology import scope_of
from npugate.report.estimate import Access, Engine, Epoch, Operator, Window
from npugate.target.values import Target

_OWN: Final = "#"  # in the names of the compiler's own tensors
_BITS: Final = {True: 8, False: 32}
_IMAGE: Final = 4
_WINDOWED: Final = frozenset(
    {"Conv", "QLinearConv", "ConvTranspose", "MaxPool", "AveragePool", "QLinearAveragePool"}
    | {"GlobalAveragePool", "GlobalMaxPool", "Gemm", "MatMul"}
)


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
    """The epochs so far, and which of them wrote a tensor."""

    facts: Facts
    target: Target
    integer: frozenset[int]
    epochs: list[_Draft] = field(default_factory=list)
    made_in: dict[int, int] = field(default_factory=dict)
    converted: set[int] = field(default_factory=set)

    def add(self, node: Node) -> None:
        """Append what a node becomes."""
        is_integer = id(node) in self.integer
        operators = lower(node, self.target, is_integer=is_integer)
        converts = not is_integer or any(o.rule in _CONVERTED for o in operators)
        if converts and self.facts.quantization.form != "float":
            self._dequantise(node)
        first = len(self.epochs)
        for made in operators:
            self._place(node, made, is_integer=is_integer)
        if len(self.epochs) > first + 1:
            self._chain(node, first)
        if converts and self.facts.quantization.form != "float":
            self._quantise(node)

    def _place(self, node: Node, made: Made, *, is_integer: bool) -> None:
        operator = Operator(
            made.kind, made.engine, node.location(), scope_of(node.proto), made.reason, made.advice,
            made.rule,
        )  # fmt: skip
        home = self._home(node) if made.joins else None
        reads = list(_reads(node, is_integer=is_integer))
        writes = list(_writes(node, is_integer=is_integer))
        work = macs(node) if made.is_main else 0
        window = window_of(node) if made.is_main else None
        if home is not None:
            self._join(home, operator, reads, writes, work)
            at = home
        else:
            for number in range(made.epochs):
                share = work // made.epochs + (work % made.epochs if not number else 0)
                self.epochs.append(_Draft(made.engine, [operator], reads, writes, share, window))
            at = len(self.epochs) - 1
        for tensor in node.outputs:
            if tensor is not None:
                self.made_in[id(tensor)] = at

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
        tensor = self.facts.main.tensors.get(access.tensor)
        return access.tensor in inner or (tensor is not None and source(tensor).name in inner)

    def _home(self, node: Node) -> int | None:
        """Return the epoch that a fused operator runs in: the last that makes what it reads.

        Nothing else may read what that epoch makes, or it has to be written out.
        """
        roots = [source(t) for t in node.inputs if t is not None and not t.is_constant]
        places = [(self.made_in[id(root)], root) for root in roots if id(root) in self.made_in]
        if not places or len(places) != len(roots):
            return None
        at, root = max(places, key=lambda item: item[0])
        if self.epochs[at].engine is not Engine.NPU:
            return None
        return at if _only_reader(root, node) else None

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
        for reader in _computing_readers(made):
            if id(reader) not in self.integer:
                continue
            runtime = [t for t in reader.inputs if t is not None and not t.is_constant]
            yield 2 if reader.op_type == "Mul" and len(runtime) > 1 else 1

    def _convert(self, rule: str, kind: str, node: Node, root: Tensor) -> None:
        made = of_row(rule, kind, self.target)
        operator = Operator(
            kind, made.engine, node.location(), scope_of(node.proto), made.reason, made.advice, rule
        )
        to_float = kind == "DequantizeLinear"
        shape = root.static_shape or (0,)
        own = f"{root.name}{_OWN}{len(self.epochs)}"
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
            between = Access(f"{made.name}{_OWN}{first + number}", made.static_shape, bits)
            before.writes = [between]
            after.reads = [between]


_CONVERTED: Final = frozenset({"division"})


def place(facts: Facts, target: Target) -> tuple[Epoch, ...]:
    """Return the epochs of the main graph, in running order.

    Args:
        facts: of the model; operators of unknown shape get no multiply-accumulates.
        target: its table of operators and its toolchain decide the engines.
    """
    builder = _Builder(facts, target, integer_nodes(facts))
    for node in facts.main.nodes:
        if runs(node):
            builder.add(node)
    return tuple(_finished(builder.epochs, target))


def _finished(drafts: Sequence[_Draft], target: Target) -> Iterator[Epoch]:
    for index, draft in enumerate(drafts):
        epoch = Epoch(
            index, draft.engine, tuple(draft.operators), tuple(draft.reads), tuple(draft.writes),
            draft.macs, draft.window,
        )  # fmt: skip
        yield epoch if target.npu else replace(epoch, engine=Engine.CPU)


def _computing_readers(tensor: Tensor) -> Iterator[Node]:
    """Yield the operators that read a value, through views and conversions; one for each use."""
    for reader in tensor.consumers:
        if runs(reader):
            yield reader
            continue
        for made in reader.outputs:
            if made is not None and reader.input(0) is tensor:
                yield from _computing_readers(made)


def _only_reader(root: Tensor, node: Node) -> bool:
    if root.is_output:
        return False
    readers = {id(reader) for reader in _computing_readers(root)}
    if readers == {id(node)}:
        return True
    # x * sigmoid(x): the sigmoid and the product read one value, and run in one epoch.
    others = [reader for reader in _computing_readers(root) if reader is not node]
    gates = {"Sigmoid", "HardSigmoid", "Mul"}
    return node.op_type in gates and all(reader.op_type in gates for reader in others)


def _reads(node: Node, *, is_integer: bool) -> Iterator[Access]:
    for tensor in node.inputs:
        if tensor is None or tensor.static_shape is None:
            continue
        if not tensor.is_constant:
            yield Access(tensor.name, tensor.static_shape, _BITS[is_integer])
        elif (tensor.elements or 0) > 1 and node.op_type in _WINDOWED:
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


def window_of(node: Node) -> Window | None:
    """Return the geometry of a convolution, pool or matrix product; None for anything else."""
    data, made = node.input(0), node.output()
    if node.op_type not in _WINDOWED or data is None or made is None:
        return None
    shape, result = data.static_shape, made.static_shape
    if not shape or not result or min(*shape, *result) < 1:
        return None
    if len(shape) < _IMAGE - 1 or len(result) < _IMAGE - 1:
        return Window(channels_in=shape[-1], channels_out=result[-1])
    size_in, size_out = _size(shape), _size(result)
    return Window(
        _kernel(node, size_in),
        _pair(node.ints_attribute("strides"), 1),
        _pair(node.ints_attribute("dilations"), 1),
        _pads(node),
        node.int_attribute("group", 1),
        shape[1],
        result[1],
        size_in,
        size_out,
    )


def _kernel(node: Node, size: tuple[int, int]) -> tuple[int, int]:
    if node.op_type.startswith("Global"):
        return size
    weight = node.input(3 if node.op_type == "QLinearConv" else 1)
    dims = weight.static_shape if weight is not None else None
    if node.op_type.endswith("Conv") or node.op_type == "ConvTranspose":
        return _pair(dims[2:] if dims else None, 1)
    return _pair(node.ints_attribute("kernel_shape"), 1)


def _size(shape: tuple[int, ...]) -> tuple[int, int]:
    return (shape[2], shape[3]) if len(shape) == _IMAGE else (1, shape[-1])


def _pair(values: tuple[int, ...] | None, neutral: int) -> tuple[int, int]:
    if not values:
        return (neutral, neutral)
    return (values[0], values[1]) if len(values) > 1 else (neutral, values[0])


def _pads(node: Node) -> tuple[int, int, int, int]:
    pads = node.ints_attribute("pads") or (0, 0, 0, 0)
    if len(pads) == _IMAGE:
        return (pads[0], pads[1], pads[2], pads[3])
    return (0, pads[0], 0, pads[-1])
