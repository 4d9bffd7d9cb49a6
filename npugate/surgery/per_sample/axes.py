"""Operators that work along axes, none of which may be the one of the samples."""

from __future__ import annotations

from typing import Final

import numpy as np
from onnx import NodeProto

from npugate.surgery.node import NoFormError
from npugate.surgery.opsets.rewrite_context import attribute, integer, integers, text
from npugate.surgery.per_sample.rows import Rows, axes_of, axis_of, has, mixes, numbers

_AXES_OF_VARIANCE: Final = [0, 2, 3]  # what MeanVarianceNormalization takes unless told
_SOFTMAX_BY_AXIS: Final = 13  # before, Softmax and its kin work on everything from an axis on
_PLANE: Final = 2
_DEFAULTS: Final = {
    "ArgMax": 0,
    "ArgMin": 0,
    "LayerNormalization": -1,
    "RMSNormalization": -1,
    "LpNormalization": -1,
    "TopK": -1,
}


def along(rows: Rows, node: NodeProto) -> bool:
    """Check an operator with an attribute ``axis``."""
    rank = len(rows.dims(node.input[0]))
    if axis_of(node, _DEFAULTS[node.op_type], rank) == 0:
        mixes(node)
    return False


def normalized(rows: Rows, node: NodeProto) -> bool:
    """Check LayerNormalization: its scale and bias have no row for each sample."""
    rank = len(rows.dims(node.input[0]))
    for name in node.input[1:]:
        dims = rows.dims(name) if name else ()
        if len(dims) >= rank and dims[0] != 1:
            mixes(node)
    return along(rows, node)


def softmax(rows: Rows, node: NodeProto) -> bool:
    """Check Softmax and its kin."""
    rank = len(rows.dims(node.input[0]))
    if axis_of(node, 1 if rows.opset < _SOFTMAX_BY_AXIS else -1, rank) == 0:
        mixes(node)
    return False


def reduced(rows: Rows, node: NodeProto) -> bool:
    """Check a reduction."""
    axes = axes_of(rows, node, 1, len(rows.dims(node.input[0])))
    if not axes and integer(node, "noop_with_empty_axes", 0):
        return False
    if not axes or 0 in axes:
        mixes(node)
    return False


def variance(rows: Rows, node: NodeProto) -> bool:
    """Check MeanVarianceNormalization, which takes the samples in unless told otherwise."""
    rank = len(rows.dims(node.input[0]))
    if any(axis % rank == 0 for axis in integers(node, "axes") or _AXES_OF_VARIANCE):
        mixes(node)
    return False


def summed(rows: Rows, node: NodeProto) -> bool:
    """Check CumSum, whose axis is an input."""
    rank = len(rows.dims(node.input[0]))
    if any(axis % rank == 0 for axis in numbers(rows, node, 1, "axes")):
        mixes(node)
    return False


def linear(rows: Rows, node: NodeProto) -> bool:
    """Check QuantizeLinear and DequantizeLinear: no scale for each sample."""
    scale = rows.dims(node.input[1])
    if integer(node, "block_size", 0):
        raise NoFormError(f"{node.op_type} {node.name!r} has scales for blocks")
    if scale not in {(), (1,)} and axis_of(node, 1, len(rows.dims(node.input[0]))) == 0:
        mixes(node)
    return False


def batch_normalization(_rows: Rows, node: NodeProto) -> bool:
    """Check that the statistics are those of the file, one for each channel."""
    if integer(node, "training_mode", 0) or integer(node, "is_test", 1) == 0:
        mixes(node)
    if integer(node, "spatial", 1) != 1:
        raise NoFormError(f"{node.op_type} {node.name!r} is not followed")
    return False


def resized(rows: Rows, node: NodeProto) -> bool:
    """Check a Resize that leaves the samples as they are; divide its sizes."""
    sizes = 3
    if text(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        raise NoFormError(f"{node.op_type} {node.name!r} crops")
    rank = len(rows.dims(node.input[0]))
    axes = integers(node, "axes")
    if rows.dims(node.output[0])[0] != rows.dims(node.input[0])[0]:
        mixes(node)
    if axes is not None:
        if any(axis % rank == 0 for axis in axes):
            mixes(node)
        return False
    if text(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        raise NoFormError(f"{node.op_type} {node.name!r} keeps the aspect ratio of all axes")
    if has(node, sizes) and node.op_type == "Resize":
        numbers(rows, node, sizes, "sizes")
        shape = rows.constant(
            np.array(rows.one(node.output[0]), np.int64), f"{node.output[0]}_sizes"
        )
        node.input[sizes] = shape
        return True
    _unscaled(rows, node)
    return False


def _unscaled(rows: Rows, node: NodeProto) -> None:
    """Refuse scales that are computed, or not 1 for the samples."""
    at = 1 if node.op_type == "Upsample" or rows.opset < 11 else 2  # noqa: PLR2004 - opset
    given = attribute(node, "scales")
    if given is None:
        value = rows.array(node.input[at]) if has(node, at) else None
        if value is None:
            raise NoFormError(f"the scales of {node.op_type} {node.name!r} are computed")
        given = value.tolist()
    if not isinstance(given, list) or not given or float(given[0]) != 1:
        mixes(node)


def triangle(rows: Rows, node: NodeProto) -> bool:
    """Check Trilu: it works on the last two axes."""
    if len(rows.dims(node.input[0])) <= _PLANE:
        mixes(node)
    return False
