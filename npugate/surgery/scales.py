"""Refuse repairs that invent a scale in a quantised model; what they add computes in float."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from npugate.facts.graph import Array
from npugate.operators import CONVERSIONS
from npugate.surgery.node import DEFAULT_DOMAINS
from npugate.surgery.values import literal
from npugate.surgery.weight_store import WeightStore

_MOVES: Final = frozenset(
    {
        "Concat", "Constant", "DepthToSpace", "DequantizeLinear", "Expand", "Flatten", "Gather",
        "Identity", "Pad", "QuantizeLinear", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze",
        "Tile", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
_HOPS: Final = 3  # a layer, its activation and a view are one step of a quantised model


def is_quantized(model: ModelProto) -> bool:
    """Tell whether a model has quantisers in its main graph."""
    return any(_is_linear(node) for node in model.graph.node)


def invented(before: ModelProto, after: ModelProto, store: WeightStore | None = None) -> str:
    """Say which node of a repaired model has a scale or zero point that the original has not.

    Args:
        before: the model that was repaired.
        after: the result; a parameter of it may be a part of the original's, or repeat it.
        store: holds the weights that the models refer to.
    """
    same = {node.SerializeToString() for node in before.graph.node}
    had = [set[float](), set[float]()]
    for _, parameters in _parameters(before, store):
        for values, array in zip(had, parameters, strict=True):
            values.update(_numbers(array))
    for node, parameters in _parameters(after, store):
        if node.SerializeToString() in same:
            for values, array in zip(had, parameters, strict=True):
                values.update(_numbers(array))
    for node, parameters in _parameters(after, store):
        for what, values, array in zip(("scale", "zero point"), had, parameters, strict=True):
            new = set(_numbers(array)) - values
            if new:
                label = f"{node.op_type} {node.name or node.output[0]!r}"
                return f"{label} has the {what} {min(new):g}, which the original lacks"
    return ""


def added(before: ModelProto, after: ModelProto) -> str:
    """Say what a repair added to a quantised model that computes in float; "" for nothing."""
    if not is_quantized(before):
        return ""
    old, new = _floats(before), _floats(after)
    names = sorted(name for name in new if new[name] > old[name])
    if not names:
        return ""
    return f"computed in float, since no repair invents a scale: the {', '.join(names)} it added"


def _floats(model: ModelProto) -> Counter[str]:
    """Count the operators that compute, and are not between a dequantiser and a quantiser."""
    makers = {name: node for node in model.graph.node for name in node.output if name}
    readers: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def begins(node: NodeProto, hops: int) -> bool:
        maker = makers.get(node.input[0]) if node.input else None
        if maker is None or not hops:
            return False
        return maker.op_type == "DequantizeLinear" or begins(maker, hops - 1)

    def ends(node: NodeProto, hops: int) -> bool:
        found = [reader for name in node.output for reader in readers.get(name, ())]
        return bool(hops and found) and all(
            reader.op_type == "QuantizeLinear" or ends(reader, hops - 1) for reader in found
        )

    return Counter(
        node.op_type
        for node in model.graph.node
        if node.op_type not in _MOVES and not (begins(node, _HOPS) and ends(node, _HOPS))
    )


def _parameters(
    model: ModelProto, store: WeightStore | None
) -> Iterator[tuple[NodeProto, tuple[Array | None, Array | None]]]:
    """Yield each quantiser with its scale and zero point; None for one that is computed.

    Yields:
        float32[], float32[C] or float32[*blocks], the scale; int8 or uint8 of the same shape, the
        zero point.
    """
    constants = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        tensor = literal(node) if node.op_type == "Constant" else None
        if tensor is not None:
            constants[node.output[0]] = tensor
    for node in model.graph.node:
        if _is_linear(node):
            names = (*node.input[1:3], "", "")[:2]
            scale, zero = (_array(constants, name, store) for name in names)
            yield node, (scale, zero)


def _array(
    constants: Mapping[str, TensorProto], name: str, store: WeightStore | None
) -> Array | None:
    item = constants.get(name)
    if item is None:
        return None
    stored = None if store is None else store.array(item)
    return np.asarray(numpy_helper.to_array(item)) if stored is None else stored


def _numbers(array: Array | None) -> Iterator[float]:
    if array is not None:
        yield from np.unique(array.astype(np.float64)).tolist()


def _is_linear(node: NodeProto) -> bool:
    return node.op_type in CONVERSIONS and node.domain in DEFAULT_DOMAINS and len(node.input) > 1
