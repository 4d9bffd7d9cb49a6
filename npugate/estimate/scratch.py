"""What the compiler writes to memory beside the result of an operator, read off its plans.

The names are its own (``OWN`` is in them): the 16-bit product of two activations, what a Resize or
a strided ConvTranspose is expanded to, the 32-bit data of a float operator between quantised ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Final

from npugate.estimate.lives import OWN
from npugate.facts import Node
from npugate.operators import RESIZES
from npugate.report.estimate import Access

_BYTE: Final = 8
_FLOAT: Final = 32
_EXPANSIONS: Final = 3
"""Epochs before the convolution that a strided ConvTranspose becomes (Core 2.2, PP-OCR det)."""
_WITHOUT_PRODUCTS: Final = frozenset({"4.0"})
"""Toolchains that need no memory between the sigmoid and the product (report of yolov8n_micro)."""


def keeps_products(toolchain: str) -> bool:
    """Tell whether a product of two activations is written before it is scaled."""
    return toolchain not in _WITHOUT_PRODUCTS


def scratch(node: Node, toolchain: str, *, is_float: bool) -> Iterator[Access]:
    """Yield what is written for an operator of a quantised model, in the order of writing.

    Args:
        node: that runs.
        toolchain: version; products are written by it or not.
        is_float: the operator is computed in float, between conversions.
    """
    if is_float:
        yield from _in_float(node)
    made, data = node.output(), node.input(0)
    shape = made.static_shape if made is not None else None
    if made is None or data is None or not shape:
        return
    is_product = all(t is not None and not t.is_constant for t in node.inputs)
    if node.op_type == "Mul":
        if keeps_products(toolchain) and is_product and _has_offset(node):
            yield Access(f"{made.name}{OWN}product", shape, 2 * _BYTE)
    elif node.op_type in RESIZES:
        yield Access(f"{made.name}{OWN}expanded", shape, _BYTE)
    elif node.op_type == "ConvTranspose":
        strides = node.ints_attribute("strides") or (1,)
        if max(strides) > 1:
            wide = ((data.elements or 0) * prod(strides),)
            for number in range(_EXPANSIONS):
                yield Access(f"{made.name}{OWN}expanded{number}", wide, _BYTE)


def _in_float(node: Node) -> Iterator[Access]:
    """Yield what a float operator works on: its data and its result."""
    for tensor in (node.input(0), node.output()):
        if tensor is not None and tensor.static_shape is not None and not tensor.is_constant:
            yield Access(f"{tensor.name}{OWN}float", tensor.static_shape, _FLOAT)


def _has_offset(node: Node) -> bool:
    """Tell whether an input of a node has a zero point other than 0."""
    for tensor in node.inputs:
        pair = tensor.producer if tensor is not None else None
        if pair is not None and pair.op_type == "DequantizeLinear" and pair.input(2) is not None:
            zero = pair.constant(2)
            if zero is None or zero.any():
                return True
    return False
