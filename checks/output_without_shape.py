"""An output of the graph has no type or shape.

**Why.** The compiler and the firmware size the output buffer from it; the ONNX checker refuses the
file.

**Fix.** Run `onnx.shape_inference.infer_shapes` and save the result, or set the shape by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from onnx import ModelProto

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what was found while the graph was made legal enough to look at."""
    for problem in facts.problems("output-without-shape"):
        yield Hit(problem.location, problem.message, frames=problem.frames)


def _strip(model: object) -> None:
    proto = cast("ModelProto", model)
    proto.graph.output[0].type.tensor_type.ClearField("shape")


RULE = Rule(
    id="NPU015",
    name="output-without-shape",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("the ONNX checker, which the compiler calls too: onnx/checker.cc",),
    check=check,
    repair="make-legal",
    examples=(
        Example(
            title="an output without a shape",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
            edit=_strip,
            messages=("graph output 'y' has no shape",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
        ),
    ),
)
