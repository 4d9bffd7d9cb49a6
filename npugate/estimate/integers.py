"""Which operators of a model the compiler can compute in integers.

It looks for a scale at each tensor by its name. So an operator is computed in integers when what it
reads comes from a DequantizeLinear (through views) or from such an operator that it is fused with,
when its constants are integers, too, and when a QuantizeLinear reads its very result: a view in
between hides the scale (MobileNetV2 exported with ReduceMean and Reshape, Core 2.2 and 4.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from onnx import TensorProto

from npugate.facts import Facts, Node, Tensor
from npugate.facts.elements import maker, runs, source, swish_gate
from npugate.facts.quantization import dequantize
from npugate.operators import (
    ARITHMETIC,
    FUSED,
    GATES,
    MOVED,
    WEIGHTED,
)

_FLOATS: Final = frozenset(
    {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}
)


def float_reasons(facts: Facts) -> Mapping[int, str]:
    """Return why operators of the main graph are computed in float, by the id of the node.

    Those that are missing are computed in integers, and so is none of a model that is not quantised
    at all, for which there is nothing to say: the answer is empty for it, too.
    """
    found: dict[int, str] = {}
    integer: set[int] = set()
    form = facts.quantization.form
    for node in facts.main.nodes if form != "float" else ():
        if not runs(node):
            continue
        why = _float_result(node) if form == "qoperator" else _fault(node, integer)
        if why:
            found[id(node)] = why
        else:
            integer.add(id(node))
    return found


def _float_result(node: Node) -> str:
    made = next((t for t in node.outputs if t is not None and t.dtype in _FLOATS), None)
    return "" if made is None else f"its result {made.name!r} is float"


def _fault(node: Node, integer: set[int]) -> str:
    """Return what keeps an operator from integers; empty when nothing does."""
    for position, tensor in enumerate(node.inputs):
        if tensor is None or tensor.dtype not in _FLOATS:
            continue
        if tensor.is_constant:
            if not _is_integer_constant(node, position, tensor):
                return f"its constant {tensor.name!r} is float"
        elif not _is_integer_value(tensor, integer):
            return f"its input {tensor.name!r} has no scale"
    return _float_write(node)


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


def _float_write(node: Node) -> str:
    """Return which result has no scale of its own, at once or after a fused operator."""
    for made in node.outputs:
        if made is None:
            continue
        if made.is_output:
            if node.op_type not in MOVED:
                return f"its result {made.name!r} is an output of the model"
            return ""
        for reader in made.consumers:
            if reader.op_type == "QuantizeLinear":
                continue
            if reader.op_type in FUSED or node.op_type in MOVED or _is_gate(node, reader):
                continue
            return f"its result {made.name!r} is read without a scale by {reader.op_type}"
    return ""


def _is_gate(node: Node, reader: Node) -> bool:
    """Tell whether a value stays inside of ``x * sigmoid(x)``."""
    return reader.op_type == "Mul" and (node.op_type in GATES or swish_gate(reader) is not None)
