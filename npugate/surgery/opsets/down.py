"""Rules of the table that carry a node over a version downwards; see ``up`` for what a rule is."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Final

import numpy as np
from onnx import NodeProto, TensorProto, helper

from npugate.surgery.node import NoFormError
from npugate.surgery.opsets.decompositions import DECOMPOSITIONS
from npugate.surgery.opsets.rewrite_context import (
    RewriteContext,
    attribute,
    integer,
    integers,
    put,
    put_input,
    text,
)
from npugate.surgery.opsets.up import REDUCTIONS, SOFTMAXES, Rule

_SPLIT_AS_INPUT: Final = 13
_INTEGERS: Final = frozenset(
    {TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64}
    | {TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64}
)
_FLOAT8: Final = frozenset(
    {
        TensorProto.FLOAT8E4M3FN,
        TensorProto.FLOAT8E4M3FNUZ,
        TensorProto.FLOAT8E5M2,
        TensorProto.FLOAT8E5M2FNUZ,
    }
)


def _to_attribute(name: str, position: int) -> Rule:
    """Make an attribute of a constant input."""

    def rule(context: RewriteContext, node: NodeProto) -> bool:
        value = context.array(node, position, name)
        del node.input[position:]
        put(node, name, None if value is None else [int(item) for item in value.reshape(-1)])
        return False

    return rule


def _reduce(context: RewriteContext, node: NodeProto) -> bool:
    is_noop = integer(node, "noop_with_empty_axes", 0)
    put(node, "noop_with_empty_axes", None)
    _to_attribute("axes", 1)(context, node)
    if integers(node, "axes"):
        return False
    put(node, "axes", None)
    if is_noop:
        if node.op_type not in {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"}:
            raise NoFormError("noop_with_empty_axes has no form")
        context.emit("Identity", [node.input[0]], node.output[0])
        return True
    return False


def _split_18(context: RewriteContext, node: NodeProto) -> bool:
    """Write down the sizes: ceil(size / parts) for all parts but the last, which gets the rest."""
    put(node, "num_outputs", None)
    if len(node.input) > 1 and node.input[1]:
        return False
    size = context.dims(node.input[0])[integer(node, "axis", 0)]
    count = len(node.output)
    chunk = ceil(size / count)
    sizes = [chunk] * (count - 1) + [size - chunk * (count - 1)]
    if sizes[-1] < 0:
        raise NoFormError(f"{size} elements do not split into {count} parts")
    put_input(node, 1, context.int64(sizes, "split"))
    return False


def _resize_19(context: RewriteContext, node: NodeProto) -> bool:
    if text(node, "coordinate_transformation_mode", "") == "half_pixel_symmetric":
        raise NoFormError("half_pixel_symmetric has no form before opset 19")
    return False


def _resize_18(context: RewriteContext, node: NodeProto) -> bool:
    if integer(node, "antialias", 0):
        raise NoFormError("antialias has no form before opset 18")
    if text(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        raise NoFormError("keep_aspect_ratio_policy has no form before opset 18")
    axes = integers(node, "axes")
    for name in ("antialias", "keep_aspect_ratio_policy", "axes"):
        put(node, name, None)
    if axes is None:
        return False
    dims = context.dims(node.input[0])
    axes = [axis + len(dims) if axis < 0 else axis for axis in axes]
    roi = context.array(node, 1, "regions")
    if roi is not None and roi.size:
        full = np.concatenate([np.zeros(len(dims)), np.ones(len(dims))]).astype(roi.dtype)
        full[axes], full[[axis + len(dims) for axis in axes]] = np.split(roi, 2)
        node.input[1] = context.constant(full, "roi")
    for position, rest in ((2, np.ones(len(dims), np.float32)), (3, np.array(dims, np.int64))):
        value = context.array(node, position, "scales and sizes")
        if value is not None and value.size:
            rest[axes] = value
            node.input[position] = context.constant(rest, "resize")
    return False


def _resize_13(context: RewriteContext, node: NodeProto) -> bool:
    for position in (1, 2):
        if position >= len(node.input) or not node.input[position]:
            put_input(node, position, context.constant(np.zeros(0, np.float32), "none"))
    return False


def _pad_19(context: RewriteContext, node: NodeProto) -> bool:
    if text(node, "mode", "constant") == "wrap":
        raise NoFormError("mode 'wrap' has no form before opset 19")
    return False


def _pad_18(context: RewriteContext, node: NodeProto) -> bool:
    axes = context.array(node, 3, "axes")
    del node.input[3:]
    while len(node.input) > 2 and not node.input[-1]:  # noqa: PLR2004 - data and pads
        node.input.pop()
    if axes is None:
        return False
    pads = context.array(node, 1, "pads")
    if pads is None:
        raise NoFormError("it has no pads")
    rank = context.rank(node.input[0])
    full = np.zeros(2 * rank, np.int64)
    for index, axis in enumerate(int(item) % rank for item in axes.reshape(-1)):
        full[axis], full[rank + axis] = pads[index], pads[axes.size + index]
    node.input[1] = context.int64(full.tolist(), "pads")
    return False


def _shape_15(context: RewriteContext, node: NodeProto) -> bool:
    """Take the end of the shape by a Slice: shape(x, start, end) = shape(x)[start:end]."""
    start, end = integer(node, "start", 0), attribute(node, "end")
    if not start and end is None:
        put(node, "start", None)
        return False
    whole = context.emit("Shape", [node.input[0]])
    last = end if isinstance(end, int) else context.rank(node.input[0])
    bounds = [context.int64([start], "start"), context.int64([last], "end")]
    context.emit("Slice", [whole, *bounds], node.output[0])
    return True


def _reshape_14(context: RewriteContext, node: NodeProto) -> bool:
    if integer(node, "allowzero", 0):
        wanted = context.array(node, 1, "sizes, with allowzero,")
        if wanted is not None and np.any(wanted == 0):
            raise NoFormError("allowzero with a size of 0 has no form before opset 14")
    put(node, "allowzero", None)
    return False


def _softmax_13(context: RewriteContext, node: NodeProto) -> bool:
    """One axis is the same as all from it on where those behind it have size 1."""
    dims = context.dims(node.input[0])
    axis = integer(node, "axis", -1) % max(len(dims), 1)
    if np.prod(dims[axis + 1 :]) != 1:
        raise NoFormError("an axis in the middle has no form before opset 13")
    put(node, "axis", axis)
    return False


def _roi_align_16(context: RewriteContext, node: NodeProto) -> bool:
    mode = text(node, "coordinate_transformation_mode", "half_pixel")
    if mode != "output_half_pixel":
        raise NoFormError(f"coordinate mode {mode!r} has no form before opset 16")
    put(node, "coordinate_transformation_mode", None)
    return False


def _batch_norm_14(context: RewriteContext, node: NodeProto) -> bool:
    if integer(node, "training_mode", 0) or any(node.output[1:]):
        raise NoFormError("training mode has no equal form before opset 14")
    put(node, "training_mode", None)
    return False


def _batch_norm_9(context: RewriteContext, node: NodeProto) -> bool:
    return False  # opset 8 has spatial=1 for a default


def _grid_sample_20(context: RewriteContext, node: NodeProto) -> bool:
    mode = text(node, "mode", "linear")
    put(node, "mode", {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode))
    return False


def _scatter_18(context: RewriteContext, node: NodeProto) -> bool:
    reduction = text(node, "reduction", "none")
    if reduction not in {"none", "add", "mul"}:
        raise NoFormError(f"reduction {reduction!r} has no form before opset 18")
    return False


def _quantize_21(context: RewriteContext, node: NodeProto) -> bool:
    if integer(node, "block_size", 0):
        raise NoFormError("block-wise quantisation has no form before opset 21")
    dtype = integer(node, "output_dtype", 0)
    if dtype and (len(node.input) < 3 or not node.input[2]):  # noqa: PLR2004 - zero point
        scale = context.dims(node.input[1])
        zero = np.zeros(scale, helper.tensor_dtype_to_np_dtype(dtype))
        put_input(node, 2, context.constant(zero, "zero_point"))
    for name in ("block_size", "output_dtype"):
        put(node, name, None)
    return False


def _cast_19(context: RewriteContext, node: NodeProto) -> bool:
    if integer(node, "to", 0) in _FLOAT8:
        raise NoFormError("its type does not exist before opset 19")
    put(node, "saturate", None)  # it is about 8-bit floats alone
    return False


def _mod_28(context: RewriteContext, node: NodeProto) -> bool:
    if not integer(node, "fmod", 0) and context.dtype(node.input[0]) not in _INTEGERS:
        raise NoFormError("fmod=0 has no form for floats before opset 28")
    return False


def _dropout_any(context: RewriteContext, node: NodeProto) -> bool:
    raise NoFormError("its ratio and mode are inputs from opset 12 on")


DOWN: Final[Mapping[tuple[str, int], Rule]] = {
    **{(op_type, 18): _reduce for op_type in REDUCTIONS},
    **{(op_type, 13): _softmax_13 for op_type in SOFTMAXES},
    ("ReduceSum", 13): _reduce,
    ("Squeeze", 13): _to_attribute("axes", 1),
    ("Unsqueeze", 13): _to_attribute("axes", 1),
    ("Split", _SPLIT_AS_INPUT): _to_attribute("split", 1),
    ("Split", 18): _split_18,
    ("Resize", 19): _resize_19,
    ("Resize", 18): _resize_18,
    ("Resize", 13): _resize_13,
    ("Pad", 19): _pad_19,
    ("Pad", 18): _pad_18,
    ("Shape", 15): _shape_15,
    ("Reshape", 14): _reshape_14,
    ("RoiAlign", 16): _roi_align_16,
    ("BatchNormalization", 14): _batch_norm_14,
    ("BatchNormalization", 9): _batch_norm_9,
    ("GridSample", 20): _grid_sample_20,
    ("GroupNormalization", 21): DECOMPOSITIONS["GroupNormalization"],  # opset 18 has it per group
    ("ScatterElements", 18): _scatter_18,
    ("ScatterND", 18): _scatter_18,
    ("QuantizeLinear", 21): _quantize_21,
    ("Cast", 19): _cast_19,
    ("Dropout", 12): _dropout_any,
    ("Mod", 28): _mod_28,
}
