"""Networks that run their layers on a batch in the middle, for the tests of batch folding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.shape_inference import infer_shapes

from npugate.rules.testing import model_from_text
from npugate.surgery.draft import Draft

SIZE = 12


def draft_of(signature: str, constants: str, nodes: str, opset: int = 14) -> Draft:
    """Return a network of a few lines as a repair gets it; constants without data are filled."""
    model = model_from_text(
        f'<ir_version: 8, opset_import: ["" : {opset}]> net {signature} <{constants}> {{ {nodes} }}'
    )
    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}"
    return Draft(model)


class Net:
    """A chain of nodes on a batch of N; ``value`` is its end."""

    def __init__(self, samples: int, seed: int, channels: int = 3, size: int = SIZE) -> None:
        self.rng = np.random.default_rng(seed)
        self.samples, self.channels, self.size = samples, channels, size
        self.nodes: list = []
        self.weights: list = []
        self.count = 0
        self.value = "x"
        fold = self.const(np.array([samples, channels, size, size], np.int64))
        self.add("Reshape", "x", fold)

    def const(self, array: np.ndarray) -> str:
        self.count += 1
        name = f"c{self.count}"
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def floats(self, *dims: int) -> str:
        fan = max(1, int(np.prod(dims[1:])))
        return self.const((self.rng.standard_normal(dims) / np.sqrt(fan)).astype(np.float32))

    def add(self, op_type: str, *inputs: str, **attributes: object) -> str:
        self.count += 1
        made = f"t{self.count}"
        self.nodes.append(
            helper.make_node(op_type, list(inputs), [made], name=f"n{self.count}", **attributes)
        )
        self.value = made
        return made

    def conv(self, out: int, kernel: int = 3, *, bias: bool = True, **attributes: object) -> str:
        group = int(attributes.get("group", 1))
        inputs = [self.value, self.floats(out, self.channels // group, kernel, kernel)]
        if bias:
            inputs.append(self.floats(out))
        self.channels = out
        return self.add("Conv", *inputs, **attributes)

    def model(self, opset: int = 14) -> ModelProto:
        feed = helper.make_tensor_value_info(
            "x", TensorProto.FLOAT, [1, self.samples * 3, self.size, self.size]
        )
        made = helper.make_tensor_value_info(self.value, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "net", [feed], [made], self.weights)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
        )
        inferred = infer_shapes(model, strict_mode=True, data_prop=True)
        model.graph.output[0].CopyFrom(inferred.graph.output[0])
        return model


def random_model(seed: int) -> ModelProto:
    """Return a random network of two to five layers on two to six samples, with a head."""
    rng = np.random.default_rng(seed)
    net = Net(int(rng.integers(2, 7)), seed)
    for _ in range(int(rng.integers(2, 6))):
        _layer(net, rng)
        _NORMS[int(rng.choice(len(_NORMS), p=[0.4, 0.15, 0.45]))](net)
        _ACTIVATIONS[int(rng.integers(len(_ACTIVATIONS)))](net)
        _BLOCKS[int(rng.integers(len(_BLOCKS)))](net, rng)
    _HEADS[int(rng.integers(len(_HEADS)))](net)
    return net.model()


def _layer(net: Net, rng: np.random.Generator) -> None:
    out, kernel = int(rng.choice([4, 6, 8])), int(rng.choice([1, 3, 5]))
    stride = int(rng.choice([1, 1, 2]))
    dilation = int(rng.choice([1, 2])) if kernel == 3 and stride == 1 else 1
    group = 2 if net.channels % 2 == 0 and rng.random() < 0.3 else 1
    half = (kernel // 2) * dilation
    kind = rng.random()
    if kind < 0.6:
        form: dict = {"pads": [half] * 4}
    elif kind < 0.8:  # asymmetric
        form = {"pads": [half, half, half, max(half - 1, 0)]}
    else:
        form = {"auto_pad": str(rng.choice(["SAME_UPPER", "SAME_LOWER", "NOTSET"]))}
        form["pads"] = [half] * 4
        if form["auto_pad"] != "NOTSET":
            del form["pads"]
            dilation = 1
    net.conv(
        out,
        kernel,
        bias=bool(rng.random() < 0.7),
        group=group,
        strides=[stride] * 2,
        dilations=[dilation] * 2,
        kernel_shape=[kernel] * 2,
        **form,
    )


def _batch_norm(net: Net) -> None:
    scale, bias, mean = (net.floats(net.channels) for _ in range(3))
    spread = net.const(net.rng.uniform(0.5, 2, net.channels).astype(np.float32))
    net.add("BatchNormalization", net.value, scale, bias, mean, spread)


def _instance_norm(net: Net) -> None:
    net.add("InstanceNormalization", net.value, net.floats(net.channels), net.floats(net.channels))


def _nothing(net: Net, rng: np.random.Generator | None = None) -> None:
    """Leave the network as it is."""


_NORMS = (_batch_norm, _instance_norm, _nothing)
_ACTIVATIONS = (
    lambda net: net.add("Relu", net.value),
    lambda net: net.add("PRelu", net.value, net.floats(net.channels, 1, 1)),
    lambda net: net.add("HardSwish", net.value),
    lambda net: net.add("Sigmoid", net.value),
    lambda net: net.add("LeakyRelu", net.value, alpha=0.1),
    lambda net: net.add("Clip", net.value, net.const(np.float32(-0.5)), net.const(np.float32(2))),
)


def _gate(net: Net, rng: np.random.Generator) -> None:
    data = net.value
    net.add("GlobalAveragePool", data)
    net.conv(net.channels, 1)
    net.add("Sigmoid", net.value)
    net.add("Mul", data, net.value)


def _residual(net: Net, rng: np.random.Generator) -> None:
    data = net.value
    net.conv(net.channels, 3, pads=[1] * 4)
    net.add("Relu", net.value)
    net.add("Add", data, net.value)


def _concat(net: Net, rng: np.random.Generator) -> None:
    data, before = net.value, net.channels
    net.conv(2, 3, pads=[1] * 4)
    net.add("Concat", data, net.value, axis=1)
    net.channels = before + 2


def _pool(net: Net, rng: np.random.Generator) -> None:
    kind = int(rng.integers(6))
    if kind == 0:
        net.add("MaxPool", net.value, kernel_shape=[2, 2], strides=[1, 2])
    elif kind == 1:
        net.add("MaxPool", net.value, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    elif kind == 2:
        net.add(
            "MaxPool", net.value, kernel_shape=[3, 3], pads=[1] * 4, ceil_mode=1, strides=[2] * 2
        )
    elif kind == 3:
        net.add("LpPool", net.value, kernel_shape=[2, 2], pads=[1, 0, 0, 1], p=2)
    else:
        net.add(
            "AveragePool",
            net.value,
            kernel_shape=[3, 3],
            pads=[1, 1, 1, 1],
            count_include_pad=kind - 4,
        )


def _grow(net: Net, rng: np.random.Generator) -> None:
    kind = int(rng.integers(4))
    if kind == 0:
        net.add(
            "Resize", net.value, "", net.const(np.array([1, 1, 2, 2], np.float32)), mode="nearest"
        )
    elif kind == 1:
        net.conv(8, 1)
        net.add("DepthToSpace", net.value, blocksize=2, mode=str(rng.choice(["CRD", "DCR"])))
        net.channels = 2
    elif kind == 2:
        weights = net.floats(net.channels, 2, 3, 3)
        net.add(
            "ConvTranspose",
            net.value,
            weights,
            net.floats(2),
            strides=[2, 2],
            pads=[1, 1, 0, 1],
            output_padding=[1, 0],
        )
        net.channels = 2
    else:
        group = 2 if net.channels % 2 == 0 else 1
        weights = net.floats(net.channels, 2, 2, 2)
        net.add("ConvTranspose", net.value, weights, strides=[2, 2], group=group)
        net.channels = 2 * group


def _oddities(net: Net, rng: np.random.Generator) -> None:
    kind = int(rng.integers(5))
    if kind == 0:
        net.add("LRN", net.value, size=3)
    elif kind == 1:
        net.add("Softmax", net.value, axis=1)
    elif kind == 2:
        net.add("Pad", net.value, net.const(np.array([0, 0, 1, 0, 0, 0, 0, 1], np.int64)))
    elif kind == 3:
        net.add("Add", net.value, net.floats(net.samples, 1, 1, 1))
    else:
        net.add("Mul", net.value, net.floats(net.channels, 1, 1))


_BLOCKS = (_gate, _residual, _concat, _pool, _grow, _oddities, _nothing)


def _flat(net: Net, sizes: Sequence[int]) -> None:
    net.add("Reshape", net.value, net.const(np.array(sizes, np.int64)))


def _pooled(net: Net) -> None:
    net.add("GlobalAveragePool", net.value)
    _flat(net, [1, -1])


def _gemm(net: Net) -> None:
    net.add("GlobalMaxPool", net.value)
    net.add("Flatten", net.value)
    net.add("Gemm", net.value, net.floats(5, net.channels), net.floats(5), transB=1)
    _flat(net, [1, -1])


def _mean(net: Net) -> None:
    net.add("ReduceMean", net.value, axes=[2, 3], keepdims=0)
    _flat(net, [1, -1])


_HEADS = (_pooled, _gemm, _mean, _nothing)


def rppg() -> ModelProto:
    """Return the network of the deployment guide, its six-dimensional Reshape already lowered.

    Eight frames of three regions, 24 images of 36 by 36 in all, go through one convolutional
    network; its features go through a network over time.
    """
    net = Net(24, 0, size=36)
    for out in (16, 32):
        net.conv(out, pads=[1] * 4)
        net.add("Relu", net.value)
        net.add("MaxPool", net.value, kernel_shape=[2, 2], strides=[2, 2])
    net.conv(16, pads=[1] * 4)
    net.add("Relu", net.value)
    net.add("GlobalAveragePool", net.value)
    net.add("Squeeze", net.value, net.const(np.array([3], np.int64)))
    net.add("Squeeze", net.value, net.const(np.array([2], np.int64)))
    _flat(net, [1, 8, 48])
    net.add("Transpose", net.value, perm=[0, 2, 1])
    for wide, out in ((48, 32), (32, 32)):
        net.add("Conv", net.value, net.floats(out, wide, 3), net.floats(out), pads=[1, 1])
        net.add("Relu", net.value)
    net.add("Flatten", net.value)
    net.add("Gemm", net.value, net.floats(16, 256), net.floats(16), transB=1)
    net.add("Relu", net.value)
    net.add("Gemm", net.value, net.floats(1, 16), net.floats(1), transB=1)
    net.add("Sigmoid", net.value)
    net.add("Mul", net.value, net.const(np.float32(150)))
    net.add("Add", net.value, net.const(np.float32(30)))
    return net.model()
