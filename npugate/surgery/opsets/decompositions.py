"""Forms of operators that a version does not have yet, made of operators that it has."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod, sqrt
from typing import Final

import numpy as np
from onnx import NodeProto, TensorProto

from npugate.surgery.node import NoFormError
from npugate.surgery.opsets.rewrite_context import FLOATS, Scene, attribute, integer, text
from npugate.surgery.opsets.up import Rule

_PER_CHANNEL: Final = 21  # version from which GroupNormalization scales each channel


def _epsilon(node: NodeProto) -> float:
    value = attribute(node, "epsilon")
    return float(value) if isinstance(value, float | int) else 1e-5


def _layer_norm(scene: Scene, node: NodeProto) -> bool:
    source = node.input[0]
    if scene.dtype(source) != TensorProto.FLOAT:
        raise NoFormError("its parts are only equal in 32-bit floats")
    axis = integer(node, "axis", -1)
    first = axis - scene.rank(source) if axis >= 0 else axis
    axes = list(range(first, 0))
    outputs = [*node.output, "", ""]
    mean = scene.mean(source, axes, outputs[1])
    centred = scene.emit("Sub", [source, mean])
    variance = scene.mean(scene.emit("Mul", [centred, centred]), axes)
    shifted = scene.emit("Add", [variance, scene.scalar(_epsilon(node), source)])
    deviation = scene.emit("Sqrt", [shifted])
    if outputs[2]:
        scene.emit("Reciprocal", [deviation], outputs[2])
    has_bias = len(node.input) > 2 and bool(node.input[2])  # noqa: PLR2004 - data, scale, bias
    normal = scene.emit("Div", [centred, deviation])
    scaled = scene.emit("Mul", [normal, node.input[1]], "" if has_bias else outputs[0])
    if has_bias:
        scene.emit("Add", [scaled, node.input[2]], outputs[0])
    return True


def _group_norm(scene: Scene, node: NodeProto) -> bool:
    source, scale, bias = node.input
    if scene.dtype(source) != TensorProto.FLOAT:
        raise NoFormError("its parts are only equal in 32-bit floats")
    dims = scene.dims(source)
    groups = integer(node, "num_groups", 1)
    grouped = scene.reshape(source, [dims[0], groups, prod(dims[1:]) // groups])
    per_channel = scene.source >= _PER_CHANNEL
    ones = scene.constant(np.ones(groups, np.float32), "ones") if per_channel else scale
    none = scene.constant(np.zeros(groups, np.float32), "zeros") if per_channel else bias
    epsilon = _epsilon(node)
    normal = scene.emit("InstanceNormalization", [grouped, ones, none], epsilon=epsilon)
    if not per_channel:
        scene.reshape(normal, dims, node.output[0])
        return True
    column = [1, dims[1], *[1] * (len(dims) - 2)]
    whole = scene.reshape(normal, dims)
    scaled = scene.emit("Mul", [whole, scene.reshape(scale, column)])
    scene.emit("Add", [scaled, scene.reshape(bias, column)], node.output[0])
    return True


def _gelu(scene: Scene, node: NodeProto) -> bool:
    source = node.input[0]
    if scene.dtype(source) not in FLOATS:
        raise NoFormError("its parts are only equal in 32-bit floats")
    if text(node, "approximate", "none") == "tanh":
        cube = scene.emit("Mul", [scene.emit("Mul", [source, source]), source])
        part = scene.emit("Mul", [cube, scene.scalar(0.044715, source)])
        inner = scene.emit("Add", [source, part])
        factor = scene.scalar(sqrt(2 / np.pi), source)
        bent = scene.emit("Tanh", [scene.emit("Mul", [inner, factor])])
    else:
        inner = scene.emit("Mul", [source, scene.scalar(1 / sqrt(2), source)])
        bent = scene.emit("Erf", [inner])
    half = scene.emit("Mul", [source, scene.scalar(0.5, source)])
    risen = scene.emit("Add", [bent, scene.scalar(1, source)])
    scene.emit("Mul", [half, risen], node.output[0])
    return True


def _mish(scene: Scene, node: NodeProto) -> bool:
    source = node.input[0]
    bent = scene.emit("Tanh", [scene.emit("Softplus", [source])])
    scene.emit("Mul", [source, bent], node.output[0])
    return True


def _swish(scene: Scene, node: NodeProto) -> bool:
    source = node.input[0]
    alpha = attribute(node, "alpha")
    inner = source
    if isinstance(alpha, float | int) and alpha != 1:
        inner = scene.emit("Mul", [source, scene.scalar(alpha, source)])
    scene.emit("Mul", [source, scene.emit("Sigmoid", [inner])], node.output[0])
    return True


def _rms_norm(scene: Scene, node: NodeProto) -> bool:
    source = node.input[0]
    if scene.dtype(source) != TensorProto.FLOAT:
        raise NoFormError("its parts are only equal in 32-bit floats")
    axis = integer(node, "axis", -1)
    first = axis - scene.rank(source) if axis >= 0 else axis
    power = scene.mean(scene.emit("Mul", [source, source]), list(range(first, 0)))
    shifted = scene.emit("Add", [power, scene.scalar(_epsilon(node), source)])
    normal = scene.emit("Div", [source, scene.emit("Sqrt", [shifted])])
    scene.emit("Mul", [normal, node.input[1]], node.output[0])
    return True


def _hard_swish(scene: Scene, node: NodeProto) -> bool:
    gate = scene.emit("HardSigmoid", [node.input[0]], alpha=1 / 6, beta=0.5)
    scene.emit("Mul", [node.input[0], gate], node.output[0])
    return True


def _cast_like(scene: Scene, node: NodeProto) -> bool:
    scene.emit("Cast", [node.input[0]], node.output[0], to=scene.dtype(node.input[1]))
    return True


APART: Final[Mapping[str, Rule]] = {
    "LayerNormalization": _layer_norm,
    "GroupNormalization": _group_norm,
    "Gelu": _gelu,
    "Mish": _mish,
    "HardSwish": _hard_swish,
    "Swish": _swish,
    "RMSNormalization": _rms_norm,
    "CastLike": _cast_like,
}
