"""Compute one node whose inputs are all known.

The operators that shapes are made of are computed by ``facts.evaluate``; a fixed list of others by
the reference implementation of onnx, under the operator set of the model. Nothing random, nothing
quantised, nothing with a body, and no type whose arithmetic numpy does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

from npugate.facts.evaluate import EVALUATORS, array_of
from npugate.facts.graph import Array, Node, build
from npugate.surgery.node import DEFAULT_DOMAINS
from npugate.surgery.scope import bodies_of
from npugate.surgery.weight_store import WeightStore

MOST_BYTES: Final = 4 << 20  # of one result
_MOST_ELEMENTS: Final = 1 << 22
_MOST_READ: Final = 64 << 20  # bytes of the inputs of one node
_FIRST_BROADCAST: Final = 7  # before, two-input operators broadcast by an attribute
_SCALARS: Final = frozenset("iufb")
# Where numpy and the specification agree; the rest of the reference implementation is not asked.
_ELEMENTWISE: Final = frozenset(
    {"Erf", "Exp", "Log", "Pow", "Sigmoid", "Tanh", "Relu", "Reciprocal", "Sign", "Sin", "Cos"}
    | {"Softplus", "Mod", "Clip", "IsNaN", "IsInf", "Xor", "BitShift", "LeakyRelu", "HardSigmoid"}
)
_OTHER: Final = frozenset(  # none makes more elements than it reads, but MatMul
    {"CumSum", "Trilu", "ScatterND", "ScatterElements", "GatherElements", "NonZero", "Split"}
    | {"EyeLike", "ReduceMean", "ReduceL2", "MatMul", "Flatten", "ArgMax", "ArgMin"}
)
_EVALUATED: Final = EVALUATORS.keys() | _ELEMENTWISE | _OTHER
_NOWHERE: Final = build(onnx.GraphProto(), frozenset())


def known_value(tensor: TensorProto, store: WeightStore | None = None) -> Array | None:
    """Return the value of a tensor that may be folded; None when it is too large or not held.

    Returns:
        T[*dims] of the tensor's type and dimensions.
    """
    if tensor.data_type == TensorProto.STRING or prod(tensor.dims) > _MOST_READ:
        return None
    found = None if store is None else store.array(tensor)
    return array_of(tensor) if found is None else found


def can_evaluate(node: NodeProto, opset: int) -> bool:
    """Tell whether a node is of a kind that is computed here."""
    return (
        node.domain in DEFAULT_DOMAINS
        and opset >= _FIRST_BROADCAST
        and node.op_type in _EVALUATED
        and not any(True for _ in bodies_of(node))
    )


def evaluate(node: NodeProto, inputs: Sequence[Array | None], opset: int) -> list[Array] | None:
    """Return the outputs of a node; None when it cannot or should not be computed.

    Args:
        node: ``can_evaluate`` says yes to it.
        inputs: T[...] in position order; None where an optional one is left out.
        opset: version of ai.onnx.

    Returns:
        T[...] for each output.
    """
    given = [value for value in inputs if value is not None]
    if any(value.dtype.kind not in _SCALARS for value in given):
        return None
    if sum(value.nbytes for value in given) > _MOST_READ:
        return None
    try:
        with np.errstate(all="ignore"):
            results = _compute(node, list(inputs), opset)
    except (ValueError, IndexError, TypeError, OverflowError, ZeroDivisionError, RuntimeError):
        return None  # inputs that the operator does not accept: the node stays
    if results is None or any(not isinstance(value, np.ndarray) for value in results):
        return None
    if sum(value.nbytes for value in results) > MOST_BYTES:
        return None
    return results


def _compute(node: NodeProto, inputs: list[Array | None], opset: int) -> list[Array] | None:
    evaluator = EVALUATORS.get(node.op_type)
    if evaluator is None:
        return _ask_reference(node, inputs, opset)
    view = Node(0, node.name, node.op_type, "", node, _NOWHERE)
    value = evaluator(view, inputs, opset, _MOST_ELEMENTS)
    return None if value is None else [np.array(value, order="C")]


def _ask_reference(node: NodeProto, inputs: list[Array | None], opset: int) -> list[Array] | None:
    feeds = {
        name: value for name, value in zip(node.input, inputs, strict=True) if value is not None
    }
    if _elements(node, list(feeds.values())) > _MOST_ELEMENTS:
        return None
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        )
        for name, value in feeds.items()
    ]
    wanted = [name for name in node.output if name]
    outputs = [onnx.ValueInfoProto(name=name) for name in wanted]
    graph = helper.make_graph([node], "node", infos, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    results = ReferenceEvaluator(model).run(wanted, feeds)
    return [np.array(value, order="C") for value in results]


def _elements(node: NodeProto, values: Sequence[Array]) -> int:
    """Return the most elements that a node of inputs T[...] makes."""
    if node.op_type in _ELEMENTWISE:
        return prod(np.broadcast_shapes(*(value.shape for value in values)))
    if node.op_type == "MatMul":
        left, right = (value.shape for value in values)
        return prod(left[:-1]) * prod(right[:-2]) * (right[-1] if len(right) > 1 else 1)
    return sum(value.size * max(value.ndim, 1) for value in values)
