"""Make initializers of the constant inputs of operators.

The bounds of a Clip and the slope of a PRelu must be initializers; so must what names sizes and
axes. A Constant node, a copy or a view of a constant, and, for the bounds of a Clip, a
DequantizeLinear of one, are known without running the network.

    clip(x, dequantize(q, s, z), high)  =>  clip(x, (q - z) * s, high)

**Keeps.** The values, bit by bit.

**Declines.** Nothing: what is known only at run time stays.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from npugate.api import Applied, Array, Repair, RepairOptions, RepairResult, Skipped, Target
from npugate.surgery.draft import Draft
from npugate.surgery.linking import is_constant
from npugate.surgery.node import Node, Value

_COPIES: Final = ("Identity", "Reshape", "Unsqueeze", "Squeeze", "Flatten")
_MOST_STEPS: Final = 16


def apply(draft: Draft, target: Target, options: RepairOptions) -> RepairResult:
    """Replace each such input by an initializer."""
    edits: list[str] = []
    made: dict[str, Value] = {}
    for node in draft.nodes:
        if not node.is_standard or node.is_a(*_COPIES, "DequantizeLinear"):
            continue
        for position, value in enumerate(node.inputs):
            array = _known(draft, node, position)
            if array is None:
                continue
            if value.name not in made:
                made[value.name] = draft.constant(array, value.name)
            draft.set_input(node, position, made[value.name])
            edits.append(f"input {position} of {node.op} {node.label!r} is an initializer now")
    if not edits:
        return Skipped("every constant input is an initializer")
    draft.sweep()
    return Applied(tuple(edits))


def _known(draft: Draft, node: Node, position: int) -> Array | None:
    """Return an input as T[*dims] when it is constant and no initializer yet; else None."""
    value = node.inputs[position]
    if value.is_empty() or is_constant(value):
        return None
    maker = draft.producer(value)
    if maker is None:
        return None
    if maker.is_a("Constant"):
        return draft.array(value)
    wanted = (node.op == "Clip" and position > 0) or (node.op == "PRelu" and position == 1)
    return _folded(draft, value, node.op == "Clip") if wanted else None


def _folded(draft: Draft, value: Value, quantized: bool) -> Array | None:  # noqa: FBT001 - internal
    """Return the value of a chain of copies of a constant; None when it is no such chain.

    Returns:
        T[*dims] of the value's dimensions.
    """
    shape = draft.maybe_dims(value)
    for _ in range(_MOST_STEPS):
        array = draft.array(value)
        maker = draft.producer(value)
        if array is None and maker is not None and maker.is_a("DequantizeLinear") and quantized:
            array = _dequantized(draft, maker)
        if array is not None:
            return None if shape is None else array.reshape(shape)
        if maker is None or not maker.is_a(*_COPIES):
            return None
        source = maker.input(0)
        if source is None:
            return None
        value = source
    return None


def _dequantized(draft: Draft, node: Node) -> Array | None:
    """Return what a DequantizeLinear with one scale makes of a constant.

        y = (x - zero_point) * scale

    Returns:
        float32[*dims] of the constant's dimensions; None when an operand is no constant.
    """
    data, scale = draft.array(node.input(0)), draft.array(node.input(1))
    zero = draft.array(node.input(2))
    if (
        data is None
        or scale is None
        or scale.size != 1
        or (zero is None and node.input(2) is not None)
    ):
        return None
    if scale.dtype != np.float32 or data.dtype.kind not in "iu":
        return None
    shift = 0 if zero is None else int(zero.reshape(-1)[0])
    factor = np.float32(scale.reshape(-1)[0])
    return np.asarray((data.astype(np.int64) - shift).astype(np.float32) * factor)


REPAIR = Repair(
    name="use-initializers",
    doc=__doc__,
    edit=apply,
    needs=("make-legal", "inline-functions"),
    example="""
        <ir_version: 8, opset_import: ["" : 14]>
        net (float[1, 4] x) => (float[1, 4] y)
        { low = Constant <value_float = 0.0> ()  y = Clip (x, low) }
    """,
)
