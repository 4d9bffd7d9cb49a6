"""Operators that work along one axis: on ``[1, before, axis, behind]``."""

from __future__ import annotations

from math import prod
from typing import Final

from onnx import TensorProto

from npugate.surgery.lowering.form import Along, Lowering, low_view, positive
from npugate.surgery.node import Node, NoFormError, Value

_SOFTMAX_ALONG: Final = 13  # before, Softmax works on all axes from one on
_FLAT_AXIS: Final = 1
_TOPK_INPUT: Final = 10


def arg(low: Lowering, node: Node) -> None:
    """Replace ArgMax and ArgMin: x[B, D, A] along D, with B and A merged."""
    data, dims = low.data(node), low.shape(node)
    axis = positive(node.integer("axis", 0), len(dims))
    small = low.around(dims, axis)
    value = low.draft.reshape(data, small.dims)
    attributes = {**node.attrs, "axis": small.axis, "keepdims": 1}
    made = low.draft.emit(node.op, [value], small.sized(1), TensorProto.INT64, **attributes)
    low.finish(made, node)


def softmax(low: Lowering, node: Node) -> None:
    """Replace Softmax, LogSoftmax and Hardmax in the meaning of the model's opset.

    opset >= 13:  over D of x[1, B, D, A];  before:  over D * A of x[1, B, D * A]
    """
    data, dims = low.data(node), low.shape(node)
    if low.draft.opset < _SOFTMAX_ALONG:
        axis = node.integer("axis", _FLAT_AXIS)
        axis = axis + len(dims) if axis < 0 else axis
        small = Along((1, prod(dims[:axis]), prod(dims[axis:])), 2)
    else:
        small = low.around(dims, positive(node.integer("axis", -1), len(dims)))
    value = low.draft.reshape(data, small.dims)
    made = low.draft.emit(node.op, [value], small.dims, low.dtype(node), axis=small.axis)
    low.finish(made, node)


def normalize(low: Lowering, node: Node) -> None:
    """Replace LpNormalization: y = x / norm_p(x) over D of x[1, B, D, A]."""
    data, dims = low.data(node), low.shape(node)
    small = low.around(dims, positive(node.integer("axis", -1), len(dims)))
    value = low.draft.reshape(data, small.dims)
    attributes = {**node.attrs, "axis": small.axis}
    low.finish(low.draft.emit(node.op, [value], small.dims, low.dtype(node), **attributes), node)


def cumsum(low: Lowering, node: Node) -> None:
    """Replace CumSum: y[:, :, i] = x[:, :, 0] + ... + x[:, :, i] over D of x[1, B, D, A]."""
    data, dims = low.data(node), low.shape(node)
    axes = low.constants(node, 1) or [0]
    small = low.around(dims, positive(axes[0], len(dims)))
    inputs = [low.draft.reshape(data, small.dims), low.draft.int64(small.axis, "axis")]
    low.finish(low.draft.emit(node.op, inputs, small.dims, low.dtype(node), **node.attrs), node)


def topk(low: Lowering, node: Node) -> None:
    """Replace TopK: values and indices."""
    data, dims = low.data(node), low.shape(node)
    axis = positive(node.integer("axis", -1), len(dims))
    small = low.around(dims, axis)
    kept = small.sized(low.draft.dims(next(o for o in node.outputs if o.name))[axis])
    inputs = [low.draft.reshape(data, small.dims)]
    if low.draft.opset >= _TOPK_INPUT:
        inputs.append(low.data(node, 1))
    results = [(kept, low.draft.dtype(data)), (kept, TensorProto.INT64)]
    made = low.draft.emit_many(node.op, inputs, results, **{**node.attrs, "axis": small.axis})
    for position, output in enumerate(node.outputs):
        if output.name:
            low.finish(made[position], node, position)


def quantize(low: Lowering, node: Node) -> None:
    """Replace QuantizeLinear and DequantizeLinear, by tensor or along an axis.

    q[b, d, a] = clip(round(x[b, d, a] / scale[d]) + zero[d]),  or scale and zero for all
    """
    if node.integer("block_size", 0):
        raise NoFormError(f"{node.op} in blocks")
    data, dims = low.data(node), low.shape(node)
    scale = low.dims(low.data(node, 1))
    attributes = {key: value for key, value in node.attrs.items() if key != "axis"}
    if prod(scale) == 1:
        small = low_view(low, data)
        extra = [_scalar(low, node, position) for position in range(1, len(node.inputs))]
    else:
        along = low.around(dims, positive(node.integer("axis", 1), len(dims)))
        small, attributes["axis"] = along.dims, along.axis
        extra = [node.input(position) for position in range(1, len(node.inputs))]
    inputs = [low.draft.reshape(data, small), *extra]
    low.finish(low.draft.emit(node.op, inputs, small, low.dtype(node), **attributes), node)


def _scalar(low: Lowering, node: Node, position: int) -> Value | None:
    """Return a scale or zero point without axes: one of size 1 would be taken for an axis."""
    value = node.input(position)
    return None if value is None else low.draft.reshape(value, [])
