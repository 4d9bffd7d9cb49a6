"""Forms of operators that a version does not have yet, made of operators that it has."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod, sqrt
from typing import Final

import numpy as np
from onnx import NodeProto, TensorProto

from npugate.surgery.node import NoFormError
from npugate.surgery.opsets.rewrite_context import FLOATS, RewriteContext, attribute, integer, text
from npugate.surgery.opsets.up import Rule

_PER_CHANNEL: Final = 21  # version from which GroupNormalization scales each channel


def _epsilon(node: NodeProto) -> float:
    value = attribute(node, "epsilon")
    return float(value) if isinstance(value, float | int) else 1e-5


def _layer_norm(context: RewriteContext, node: NodeProto) -> bool:
    """Decompose a LayerNormalization; means are over the axes from ``axis`` on.

    y = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * scale + bias
    =>  ReduceMean, Sub, Mul, ReduceMean, Add, Sqrt, Div, Mul, Add
    """
    source = node.input[0]
    if context.dtype(source) != TensorProto.FLOAT:
        raise NoFormError("its parts are only equal in 32-bit floats")
    axis = integer(node, "axis", -1)
    first = axis - context.rank(source) if axis >= 0 else axis
    axes = list(range(first, 0))
    outputs = [*node.output, "", ""]
    mean = context.mean(source, axes, outputs[1])
    centred = context.emit("Sub", [source, mean])
    variance = context.mean(context.emit("Mul", [centred, centred]), axes)
    shifted = context.emit("Add", [variance, context.scalar(_epsilon(node), source)])
    deviation = context.emit("Sqrt", [shifted])
    if outputs[2]:
        context.emit("Reciprocal", [deviation], outputs[2])
    has_bias = len(node.input) > 2 and bool(node.input[2])  # noqa: PLR2004 - data, scale, bias
    normal = context.emit("Div", [centred, deviation])
    scaled = context.emit("Mul", [normal, node.input[1]], "" if has_bias else outputs[0])
    if has_bias:
        context.emit("Add", [scaled, node.input[2]], outputs[0])
    return True


def _group_norm(context: RewriteContext, node: NodeProto) -> bool:
    """Decompose a GroupNormalization of G groups.

        y = norm(x) * scale + bias,  norm: zero mean, unit variance in each group of channels
        =>  x' = reshape(x, [N, G, -1]),  n = reshape(InstanceNormalization(x', 1, 0), shape(x))
            y = n * reshape(scale, [1, C, 1, ...]) + reshape(bias, [1, C, 1, ...])

    Before opset 21 scale and bias are per group: they are those of the InstanceNormalization.
    """
    source, scale, bias = node.input
    if context.dtype(source) != TensorProto.FLOAT:
        raise NoFormError("its parts are only equal in 32-bit floats")
    dims = context.dims(source)
    groups = integer(node, "num_groups", 1)
    grouped = context.reshape(source, [dims[0], groups, prod(dims[1:]) // groups])
    per_channel = context.source >= _PER_CHANNEL
    ones = context.constant(np.ones(groups, np.float32), "ones") if per_channel else scale
    none = context.constant(np.zeros(groups, np.float32), "zeros") if per_channel else bias
    epsilon = _epsilon(node)
    normal = context.emit("InstanceNormalization", [grouped, ones, none], epsilon=epsilon)
    if not per_channel:
        context.reshape(normal, dims, node.output[0])
        return True
    column = [1, dims[1], *[1] * (len(dims) - 2)]
    whole = context.reshape(normal, dims)
    scaled = context.emit("Mul", [whole, context.reshape(scale, column)])
    context.emit("Add", [scaled, context.reshape(bias, column)], node.output[0])
    return True


def _gelu(context: RewriteContext, node: NodeProto) -> bool:
    """Decompose a Gelu.

    y = 0.5 * x * (1 + erf(x / sqrt(2)))
    y = 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))  with approximate="tanh"
    """
    source = node.input[0]
    if context.dtype(source) not in FLOATS:
        raise NoFormError("its parts are only equal in 32-bit floats")
    if text(node, "approximate", "none") == "tanh":
        cube = context.emit("Mul", [context.emit("Mul", [source, source]), source])
        part = context.emit("Mul", [cube, context.scalar(0.044715, source)])
        inner = context.emit("Add", [source, part])
        factor = context.scalar(sqrt(2 / np.pi), source)
        bent = context.emit("Tanh", [context.emit("Mul", [inner, factor])])
    else:
        inner = context.emit("Mul", [source, context.scalar(1 / sqrt(2), source)])
        bent = context.emit("Erf", [inner])
    half = context.emit("Mul", [source, context.scalar(0.5, source)])
    risen = context.emit("Add", [bent, context.scalar(1, source)])
    context.emit("Mul", [half, risen], node.output[0])
    return True


def _mish(context: RewriteContext, node: NodeProto) -> bool:
    """Decompose a Mish: y = x * tanh(softplus(x))."""
    source = node.input[0]
    bent = context.emit("Tanh", [context.emit("Softplus", [source])])
    context.emit("Mul", [source, bent], node.output[0])
    return True


def _swish(context: RewriteContext, node: NodeProto) -> bool:
    """Decompose a Swish: y = x * sigmoid(alpha * x)."""
    source = node.input[0]
    alpha = attribute(node, "alpha")
    inner = source
    if isinstance(alpha, float | int) and alpha != 1:
        inner = context.emit("Mul", [source, context.scalar(alpha, source)])
    context.emit("Mul", [source, context.emit("Sigmoid", [inner])], node.output[0])
    return True


def _rms_norm(context: RewriteContext, node: NodeProto) -> bool:
    """Decompose an RMSNormalization; the mean is over the axes from ``axis`` on.

    y = x / sqrt(mean(x^2) + eps) * scale
    """
    source = node.input[0]
    if context.dtype(source) != TensorProto.FLOAT:
        raise NoFormError("its parts are only equal in 32-bit floats")
    axis = integer(node, "axis", -1)
    first = axis - context.rank(source) if axis >= 0 else axis
    power = context.mean(context.emit("Mul", [source, source]), list(range(first, 0)))
    shifted = context.emit("Add", [power, context.scalar(_epsilon(node), source)])
    normal = context.emit("Div", [source, context.emit("Sqrt", [shifted])])
    context.emit("Mul", [normal, node.input[1]], node.output[0])
    return True


def _hard_swish(context: RewriteContext, node: NodeProto) -> bool:
    """Decompose a HardSwish: y = x * max(0, min(1, x / 6 + 0.5))."""
    gate = context.emit("HardSigmoid", [node.input[0]], alpha=1 / 6, beta=0.5)
    context.emit("Mul", [node.input[0], gate], node.output[0])
    return True


def _cast_like(context: RewriteContext, node: NodeProto) -> bool:
    """Write a CastLike as a Cast to the type of its second input: y = cast(x, dtype(like))."""
    context.emit("Cast", [node.input[0]], node.output[0], to=context.dtype(node.input[1]))
    return True


DECOMPOSITIONS: Final[Mapping[str, Rule]] = {
    "LayerNormalization": _layer_norm,
    "GroupNormalization": _group_norm,
    "Gelu": _gelu,
    "Mish": _mish,
    "HardSwish": _hard_swish,
    "Swish": _swish,
    "RMSNormalization": _rms_norm,
    "CastLike": _cast_like,
}
