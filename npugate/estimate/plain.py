"""The epochs of a network as far as memory needs them: what is written, and when.

Views and (de)quantisations are no epochs; an activation function, and a pool behind a convolution,
belong to the epoch before them. What the compiler writes in between, as its plans show, has names
of its own: the 16-bit products of two activations, what a Resize or a strided ConvTranspose is
expanded to, the 32-bit data of a float operator between quantised ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from npugate.estimate.lives import partial_sums
from npugate.facts import Facts, Node, Tensor
from npugate.findings.values import Location
from npugate.report.estimate import Access, Engine, Epoch, Operator, Window

_NOTHING: Final = frozenset(
    {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Constant"}
    | {"QuantizeLinear", "DequantizeLinear"}
)
_PAIR: Final = frozenset({"QuantizeLinear", "DequantizeLinear"})
_FUSED: Final = frozenset({"Relu", "Clip", "LeakyRelu", "HardSwish", "HardSigmoid", "Sigmoid"})
_GATES: Final = frozenset({"Sigmoid", "HardSigmoid"})
_SWISH_IN_ONE_PASS: Final = frozenset({"4.0"})
"""Toolchains that need no memory between the sigmoid and the product (report of yolov8n_micro)."""
_LEADS: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Mul", "Sub"})
_BYTE: Final = 8
_FLOAT: Final = 32
_RANK: Final = 4
_EXPANSIONS: Final = 3
"""Epochs before the convolution that a strided ConvTranspose becomes (Core 2.2, PP-OCR det)."""


class _Builder(Struct):
    """Epochs while they are made."""

    bits: int
    engines: Mapping[Location, Engine]
    epochs: list[Epoch] = field(default_factory=list)
    made_by: dict[str, int] = field(default_factory=dict)

    def add(self, node: Node, reads: tuple[Access, ...], writes: tuple[Access, ...]) -> None:
        operator = self.operator(node)
        number = len(self.epochs)
        macs = int(node.op_type == "Conv")
        epoch = Epoch(number, operator.engine, (operator,), reads, writes, macs, _window(node))
        self.epochs.append(epoch)
        for access in writes:
            self.made_by[access.tensor] = number

    def fuse(self, node: Node, number: int) -> None:
        """Let the epoch write what a node makes of its result."""
        epoch, made = self.epochs[number], node.output()
        if made is None:
            return
        operator = self.operator(node)
        self.epochs[number] = replace(
            epoch, operators=(*epoch.operators, operator), writes=(self.access(made),)
        )
        self.made_by[made.name] = number

    def operator(self, node: Node) -> Operator:
        location = node.location()
        return Operator(node.op_type, self.engines.get(location, Engine.NPU), location)

    def access(self, tensor: Tensor) -> Access:
        return Access(tensor.name, tensor.static_shape or (0,), self.bits)

    def reads(self, node: Node) -> tuple[Access, ...]:
        return tuple(self.access(t) for t in node.inputs if t is not None and not t.is_constant)

    def writes(self, node: Node) -> tuple[Access, ...]:
        return tuple(self.access(t) for t in node.outputs if t is not None)


def outline(facts: Facts, toolchain: str = "", placed: Sequence[Epoch] = ()) -> tuple[Epoch, ...]:
    """Return the epochs of the main graph as memory needs them.

    Args:
        facts: of the model.
        toolchain: version; another way with x * sigmoid(x) by it.
        placed: says which engine runs a node; the NPU where it does not.
    """
    bits = _FLOAT if facts.quantization.form == "float" else _BYTE
    engines = {o.location: o.engine for epoch in placed for o in epoch.operators}
    floats = frozenset(
        o.location
        for epoch in placed
        if bits == _BYTE and any(access.bits == _FLOAT for access in epoch.writes)
        for o in epoch.operators
    )
    builder = _Builder(bits, engines)
    one_pass = toolchain in _SWISH_IN_ONE_PASS
    for node in facts.main.nodes:
        if not _runs(node) or (one_pass and _is_gate_of_swish(node)):
            continue
        before = _fused_with(node, builder)
        if before is not None:
            builder.fuse(node, before)
            continue
        reads = builder.reads(node)
        for access in _in_float(node) if floats and node.location() in floats else ():
            builder.add(node, reads, (access,))
            reads = (access,)
        for access in _between(node, bits, has_products=not one_pass):
            builder.add(node, reads, (access,))
            reads = (access,)
        builder.add(node, reads, builder.writes(node))
    return tuple(builder.epochs)


def _runs(node: Node) -> bool:
    if node.op_type in _NOTHING:
        return False
    return any(made is not None and not made.is_constant for made in node.outputs)


def _fused_with(node: Node, builder: _Builder) -> int | None:
    """Return the epoch that a node belongs to, when nothing else reads that epoch's result."""
    if node.op_type not in _FUSED and node.op_type != "MaxPool":
        return None
    source = _source(node.input(0))
    number = builder.made_by.get(source.name) if source is not None else None
    if source is None or number is None:
        return None
    before = builder.epochs[number]
    kinds = {operator.kind for operator in before.operators}
    takes = {"Conv"} if node.op_type == "MaxPool" else _LEADS
    if not kinds & takes or "MaxPool" in kinds or any(t.is_output for t in _forms(source)):
        return None
    if len(list(_readers(source))) > 1:
        return None
    return None if node.op_type == "MaxPool" and any(partial_sums(before)) else number


def _source(tensor: Tensor | None) -> Tensor | None:
    """Return what was written, behind any (de)quantisation."""
    while tensor is not None and tensor.producer is not None and tensor.producer.op_type in _PAIR:
        tensor = tensor.producer.input(0)
    return tensor


def _forms(tensor: Tensor) -> Iterator[Tensor]:
    """Yield a tensor and its (de)quantised forms."""
    yield tensor
    for node in tensor.consumers:
        made = node.output()
        if node.op_type in _PAIR and made is not None:
            yield from _forms(made)


def _readers(tensor: Tensor) -> Iterator[Node]:
    """Yield the operators that read a tensor in any of its forms."""
    for form in _forms(tensor):
        yield from (node for node in form.consumers if node.op_type not in _PAIR)


def _is_gate_of_swish(node: Node) -> bool:
    source = _source(node.input(0))
    return node.op_type in _GATES and source is not None and _is_swish(list(_readers(source)))


def _is_swish(readers: list[Node]) -> bool:
    """Tell whether x * sigmoid(x) is all that is done with x."""
    gates = [node for node in readers if node.op_type in _GATES]
    products = [node for node in readers if node.op_type == "Mul"]
    if len(gates) != 1 or len(products) != 1 or len(readers) != len(gates) + len(products):
        return False
    gate = gates[0].output()
    return gate is not None and set(_readers(gate)) == set(products)


def _has_offset(node: Node) -> bool:
    """Tell whether an input of a node has a zero point other than 0."""
    for tensor in node.inputs:
        pair = tensor.producer if tensor is not None else None
        if pair is not None and pair.op_type == "DequantizeLinear" and pair.input(2) is not None:
            zero = pair.constant(2)
            if zero is None or zero.any():
                return True
    return False


def _between(node: Node, bits: int, *, has_products: bool) -> Iterator[Access]:
    """Yield what the compiler writes before the result of a node."""
    made, data = node.output(), node.input(0)
    shape = made.static_shape if made is not None else None
    if made is None or data is None or not shape or bits != _BYTE:
        return
    is_product = all(t is not None and not t.is_constant for t in node.inputs)
    if node.op_type == "Mul" and has_products and is_product and _has_offset(node):
        yield Access(f"{made.name}#product", shape, 2 * _BYTE)
    elif node.op_type in {"Resize", "Upsample"}:
        yield Access(f"{made.name}#expanded", shape, _BYTE)
    elif node.op_type == "ConvTranspose":
        strides = node.ints_attribute("strides") or (1,)
        if max(strides) > 1:
            wide = ((data.elements or 0) * prod(strides),)
            for number in range(_EXPANSIONS):
                yield Access(f"{made.name}#expanded{number}", wide, _BYTE)


def _in_float(node: Node) -> Iterator[Access]:
    """Yield what a float operator of a quantised model works on: its data and its result."""
    for tensor in (node.input(0), node.output()):
        if tensor is not None and tensor.static_shape is not None and not tensor.is_constant:
            yield Access(f"{tensor.name}#float", tensor.static_shape, _FLOAT)


def _window(node: Node) -> Window | None:
    """Return the geometry of a convolution over two axes."""
    result, weight = node.output(), node.input(1)
    shape = result.static_shape if result is not None else None
    dims = weight.static_shape if weight is not None else None
    if node.op_type != "Conv" or shape is None or dims is None:
        return None
    if not len(shape) == len(dims) == _RANK:
        return None
    strides = node.ints_attribute("strides") or (1, 1)
    return Window(
        kernel=(dims[2], dims[3]),
        strides=(strides[0], strides[1]),
        channels_out=shape[1],
        size_out=(shape[2], shape[3]),
    )
