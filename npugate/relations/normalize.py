"""Normalisations and activations with parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from npugate.relations.compare import axis_in, broadcast, differ, elements, one_way, scalar, vector
from npugate.relations.operands import Operands, Relation, shown

_IMAGE_RANK: Final = 4
_SCALE_FOR_EACH_CHANNEL: Final = 21  # GroupNormalization; one for each group before
_BROADCASTS: Final = 7
_SHAPED: Final = 3  # axes that an InstanceNormalization needs at least


def batch_normalization(ops: Operands) -> Iterator[str]:
    """BatchNormalization: scale, bias, mean, variance [C]."""
    if not ops.node.int_attribute("spatial", 1):
        return  # until opset 8: a parameter for each place
    channels = 1 if ops.rank(0) == 1 else ops.dim(0, 1)
    for at, what in enumerate(("scale", "bias", "mean", "variance"), start=1):
        yield from vector(ops, at, channels, what, _has(channels))


def _has(channels: int | None) -> str:
    return f"the input has {channels} channel{'' if channels == 1 else 's'}"


def instance_normalization(ops: Operands) -> Iterator[str]:
    """InstanceNormalization: scale and bias [C]."""
    rank = ops.rank(0)
    if rank is not None and rank < _SHAPED:
        yield f"the input {ops.name(0)} has {rank} axes, at least {_SHAPED} are wanted"
        return
    channels = ops.dim(0, 1)
    for at, what in ((1, "scale"), (2, "bias")):
        yield from vector(ops, at, channels, what, _has(channels))


def group_normalization(ops: Operands) -> Iterator[str]:
    """GroupNormalization: scale and bias for each group, from opset 21 for each channel."""
    groups, channels = ops.node.int_attribute("num_groups", 0), ops.dim(0, 1)
    if groups < 1:
        yield f"num_groups is {groups}, at least 1 is wanted"
        return
    if channels is not None and channels % groups:
        yield f"{channels} channels do not divide into {groups} groups"
    by_channel = ops.opset >= _SCALE_FOR_EACH_CHANNEL
    size = channels if by_channel else groups
    why = _has(channels) if by_channel else f"there are {groups} groups"
    for at, what in ((1, "scale"), (2, "bias")):
        given = ops.count(at)
        if given is not None and given != 1 and differ(given, size):  # one for all is taken
            yield f"{what} {ops.name(at)} has {elements(given)}, {why}"


def layer_normalization(ops: Operands) -> Iterator[str]:
    """LayerNormalization, RMSNormalization: scale and bias broadcast to the input."""
    shape = ops.shape(0)
    axis = ops.node.int_attribute("axis", -1)
    if shape is None:
        return
    yield from axis_in("axis", axis, len(shape))
    yield from one_way(ops, 1, shape, "scale")
    yield from one_way(ops, 2, shape, "bias")


def lrn(ops: Operands) -> Iterator[str]:
    """LRN: an odd window over the channels of an image."""
    size, rank = ops.node.int_attribute("size", 0), ops.rank(0)
    if size < 1 or not size % 2:
        yield f"size is {size}, an odd number is wanted"
    if rank is not None and rank != _IMAGE_RANK:
        yield f"the input {ops.name(0)} has {rank} axes, {_IMAGE_RANK} are wanted"


def lp_normalization(ops: Operands) -> Iterator[str]:
    """LpNormalization: p is 1 or 2."""
    power = ops.node.int_attribute("p", 2)
    yield from axis_in("axis", ops.node.int_attribute("axis", -1), ops.rank(0))
    if power not in {1, 2}:
        yield f"p is {power}, 1 or 2 is wanted"


def prelu(ops: Operands) -> Iterator[str]:
    """PRelu: the slope broadcasts with the input."""
    if ops.opset < _BROADCASTS:
        return  # a slope was for a channel then, wherever its axis
    value, slope = ops.shape(0), ops.shape(1)
    if value is not None and slope is not None and not broadcast(value, slope):
        yield (
            f"the slope {ops.name(1)} of shape {shown(slope)} "
            f"does not broadcast to the input {shown(value)}"
        )


def clip(ops: Operands) -> Iterator[str]:
    """Clip: the bounds are single numbers."""
    for at, what in ((1, "the lower bound"), (2, "the upper bound")):
        rank = ops.rank(at)
        if rank:
            yield f"{what} {ops.name(at)} has {rank} axes, a single number is wanted"


def dropout(ops: Operands) -> Iterator[str]:
    """Dropout: ratio and mode are single values; the ratio is below 1."""
    yield from scalar(ops, 1, "the ratio")
    yield from scalar(ops, 2, "training_mode")
    value = ops.values(1)
    if value is not None and value.size == 1 and not 0 <= float(value.reshape(-1)[0]) < 1:
        yield f"the ratio is {float(value.reshape(-1)[0]):.3g}, it must be in [0, 1)"


def softmax(ops: Operands) -> Iterator[str]:
    """Softmax, LogSoftmax, Hardmax: the axis is one of the input."""
    default = -1 if ops.opset >= 13 else 1  # noqa: PLR2004 - the default changed in opset 13
    if not ops.node.has("axis"):
        return
    yield from axis_in("axis", ops.node.int_attribute("axis", default), ops.rank(0))


def mean_variance(ops: Operands) -> Iterator[str]:
    """MeanVarianceNormalization: axes of the input."""
    rank = ops.rank(0)
    axes = ops.node.ints_attribute("axes") or ()
    if rank is not None and any(not -rank <= axis < rank for axis in axes):
        yield f"axes {shown(axes)} are beyond rank {rank}"


RELATIONS: Final[Mapping[str, Relation]] = {
    "BatchNormalization": batch_normalization,
    "InstanceNormalization": instance_normalization,
    "GroupNormalization": group_normalization,
    "LayerNormalization": layer_normalization,
    "RMSNormalization": layer_normalization,
    "LRN": lrn,
    "LpNormalization": lp_normalization,
    "MeanVarianceNormalization": mean_variance,
    "PRelu": prelu,
    "Clip": clip,
    "Dropout": dropout,
    "Softmax": softmax,
    "LogSoftmax": softmax,
    "Hardmax": softmax,
}
