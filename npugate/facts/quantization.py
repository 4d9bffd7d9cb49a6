"""How a model is quantised: which form, which types, which layers really are.

QDQ means QuantizeLinear/DequantizeLinear pairs around float operators, the form that ST's compiler
reads; QOperator means QLinearConv and its kind; dynamic means that scales are computed at run time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, field
from onnx import TensorProto

from npugate.facts.graph import Node, Tensor
from npugate.operators import VIEWS, WEIGHTED

_DYNAMIC: Final = frozenset({"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"})
_QOPERATOR: Final = frozenset({"QLinearConv", "QLinearMatMul"})
_BITS: Final[Mapping[int, int]] = {
    TensorProto.INT8: 8,
    TensorProto.UINT8: 8,
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.INT16: 16,
    TensorProto.UINT16: 16,
    TensorProto.INT32: 32,
}


class Quantization(Struct, frozen=True):
    """The census.

    Attributes:
        form: ``float``, ``qdq``, ``qoperator`` or ``dynamic``.
        weighted: number of Conv, ConvTranspose, Gemm and MatMul nodes with constant weights.
        quantized: how many of them read both data and weights through DequantizeLinear.
        weight_bits: quantised weight tensors by width in bits.
        activation_types: QuantizeLinear nodes by ONNX data type of their result.
    """

    form: str = "float"
    weighted: int = 0
    quantized: int = 0
    weight_bits: Mapping[int, int] = field(default_factory=dict)
    activation_types: Mapping[int, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """A word or two for the reports, for example ``int8 QDQ``."""
        widths = "/".join(f"int{bits}" for bits in sorted(self.weight_bits))
        names = {"qdq": "QDQ", "qoperator": "QOperator", "dynamic": "dynamic"}
        return f"{widths} {names[self.form]}".strip() if self.form in names else "float"


def census(nodes: Iterable[Node]) -> Quantization:
    """Count once over all nodes."""
    kinds: Counter[str] = Counter()
    bits: Counter[int] = Counter()
    activations: Counter[int] = Counter()
    weighted = quantized = 0
    for node in nodes:
        kinds[node.op_type] += 1
        if node.op_type in WEIGHTED and weight(node) is not None:
            weighted += 1
            source = weight_source(node)
            if source is not None:
                bits[_BITS.get(source.dtype, 0)] += 1
                quantized += dequantize(node.input(0)) is not None
        elif node.op_type == "QuantizeLinear":
            output = node.output()
            activations[output.dtype if output is not None else 0] += 1
    form = _form(kinds)
    bits.pop(0, None)
    return Quantization(form, weighted, quantized, dict(bits), dict(activations))


def _form(kinds: Mapping[str, int]) -> str:
    if any(kinds.get(kind) for kind in _QOPERATOR):
        return "qoperator"
    if any(kinds.get(kind) for kind in _DYNAMIC):
        return "dynamic"
    return "qdq" if kinds.get("DequantizeLinear") else "float"


def weight(node: Node) -> Tensor | None:
    """Return the constant second operand of a weighted node, else None."""
    tensor = node.input(1)
    return tensor if tensor is not None and tensor.is_constant else None


def weight_source(node: Node) -> Tensor | None:
    """Return the integer tensor behind a quantised weight; None when the weight is float."""
    found = dequantize(node.input(1))
    return None if found is None else found.input(0)


def dequantize(tensor: Tensor | None) -> Node | None:
    """Return the DequantizeLinear that a value comes from, looking through views."""
    seen = 0
    while tensor is not None and tensor.producer is not None and seen < 8:  # noqa: PLR2004 - bound
        node = tensor.producer
        if node.op_type == "DequantizeLinear":
            return node
        if node.op_type not in VIEWS:
            return None
        tensor = node.input(0)
        seen += 1
    return None


def _maker(tensor: Tensor) -> Node | None:
    """Return the operator that makes a value in the same form, looking through views."""
    node = tensor.producer
    while node is not None and node.op_type in VIEWS:
        source = node.input(0)
        node = source.producer if source is not None else None
    return node


def connected(nodes: Iterable[Node]) -> list[list[Node]]:
    """Group nodes that feed each other, looking through views; in file order."""
    group: dict[int, list[Node]] = {}
    order: list[list[Node]] = []
    for node in nodes:
        near = [
            group[id(made)]
            for tensor in node.inputs
            if tensor is not None and (made := _maker(tensor)) is not None and id(made) in group
        ]
        home = near[0] if near else []
        if not near:
            order.append(home)
        for other in near[1:]:
            if other is not home:
                home.extend(other)
                group.update((id(member), home) for member in other)
                order = [members for members in order if members is not other]
        home.append(node)
        group[id(node)] = home
    return order
