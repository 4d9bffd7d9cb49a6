"""A node reads, or the graph returns, a value that nothing makes.

**Why.** The graph is incomplete: it was cut, or a name was changed on one side only.

**Fix.** Export again, or make the two names equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from onnx import ModelProto

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what was found while the graph was made legal enough to look at."""
    for problem in facts.problems("undefined-value"):
        yield Hit(problem.location, problem.message, frames=problem.frames)


def _cut(model: object) -> None:
    proto = cast("ModelProto", model)
    proto.graph.node[0].input[0] = "lost"


RULE = Rule(
    id="NPU016",
    name="undefined-value",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("ONNX specification, docs/IR.md",),
    check=check,
    examples=(
        Example(
            title="an input that was renamed on one side",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
            edit=_cut,
            messages=("Relu reads 'lost', which no input, initializer or node makes",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
        ),
    ),
)
