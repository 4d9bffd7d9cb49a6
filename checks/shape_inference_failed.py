"""The shapes of the graph contradict each other, or an operator cannot take its inputs.

**Why.** The compiler lays out every buffer ahead of time and runs the same inference; it stops with
a text such as `Exported ONNX could be malformed since ONNX shape inference fails`.

**Fix.** Look at the node that is named: its inputs do not fit. Export again from the source, or
correct the shape that is declared by hand.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target, explained


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what was found while the graph was made legal enough to look at."""
    for problem in facts.problems("shape-inference-failed"):
        sizes = explained(facts, problem.location)
        message = f"{problem.message}: {sizes}" if sizes else problem.message
        yield Hit(problem.location, message, frames=problem.frames)


RULE = Rule(
    id="NPU003",
    name="shape-inference-failed",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=(
        "onnx.shape_inference on the same graph",
        "stm32n6-edge-ai-benchmarks by Magnus3327: the text of Core 2.2.0",
    ),
    check=check,
    examples=(
        Example(
            title="a product of matrices that do not fit",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 6] y) <float[5, 6] w> { y = MatMul (x, w) }
            """,
            messages=(
                (
                    "MatMul: [ShapeInferenceError] Incompatible dimensions for matrix "
                    "multiplication: 'x' [1, 4] has 4 columns, 'w' [5, 6] has 5 rows"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
        ),
    ),
)
