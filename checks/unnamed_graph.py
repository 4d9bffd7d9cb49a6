"""The graph has no name.

**Why.** The ONNX checker refuses a graph without a name, and so do the tools that call it.

**Fix.** Give it one: `model.graph.name = 'main'`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from onnx import ModelProto

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what was found while the graph was made legal enough to look at."""
    for problem in facts.problems("unnamed-graph"):
        yield Hit(problem.location, problem.message, frames=problem.frames)


def _unname(model: object) -> None:
    proto = cast("ModelProto", model)
    proto.graph.name = ""


RULE = Rule(
    id="NPU010",
    name="unnamed-graph",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("the ONNX checker, which the compiler calls too: onnx/checker.cc",),
    check=check,
    repair="make-legal",
    examples=(
        Example(
            title="a graph without a name",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
            edit=_unname,
            messages=("the graph has no name",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
        ),
    ),
)
