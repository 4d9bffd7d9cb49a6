"""A value has no name, or two values have the same.

**Why.** Values are known by their names: with two of one name, tools disagree on which is meant,
and the ONNX checker refuses the file.

**Fix.** Rename one of the two, in the exporter or with onnx's helpers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from onnx import ModelProto

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what was found while the graph was made legal enough to look at."""
    for problem in facts.problems("duplicate-name"):
        yield Hit(problem.location, problem.message, frames=problem.frames)


def _twice(model: object) -> None:
    proto = cast("ModelProto", model)
    proto.graph.node.add(op_type="Neg", name="again", input=["x"], output=["y"])


RULE = Rule(
    id="NPU011",
    name="duplicate-name",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("ONNX specification, docs/IR.md",),
    check=check,
    examples=(
        Example(
            title="two nodes that make one value",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
            edit=_twice,
            messages=("value 'y' is made twice",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
        ),
    ),
)
