"""The window of a convolution, pool or matrix product, read off its node."""

from __future__ import annotations

from typing import Final

from npugate.facts import Node
from npugate.operators import CONVOLUTIONS, GLOBAL_POOLS, WINDOWED
from npugate.report.estimate import Window

_IMAGE: Final = 4


def window_of(node: Node) -> Window | None:
    """Return the geometry of a convolution, pool or matrix product; None for anything else."""
    data, made = node.input(0), node.output()
    if node.op_type not in WINDOWED or data is None or made is None:
        return None
    shape, result = data.static_shape, made.static_shape
    if not shape or not result or min(*shape, *result) < 1:
        return None
    if len(shape) < _IMAGE - 1 or len(result) < _IMAGE - 1:
        return Window(channels_in=shape[-1], channels_out=result[-1])
    size_in, size_out = _size(shape), _size(result)
    return Window(
        _kernel(node, size_in),
        _pair(node.ints_attribute("strides"), 1),
        _pair(node.ints_attribute("dilations"), 1),
        _pads(node),
        node.int_attribute("group", 1),
        shape[1],
        result[1],
        size_in,
        size_out,
    )


def _kernel(node: Node, size: tuple[int, int]) -> tuple[int, int]:
    if node.op_type in GLOBAL_POOLS:
        return size
    weight = node.input(3 if node.op_type == "QLinearConv" else 1)
    dims = weight.static_shape if weight is not None else None
    if node.op_type in CONVOLUTIONS or node.op_type == "QLinearConv":
        return _pair(dims[2:] if dims else None, 1)
    return _pair(node.ints_attribute("kernel_shape"), 1)


def _size(shape: tuple[int, ...]) -> tuple[int, int]:
    return (shape[2], shape[3]) if len(shape) == _IMAGE else (1, shape[-1])


def _pair(values: tuple[int, ...] | None, neutral: int) -> tuple[int, int]:
    if not values:
        return (neutral, neutral)
    return (values[0], values[1]) if len(values) > 1 else (neutral, values[0])


def _pads(node: Node) -> tuple[int, int, int, int]:
    pads = node.ints_attribute("pads") or (0, 0, 0, 0)
    if len(pads) == _IMAGE:
        return (pads[0], pads[1], pads[2], pads[3])
    return (0, pads[0], 0, pads[-1])
