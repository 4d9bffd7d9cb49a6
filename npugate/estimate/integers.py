"""Which operators of a model the compiler can compute in integers.

It looks for a scale at each tensor by its name. So an operator is computed in integers when what it
reads comes from a DequantizeLinear (through views) or from such an operator that it is fused with,
when its constants are integers, too, and when a QuantizeLinear reads its very result: a view in
between hides the scale (MobileNetV2 exported with ReduceMean and Reshape, Core 2.2 and 4.0).
"""

from __future__ import annotations

from typing import Final

from onnx import TensorProto

from npugate.facts import Facts, Node, Tensor
from npugate.facts.elements import maker, runs, source, swish_gate
from npugate.facts.operators import (
    ARITHMETIC,
    FUSED,
    GATES,
    MOVED,
    WEIGHTED,
)
from npugate.facts.quantization import dequantize

_FLOATS: Final = frozenset(
    {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}
)


def integer_nodes(facts: Facts) -> frozenset[int]:
    """Return the ids of the operators of the main graph that are computed in integers."""
    if facts.quantization.form == "float":
        return frozenset()
    if facts.quantization.form == "qoperator":
        return frozenset(id(node) for node in facts.main.nodes if _is_integer_form(node))
    found: set[int] = set()
    for node in facts.main.nodes:
        if runs(node) and _reads(node, found) and _writes(node):
            found.add(id(node))
    return frozenset(found)


def _is_integer_form(node: Node) -> bool:
    return runs(node) and all(made is None or made.dtype not in _FLOATS for made in node.outputs)


def _reads(node: Node, integer: set[int]) -> bool:
    for position, tensor in enumerate(node.inputs):
        if tensor is None or tensor.dtype not in _FLOATS:
            continue
        if tensor.is_constant:
            if not _is_integer_constant(node, position, tensor):
                return False
        elif not _is_integer_value(tensor, integer):
            return False
    return True


def _is_integer_value(tensor: Tensor, integer: set[int]) -> bool:
    """Tell whether a value has a scale: dequantised, or inside of what is fused to one operator."""
    if dequantize(tensor) is not None:
        return True
    made = maker(tensor)
    if made is not None and id(made) in integer:
        return True
    return tensor.is_graph_input or source(tensor).is_graph_input


def _is_integer_constant(node: Node, position: int, tensor: Tensor) -> bool:
    if dequantize(tensor) is not None or tensor.elements == 1:
        return True  # a scalar is given a scale by the compiler
    if node.op_type in ARITHMETIC:
        return False
    return position > 1 or node.op_type not in WEIGHTED


def _writes(node: Node) -> bool:
    """Tell whether every result has a scale of its own, at once or after a fused operator."""
    for made in node.outputs:
        if made is None:
            continue
        if made.is_output:
            return node.op_type in MOVED
        for reader in made.consumers:
            if reader.op_type == "QuantizeLinear":
                continue
            if reader.op_type in FUSED or node.op_type in MOVED or _is_gate(node, reader):
                continue
            return False
    return True


def _is_gate(node: Node, reader: Node) -> bool:
    """Tell whether a value stays inside of ``x * sigmoid(x)``."""
    return reader.op_type == "Mul" and (node.op_type in GATES or swish_gate(reader) is not None)
