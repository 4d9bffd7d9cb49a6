"""A bound of a Clip comes out of a DequantizeLinear.

**Why.** One version of the compiler answers
`INTERNAL ERROR: None has type NoneType, but expected one of: bytes, unicode`.

**Fix.** Fold the bound to a float initializer.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each Clip with such a bound."""
    for node in facts.nodes_of("Clip"):
        for position, name in ((1, "lower"), (2, "upper")):
            bound = node.input(position)
            maker = bound.producer if bound is not None else None
            if maker is not None and maker.op_type == "DequantizeLinear":
                yield node.hit(f"the {name} bound of Clip comes out of a DequantizeLinear")


RULE = Rule(
    id="NPU311",
    name="clip-bounds",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=("LarocheC/stm32n6-deployment-zoo, known issues, Core 4.0.1",),
    check=check,
    repair="use-initializers",
    examples=(
        Example(
            title="a quantised bound",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y)
                <float s = {0.1}, int8 z = {0}, int8 low = {0}>
                { d = DequantizeLinear (low, s, z)  y = Clip (x, d) }
            """,
            messages=("the lower bound of Clip comes out of a DequantizeLinear",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) <float low = {0.0}> { y = Clip (x, low) }
            """,
        ),
    ),
)
