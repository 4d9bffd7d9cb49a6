"""Steps of a random network on a batch that mix its images: food for tools/batch_models.py."""

from __future__ import annotations

from math import prod
from typing import Final

import numpy as np
from batch_steps import (
    REDUCES_BY_INPUT,
    Batch,
    Step,
    axis_step,
    front,
    parts,
    per_sample,
    reduced,
    same,
)
from onnx import TensorProto, helper


def _over_all(p: Batch, value: str) -> str:
    axes = [[0], [0, 1], [0, 2, 3], [0, 1, 2, 3], [-4]][p.pick(0, 4)]
    dims = p.shapes[value]
    left = [1 if at in [axis % 4 for axis in axes] else dim for at, dim in enumerate(dims)]
    op = ["ReduceMax", "ReduceMean", "ReduceMin", "ReduceSumSquare"][p.pick(0, 3)]
    if p.opset >= REDUCES_BY_INPUT:
        return same(p, value, p.add(op, [value, p.ints(axes)], left))
    return same(p, value, p.add(op, [value], left, axes=axes))


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
    row = p.reshape(per_sample(p, value), [n])
    front = p.add("Unsqueeze", [row, p.ints([0])], [1, n]) if p.chance(0.5) else row
    behind = p.add("Unsqueeze", [row, p.ints([1 if p.chance(0.5) else -1])], [n, 1])
    square = p.add(["Sub", "Mul", "Max"][p.pick(0, 2)], [front, behind], [n, n])
    made = reduced(p, square, [1])
    return same(p, value, p.reshape(made, [n, 1, 1, 1]))


def _trailing(p: Batch, value: str) -> str:
    """Add one number a sample along the last axis, which is as long as the batch."""
    if p.shapes[value][3] != p.samples:
        return _misaligned(p, value)
    return same(p, value, p.reshape(per_sample(p, value), [p.samples]))


def _product(p: Batch, value: str) -> str:
    n = p.samples
    rows = p.reshape(per_sample(p, value), [n, 1])
    made = p.add("MatMul", [p.weights(n, n), rows], [n, 1])
    return same(p, value, p.reshape(made, [n, 1, 1, 1]))


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
    return same(p, value, p.add("GatherND", [value, order], p.shapes[value]))


def _triangle(p: Batch, value: str) -> str:
    n, c = p.shapes[value][:2]
    flat = p.reshape(reduced(p, value, [2, 3]), [n, c])
    return same(p, value, p.reshape(p.add("Trilu", [flat], [n, c]), [n, c, 1, 1]))


def _reversed(p: Batch, value: str) -> str:
    lengths = p.ints([p.samples] * p.shapes[value][1])
    made = p.add("ReverseSequence", [value, lengths], p.shapes[value], batch_axis=1, time_axis=0)
    return same(p, value, made)


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
    return same(p, value, made)


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
    return same(p, value, name)


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
    axis_step(front),
    axis_step(front),
    parts(front),
)
"""Steps that mix the samples, most of them in a way that the type of a node does not tell."""
