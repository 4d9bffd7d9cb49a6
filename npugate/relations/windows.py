"""Layers that slide a window: convolutions and pools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil, trunc
from typing import Final

from npugate.relations.compare import differ, elements, entries, scalar, vector
from npugate.relations.operands import Operands, Relation, shown

_BATCH_AND_CHANNELS: Final = 2


def conv(ops: Operands) -> Iterator[str]:
    """Conv: weight [M, C/group, ...], bias [M]."""
    yield from _conv(ops, 0, 1)
    yield from vector(ops, 2, ops.dim(1, 0), "bias", _makes(ops.dim(1, 0)))


def conv_integer(ops: Operands) -> Iterator[str]:
    """ConvInteger: as Conv, with zero points."""
    yield from _conv(ops, 0, 1)


def qlinear_conv(ops: Operands) -> Iterator[str]:
    """QLinearConv: x, its scale and zero point, the weight and its, those of the result, bias."""
    yield from _conv(ops, 0, 3)
    channels = ops.dim(3, 0)
    yield from vector(ops, 8, channels, "bias", _makes(channels))
    for at, what in ((1, "the scale"), (2, "the zero point"), (6, "the scale"), (7, "zero point")):
        yield from scalar(ops, at, what)
    for at, what in ((4, "scale"), (5, "zero point")):
        count = ops.count(at)
        if count is not None and count != 1 and differ(count, channels):
            yield f"the {what} {ops.name(at)} has {elements(count)}, {_makes(channels)}"


def _makes(channels: int | None) -> str:
    plural = "" if channels == 1 else "s"
    return f"the weight makes {channels} output channel{plural}"


def _conv(ops: Operands, value: int, weight: int) -> Iterator[str]:
    group = ops.node.int_attribute("group", 1)
    yield from _ranks(ops, value, weight)
    yield from _kernel(ops, weight)
    yield from _padded_twice(ops)
    yield from _covered(ops, value, weight)
    if group < 1:
        yield f"group is {group}, at least 1 is wanted"
        return
    channels, read, made = ops.dim(value, 1), ops.dim(weight, 1), ops.dim(weight, 0)
    if channels is not None and read is not None and differ(channels, read * group):
        groups = f" in {group} groups" if group > 1 else ""
        yield (
            f"the weight {ops.name(weight)} reads {read * group} channels{groups}, "
            f"the input {ops.name(value)} has {channels}"
        )
    if made is not None and made % group:
        yield f"{made} output channels do not divide into {group} groups"


def conv_transpose(ops: Operands) -> Iterator[str]:
    """ConvTranspose: weight [C, M/group, ...], bias [M]."""
    group = ops.node.int_attribute("group", 1)
    yield from _ranks(ops, 0, 1)
    yield from _kernel(ops, 1)
    yield from _padded_twice(ops)
    if group < 1:
        yield f"group is {group}, at least 1 is wanted"
        return
    channels, read, made = ops.dim(0, 1), ops.dim(1, 0), ops.dim(1, 1)
    if differ(channels, read):
        yield (
            f"the weight {ops.name(1)} reads {read} channels, "
            f"the input {ops.name(0)} has {channels}"
        )
    if read is not None and read % group:
        yield f"{read} input channels do not divide into {group} groups"
    total = None if made is None else made * group
    yield from vector(ops, 2, total, "bias", _makes(total))


def _ranks(ops: Operands, value: int, weight: int) -> Iterator[str]:
    first, second = ops.shape(value), ops.shape(weight)
    if first is None or second is None:
        return
    if len(first) != len(second):
        yield (
            f"the weight {ops.name(weight)} {shown(second)} has {len(second)} axes, "
            f"the input {ops.name(value)} {shown(first)} has {len(first)}"
        )
    elif len(first) <= _BATCH_AND_CHANNELS:
        yield f"the input {ops.name(value)} {shown(first)} has no axis for a window to slide along"


def _kernel(ops: Operands, weight: int) -> Iterator[str]:
    """Yield attributes that do not fit the weight's window."""
    shape = ops.shape(weight)
    if shape is None:
        return
    window = shape[_BATCH_AND_CHANNELS:]
    stated = ops.node.ints_attribute("kernel_shape")
    if stated is not None and (
        len(stated) != len(window) or any(differ(a, b) for a, b in zip(stated, window, strict=True))
    ):
        yield (
            f"kernel_shape is {shown(stated)}, "
            f"the window of the weight {ops.name(weight)} is {shown(window)}"
        )
    yield from _lengths(ops, len(window))


def _padded_twice(ops: Operands) -> Iterator[str]:
    how, pads = ops.node.text_attribute("auto_pad", "NOTSET"), ops.node.ints_attribute("pads")
    if how not in {"", "NOTSET"} and pads is not None:
        yield f"auto_pad is {how} and pads is {shown(pads)}, one of them is wanted"


def _covered(ops: Operands, value: int, weight: int) -> Iterator[str]:
    """Yield an axis that is smaller than the window of the weight, padding included."""
    shape = ops.static(weight)
    if shape is None or ops.node.text_attribute("auto_pad", "NOTSET") not in {
        "",
        "NOTSET",
        "VALID",
    }:
        return
    window = shape[_BATCH_AND_CHANNELS:]
    count = len(window)
    pads = ops.node.ints_attribute("pads") or (0,) * (2 * count)
    dilations = ops.node.ints_attribute("dilations") or (1,) * count
    if len(pads) != 2 * count or len(dilations) != count:
        return
    for at, size in enumerate(window):
        length = ops.dim(value, at + _BATCH_AND_CHANNELS)
        reach = dilations[at] * (size - 1) + 1
        if length is not None and length + pads[at] + pads[at + count] < reach:
            axis = at + _BATCH_AND_CHANNELS
            yield f"{_length(axis, length, pads)}, the window of the weight reaches over {reach}"
            return


def _length(axis: int, length: int, pads: tuple[int, ...]) -> str:
    return f"axis {axis} has {elements(length)}{' and padding' if any(pads) else ''}"


def _lengths(ops: Operands, axes: int) -> Iterator[str]:
    why = f"{axes} axes" if axes != 1 else "1 axis"
    yield from entries(ops, "strides", axes, why)
    yield from entries(ops, "dilations", axes, why)
    yield from entries(ops, "pads", 2 * axes, why)
    yield from entries(ops, "output_padding", axes, why)
    for name in ("strides", "dilations"):
        given = ops.node.ints_attribute(name) or ()
        if any(step < 1 for step in given):
            yield f"{name} is {shown(given)}, each must be at least 1"


def pool(ops: Operands) -> Iterator[str]:
    """MaxPool, AveragePool, LpPool: kernel_shape has an entry for each axis but the first two."""
    rank = ops.rank(0)
    if rank is None:
        return
    axes = rank - _BATCH_AND_CHANNELS
    if axes < 1:
        yield f"the input {ops.name(0)} has {rank} axes, a window slides along the third and on"
        return
    order = ops.node.int_attribute("storage_order", 0)
    if order not in {0, 1}:
        yield f"storage_order is {order}, 0 or 1 is wanted"
    yield from entries(ops, "kernel_shape", axes, f"{axes} axes" if axes != 1 else "1 axis")
    yield from _lengths(ops, axes)
    kernel = ops.node.ints_attribute("kernel_shape") or ()
    pads = ops.node.ints_attribute("pads") or ()
    if any(size < 1 for size in kernel):
        yield f"kernel_shape is {shown(kernel)}, each must be at least 1"
    elif len(pads) == 2 * len(kernel) and any(
        pad >= size for pad, size in zip(pads, (*kernel, *kernel), strict=True)
    ):
        yield f"pads {shown(pads)} are not smaller than the window {shown(kernel)}"
    elif _whole(ops, axes):
        yield from _too_small(ops, kernel, pads)


def _whole(ops: Operands, axes: int) -> bool:
    """Tell whether every attribute of the window has an entry for each axis."""
    names = ("kernel_shape", "strides", "dilations")
    given = [ops.node.ints_attribute(name) for name in names]
    steps = ops.node.ints_attribute("strides") or (1,)
    return all(item is None or len(item) == axes for item in given) and min(steps) > 0


def _too_small(ops: Operands, kernel: tuple[int, ...], pads: tuple[int, ...]) -> Iterator[str]:
    """Yield an axis that is smaller than the window, padding included."""
    if ops.node.text_attribute("auto_pad", "NOTSET") not in {"NOTSET", "VALID"}:
        return
    dilations = ops.node.ints_attribute("dilations") or (1,) * len(kernel)
    strides = ops.node.ints_attribute("strides") or (1,) * len(kernel)
    rounds_up = bool(ops.node.int_attribute("ceil_mode", 0))
    padded = pads if len(pads) == 2 * len(kernel) else (0,) * (2 * len(kernel))
    for at, size in enumerate(kernel):
        length = ops.dim(0, at + _BATCH_AND_CHANNELS)
        reach = dilations[at] * (size - 1) + 1
        if length is None:
            continue
        rest = (length + padded[at] + padded[at + len(kernel)] - reach) / strides[at]
        if (ceil(rest) if rounds_up else trunc(rest)) + 1 < 0:  # nothing at all is no fault
            axis = at + _BATCH_AND_CHANNELS
            yield f"{_length(axis, length, padded)}, the window reaches over {reach}"
            return


def unpool(ops: Operands) -> Iterator[str]:
    """MaxUnpool: an index for each value."""
    value, index = ops.shape(0), ops.shape(1)
    if value is None or index is None:
        return
    if len(value) != len(index) or any(differ(a, b) for a, b in zip(value, index, strict=True)):
        yield f"the indices {shown(index)} and the input {shown(value)} differ in shape"
        return
    places = ops.ints(1)
    if places and min(places) < 0:
        yield f"the indices {ops.name(1)} have {min(places)}, no place is below 0"
    yield from entries(ops, "kernel_shape", len(value) - 2, f"{len(value) - 2} axes")
    yield from vector(ops, 2, len(value), "output_shape", f"the input has {len(value)} axes")


RELATIONS: Final[Mapping[str, Relation]] = {
    "Conv": conv,
    "ConvInteger": conv_integer,
    "QLinearConv": qlinear_conv,
    "ConvTranspose": conv_transpose,
    "MaxPool": pool,
    "AveragePool": pool,
    "LpPool": pool,
    "MaxUnpool": unpool,
}
