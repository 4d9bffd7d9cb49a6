"""No layer of the model is quantised.

**Why.** The accelerator computes in integers only. A float model compiles, but every operator
becomes software on the CPU, and the weights take four times the space.

**Fix.** Quantise to int8 in QDQ form: symmetric per-channel weights, asymmetric per-tensor
activations, with calibration data of the real distribution.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Location, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield one hit for a model with weights and no quantised layer."""
    census = facts.quantization
    if target.npu and census.form == "float" and census.weighted:
        layers = "layer" if census.weighted == 1 else "layers"
        text = (
            f"none of the {census.weighted} {layers} with weights is quantised: the CPU runs them"
        )
        yield Hit(Location(), text)


RULE = Rule(
    id="NPU301",
    name="float-model",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=(
        (
            "ST Edge AI Core 2.1, stneuralart_operator_support.html: float operators become CPU "
            "operators"
        ),
    ),
    check=check,
    examples=(
        Example(
            title="a float convolution",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y) <float[4, 3, 1, 1] w>
                { y = Conv (x, w) }
            """,
            messages=("none of the 1 layer with weights is quantised: the CPU runs them",),
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
