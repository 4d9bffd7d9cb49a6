"""Reductions, sorting, counting: operators whose parameter is an axis or a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from onnx import TensorProto

from npugate.relations.compare import axis_in, differ, scalar
from npugate.relations.operands import Operands, Relation, shown

_MATRIX: Final = 2
_INTEGERS: Final = frozenset(
    {
        TensorProto.INT8,
        TensorProto.INT16,
        TensorProto.INT32,
        TensorProto.INT64,
        TensorProto.UINT8,
        TensorProto.UINT16,
        TensorProto.UINT32,
        TensorProto.UINT64,
    }
)
_SUM_AXES_AS_INPUT: Final = 13
_AXES_AS_INPUT: Final = 18
_REDUCTIONS: Final = (
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
)


def reduction(ops: Operands) -> Iterator[str]:
    """Reduce*: axes of the input."""
    since = _SUM_AXES_AS_INPUT if ops.node.op_type == "ReduceSum" else _AXES_AS_INPUT
    rank = ops.rank(0)
    if ops.opset < since:
        axes = ops.node.ints_attribute("axes")
    else:
        axes = ops.ints(1)
        count = ops.rank(1)
        if count is not None and count != 1:
            yield f"axes {ops.name(1)} has {count} axes itself, a vector is wanted"
            return
    if axes is None or rank is None:
        return
    for axis in axes:
        if not -rank <= axis < rank:
            yield from axis_in("an axis", axis, rank)
            return


def along(ops: Operands) -> Iterator[str]:
    """ArgMax, ArgMin, and others with an axis: it is one of the input."""
    if ops.node.has("axis"):
        yield from axis_in("axis", ops.node.int_attribute("axis", 0), ops.rank(0))


def top_k(ops: Operands) -> Iterator[str]:
    """TopK: k numbers of an axis that has as many."""
    axis = ops.node.int_attribute("axis", -1)
    yield from axis_in("axis", axis, ops.rank(0))
    shape = ops.shape(1)
    if shape is not None and (len(shape) != 1 or differ(shape[0], 1)):
        yield f"k {ops.name(1)} is {shown(shape)}, [1] is wanted"
        return
    asked = ops.ints(1) if ops.given(1) else (ops.node.int_attribute("k", 0),)
    size = ops.dim(0, axis)
    if asked is None or len(asked) != 1:
        return
    if asked[0] < 0:
        yield f"k is {asked[0]}, it must not be negative"
    elif size is not None and asked[0] > size:
        yield f"k is {asked[0]}, axis {axis} of {ops.name(0)} has {size}"


def running(ops: Operands) -> Iterator[str]:
    """CumSum, CumProd: one axis of the input."""
    rank = ops.rank(0)
    if rank == 0:
        yield f"the input {ops.name(0)} is a single number and has no axis"
        return
    for name in ("exclusive", "reverse"):
        switch = ops.node.int_attribute(name, 0)
        if switch not in {0, 1}:
            yield f"{name} is {switch}, 0 or 1 is wanted"
    yield from scalar(ops, 1, "the axis")
    axis = ops.ints(1)
    if axis is not None and len(axis) == 1:
        yield from axis_in("the axis", axis[0], rank)


def one_hot(ops: Operands) -> Iterator[str]:
    """OneHot: one depth, two values, an axis of the result."""
    yield from scalar(ops, 1, "the depth")
    shape = ops.shape(2)
    if shape is not None and (len(shape) != 1 or differ(shape[0], 2)):
        yield f"values {ops.name(2)} is {shown(shape)}, [2] is wanted"
    rank = ops.rank(0)
    if rank is not None:
        yield from axis_in("axis", ops.node.int_attribute("axis", -1), rank + 1)
    depth = ops.values(1)
    if depth is not None and depth.size == 1 and not depth.reshape(-1)[0] > 0:
        yield f"the depth is {depth.reshape(-1)[0]}, it must be above 0"


def range_(ops: Operands) -> Iterator[str]:
    """Range: three single numbers, a step that is not 0."""
    for at, what in ((0, "the start"), (1, "the limit"), (2, "the step")):
        yield from scalar(ops, at, what)
    step = ops.values(2)
    if step is not None and step.size == 1 and not step.reshape(-1)[0]:
        yield f"the step {ops.name(2)} is 0"


def trilu(ops: Operands) -> Iterator[str]:
    """Trilu: matrices, and one diagonal."""
    rank = ops.rank(0)
    if rank is not None and rank < _MATRIX:
        yield f"the input {ops.name(0)} has {rank} axes, at least {_MATRIX} are wanted"
    yield from scalar(ops, 1, "the diagonal")


def eye_like(ops: Operands) -> Iterator[str]:
    """EyeLike: a matrix."""
    rank = ops.rank(0)
    if rank is not None and rank != _MATRIX:
        yield f"the input {ops.name(0)} has {rank} axes, {_MATRIX} are wanted"


def modulo(ops: Operands) -> Iterator[str]:
    """Mod: fmod is a switch; a constant divisor of integers is not 0."""
    kind = ops.node.int_attribute("fmod", 0)
    if kind not in {0, 1}:
        yield f"fmod is {kind}, 0 or 1 is wanted"
    else:
        yield from divide(ops)


def divide(ops: Operands) -> Iterator[str]:
    """Div: a constant divisor of integers is not 0."""
    value = ops.values(1) if ops.dtype(1) in _INTEGERS else None
    if value is not None and value.dtype.kind in "iu" and value.size and not np.all(value):
        yield f"the divisor {ops.name(1)} has a 0, and integers have no infinity"


def compress(ops: Operands) -> Iterator[str]:
    """Compress: an axis of the input."""
    if ops.node.has("axis"):
        yield from axis_in("axis", ops.node.int_attribute("axis", 0), ops.rank(0))


def suppression(ops: Operands) -> Iterator[str]:
    """NonMaxSuppression: boxes [b, n, 4], scores [b, c, n], an overlap in [0, 1]."""
    boxes, scores = ops.shape(0), ops.shape(1)
    axes, corners = 3, 4
    for at, what, shape in ((0, "boxes", boxes), (1, "scores", scores)):
        if shape is not None and len(shape) != axes:
            yield f"{what} {ops.name(at)} has {len(shape)} axes, {axes} are wanted"
            return
    if boxes is not None and differ(boxes[2], corners):
        yield f"boxes {ops.name(0)} have {boxes[2]} numbers each, {corners} are wanted"
    if boxes is not None and scores is not None:
        if differ(boxes[0], scores[0]):
            yield f"boxes have a batch of {boxes[0]}, scores of {scores[0]}"
        if differ(boxes[1], scores[2]):
            yield f"there are {boxes[1]} boxes and {scores[2]} scores of a class"
    overlap = ops.values(3)
    if overlap is not None and overlap.size == 1 and not 0 <= overlap.reshape(-1)[0] <= 1:
        yield f"iou_threshold is {overlap.reshape(-1)[0]:.3g}, it must be in [0, 1]"


def loss(ops: Operands) -> Iterator[str]:
    """NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss: a class for each place."""
    value, target, weight = ops.shape(0), ops.shape(1), ops.shape(2)
    if value is None or target is None:
        return
    if len(value) < _MATRIX:
        yield f"the input {ops.name(0)} has {len(value)} axes, at least {_MATRIX} are wanted"
        return
    wanted = (value[0], *value[2:])
    if len(target) != len(wanted) or any(differ(a, b) for a, b in zip(wanted, target, strict=True)):
        yield f"the target {ops.name(1)} is {shown(target)}, {shown(wanted)} is wanted"
    if weight is not None and len(weight) != 1:
        yield f"the weight {ops.name(2)} is {shown(weight)}, [{value[1]}] is wanted"
    yield from _classes(ops)


def _classes(ops: Operands) -> Iterator[str]:
    """Yield the class of a constant target that the input or the weights do not have."""
    target = ops.ints(1)
    ignored = ops.node.attribute("ignore_index")
    sizes = [size for size in (ops.dim(0, 1), ops.dim(2, 0)) if size is not None]
    if not target or not sizes:
        return
    wrong = next((c for c in target if c != ignored and not -min(sizes) <= c < min(sizes)), None)
    if wrong is not None:
        yield f"the target {ops.name(1)} has class {wrong}, there are {min(sizes)}"


RELATIONS: Final[Mapping[str, Relation]] = {
    **dict.fromkeys(_REDUCTIONS, reduction),
    "ArgMax": along,
    "ArgMin": along,
    "Compress": compress,
    "CumProd": running,
    "CumSum": running,
    "Div": divide,
    "EyeLike": eye_like,
    "Mod": modulo,
    "NegativeLogLikelihoodLoss": loss,
    "NonMaxSuppression": suppression,
    "OneHot": one_hot,
    "Range": range_,
    "SoftmaxCrossEntropyLoss": loss,
    "TopK": top_k,
    "Trilu": trilu,
}
