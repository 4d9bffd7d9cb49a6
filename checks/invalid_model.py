"""The ONNX checker refuses the model.

**Why.** The compiler checks a model before it reads it, and every other tool does too.

**Fix.** Export again with a current exporter. A node that is named has an attribute, an input or a
type that its operator does not have in this opset.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what was found while the graph was made legal enough to look at."""
    for problem in facts.problems("invalid-model"):
        yield Hit(problem.location, problem.message, frames=problem.frames)


RULE = Rule(
    id="NPU007",
    name="invalid-model",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("the ONNX checker, which the compiler calls too: onnx/checker.cc",),
    check=check,
    examples=(
        Example(
            title="axes as an attribute where the opset wants an input",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 1, 4] x) => (float[1, 4] y) { y = Squeeze <axes = [1]> (x) }
            """,
            messages=("Squeeze: Unrecognized attribute: axes for operator Squeeze",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
        ),
    ),
)
