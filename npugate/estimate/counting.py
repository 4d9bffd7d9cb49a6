"""The compiler's own count of multiply-accumulates, which is not the plain one.

It adds biases, activations and, up to 2.2, conversions; the rule is data, ``data/counting.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from npugate.estimate.lowering import parts_of
from npugate.facts import Facts, Node, Tensor
from npugate.facts.elements import is_folded
from npugate.operators import COMPILED_TO_CONV, MULTIPLYING
from npugate.target.values import Target

_RANK_3: Final = 3
_MOST: Final = 2**63 - 1  # a hostile shape has products that no report can hold
_FILE: Final = Path(__file__).parent / "data" / "counting.toml"


class Count(Struct, frozen=True):
    """What one toolchain adds; a row of the data.

    Attributes:
        conv_channel, conv_element: for each channel and element of a convolution's result.
        skipped: operators whose own multiply-accumulates are not counted.
        per_output, per_input, per_tap: by operator, for each element of its result, of what it
            reads, and of each element under a window.
    """

    conv_channel: float
    conv_element: float
    skipped: frozenset[str]
    per_output: Mapping[str, float]
    per_input: Mapping[str, float]
    per_tap: Mapping[str, float]


@cache
def count_of(toolchain: str) -> Count:
    """Return how a toolchain counts; the newest row for one that is not in the data."""
    rows: list[dict[str, Any]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))["counts"]
    row = next((row for row in rows if toolchain in row["toolchains"]), rows[-1])
    values = {key: row[key] for key in Count.__struct_fields__}
    return Count(**{**values, "skipped": frozenset(row["skipped"])})


def compiler_macs(facts: Facts, target: Target) -> int:
    """Return the multiply-accumulates of one inference as the compiler's reports count them.

    Args:
        facts: of the model; what has no static shape counts as nothing.
        target: its toolchain has the rule.
    """
    count = count_of(target.toolchain)
    return round(sum(_of(node, count) for node in facts.main.nodes))


def plain_macs(facts: Facts) -> int:
    """Return the multiply-accumulates of one inference of the main graph."""
    return sum(macs(node) for node in facts.main.nodes if not is_folded(node))


def _of(node: Node, count: Count) -> float:
    made, data = node.output(), node.input(0)
    if made is None or made.is_constant or not made.static_shape:
        return 0.0
    total = 0.0 if node.op_type in count.skipped else float(macs(node))
    elements = made.elements or 0
    if node.op_type in COMPILED_TO_CONV and total:
        total += count.conv_channel * made.static_shape[min(1, len(made.static_shape) - 1)]
        total += count.conv_element * elements * parts_of(node)
    total += count.per_output.get(node.op_type, 0.0) * elements
    if data is not None:
        total += count.per_input.get(node.op_type, 0.0) * (data.elements or 0)
    taps = prod(node.ints_attribute("kernel_shape") or (1,))
    return total + count.per_tap.get(node.op_type, 0.0) * elements * taps


def total_macs(facts: Facts) -> int:
    """Return the multiply-accumulates of one run."""
    return min(sum(macs(node) for node in facts.nodes), _MOST)


def macs(node: Node) -> int:
    """Return the multiply-accumulates of a node; 0 where there are none or a shape is unknown."""
    if node.op_type not in MULTIPLYING:
        return 0
    result, data = node.output(), node.input(0)
    if result is None or data is None or not result.elements or not data.elements:
        return 0
    shape = data.static_shape or (0,)
    match node.op_type:
        case "Conv" | "QLinearConv":
            count = result.elements * _taps(node, 1 if node.op_type == "Conv" else 3)
        case "ConvTranspose":
            count = data.elements * _taps(node, 1)
        case "Gemm":
            count = result.elements * shape[0 if node.int_attribute("transA", 0) else -1]
        case "MatMul" | "MatMulInteger" | "QLinearMatMul":
            count = result.elements * shape[-1]
        case _:
            count = _recurrent(node, data)
    return count


def _taps(node: Node, position: int) -> int:
    """Return the products that make one element: the weights without their leading axis."""
    weight = node.input(position)
    dims = weight.static_shape if weight is not None else None
    return prod(dims[1:]) if dims else 0


def _recurrent(node: Node, data: Tensor) -> int:
    weights, recurrent = node.input(1), node.input(2)
    shape = data.static_shape or ()
    if weights is None or recurrent is None or len(shape) != _RANK_3:
        return 0
    return shape[0] * shape[1] * ((weights.elements or 0) + (recurrent.elements or 0))
