"""Conditions on the windows of convolutions and pools: size, step, padding, groups."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

from npugate.operators import CONVOLUTIONS
from npugate.target.predicates.predicate import (
    Args,
    Fields,
    by,
    ints,
    many,
    number,
    predicate,
    shape_of,
)

if TYPE_CHECKING:  # annotations only: the graph imports onnx
    from npugate.facts.graph import Node

_PLANE: Final = (3, 3)  # height and width of the window that every unit does in one pass
_LINE_RANK: Final = 3  # batch, channel, one spatial axis
_MAP_RANK: Final = 4  # batch, channel, height, width
_LONGEST: Final = 65_535  # the longest side worth looking at


def _spatial(node: Node) -> tuple[int, ...] | None:
    """Return the kernel of a convolution or pool, from its weights where it is not written."""
    kernel = node.ints_attribute("kernel_shape")
    if kernel is None and node.op_type in CONVOLUTIONS:
        weights = shape_of(node.input(1))
        return None if weights is None else weights[2:]
    return kernel


def _strides(node: Node, rank: int) -> tuple[int, ...]:
    strides = node.ints_attribute("strides")
    return strides if strides is not None and len(strides) == rank else (1,) * rank


def _single(node: Node) -> bool:
    """Tell whether the window has one place only, so that the result is one value per channel."""
    result = shape_of(node.output())
    return result is not None and set(result[2:]) == {1}


def _depthwise(node: Node) -> bool:
    """Tell whether every input channel has filters of its own."""
    data = shape_of(node.input(0))
    group = node.int_attribute("group", 1)
    return data is not None and len(data) > 1 and group > 1 and group == data[1]


@predicate("kernel", "limit", "stride", height="int", width="int", strided_width="int",
            optional=("strided_width",))  # fmt: skip
def kernel_above(node: Node, args: Args) -> Fields | None:
    """Broken when a window is higher or wider than the hardware's, by its horizontal stride."""
    kernel = _spatial(node)
    if not kernel or len(kernel) > len(_PLANE) or kernel[0] == 1 == len(kernel[1:]):
        return None  # windows of height 1 have no limit on their width
    stride = _strides(node, len(kernel))[-1]
    height, width = number(args, "height"), number(args, "width")
    if stride > 1:
        width = number(args, "strided_width", width)
    limit = (height, width) if len(kernel) > 1 else (width,)
    if all(size <= bound for size, bound in zip(kernel, limit, strict=True)):
        return None
    return {"kernel": by(kernel), "limit": by(limit), "stride": stride}


@predicate("kernel", "map")
def kernel_above_input(node: Node, args: Args) -> Fields | None:
    """Broken when a window is larger than the padded map it slides over."""
    kernel, data = _spatial(node), shape_of(node.input(0))
    if kernel is None or data is None or len(data) != len(kernel) + 2:
        return None
    pads = node.ints_attribute("pads") or (0,) * (2 * len(kernel))
    if len(pads) != 2 * len(kernel):
        return None  # an invalid model, which other rules name
    if node.text_attribute("auto_pad", "NOTSET") not in {"NOTSET", "VALID"}:
        return None
    half = len(kernel)
    padded = [data[2 + i] + pads[i] + pads[half + i] for i in range(half)]
    if all(size <= dim for size, dim in zip(kernel, padded, strict=True)):
        return None
    return {"kernel": by(kernel), "map": by(data[2:])}


@predicate("stride", "allowed", values="list of int")
def stride_outside(node: Node, args: Args) -> Fields | None:
    """Broken when a stride is none of these."""
    strides, allowed = node.ints_attribute("strides"), many(args, "values")
    if strides is None or all(stride in allowed for stride in strides):
        return None
    return {"stride": by(strides), "allowed": ", ".join(map(str, allowed))}


@predicate("stride", "limit", limit="int")
def stride_above(node: Node, args: Args) -> Fields | None:
    """Broken when a stride is larger than a limit and the window moves at all."""
    strides, limit = node.ints_attribute("strides"), number(args, "limit")
    if strides is None or max(strides, default=0) <= limit or _single(node):
        return None
    return {"stride": by(strides), "limit": limit}


@predicate("stride", "kernel")
def stride_above_kernel(node: Node, args: Args) -> Fields | None:
    """Broken when a stride steps over more than the window covers."""
    kernel = _spatial(node)
    if kernel is None:
        return None
    strides = _strides(node, len(kernel))
    if all(stride <= size for stride, size in zip(strides, kernel, strict=True)):
        return None
    return {"stride": by(strides), "kernel": by(kernel)}


@predicate("pads", "limit", limit="int")
def pads_above(node: Node, args: Args) -> Fields | None:
    """Broken when one side is padded by more than a limit."""
    pads, limit = node.ints_attribute("pads"), number(args, "limit")
    if pads is None or max(pads, default=0) <= limit:
        return None
    return {"pads": ", ".join(map(str, pads)), "limit": limit}


@predicate("dilation", "limit", limit="int")
def dilation_above(node: Node, args: Args) -> Fields | None:
    """Broken when a dilation is larger than a limit."""
    dilations, limit = node.ints_attribute("dilations"), number(args, "limit")
    if dilations is None or max(dilations, default=0) <= limit:
        return None
    return {"dilation": by(dilations), "limit": limit}


@predicate("width", "limit", limit="int")
def line_buffer(node: Node, args: Args) -> Fields | None:
    """Broken when one row of one channel is longer than the line buffer (in values).

    The compiler chooses how many channels share the buffer, so a row that fits with one channel is
    never split.
    """
    data, limit = shape_of(node.input(0)), number(args, "limit")
    if data is None or len(data) < _LINE_RANK or data[-1] <= limit:
        return None
    return {"width": data[-1], "limit": limit}


@predicate("window", "prime", "limit", limit="int")
def global_window_unfriendly(node: Node, args: Args) -> Fields | None:
    """Broken when a window over the whole map has a side with a prime factor above a limit."""
    data = shape_of(node.input(0))
    window = data[2:] if data is not None else ()
    if node.op_type.startswith("Reduce"):
        axes = ints(node, "axes", 1)
        if data is None or axes is None or len(data) != _MAP_RANK:
            return None
        if sorted(axis % len(data) for axis in axes) != [2, 3]:
            return None
    if max(window, default=0) > _LONGEST:
        return None  # no dimension that any target takes, and slow to factor
    limit = number(args, "limit")
    worst = max((_largest_prime(side) for side in window), default=1)
    return {"window": by(window), "prime": worst, "limit": limit} if worst > limit else None


def _largest_prime(number: int) -> int:
    """Return the largest prime factor of a dimension."""
    worst, factor = 1, 2
    while factor * factor <= number:
        while number % factor == 0:
            worst, number = factor, number // factor
        factor += 1
    return max(worst, number)


@predicate("groups", "shape")
def depthwise_1d(node: Node, args: Args) -> Fields | None:
    """Broken by a depthwise convolution over one spatial axis."""
    data = shape_of(node.input(0))
    if data is None or len(data) != _LINE_RANK or not _depthwise(node):
        return None
    return {"groups": node.int_attribute("group", 1), "shape": by(data)}


@predicate("groups", "kernel")
def depthwise_covers_map(node: Node, args: Args) -> Fields | None:
    """Broken by a depthwise convolution whose window is the whole unpadded map, 3x3 and up."""
    data, kernel = shape_of(node.input(0)), _spatial(node)
    if data is None or kernel is None or kernel != data[2:] or prod(kernel) < _PLANE[0] * _PLANE[1]:
        return None
    if not _depthwise(node) or not _single(node):
        return None
    return {"groups": node.int_attribute("group", 1), "kernel": by(kernel)}


@predicate("groups", "stride")
def strided_depthwise(node: Node, args: Args) -> Fields | None:
    """Broken by a depthwise convolution with a stride above 1."""
    strides = node.ints_attribute("strides")
    if strides is None or max(strides, default=1) <= 1 or not _depthwise(node):
        return None
    return {"groups": node.int_attribute("group", 1), "stride": by(strides)}
