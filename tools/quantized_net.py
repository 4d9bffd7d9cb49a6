"""Build int8 networks in the QDQ form, layer by layer, with random weights; no framework needed.

The form is what onnxruntime's static quantisation writes: int8 activations with a zero point,
symmetric int8 weights for each output channel, int32 biases, and no Relu or Clip of its own behind
a convolution, since the quantiser's limits do its work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Final

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

_OPSET: Final = 17
_IR: Final = 8
_SCALE: Final = 0.05
_ZERO: Final = -3  # not 0, as with real data


@dataclass(frozen=True, slots=True)
class Value:
    """A dequantised activation of shape [1, channels, height, width]."""

    name: str
    channels: int
    height: int
    width: int


@dataclass(slots=True)
class Net:
    """A network that grows; the first value is ``input``."""

    size: tuple[int, int]
    channels: int = 3
    seed: int = 0
    nodes: list[NodeProto] = field(default_factory=list)
    weights: list[TensorProto] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)
    _random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        """Make the scale and the zero points that all activations share."""
        self._random = np.random.default_rng(self.seed)
        self._constant("s", np.float32(_SCALE))
        self._constant("z", np.int8(_ZERO))
        self._constant("z_int32", np.int32(0))

    @property
    def input(self) -> Value:
        """The image, quantised."""
        return self._quantized("image", self.channels, *self.size)

    def conv(  # noqa: PLR0913, PLR0917 (a convolution has this many numbers)
        self,
        x: Value,
        channels: int,
        kernel: int | tuple[int, int] = 1,
        stride: int = 1,
        groups: int = 1,
        act: str = "",
        pad: int | None = None,
    ) -> Value:
        """Add a convolution; its padding keeps the size unless it is given."""
        kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
        ph, pw = (kh // 2, kw // 2) if pad is None else (pad, pad)
        weight = self._weight((channels, x.channels // groups, kh, kw), channels)
        bias = self._bias(channels)
        out = self._node(
            "Conv",
            [x.name, weight, bias],
            kernel_shape=[kh, kw],
            strides=[stride, stride],
            pads=[ph, pw, ph, pw],
            group=groups,
        )
        height = (x.height + 2 * ph - kh) // stride + 1
        width = (x.width + 2 * pw - kw) // stride + 1
        return self.act(self._quantized(out, channels, height, width), act)

    def depthwise(self, x: Value, kernel: int = 3, stride: int = 1, act: str = "") -> Value:
        """Add a depthwise convolution."""
        return self.conv(x, x.channels, kernel, stride, x.channels, act)

    def act(self, x: Value, kind: str) -> Value:
        """Add an activation that a quantiser leaves: leaky, swish, sigmoid, hard-swish; or none."""
        if not kind:
            return x
        if kind == "swish":
            return self.mul(x, self.act(x, "sigmoid"))
        names = {"leaky": "LeakyRelu", "sigmoid": "Sigmoid", "hard-swish": "HardSwish"}
        out = self._node(names[kind], [x.name], **({"alpha": 0.1} if kind == "leaky" else {}))
        return self._quantized(out, x.channels, x.height, x.width)

    def add(self, x: Value, y: Value) -> Value:
        """Add two values of one shape."""
        return self._quantized(self._node("Add", [x.name, y.name]), x.channels, x.height, x.width)

    def mul(self, x: Value, y: Value) -> Value:
        """Multiply; the second may have one element for each channel."""
        return self._quantized(self._node("Mul", [x.name, y.name]), x.channels, x.height, x.width)

    def concat(self, *parts: Value) -> Value:
        """Join along the channels."""
        out = self._node("Concat", [part.name for part in parts], axis=1)
        total = sum(part.channels for part in parts)
        return self._quantized(out, total, parts[0].height, parts[0].width)

    def pool(
        self,
        x: Value,
        kernel: int,
        stride: int,
        pad: int = 0,
        kind: str = "MaxPool",
        *,
        ceil: bool = False,
    ) -> Value:
        """Add a pool; both sides get the same padding."""
        extra = {"ceil_mode": 1} if ceil else {}
        out = self._node(
            kind,
            [x.name],
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[pad] * 4,
            **extra,
        )
        up = stride - 1 if ceil else 0
        height = (x.height + 2 * pad - kernel + up) // stride + 1
        width = (x.width + 2 * pad - kernel + up) // stride + 1
        return self._quantized(out, x.channels, height, width)

    def mean(self, x: Value) -> Value:
        """Average over the whole image."""
        return self._quantized(self._node("GlobalAveragePool", [x.name]), x.channels, 1, 1)

    def double(self, x: Value) -> Value:
        """Repeat every pixel twice in both directions."""
        self._constant(f"r{next(self._numbers)}", np.array([1, 1, 2, 2], np.float32))
        out = self._node(
            "Resize",
            [x.name, "", self.weights[-1].name],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return self._quantized(out, x.channels, 2 * x.height, 2 * x.width)

    def dense(self, x: Value, channels: int) -> Value:
        """Add a fully connected layer on the flattened value."""
        size = x.channels * x.height * x.width
        flat = self._quantized(self._node("Flatten", [x.name]), size, 1, 1)
        weight = self._weight((channels, size), 0)
        out = self._node("Gemm", [flat.name, weight, self._bias(0, channels)], transB=1)
        return self._quantized(out, channels, 1, 1)

    def model(self, *outputs: Value) -> ModelProto:
        """Close the network."""
        image = [1, self.channels, *self.size]
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, image)],
            [helper.make_tensor_value_info(x.name, TensorProto.FLOAT, None) for x in outputs],
            self.weights,
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR)

    def _node(self, op_type: str, inputs: list[str], **attributes: object) -> str:
        name = f"{op_type}_{next(self._numbers)}"
        made = f"{name}_out"
        self.nodes.append(helper.make_node(op_type, inputs, [made], name=name, **attributes))
        return made

    def _quantized(self, name: str, channels: int, height: int, width: int) -> Value:
        """Add the pair behind a value."""
        packed = self._node("QuantizeLinear", [name, "s", "z"])
        return Value(self._node("DequantizeLinear", [packed, "s", "z"]), channels, height, width)

    def _constant(self, name: str, value: np.ndarray | np.generic) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _weight(self, shape: tuple[int, ...], channels: int) -> str:
        """Add int8 weights; one scale for each channel, or one in all when it is 0."""
        name = f"w{next(self._numbers)}"
        self._constant(name, self._random.integers(-127, 128, shape, np.int8))
        scales: np.ndarray | np.generic = np.float32(_SCALE)
        zeros: np.ndarray | np.generic = np.int8(0)
        if channels:
            scales, zeros = np.full(channels, _SCALE, np.float32), np.zeros(channels, np.int8)
        pair = [self._constant(f"{name}_s", scales), self._constant(f"{name}_z", zeros)]
        axis = {"axis": 0} if channels else {}
        return self._node("DequantizeLinear", [name, *pair], **axis)

    def _bias(self, channels: int, size: int = 0) -> str:
        name = f"b{next(self._numbers)}"
        self._constant(name, self._random.integers(-999, 999, channels or size, np.int32))
        if not channels:
            return self._node("DequantizeLinear", [name, "s", "z_int32"])
        scales = self._constant(f"{name}_s", np.full(channels, _SCALE, np.float32))
        zeros = self._constant(f"{name}_z", np.zeros(channels, np.int32))
        return self._node("DequantizeLinear", [name, scales, zeros], axis=0)
