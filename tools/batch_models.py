"""Write random networks on a batch, many of which mix its samples: food for tools/fuzz_repairs.py.

A network is a chain on N images. Some steps work on each image alone, and some look like those and
do not: statistics over the batch, samples in another order, axes that are aligned with the wrong
ones, branches and loops that read all samples from outside. Sizes of other axes are often N, too.
``quantised_form`` gives a network its QDQ form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Final

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper
from random_models import Program

_REDUCES_BY_INPUT: Final = 18  # opset from which ReduceX takes its axes as an input
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


def network(seed: int, *, mixing: bool | None = None) -> ModelProto:
    """Return a network on a batch.

    Args:
        seed: the same gives the same network.
        mixing: whether a step of it mixes the samples; None for half of them.
    """
    p = Batch(seed)
    side = p.size(4, 6)
    start = [p.samples, p.size(1, 4), side, side]
    p.shapes["x"] = start
    value = "x"
    mixes = p.chance(0.5) if mixing is None else mixing
    count = p.pick(2, 5)
    at = p.pick(0, count - 1) if mixes else -1
    for step in range(count):
        if step == at:
            value = MIXING[p.pick(0, len(MIXING) - 1)](p, value)
        value = DECOMPOSITIONS[p.pick(0, len(DECOMPOSITIONS) - 1)](p, value)
        if p.chance(0.6):
            value = _conv(p, value)
    if "Conv" not in {node.op_type for node in p.nodes}:
        value = _conv(p, value)
    end = _ends(p, value)
    onnx.checker.check_model(model := p.model(start, end), full_check=True)
    return model


def _ends(p: Batch, value: str) -> str:
    dims = p.shapes[value]
    if p.chance(0.4):
        return p.add("Identity", [value], dims)
    pooled = p.add("GlobalAveragePool", [value], [*dims[:2], 1, 1])
    flat = p.reshape(pooled, [dims[0], dims[1]])
    return p.add("MatMul", [flat, p.weights(dims[1], 3)], [dims[0], 3]) if p.chance(0.5) else flat


def _conv(p: Batch, value: str) -> str:
    count, channels, *sides = p.shapes[value]
    made = p.size(2, 4)
    inputs = [value, p.weights(made, channels, 3, 3), *([p.weights(made)] if p.chance(0.5) else [])]
    return p.add("Conv", inputs, [count, made, *sides], pads=[1] * 4, kernel_shape=[3, 3])


def _same(p: Batch, value: str, other: str) -> str:
    """Join a value with one that is broadcast to it."""
    op = ["Add", "Mul", "Sub", "Max"][p.pick(0, 3)]
    return p.add(op, [value, other], p.shapes[value])


def _reduced(p: Batch, value: str, axes: Sequence[int], *, keep: bool = True) -> str:
    """Reduce some axes, by an operator whose axes are an attribute up to opset 17."""
    dims = p.shapes[value]
    left = [1 if a in axes else d for a, d in enumerate(dims) if keep or a not in axes]
    op = ["ReduceMax", "ReduceMean", "ReduceMin", "ReduceL2"][p.pick(0, 3)]
    if p.opset >= _REDUCES_BY_INPUT:
        return p.add(op, [value, p.ints(axes)], left, keepdims=int(keep))
    return p.add(op, [value], left, axes=list(axes), keepdims=int(keep))


def _per_sample(p: Batch, value: str) -> str:
    """Return one number a sample, as (N, 1, 1, 1)."""
    return _reduced(p, value, [1, 2, 3])


def _relu(p: Batch, value: str) -> str:
    op = ["Relu", "Sigmoid", "Tanh", "LeakyRelu", "Abs"][p.pick(0, 4)]
    return p.add(op, [value], p.shapes[value])


def _gate(p: Batch, value: str) -> str:
    return _same(p, value, _reduced(p, value, [2, 3]))


def _centre(p: Batch, value: str) -> str:
    return p.add("Sub", [value, _per_sample(p, value)], p.shapes[value])


def _constant(p: Batch, value: str) -> str:
    """Add a constant of any shape that is broadcast; one in two with rows for all samples alike."""
    dims = p.shapes[value]
    shape = [dim if p.chance(0.5) else 1 for dim in dims[p.pick(0, 3) :]]
    if len(shape) == len(dims) and shape[0] > 1 and p.chance(0.5):
        row = (p.rng.standard_normal([1, *shape[1:]]) / 2).astype(np.float32)
        return _same(p, value, p.constant(np.repeat(row, shape[0], axis=0)))
    return _same(p, value, p.weights(*shape))


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


def _axis_step(axis_of: Callable[[Batch], int]) -> Step:
    """Return a step that cuts, pads, turns round, joins or sums along an axis."""

    def step(p: Batch, value: str) -> str:
        dims, axis = p.shapes[value], axis_of(p)
        name = axis if p.chance(0.5) else axis - 4
        kind = _ALONG[p.pick(0, len(_ALONG) - 1)]
        if kind == "reverse":
            bounds = [p.ints([number]) for number in (-1, -1000, name, -1)]
            return _same(p, value, p.add("Slice", [value, *bounds], dims))
        if kind == "order":
            order = p.ints([int(i) for i in p.rng.permutation(dims[axis])])
            return _same(p, value, p.add("Gather", [value, order], dims, axis=name))
        if kind == "sum":
            return _same(p, value, p.add("CumSum", [value, p.ints([name])], dims))
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


def _parts(axis_of: Callable[[Batch], int]) -> Step:
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


def _front(_p: Batch) -> int:
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


DECOMPOSITIONS: Final[tuple[Step, ...]] = (
    _relu,
    _relu,
    _gate,
    _centre,
    _constant,
    _turned,
    _viewed,
    _attention,
    _axis_step(_inner),
    _axis_step(_inner),
    _parts(_inner),
    _frames,
    _normalised,
)
"""Steps that work on each sample alone, whatever the proof or the list makes of them."""


def _over_all(p: Batch, value: str) -> str:
    axes = [[0], [0, 1], [0, 2, 3], [0, 1, 2, 3], [-4]][p.pick(0, 4)]
    dims = p.shapes[value]
    left = [1 if at in [axis % 4 for axis in axes] else dim for at, dim in enumerate(dims)]
    op = ["ReduceMax", "ReduceMean", "ReduceMin", "ReduceSumSquare"][p.pick(0, 3)]
    if p.opset >= _REDUCES_BY_INPUT:
        return _same(p, value, p.add(op, [value, p.ints(axes)], left))
    return _same(p, value, p.add(op, [value], left, axes=axes))


def _range_of_batch(p: Batch, value: str) -> str:
    names = [f"{part}{len(p.nodes)}" for part in "qsz"]
    p.nodes.append(helper.make_node("DynamicQuantizeLinear", [value], names, name=names[0]))
    return p.add("DequantizeLinear", names, p.shapes[value])


def _statistics(p: Batch, value: str) -> str:
    axes = [[0, 2, 3], [0, 1, 2, 3], [0]][p.pick(0, 2)]
    return p.add("MeanVarianceNormalization", [value], p.shapes[value], axes=axes)


def _misaligned(p: Batch, value: str) -> str:
    """Hold one number a sample in front against the same behind: (1, N) and (N, 1)."""
    n = p.samples
    row = p.reshape(_per_sample(p, value), [n])
    front = p.add("Unsqueeze", [row, p.ints([0])], [1, n]) if p.chance(0.5) else row
    behind = p.add("Unsqueeze", [row, p.ints([1 if p.chance(0.5) else -1])], [n, 1])
    square = p.add(["Sub", "Mul", "Max"][p.pick(0, 2)], [front, behind], [n, n])
    made = _reduced(p, square, [1])
    return _same(p, value, p.reshape(made, [n, 1, 1, 1]))


def _trailing(p: Batch, value: str) -> str:
    """Add one number a sample along the last axis, which is as long as the batch."""
    if p.shapes[value][3] != p.samples:
        return _misaligned(p, value)
    return _same(p, value, p.reshape(_per_sample(p, value), [p.samples]))


def _product(p: Batch, value: str) -> str:
    n = p.samples
    rows = p.reshape(_per_sample(p, value), [n, 1])
    made = p.add("MatMul", [p.weights(n, n), rows], [n, 1])
    return _same(p, value, p.reshape(made, [n, 1, 1, 1]))


def _behind(p: Batch, value: str) -> str:
    dims = p.shapes[value]
    n, rest = dims[0], prod(dims[1:])
    flat = p.reshape(value, [n, rest])
    turned = p.add("Transpose", [flat], [rest, n], perm=[1, 0])
    if p.chance(0.5):
        turned = p.add("Softmax", [turned], [rest, n], axis=1)
        return p.reshape(p.add("Transpose", [turned], [n, rest], perm=[1, 0]), dims)
    return p.reshape(turned, dims)


def _in_rows(p: Batch, value: str) -> str:
    """Keep the numbers in a row of another form: one tensor of all samples."""
    dims = p.shapes[value]
    whole = p.add("Flatten", [value], [1, prod(dims)], axis=0 if p.chance(0.5) else -4)
    return p.reshape(p.add("Softmax", [whole], [1, prod(dims)], axis=1), dims)


def _picked(p: Batch, value: str) -> str:
    n = p.samples
    order = p.constant(np.array(p.rng.permutation(n), np.int64).reshape(n, 1))
    return _same(p, value, p.add("GatherND", [value, order], p.shapes[value]))


def _triangle(p: Batch, value: str) -> str:
    n, c = p.shapes[value][:2]
    flat = p.reshape(_reduced(p, value, [2, 3]), [n, c])
    return _same(p, value, p.reshape(p.add("Trilu", [flat], [n, c]), [n, c, 1, 1]))


def _reversed(p: Batch, value: str) -> str:
    lengths = p.ints([p.samples] * p.shapes[value][1])
    made = p.add("ReverseSequence", [value, lengths], p.shapes[value], batch_axis=1, time_axis=0)
    return _same(p, value, made)


def _trained(p: Batch, value: str) -> str:
    """Take the statistics of this very batch."""
    channels = p.shapes[value][1]
    one = p.constant(np.ones(channels, np.float32))
    inputs = [value, one, p.weights(channels), p.weights(channels), one]
    made = p.add("BatchNormalization", inputs, p.shapes[value], training_mode=1)
    p.nodes[-1].output.extend([f"{made}m", f"{made}v"])
    return made


def _branch(p: Batch, value: str) -> str:
    """Add what a branch makes of all samples; its node reads the condition alone."""
    yes, no, made = (f"{part}{len(p.nodes)}" for part in ("yes", "no", "m"))
    top = helper.make_node("GlobalMaxPool", [value], [f"{yes}g"], name=f"{yes}g")
    flat = helper.make_node("Max", [f"{yes}g", f"{yes}g"], [f"{yes}f"], name=f"{yes}f")
    turned = helper.make_node(
        "Transpose", [f"{yes}f"], [f"{yes}t"], name=f"{yes}t", perm=[2, 1, 0, 3]
    )
    mean = helper.make_node("GlobalAveragePool", [f"{yes}l"], [yes], name=yes)
    last = helper.make_node(
        "Transpose", [f"{yes}t"], [f"{yes}l"], name=f"{yes}l", perm=[0, 1, 3, 2]
    )
    channels = p.shapes[value][1]
    zero = p.constant(np.zeros((1, channels, 1, 1), np.float32))
    other = helper.make_node("Identity", [zero], [no], name=no)
    dims = [1, channels, 1, 1]
    branches = {
        "then_branch": p.body("yes", [top, flat, turned, last, mean], [], dims),
        "else_branch": p.body("no", [other], [], dims),
    }
    test = p.constant(np.ones((), np.bool_))
    if p.chance(0.5):  # a condition that nobody knows before the network runs
        total = p.add("ReduceMax", [value], [], keepdims=0)
        low = p.constant(np.array(-1e9, np.float32))
        test = p.add("Greater", [total, low], [])
    p.nodes.append(helper.make_node("If", [test], [made], name=made, **branches))
    p.shapes[made] = dims
    return _same(p, value, made)


def _loop(p: Batch, value: str) -> str:
    """Add what a loop makes of the samples one after another: each adds to all before it."""
    name = f"l{len(p.nodes)}"
    channels = p.shapes[value][1]
    dims = [1, channels, 1, 1]
    tensor = helper.make_tensor_value_info
    inputs = [
        tensor(f"{name}i", TensorProto.INT64, []),
        tensor(f"{name}c", TensorProto.BOOL, []),
        tensor(f"{name}a", TensorProto.FLOAT, dims),
    ]
    nodes = [
        helper.make_node("Identity", [f"{name}c"], [f"{name}d"], name=f"{name}d"),
        helper.make_node("GlobalMaxPool", [value], [f"{name}g"], name=f"{name}g"),
        helper.make_node("Gather", [f"{name}g", f"{name}i"], [f"{name}r"], name=f"{name}r", axis=0),
        helper.make_node("Add", [f"{name}a", f"{name}r"], [f"{name}b"], name=f"{name}b"),
    ]
    body = helper.make_graph(
        nodes,
        "turn",
        inputs,
        [tensor(f"{name}d", TensorProto.BOOL, []), tensor(f"{name}b", TensorProto.FLOAT, dims)],
    )
    start = [
        p.constant(np.array(p.samples, np.int64)),
        p.constant(np.ones((), np.bool_)),
        p.constant(np.zeros(dims, np.float32)),
    ]
    p.nodes.append(helper.make_node("Loop", start, [name], name=name, body=body))
    p.shapes[name] = dims
    return _same(p, value, name)


MIXING: Final[tuple[Step, ...]] = (
    _over_all,
    _range_of_batch,
    _statistics,
    _misaligned,
    _trailing,
    _product,
    _behind,
    _in_rows,
    _picked,
    _triangle,
    _reversed,
    _trained,
    _branch,
    _loop,
    _axis_step(_front),
    _axis_step(_front),
    _parts(_front),
)
"""Steps that mix the samples, most of them in a way that the type of a node does not tell."""
