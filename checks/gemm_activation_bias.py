"""The third input of a Gemm is computed at run time.

**Why.** The importer wants a constant there and answers `TOOL ERROR: list index out of range`. The
fusion of MatMul and Add in a simplifier makes such nodes.

**Fix.** Keep MatMul and Add apart, or simplify without that fusion.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each Gemm with such an input."""
    for node in facts.nodes_of("Gemm"):
        bias = node.input(2)
        if bias is not None and not bias.is_constant:
            yield node.hit(f"the third input of Gemm, {bias.name!r}, is no constant")


RULE = Rule(
    id="NPU224",
    name="gemm-activation-bias",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=(
        "LarocheC/stm32n6-deployment-zoo, known issues, Core 4.0.1",
        "stm32n6-edge-ai-benchmarks by Magnus3327",
    ),
    check=check,
    examples=(
        Example(
            title="a bias that is an input",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x, float[1, 2] b) => (float[1, 2] y) <float[4, 2] w>
                { y = Gemm (x, w, b) }
            """,
            messages=("the third input of Gemm, 'b', is no constant",),
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
