"""Steps of a random network on a batch that work on each image alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper
from random_models import Program

REDUCES_BY_INPUT: Final = 18  # opset from which ReduceX takes its axes as an input
_ALONG: Final = ("reverse", "order", "sum", "soft", "join", "tile", "pad")


class Batch(Program):
    """A network on a batch.

    Attributes:
        samples: N.
    """

    def __init__(self, seed: int) -> None:
        """Draw the number of images."""
        super().__init__(seed)
        self.samples = self.pick(2, 5)

    def size(self, low: int, high: int) -> int:
        """Return the size of an axis: often that of the batch."""
        return self.samples if self.chance(0.3) else self.pick(low, high)

    def body(
        self, name: str, nodes: Sequence[onnx.NodeProto], inputs: Sequence[Any], dims: Sequence[int]
    ) -> onnx.GraphProto:
        """Return the body of a branch or loop, whose last outputs are those of its last node."""
        made = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, list(dims))
        return helper.make_graph(list(nodes), name, list(inputs), [made])


Step = Callable[[Batch, str], str]


def conv(p: Batch, value: str) -> str:
    """Add a convolution that keeps the height and width."""
    count, channels, *sides = p.shapes[value]
    made = p.size(2, 4)
    inputs = [value, p.weights(made, channels, 3, 3), *([p.weights(made)] if p.chance(0.5) else [])]
    return p.add("Conv", inputs, [count, made, *sides], pads=[1] * 4, kernel_shape=[3, 3])


def same(p: Batch, value: str, other: str) -> str:
    """Join a value with one that is broadcast to it."""
    op = ["Add", "Mul", "Sub", "Max"][p.pick(0, 3)]
    return p.add(op, [value, other], p.shapes[value])


def reduced(p: Batch, value: str, axes: Sequence[int], *, keep: bool = True) -> str:
    """Reduce some axes, by an operator whose axes are an attribute up to opset 17."""
    dims = p.shapes[value]
    left = [1 if a in axes else d for a, d in enumerate(dims) if keep or a not in axes]
    op = ["ReduceMax", "ReduceMean", "ReduceMin", "ReduceL2"][p.pick(0, 3)]
    if p.opset >= REDUCES_BY_INPUT:
        return p.add(op, [value, p.ints(axes)], left, keepdims=int(keep))
    return p.add(op, [value], left, axes=list(axes), keepdims=int(keep))


def per_sample(p: Batch, value: str) -> str:
    """Return one number a sample, as (N, 1, 1, 1)."""
    return reduced(p, value, [1, 2, 3])


def _relu(p: Batch, value: str) -> str:
    op = ["Relu", "Sigmoid", "Tanh", "LeakyRelu", "Abs"][p.pick(0, 4)]
    return p.add(op, [value], p.shapes[value])


def _gate(p: Batch, value: str) -> str:
    return same(p, value, reduced(p, value, [2, 3]))


def _centre(p: Batch, value: str) -> str:
    return p.add("Sub", [value, per_sample(p, value)], p.shapes[value])


def _constant(p: Batch, value: str) -> str:
    """Add a constant of any shape that is broadcast; one in two with rows for all samples alike."""
    dims = p.shapes[value]
    shape = [dim if p.chance(0.5) else 1 for dim in dims[p.pick(0, 3) :]]
    if len(shape) == len(dims) and shape[0] > 1 and p.chance(0.5):
        row = (p.rng.standard_normal([1, *shape[1:]]) / 2).astype(np.float32)
        return same(p, value, p.constant(np.repeat(row, shape[0], axis=0)))
    return same(p, value, p.weights(*shape))


def _turned(p: Batch, value: str) -> str:
    dims = p.shapes[value]
    perm = [0, *(int(axis) + 1 for axis in p.rng.permutation(3))]
    turned = p.add("Transpose", [value], [dims[axis] for axis in perm], perm=perm)
    back = [perm.index(axis) for axis in range(4)]
    return p.add("Transpose", [_relu(p, turned)], dims, perm=back)


def _viewed(p: Batch, value: str) -> str:
    dims = p.shapes[value]
    shape = [[dims[0], -1], [dims[0] * dims[1], *dims[2:]], [dims[0], dims[1], -1]][p.pick(0, 2)]
    known = [dim if dim > 0 else prod(dims) // -prod(shape) for dim in shape]
    flat = p.reshape(value, known)
    flat = p.add("Softmax", [flat], known, axis=len(known) - 1) if p.chance(0.5) else flat
    return p.reshape(flat, dims)


def _attention(p: Batch, value: str) -> str:
    dims = p.shapes[value]
    n, c, s = dims[0], dims[1], dims[2] * dims[3]
    rows = p.reshape(value, [n, c, s])
    turned = p.add("Transpose", [rows], [n, s, c], perm=[0, 2, 1])
    scores = p.add("MatMul", [rows, turned], [n, c, c])
    scores = p.add("Softmax", [scores], [n, c, c], axis=-1)
    return p.reshape(p.add("MatMul", [scores, rows], [n, c, s]), dims)


def axis_step(axis_of: Callable[[Batch], int]) -> Step:
    """Return a step that cuts, pads, turns round, joins or sums along an axis."""

    def step(p: Batch, value: str) -> str:
        dims, axis = p.shapes[value], axis_of(p)
        name = axis if p.chance(0.5) else axis - 4
        kind = _ALONG[p.pick(0, len(_ALONG) - 1)]
        if kind == "reverse":
            bounds = [p.ints([number]) for number in (-1, -1000, name, -1)]
            return same(p, value, p.add("Slice", [value, *bounds], dims))
        if kind == "order":
            order = p.ints([int(i) for i in p.rng.permutation(dims[axis])])
            return same(p, value, p.add("Gather", [value, order], dims, axis=name))
        if kind == "sum":
            return same(p, value, p.add("CumSum", [value, p.ints([name])], dims))
        if kind == "soft":
            return p.add("Softmax", [value], dims, axis=name)
        longer = [dim * (1 + (at == axis)) for at, dim in enumerate(dims)]
        if kind == "join":
            made = p.add("Concat", [value, value], longer, axis=name)
        elif kind == "tile":
            repeats = [1 + (at == axis) for at in range(4)]
            made = p.add("Tile", [value, p.ints(repeats)], longer)
        else:
            pads = [dims[axis] * (at == axis) for at in range(8)]
            made = p.add("Pad", [value, p.ints(pads)], longer)
        begin = p.pick(0, dims[axis])
        bounds = [p.ints([number]) for number in (begin, begin + dims[axis], name)]
        return p.add("Slice", [made, *bounds], dims)

    return step


def parts(axis_of: Callable[[Batch], int]) -> Step:
    """Return a step that parts a tensor and joins it in another order."""

    def step(p: Batch, value: str) -> str:
        dims, axis = list(p.shapes[value]), axis_of(p)
        if dims[axis] == 1:
            return value
        low = p.pick(1, dims[axis] - 1)
        names = [f"v{len(p.nodes)}", f"w{len(p.nodes)}"]
        sizes = p.ints([low, dims[axis] - low])
        p.nodes.append(helper.make_node("Split", [value, sizes], names, name=names[0], axis=axis))
        return p.add("Concat", names[::-1], dims, axis=axis)

    return step


def _inner(p: Batch) -> int:
    return p.pick(1, 3)


def front(_p: Batch) -> int:
    """Return the axis of the images."""
    return 0


def _frames(p: Batch, value: str) -> str:
    """Take the channels into the leading axis, and back."""
    dims = p.shapes[value]
    split = p.reshape(value, [dims[0] * dims[1], 1, *dims[2:]])
    return p.reshape(_conv_to(p, split, 1), dims)


def _conv_to(p: Batch, value: str, channels: int) -> str:
    count, given, *sides = p.shapes[value]
    inputs = [value, p.weights(channels, given, 3, 3)]
    return p.add("Conv", inputs, [count, channels, *sides], pads=[1] * 4, kernel_shape=[3, 3])


def _normalised(p: Batch, value: str) -> str:
    channels = p.shapes[value][1]
    scale = p.constant((p.rng.random(channels) + 0.5).astype(np.float32))
    inputs = [value, scale, p.weights(channels)]
    if p.chance(0.5):
        return p.add("InstanceNormalization", inputs, p.shapes[value])
    return p.add("MeanVarianceNormalization", [value], p.shapes[value], axes=[2, 3])


PER_SAMPLE: Final[tuple[Step, ...]] = (
    _relu,
    _relu,
    _gate,
    _centre,
    _constant,
    _turned,
    _viewed,
    _attention,
    axis_step(_inner),
    axis_step(_inner),
    parts(_inner),
    _frames,
    _normalised,
)
"""Steps that work on each sample alone, whatever the proof or the list makes of them."""
