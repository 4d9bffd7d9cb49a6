"""Weights are quantised to a width that this version of the compiler does not take.

**Why.** Four-bit weights came with version 3.0; sixteen-bit ones are documented for none.

**Fix.** Quantise weights to int8, or use a newer toolchain for int4.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Location, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield one hit for each width outside the limits."""
    low, high = target.limit("weight_bits_min"), target.limit("weight_bits_max")
    for bits, count in sorted(facts.quantization.weight_bits.items()):
        text = f"{count} weights have {bits} bits, "
        if low is not None and bits < low.value:
            yield Hit(Location(), f"{text}the least is {low.value}", low.severity)
        elif high is not None and bits > high.value:
            yield Hit(Location(), f"{text}the most is {high.value}", high.severity)


RULE = Rule(
    id="NPU310",
    name="weight-width",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "ST Edge AI Core 3.0.0, release notes: 4-bit weights for Conv and Dense",
        "ST Edge AI Core 2.1, quantization.html",
    ),
    check=check,
    examples=(
        Example(
            title="sixteen-bit weights",
            bad="""
                <ir_version: 10, opset_import: ["" : 21]>
                net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y)
                <float s = {0.1}, int8 z = {0}, int16[4, 3, 1, 1] w,
                 float[4] ws = {0.1, 0.1, 0.1, 0.1}, int16[4] wz = {0, 0, 0, 0}>
                {
                  xq = QuantizeLinear (x, s, z)
                  xd = DequantizeLinear (xq, s, z)
                  wd = DequantizeLinear <axis = 0> (w, ws, wz)
                  c = Conv (xd, wd)
                  cq = QuantizeLinear (c, s, z)
                  y = DequantizeLinear (cq, s, z)
                }
            """,
            messages=("1 weights have 16 bits, the most is 8",),
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
            target="stm32n6@3.0",
        ),
    ),
)
