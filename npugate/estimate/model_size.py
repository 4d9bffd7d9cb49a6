"""A model in the numbers that a repair changes: ranks, batches, weights, work, memory."""

from __future__ import annotations

from math import prod
from typing import Final

from onnx import TensorProto, helper

from npugate.estimate.memory import lower_bound
from npugate.facts import Facts, Node, Tensor
from npugate.report.values import ModelSize
from npugate.target.values import Target

BATCHED: Final = frozenset(
    {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"}
    | {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"}
)
_MULTIPLYING: Final = frozenset(
    {"Conv", "QLinearConv", "ConvTranspose", "Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"}
    | {"LSTM", "GRU", "RNN"}
)
_RANK_3: Final = 3
_MOST: Final = 2**63 - 1  # a hostile shape has products that no report can hold


def figures(facts: Facts, target: Target) -> ModelSize:
    """Count a model.

    Args:
        facts: of the model; what is unknown counts as nothing.
        target: for which the activations are counted.
    """
    weights = sum(_bytes(item) for item in facts.tensors if item.kind == "initializer")
    return ModelSize(
        nodes=len(facts.main.nodes),
        max_rank=max((tensor.rank or 0 for tensor in facts.tensors), default=0),
        batched_layers=sum(1 for node in facts.nodes if _is_batched(node)),
        weight_bytes=min(weights, _MOST),
        macs=total_macs(facts),
        activation_bytes=min(lower_bound(facts, target.toolchain), _MOST),
    )


def total_macs(facts: Facts) -> int:
    """Return the multiply-accumulates of one run."""
    return min(sum(macs(node) for node in facts.nodes), _MOST)


def macs(node: Node) -> int:
    """Return the multiply-accumulates of a node; 0 where there are none or a shape is unknown."""
    if node.op_type not in _MULTIPLYING:
        return 0
    result, data = node.output(), node.input(0)
    if result is None or data is None or not result.elements or not data.elements:
        return 0
    shape = data.static_shape or (0,)
    match node.op_type:
        case "Conv" | "QLinearConv":
            count = result.elements * _window(node, 1 if node.op_type == "Conv" else 3)
        case "ConvTranspose":
            count = data.elements * _window(node, 1)
        case "Gemm":
            count = result.elements * shape[0 if node.int_attribute("transA", 0) else -1]
        case "MatMul" | "MatMulInteger" | "QLinearMatMul":
            count = result.elements * shape[-1]
        case _:
            count = _recurrent(node, data)
    return count


def _window(node: Node, position: int) -> int:
    """Return the products that make one element: the weights without their leading axis."""
    weight = node.input(position)
    dims = weight.static_shape if weight is not None else None
    return prod(dims[1:]) if dims else 0


def _recurrent(node: Node, data: Tensor) -> int:
    weights, recurrent = node.input(1), node.input(2)
    shape = data.static_shape or ()
    if weights is None or recurrent is None or len(shape) != _RANK_3:
        return 0
    return shape[0] * shape[1] * ((weights.elements or 0) + (recurrent.elements or 0))


def _is_batched(node: Node) -> bool:
    data = node.input(0)
    shape = data.shape if data is not None else None
    if node.op_type not in BATCHED or node.domain or not shape:
        return False
    return isinstance(shape[0], int) and shape[0] > 1


def _bytes(tensor: Tensor) -> int:
    if not tensor.elements or not tensor.dtype:
        return 0
    if tensor.dtype in {TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1}:
        return (tensor.elements + 1) // 2
    if tensor.dtype == TensorProto.STRING or tensor.dtype not in TensorProto.DataType.values():
        return 0
    return tensor.elements * int(helper.tensor_dtype_to_np_dtype(tensor.dtype).itemsize)
