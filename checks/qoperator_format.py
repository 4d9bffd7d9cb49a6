"""The model is quantised in QOperator form.

**Why.** QLinearConv and its kind have compiled, but the vendor neither tests nor recommends them.

**Fix.** Quantise with `quant_format=QuantFormat.QDQ`.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield one hit, at the first such operator."""
    if facts.quantization.form == "qoperator":
        found = list(facts.nodes_of("QLinearConv", "QLinearMatMul"))
        yield found[0].hit(f"{len(found)} layers are in QOperator form; QDQ is recommended")


RULE = Rule(
    id="NPU308",
    name="qoperator-format",
    severity=Severity.NOTE,
    doc=__doc__,
    sources=(
        "ST Edge AI Core 2.1, quantization.html",
        "PeleAB/STM32N6-FaceRecognition: a QLinearConv model compiled",
    ),
    check=check,
    examples=(
        Example(
            title="a QLinearConv",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (int8[1, 3, 8, 8] x) => (int8[1, 4, 8, 8] y)
                <float s = {0.1}, int8 z = {0}, int8[4, 3, 1, 1] w>
                { y = QLinearConv (x, s, z, w, s, z, s, z) }
            """,
            messages=("1 layers are in QOperator form; QDQ is recommended",),
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
