"""Write random models that break the limits on rank and batch: food for tools/repair_corpus.py.

Two kinds: programs of four to nine operators on tensors of rank five to eight, and small CNNs whose
images are folded into the batch. Every second one is written at opset 18, the others at 14.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

_OPSETS: Final = (14, 18)
_MOST_ELEMENTS: Final = 4096
_KERNEL: Final = 3
_POOL: Final = 2
_FIRST_AXES_INPUT: Final = 18  # ReduceX takes its axes as an input from here on


class Program:
    """A graph being made: nodes, constants, and the shape of each value."""

    def __init__(self, seed: int) -> None:
        """Start an empty graph."""
        self.rng = np.random.default_rng(seed)
        self.opset = _OPSETS[seed % 2]
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.shapes: dict[str, list[int]] = {}

    def pick(self, low: int, high: int) -> int:
        """Return an integer from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        """Return True that often."""
        return bool(self.rng.random() < share)

    def constant(self, value: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
        """Add an initializer."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def ints(self, values: Sequence[int]) -> str:
        """Add an initializer of 64-bit integers."""
        return self.constant(np.array(values, np.int64))

    def weights(self, *dims: int) -> str:
        """Add an initializer of random numbers."""
        return self.constant((self.rng.standard_normal(dims) / 2).astype(np.float32))

    def add(self, op: str, inputs: Sequence[str], dims: Sequence[int], **attributes: object) -> str:
        """Add a node with one output of known shape; return the output."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=f"n{name}", **attributes))
        self.shapes[name] = list(dims)
        return name

    def reshape(self, value: str, dims: Sequence[int]) -> str:
        """Add a Reshape."""
        return self.add("Reshape", [value, self.ints(dims)], dims)

    def model(self, start: Sequence[int], end: str) -> ModelProto:
        """Return the model with input ``x`` and one output."""
        tensor = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "random",
            [tensor("x", TensorProto.FLOAT, list(start))],
            [tensor(end, TensorProto.FLOAT, self.shapes[end])],
            self.constants,
        )
        imports = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, ir_version=8, opset_imports=imports)


def write_models(folder: Path, count: int, seed: int) -> None:
    """Write models; the same seed gives the same files."""
    for index in range(count):
        number = seed * 1_000_003 + index
        kind, model = ("cnn", cnn(number)) if index % 2 else ("rank", program(number))
        path = folder / kind / f"{index:05d}.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.SerializeToString())


def program(seed: int) -> ModelProto:
    """Return a program on tensors of rank five to eight, from and to a flat vector."""
    p = Program(seed)
    dims = [p.pick(1, 3) for _ in range(p.pick(5, 8))]
    start = [1, prod(dims)]
    p.shapes["x"] = start
    value = p.reshape("x", dims)
    for _ in range(p.pick(4, 9)):
        step = _STEPS[p.pick(0, len(_STEPS) - 1)]
        if prod(p.shapes[value]) <= _MOST_ELEMENTS:
            value = step(p, value)
    end = p.reshape(value, [1, prod(p.shapes[value])])
    onnx.checker.check_model(model := p.model(start, end), full_check=True)
    return model


def _transpose(p: Program, value: str) -> str:
    dims = p.shapes[value]
    perm = [int(axis) for axis in p.rng.permutation(len(dims))]
    return p.add("Transpose", [value], [dims[axis] for axis in perm], perm=perm)


def _unary(p: Program, value: str) -> str:
    op = ["Relu", "Sigmoid", "Abs", "Neg", "Tanh"][p.pick(0, 4)]
    return p.add(op, [value], p.shapes[value])


def _binary(p: Program, value: str) -> str:
    dims = p.shapes[value]
    other = [dim if p.chance(0.5) else 1 for dim in dims]
    return p.add(["Add", "Mul", "Sub"][p.pick(0, 2)], [value, p.weights(*other)], dims)


def _gated(p: Program, value: str) -> str:
    return p.add("Mul", [value, p.add("Sigmoid", [value], p.shapes[value])], p.shapes[value])


def _softmax(p: Program, value: str) -> str:
    dims = p.shapes[value]
    return p.add("Softmax", [value], dims, axis=p.pick(0, len(dims) - 1))


def _reduce(p: Program, value: str) -> str:
    dims = p.shapes[value]
    axes = sorted({p.pick(0, len(dims) - 1) for _ in range(2)})
    left = [1 if axis in axes else dim for axis, dim in enumerate(dims)]
    op = ["ReduceMax", "ReduceMean", "ReduceMin"][p.pick(0, 2)]
    if p.opset >= _FIRST_AXES_INPUT:
        return p.add(op, [value, p.ints(axes)], left, keepdims=1)
    return p.add(op, [value], left, axes=axes, keepdims=1)


def _slice(p: Program, value: str) -> str:
    dims = list(p.shapes[value])
    axis = p.pick(0, len(dims) - 1)
    stop = p.pick(1, dims[axis])
    inputs = [value, p.ints([0]), p.ints([stop]), p.ints([axis])]
    dims[axis] = stop
    return p.add("Slice", inputs, dims)


def _concat(p: Program, value: str) -> str:
    dims = list(p.shapes[value])
    axis = p.pick(0, len(dims) - 1)
    dims[axis] *= 2
    return p.add("Concat", [value, value], dims, axis=axis)


def _pad(p: Program, value: str) -> str:
    dims = list(p.shapes[value])
    axis = p.pick(0, len(dims) - 1)
    pads = [0] * (2 * len(dims))
    pads[axis] = 1
    dims[axis] += 1
    return p.add("Pad", [value, p.ints(pads)], dims)


def _gather(p: Program, value: str) -> str:
    dims = list(p.shapes[value])
    axis = p.pick(0, len(dims) - 1)
    indices = [p.pick(0, dims[axis] - 1) for _ in range(2)]
    dims[axis] = 2
    return p.add("Gather", [value, p.ints(indices)], dims, axis=axis)


def _regroup(p: Program, value: str) -> str:
    dims = p.shapes[value]
    return p.reshape(value, [int(dim) for dim in p.rng.permutation(dims)])


_STEPS: Final[tuple[Callable[[Program, str], str], ...]] = (
    _transpose,
    _transpose,
    _unary,
    _binary,
    _gated,
    _softmax,
    _reduce,
    _slice,
    _concat,
    _pad,
    _gather,
    _regroup,
)


def cnn(seed: int) -> ModelProto:
    """Return a CNN on two to six images that are folded into its batch."""
    p = Program(seed)
    images, side, channels = p.pick(2, 6), p.pick(6, 12), 3
    start = [1, images * channels, side, side]
    p.shapes["x"] = start
    value = p.reshape("x", [images, channels, side, side])
    for _ in range(p.pick(2, 4)):
        value = _convolution(p, value)
        value = _BLOCKS[p.pick(0, len(_BLOCKS) - 1)](p, value)
    dims = p.shapes[value]
    value = p.add("GlobalAveragePool", [value], [*dims[:2], 1, 1])
    end = p.reshape(value, [1, images * dims[1]])
    onnx.checker.check_model(model := p.model(start, end), full_check=True)
    return model


def _convolution(p: Program, value: str) -> str:
    count, channels, height, width = p.shapes[value]
    made, kernel = (
        p.pick(1, 3) * 2,
        _KERNEL if min(height, width) >= _KERNEL and p.chance(0.7) else 1,
    )
    group = 2 if channels % 2 == 0 and p.chance(0.3) else 1
    pad = kernel // 2 if p.chance(0.7) else 0
    stride = 2 if min(height, width) >= 2 * _KERNEL and p.chance(0.3) else 1
    sides = [(side + 2 * pad - kernel) // stride + 1 for side in (height, width)]
    inputs = [value, p.weights(made, channels // group, kernel, kernel)]
    inputs += [p.weights(made)] if p.chance(0.7) else []
    result = [count, made, *sides]
    shape = {"pads": [pad] * 4, "strides": [stride] * 2, "kernel_shape": [kernel] * 2}
    value = p.add("Conv", inputs, result, group=group, **shape)
    return p.add(["Relu", "Sigmoid", "LeakyRelu", "HardSigmoid"][p.pick(0, 3)], [value], result)


def _pool(p: Program, value: str) -> str:
    count, channels, height, width = p.shapes[value]
    if min(height, width) < _POOL:
        return value
    op = ["MaxPool", "AveragePool"][p.pick(0, 1)]
    dims = [count, channels, height // 2, width // 2]
    return p.add(op, [value], dims, kernel_shape=[2, 2], strides=[2, 2])


def _normalise(p: Program, value: str) -> str:
    channels = p.shapes[value][1]
    positive = p.constant((p.rng.random(channels) + 0.5).astype(np.float32))
    if p.chance(0.3):
        inputs = [value, positive, p.weights(channels)]
        return p.add("InstanceNormalization", inputs, p.shapes[value])
    inputs = [value, p.weights(channels), p.weights(channels), p.weights(channels), positive]
    return p.add("BatchNormalization", inputs, p.shapes[value])


def _residual(p: Program, value: str) -> str:
    channels = p.shapes[value][1]
    inner = p.add("Conv", [value, p.weights(channels, channels, 1, 1)], p.shapes[value])
    return p.add("Add", [value, inner], p.shapes[value])


def _squeeze_and_excite(p: Program, value: str) -> str:
    dims = p.shapes[value]
    small = [*dims[:2], 1, 1]
    gate = p.add("GlobalAveragePool", [value], small)
    gate = p.add("Conv", [gate, p.weights(dims[1], dims[1], 1, 1)], small)
    return p.add("Mul", [value, p.add("Sigmoid", [gate], small)], dims)


def _slope(p: Program, value: str) -> str:
    return p.add("PRelu", [value, p.weights(p.shapes[value][1], 1, 1)], p.shapes[value])


def _join(p: Program, value: str) -> str:
    count, channels, *sides = p.shapes[value]
    inner = p.add("Conv", [value, p.weights(2, channels, 1, 1)], [count, 2, *sides])
    return p.add("Concat", [value, inner], [count, channels + 2, *sides], axis=1)


def _nothing(_program: Program, value: str) -> str:
    return value


_BLOCKS: Final = (_pool, _normalise, _residual, _squeeze_and_excite, _slope, _join, _nothing)
