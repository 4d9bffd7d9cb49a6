"""Several nodes have one name.

**Why.** ONNX allows it, but compiler reports, profiles and repairs go by the name of a node and
cannot tell them apart.

**Fix.** Give each node a name of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from onnx import ModelProto

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what was found while the graph was made legal enough to look at."""
    for problem in facts.problems("duplicate-node-name"):
        yield Hit(problem.location, problem.message, frames=problem.frames)


def _name(model: object) -> None:
    proto = cast("ModelProto", model)
    for node in proto.graph.node:
        node.name = "same"


RULE = Rule(
    id="NPU018",
    name="duplicate-node-name",
    severity=Severity.NOTE,
    doc=__doc__,
    sources=("ONNX specification, docs/IR.md",),
    check=check,
    repair="make-legal",
    examples=(
        Example(
            title="two nodes named alike",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { h = Neg (x)  y = Relu (h) }
            """,
            edit=_name,
            messages=("2 nodes are named 'same'; reports and repairs cannot tell them apart",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
        ),
    ),
)
