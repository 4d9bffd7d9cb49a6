"""Rules of the table that carry a node over a version upwards.

A rule changes the node in place, or emits what stands for it and returns True. It raises
``NoFormError`` when there is no equal form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Final

import numpy as np
from onnx import NodeProto

from npugate.surgery.node import NoFormError
from npugate.surgery.opsets.rewrite_context import (
    RewriteContext,
    attribute,
    integer,
    integers,
    put,
    put_input,
    text,
)

Rule = Callable[[RewriteContext, NodeProto], bool]
REDUCTIONS: Final = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSumSquare",
)  # fmt: skip
SOFTMAXES: Final = ("Softmax", "LogSoftmax", "Hardmax")


def _to_input(name: str, position: int) -> Rule:
    """Make an input of an attribute that holds integers."""

    def rule(context: RewriteContext, node: NodeProto) -> bool:
        numbers = integers(node, name)
        put(node, name, None)
        if numbers is not None:
            put_input(node, position, context.int64(numbers, name))
        return False

    return rule


def _split_18(context: RewriteContext, node: NodeProto) -> bool:
    if len(node.input) < 2 or not node.input[1]:  # noqa: PLR2004 - data and sizes
        put(node, "num_outputs", len(node.output))
    return False


def _slice_10(context: RewriteContext, node: NodeProto) -> bool:
    for position, name in enumerate(("starts", "ends", "axes"), 1):
        _to_input(name, position)(context, node)
    return False


def _pad_11(context: RewriteContext, node: NodeProto) -> bool:
    _to_input("pads", 1)(context, node)
    value = attribute(node, "value")
    put(node, "value", None)
    if isinstance(value, float | int) and text(node, "mode", "constant") == "constant":
        put_input(node, 2, context.scalar(value, node.input[0]))
    return False


def _clip_11(context: RewriteContext, node: NodeProto) -> bool:
    """Make inputs of the bounds: y = min(max(x, low), high), either may be left out."""
    for position, name in ((1, "min"), (2, "max")):
        value = attribute(node, name)
        put(node, name, None)
        if isinstance(value, float | int):
            put_input(node, position, context.scalar(value, node.input[0]))
    return False


def _topk_10(context: RewriteContext, node: NodeProto) -> bool:
    k = integer(node, "k", 1)
    put(node, "k", None)
    put_input(node, 1, context.int64([k], "k"))
    return False


def _dropout_10(context: RewriteContext, node: NodeProto) -> bool:
    if len(node.output) > 1:
        if node.output[1] in context.read:
            raise NoFormError("its mask, which is read, has another type from opset 10 on")
        node.output.pop()
    return False


def _dropout_12(context: RewriteContext, node: NodeProto) -> bool:
    put(node, "ratio", None)  # it has no effect outside training
    return False


def _batch_norm_9(context: RewriteContext, node: NodeProto) -> bool:
    if not integer(node, "spatial", 1):
        raise NoFormError("spatial=0 has no form from opset 9 on")
    put(node, "spatial", None)
    return False


def _batch_norm_14(context: RewriteContext, node: NodeProto) -> bool:
    if any(node.output[1:]):
        raise NoFormError("it is in training mode")
    del node.output[1:]
    return False


def _softmax_13(context: RewriteContext, node: NodeProto) -> bool:
    """Before opset 13 the axes from ``axis`` on are one.

    softmax_12(x, axis=a) = reshape(softmax_13(reshape(x, [D0, ..., Da-1, Da * ... * Dk]), -1))
    """
    source = node.input[0]
    axis = integer(node, "axis", 1)
    rank = context.rank(source)
    axis = axis + rank if axis < 0 else axis
    if axis == rank - 1:
        put(node, "axis", -1)
        return False
    dims = context.dims(source)
    if prod(dims[axis + 1 :]) == 1:
        put(node, "axis", axis)
        return False
    flat = context.reshape(source, [*(dims[:axis] or (1,)), prod(dims[axis:])])
    soft = context.emit(node.op_type, [flat], axis=-1)
    context.reshape(soft, dims, node.output[0])
    return True


def _upsample_10(context: RewriteContext, node: NodeProto) -> bool:
    return _as_resize(context, node)


def _as_resize(context: RewriteContext, node: NodeProto) -> bool:
    """Write a Resize of opset 10 or an Upsample as the Resize of opset 11 that means the same."""
    mode = text(node, "mode", "nearest")
    if mode not in {"nearest", "linear"}:
        raise NoFormError(f"mode {mode!r} has no form from opset 11 on")
    scales = context.array(node, 1, "scales")
    if scales is None or np.any(np.less(scales, 1)):
        raise NoFormError("which pixel it takes when it shrinks is not defined before opset 11")
    if context.goal <= 10:  # noqa: PLR2004 - Resize as it came
        context.emit("Resize", [node.input[0], node.input[1]], node.output[0], mode=mode)
        return True
    nearest = {"nearest_mode": "floor"} if mode == "nearest" else {}
    context.emit(
        "Resize",
        [node.input[0], _no_region(context), node.input[1]],
        node.output[0],
        mode=mode,
        coordinate_transformation_mode="asymmetric",
        **nearest,
    )
    return True


def _no_region(context: RewriteContext) -> str:
    """Return the region input of a Resize that has none; opsets 11 and 12 want an empty one."""
    return "" if context.goal >= 13 else context.constant(np.zeros(0, np.float32), "roi")  # noqa: PLR2004 - may be left out


def _resize_13(context: RewriteContext, node: NodeProto) -> bool:
    if text(node, "coordinate_transformation_mode", "") == "tf_half_pixel_for_nn":
        raise NoFormError("tf_half_pixel_for_nn has no form from opset 13 on")
    for position in (1, 2):
        held = context.constants.get(node.input[position]) if position < len(node.input) else None
        if held is not None and held.array is not None and not held.array.size:
            node.input[position] = ""
    while node.input and not node.input[-1]:
        node.input.pop()
    return False


def _roi_align_16(context: RewriteContext, node: NodeProto) -> bool:
    put(node, "coordinate_transformation_mode", "output_half_pixel")
    return False


def _grid_sample_20(context: RewriteContext, node: NodeProto) -> bool:
    mode = text(node, "mode", "bilinear")
    put(node, "mode", {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode))
    return False


def _group_norm_21(context: RewriteContext, node: NodeProto) -> bool:
    """From opset 21 on, scale and bias are per channel: s'[c] = s[c // (C / groups)]."""
    count = context.dims(node.input[0])[1] // integer(node, "num_groups", 1)
    for position in (1, 2):
        value = context.array(node, position, "scale and bias")
        if value is None:
            raise NoFormError("it has no scale or bias")
        node.input[position] = context.constant(np.repeat(value, count), "per-channel")
    return False


def _scatter_11(context: RewriteContext, node: NodeProto) -> bool:
    """Scatter is ScatterElements: y[index[i]] = update[i] along the axis, else x."""
    axis = integer(node, "axis", 0)
    context.emit("ScatterElements", list(node.input), node.output[0], axis=axis)
    return True


def _upsample_9(context: RewriteContext, node: NodeProto) -> bool:
    scales = attribute(node, "scales")
    if not isinstance(scales, list):
        raise NoFormError("it has no scales")
    put(node, "scales", None)
    put_input(node, 1, context.constant(np.array(scales, np.float32), "scales"))
    return False


UP: Final[Mapping[tuple[str, int], Rule]] = {
    **{(op_type, 13): _softmax_13 for op_type in SOFTMAXES},
    **{(op_type, 18): _to_input("axes", 1) for op_type in REDUCTIONS},
    ("ReduceSum", 13): _to_input("axes", 1),
    ("Squeeze", 13): _to_input("axes", 1),
    ("Unsqueeze", 13): _to_input("axes", 1),
    ("Split", 13): _to_input("split", 1),
    ("Split", 18): _split_18,
    ("Slice", 10): _slice_10,
    ("Pad", 11): _pad_11,
    ("Clip", 11): _clip_11,
    ("TopK", 10): _topk_10,
    ("Dropout", 10): _dropout_10,
    ("Dropout", 12): _dropout_12,
    ("BatchNormalization", 9): _batch_norm_9,
    ("BatchNormalization", 14): _batch_norm_14,
    ("Upsample", 9): _upsample_9,
    ("Upsample", 10): _upsample_10,
    ("Resize", 11): _as_resize,
    ("Resize", 13): _resize_13,
    ("RoiAlign", 16): _roi_align_16,
    ("GridSample", 20): _grid_sample_20,
    ("GroupNormalization", 21): _group_norm_21,
    ("Scatter", 11): _scatter_11,
}
