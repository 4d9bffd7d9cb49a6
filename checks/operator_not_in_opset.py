"""An operator does not exist in the version of the operator set that the file imports.

**Why.** Tools that build graphs by hand mix operators of several versions. Every reader refuses the
file, or reads the operator as something else.

**Fix.** Import the version that has the operator, or write it with the operators of this one.

**Limits.** Only the default domain is looked up.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what was found when the operators were looked up."""
    for problem in facts.problems("operator-not-in-opset"):
        yield Hit(problem.location, problem.message, frames=problem.frames)


RULE = Rule(
    id="NPU210",
    name="operator-not-in-opset",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("https://onnx.ai/onnx/operators/",),
    check=check,
    examples=(
        Example(
            title="an operator that came later",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8] x) => (float[1, 8] y) { y = Gelu (x) }
            """,
            messages=("Gelu does not exist in opset 14; it came with opset 20",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }
            """,
        ),
    ),
)
