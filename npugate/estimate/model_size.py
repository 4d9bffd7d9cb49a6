"""A model in the numbers that a repair changes: ranks, batches, weights, work, memory."""

from __future__ import annotations

from typing import Final

from onnx import TensorProto, helper

from npugate.estimate.assemble import lower_bound
from npugate.estimate.counting import total_macs
from npugate.facts import Facts, Node, Tensor
from npugate.operators import BATCHED
from npugate.report.values import ModelSize
from npugate.target.values import Target

_MOST: Final = 2**63 - 1  # a hostile shape has products that no report can hold


def model_size(facts: Facts, target: Target) -> ModelSize:
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
        activation_bytes=min(lower_bound(facts, target), _MOST),
    )


def _is_batched(node: Node) -> bool:
    data = node.input(0)
    shape = data.shape if data is not None else None
    if node.full_type not in BATCHED or not shape:
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
