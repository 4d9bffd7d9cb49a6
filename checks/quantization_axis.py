"""Scales run along another axis than the channels, or an activation has several scales.

**Why.** The compiler takes scales along the channel axis; along another the code can be wrong
without a message.

**Fix.** Quantise weights along their output channels and activations per tensor.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Node, Rule, Severity, Target, dequantize

# Output channels of a weight as each operator lays it out.
_CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1}


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield activations with several scales, and weights whose scales run along a wrong axis."""
    if not target.npu:
        return
    for node in facts.nodes_of("QuantizeLinear"):
        made = node.output()
        if _scales(node) > 1 and made is not None and not made.is_constant:
            yield node.hit(f"activation {made.name!r} has {_scales(node)} scales, 1 is wanted")
    for node in facts.nodes_of(*_CHANNEL_AXIS):
        scaled = dequantize(node.input(1))
        if scaled is None or _scales(scaled) <= 1 or scaled.output() is not node.input(1):
            continue
        axis = scaled.int_attribute("axis", 1)
        held = node.input(1)
        rank = held.rank if held is not None else None
        wanted = _CHANNEL_AXIS[node.op_type]
        if rank is not None and axis % rank != wanted:
            yield node.hit(f"the scales of the weight run along axis {axis}, {wanted} is wanted")


def _scales(node: Node) -> int:
    scale = node.input(1)
    return (scale.elements or 1) if scale is not None else 1


RULE = Rule(
    id="NPU309",
    name="quantization-axis",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=(
        "ST Edge AI Core 2.1, stneuralart_operator_support.html: the axis must be the channel axis",
    ),
    check=check,
    examples=(
        Example(
            title="scales along the input channels",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y)
                <float s = {0.1}, int8 z = {0}, int8[4, 3, 1, 1] w,
                 float[3] ws = {0.1, 0.1, 0.1}, int8[3] wz = {0, 0, 0}>
                {
                  xq = QuantizeLinear (x, s, z)
                  xd = DequantizeLinear (xq, s, z)
                  wd = DequantizeLinear <axis = 1> (w, ws, wz)
                  c = Conv (xd, wd)
                  cq = QuantizeLinear (c, s, z)
                  y = DequantizeLinear (cq, s, z)
                }
            """,
            messages=("the scales of the weight run along axis 1, 0 is wanted",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y)
                <float s = {0.1}, int8 z = {0}, int8[4, 3, 1, 1] w,
                 float[4] ws = {0.1, 0.1, 0.1, 0.1}, int8[4] wz = {0, 0, 0, 0}>
                {
                  xq = QuantizeLinear (x, s, z)
                  xd = DequantizeLinear (xq, s, z)
                  wd = DequantizeLinear <axis = 0> (w, ws, wz)
                  c = Conv (xd, wd)
                  cq = QuantizeLinear (c, s, z)
                  y = DequantizeLinear (cq, s, z)
                }
            """,
        ),
    ),
)
