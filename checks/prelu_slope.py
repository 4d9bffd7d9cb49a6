"""The slope of a PRelu is computed at run time.

**Why.** The importer takes only a constant slope.

**Fix.** Make the slope an initializer.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each PRelu whose slope is no constant."""
    for node in facts.nodes_of("PRelu"):
        slope = node.input(1)
        if slope is not None and not slope.is_constant:
            yield node.hit(f"the slope of PRelu, {slope.name!r}, is no constant")


RULE = Rule(
    id="NPU226",
    name="prelu-slope",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=("ST Edge AI Core 2.1, supported_ops_onnx.html: PRelu",),
    check=check,
    repair="use-initializers",
    examples=(
        Example(
            title="a slope that is an input",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x, float[4] slope) => (float[1, 4] y) { y = PRelu (x, slope) }
            """,
            messages=("the slope of PRelu, 'slope', is no constant",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) <float[4] slope> { y = PRelu (x, slope) }
            """,
        ),
    ),
)
