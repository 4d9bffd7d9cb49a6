"""A layer reads quantised data but its weight or slope is float.

**Why.** An operator that mixes integers and floats runs in software on the CPU, with conversions
before and after: a PRelu with a float slope costs three CPU steps.

**Fix.** Quantise that initializer too; replace PRelu by LeakyRelu or by Relu where accuracy allows.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import WEIGHTED, Example, Facts, Hit, Rule, Severity, Target, dequantize, weight


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each such layer."""
    if not target.npu:
        return
    for node in facts.nodes:
        if node.op_type not in WEIGHTED and node.op_type != "PRelu":
            continue
        constant = weight(node)
        if constant is None or dequantize(node.input(0)) is None or dequantize(constant):
            continue
        what = "slope" if node.op_type == "PRelu" else "weight"
        yield node.hit(
            f"{node.op_type} reads quantised data, but its {what} {constant.name!r} is float"
        )


RULE = Rule(
    id="NPU307",
    name="unquantized-weight",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=(
        "PeleAB/STM32N6-FaceRecognition, report of Core 2.1.0: 33 of 33 PRelu on the CPU",
        "LarocheC/stm32n6-deployment-zoo, known issues, Core 4.0.1",
    ),
    check=check,
    examples=(
        Example(
            title="a float slope",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y)
                <float s = {0.1}, int8 z = {0}, float[4, 1, 1] slope>
                {
                  xq = QuantizeLinear (x, s, z)
                  xd = DequantizeLinear (xq, s, z)
                  p = PRelu (xd, slope)
                  pq = QuantizeLinear (p, s, z)
                  y = DequantizeLinear (pq, s, z)
                }
            """,
            messages=("PRelu reads quantised data, but its slope 'slope' is float",),
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
