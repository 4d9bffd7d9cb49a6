"""Weights are quantised with a zero point that is not 0.

**Why.** The accelerator wants symmetric weights; others leave it for the CPU or lose accuracy.

**Fix.** Quantise with `weight_type=QInt8` and `extra_options={"WeightSymmetric": True}`.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import WEIGHTED, Example, Facts, Hit, Rule, Severity, Target, dequantize, weight


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each layer whose weight has a zero point other than 0."""
    if not target.npu:
        return
    for node in facts.nodes:
        scaled = dequantize(node.input(1)) if node.op_type in WEIGHTED else None
        if scaled is None or weight(node) is None:
            continue
        zero = scaled.integers(2)
        if zero and any(zero):
            low, high = min(zero), max(zero)
            span = str(low) if low == high else f"{low} to {high}"
            yield node.hit(f"the weight of {node.op_type} has zero point {span}, 0 is wanted")


RULE = Rule(
    id="NPU305",
    name="asymmetric-weights",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=("ST Edge AI Core 2.1, quantization.html: the scheme of the NPU is ss/sa per channel",),
    check=check,
    examples=(
        Example(
            title="a zero point of 3",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y)
                <float s = {0.1}, int8 z = {0}, int8[4, 3, 1, 1] w,
                 float[4] ws = {0.1, 0.1, 0.1, 0.1}, int8[4] wz = {3, 3, 3, 3}>
                {
                  xq = QuantizeLinear (x, s, z)
                  xd = DequantizeLinear (xq, s, z)
                  wd = DequantizeLinear <axis = 0> (w, ws, wz)
                  c = Conv (xd, wd)
                  cq = QuantizeLinear (c, s, z)
                  y = DequantizeLinear (cq, s, z)
                }
            """,
            messages=("the weight of Conv has zero point 3, 0 is wanted",),
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
