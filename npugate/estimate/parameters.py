"""Count the bytes of the parameters as the compiler stores them, packing and all.

What it adds to the plain bytes was read off its reports: weights of a 3x3 depthwise convolution are
blown up to eight channels, and the scales and biases of a convolution with more than 512 channels,
too many for the broadcast of the arithmetic unit, are repeated along the width.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from onnx import TensorProto

from npugate.facts import Facts, Node, Tensor
from npugate.facts.quantization import dequantize
from npugate.operators import CONVERSIONS, CONVOLUTIONS

_FILE: Final = Path(__file__).parent / "data" / "memory.toml"
_BITS: Final[Mapping[int, int]] = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.INT8: 8,
    TensorProto.UINT8: 8,
    TensorProto.BOOL: 8,
    TensorProto.INT16: 16,
    TensorProto.UINT16: 16,
    TensorProto.FLOAT16: 16,
    TensorProto.BFLOAT16: 16,
    TensorProto.STRING: 0,
    TensorProto.INT64: 64,
    TensorProto.DOUBLE: 64,
}
_MOST: Final = 1 << 60  # a hostile shape has products that no float can hold
_FLOAT_BITS: Final = 32
# Their constants say how, not what: shapes, axes, bounds, scales.
_WITHOUT: Final = CONVERSIONS | frozenset(
    {"Reshape", "Resize", "Upsample", "Slice", "Pad", "Squeeze", "Unsqueeze", "Expand", "Tile"}
    | {"Clip", "Split", "TopK", "ConstantOfShape", "Range"}
    | {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "OneHot", "CumSum"}
)
_TAP: Final = 3


class Packing(Struct, frozen=True):
    """How one toolchain stores parameters; a row of ``data/memory.toml``.

    Attributes:
        inflated_to: channels to which the weights of a 3x3 depthwise convolution grow.
        inflated_from_width: of its output, from which on they do.
        broadcast_limit: channels above which the vectors of a convolution are repeated.
        vector_bytes: of one repeated element.
        scale_bytes, bias_bytes: for each channel below that limit.
    """

    inflated_to: int
    inflated_from_width: int
    broadcast_limit: int
    vector_bytes: int
    scale_bytes: int
    bias_bytes: int


def parameter_bytes(facts: Facts, toolchain: str) -> int:
    """Return the bytes of all parameters.

    Args:
        facts: of the model; a parameter of unknown shape counts as nothing.
        toolchain: version whose packing is taken; the newest when it is not in the data.
    """
    packing = packing_of(toolchain)
    total = 0
    counted: set[int] = set()
    for node in facts.nodes:
        if node.op_type in _WITHOUT or all(t is None or t.is_constant for t in node.outputs):
            continue
        if node.op_type in CONVOLUTIONS:
            total += _growth(node, packing)
        for tensor in _constants(node):
            if id(tensor) not in counted:
                counted.add(id(tensor))
                total += _bytes(tensor)
    return min(max(total, 0), _MOST)


@cache
def packing_of(toolchain: str) -> Packing:
    """Return how a toolchain packs."""
    rows: list[Mapping[str, Any]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))["packing"]
    row = next((row for row in rows if toolchain in row["toolchains"]), rows[-1])
    return Packing(**{key: row[key] for key in Packing.__struct_fields__})


def _constants(node: Node) -> Iterator[Tensor]:
    """Yield what a node reads from the parameters, in the stored type."""
    for position, tensor in enumerate(node.inputs):
        if tensor is None or not tensor.is_constant:
            continue
        if node.op_type in CONVOLUTIONS and position > 1:
            continue  # its bias is part of its vectors
        if tensor.dtype == TensorProto.INT64 and node.op_type != "Gather":
            continue  # a shape
        pair = dequantize(tensor)
        source = pair.input(0) if pair is not None else None
        yield tensor if source is None else source


def _bytes(tensor: Tensor) -> int:
    return ((tensor.elements or 0) * _BITS.get(tensor.dtype, _FLOAT_BITS) + 7) // 8


def _growth(node: Node, packing: Packing) -> int:
    """Return the bytes beside the plain weights: vectors, and what depthwise weights grow by."""
    result, weight = node.output(), node.input(1)
    shape = result.static_shape if result is not None else None
    dims = weight.static_shape if weight is not None else None
    if not shape or not dims or weight is None or len(shape) < _TAP:
        return 0
    channels, width = shape[1], shape[-1] if len(shape) > _TAP else 1
    pair = dequantize(weight)
    if pair is None:
        return 4 * channels if node.input(2) is not None else 0
    scales = pair.input(1)
    has_scales = scales is not None and (scales.elements or 1) > 1
    if channels > packing.broadcast_limit:
        vectors = (1 + has_scales) * channels * width * packing.vector_bytes
    else:
        vectors = channels * (has_scales * packing.scale_bytes + packing.bias_bytes)
    return vectors + _inflation(node, dims, width, packing) + _zeros(node)


def _zeros(node: Node) -> int:
    """Return the zeros that the compiler puts between the pixels of a strided ConvTranspose."""
    data = node.input(0)
    if node.op_type != "ConvTranspose" or max(node.ints_attribute("strides") or (1,)) == 1:
        return 0
    return (data.elements or 0) if data is not None else 0


def _inflation(node: Node, dims: tuple[int, ...], width: int, packing: Packing) -> int:
    groups = node.int_attribute("group", 1)
    is_depthwise = node.op_type == "Conv" and groups == dims[0] and groups > 1 and dims[1] == 1
    if not is_depthwise or dims[2:] != (_TAP, _TAP) or width < packing.inflated_from_width:
        return 0
    return prod(dims) * (min(packing.inflated_to, groups) - 1)
