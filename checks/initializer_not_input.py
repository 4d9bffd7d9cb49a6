"""A model of IR version 3 has weights that are not among its inputs.

**Why.** Up to IR version 3 every initializer had to be listed as an input too; the ONNX checker
refuses the file.

**Fix.** Set `model.ir_version = 4` or above (8 suits opset 14), or list the weights as inputs.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what was found while the graph was made legal enough to look at."""
    for problem in facts.problems("initializer-not-input"):
        yield Hit(problem.location, problem.message, frames=problem.frames)


RULE = Rule(
    id="NPU014",
    name="initializer-not-input",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("ONNX specification, docs/IR.md",),
    check=check,
    repair="make-legal",
    examples=(
        Example(
            title="a weight that is not an input",
            bad="""
                <ir_version: 3, opset_import: ["" : 8]>
                net (float[1, 4] x) => (float[1, 4] y) <float[4] w> { y = Mul (x, w) }
            """,
            messages=(
                (
                    "IR version 3 wants every initializer among the inputs; 1 of 1 are not, "
                    "the first is 'w'"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
        ),
    ),
)
