"""Put what only scales into the weights: BatchNormalization behind a convolution, Gemm's factors.

Quantised for itself it would need a range of its own and lose accuracy for nothing; the compiler
merges it anyway. Exporters do so too unless the model was exported in training mode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from npugate.model.node_label import node_label

_Floats = npt.NDArray[np.float64]
_EPSILON = 1e-5  # of the operator, where the file does not say
_OUT_AXIS = {"Conv": 0, "ConvTranspose": 1}
_WITH_BIAS = 3  # inputs


def fold_batch_norms(model: ModelProto) -> list[str]:
    """Fold each BatchNormalization into the convolution before it, in place.

        y = (conv(x, w) + b - mean) * rsqrt(var + eps) * scale + bias
        =>  gain = scale * rsqrt(var + eps),  w' = w * gain,  b' = (b - mean) * gain + bias

    for each output channel, computed in float64 and rounded to float32 once. The convolution must
    have no other reader, and all of its operands must be float32 initializers.

    Returns:
        The names of the nodes that were removed.
    """
    graph = model.graph
    weights = {item.name: item for item in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}
    reads = Counter(name for node in graph.node for name in node.input)
    reads.update(info.name for info in graph.output)
    gone: list[NodeProto] = []
    for node in graph.node:
        if node.op_type != "BatchNormalization" or node.domain or len(node.output) != 1:
            continue
        before = made.get(node.input[0])
        if (
            before is not None
            and reads[node.input[0]] == 1
            and _merge(before, node, weights, graph.initializer)
        ):
            made[node.output[0]] = before
            gone.append(node)
    for node in gone:
        graph.node.remove(node)
    return [node_label(node) for node in gone]


def fold_gemm_factors(model: ModelProto) -> list[str]:
    """Multiply alpha into the weights of each Gemm and beta into its bias, in place.

        y = alpha * (x @ w) + beta * c  =>  w' = alpha * w,  c' = beta * c,  y = x @ w' + c'

    The quantiser gives a bias with a beta another scale than that of the products, to which the
    compiler adds it.

    Returns:
        The names of the nodes.
    """
    graph = model.graph
    weights = {item.name: item for item in graph.initializer}
    done: list[str] = []
    for node in graph.node:
        factors = {item.name: item.f for item in node.attribute if item.name in {"alpha", "beta"}}
        if node.op_type != "Gemm" or node.domain or all(f == 1 for f in factors.values()):
            continue
        operands = dict(zip((1, 2), ("alpha", "beta"), strict=True))
        held = [weights.get(name) for name in node.input[1:]]
        if any(item is None or item.data_type != TensorProto.FLOAT for item in held):
            continue
        for position, name in operands.items():
            factor = factors.get(name, 1.0)
            if position < len(node.input) and factor != 1:
                value = numpy_helper.to_array(weights[node.input[position]]) * np.float32(factor)
                fresh = f"{node.output[0]}_{name}_{node.input[position]}"
                graph.initializer.append(numpy_helper.from_array(value, fresh))
                node.input[position] = fresh
        kept = [item for item in node.attribute if item.name not in operands.values()]
        del node.attribute[:]
        node.attribute.extend(kept)
        done.append(node_label(node))
    return done


def _merge(
    before: NodeProto, norm: NodeProto, weights: dict[str, TensorProto], store: list[TensorProto]
) -> bool:
    """Let a convolution compute the normalisation behind it, too; tell whether that was possible.

    Args:
        before: the convolution, changed in place.
        norm: the BatchNormalization that reads it.
        weights: initializers by name; gets the new ones.
        store: the initializers of the graph; gets the new ones.
    """
    names = [*before.input[1:], *norm.input[1:]]
    if before.op_type not in _OUT_AXIS or any(name not in weights for name in names):
        return False
    if any(weights[name].data_type != TensorProto.FLOAT for name in names):
        return False
    values = {name: numpy_helper.to_array(weights[name]).astype(np.float64) for name in names}
    gain, shift = _affine(norm, values)
    kernel = values[before.input[1]]
    scaled = _scaled(kernel, gain, before)
    if scaled is None:
        return False
    bias = values[before.input[2]] if len(before.input) == _WITH_BIAS else np.zeros(len(gain))
    fresh = {
        f"{norm.output[0]}_weight": scaled,
        f"{norm.output[0]}_bias": bias * gain + shift,
    }
    if any(name in weights for name in fresh):
        return False
    for name, value in fresh.items():
        tensor = numpy_helper.from_array(value.astype(np.float32), name)
        store.append(tensor)
        weights[name] = tensor
    data = before.input[0]
    del before.input[:]
    before.input.extend([data, *fresh])
    before.output[0] = norm.output[0]
    return True


def _affine(norm: NodeProto, values: Mapping[str, _Floats]) -> tuple[_Floats, _Floats]:
    """Return the factor and the summand of a BatchNormalization for each channel.

        y = gain * x + shift,  gain = scale * rsqrt(var + eps),  shift = bias - mean * gain

    Args:
        norm: the node.
        values: float64[C], its scale, bias, mean and variance, by name.

    Returns:
        gain and shift, float64[C] each.
    """
    scale, bias, mean, variance = (values[name] for name in norm.input[1:5])
    epsilon = next((item.f for item in norm.attribute if item.name == "epsilon"), _EPSILON)
    gain = scale / np.sqrt(variance + epsilon)
    return gain, bias - mean * gain


def _scaled(kernel: _Floats, gain: _Floats, node: NodeProto) -> _Floats | None:
    """Multiply each output channel of a kernel: w'[c] = gain[c] * w[c].

    Args:
        kernel: float64[C, C_in / group, kH, kW] of a Conv, float64[C_in, C, kH, kW] of a
            ConvTranspose.
        gain: float64[C].
        node: the convolution.

    Returns:
        float64 of the kernel's shape, a new array; None where no axis has the C channels.
    """
    axis = _OUT_AXIS[node.op_type]
    group = next((item.i for item in node.attribute if item.name == "group"), 1)
    if axis and group != 1:
        return None
    if kernel.ndim <= axis or kernel.shape[axis] != len(gain):
        return None
    return kernel * gain.reshape([-1 if n == axis else 1 for n in range(kernel.ndim)])
