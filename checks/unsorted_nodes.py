"""A node reads a value before the node that makes it.

**Why.** ONNX wants nodes in an order in which every value is made before it is read; the checker
refuses another.

**Fix.** Sort the nodes, for example with `onnx_graphsurgeon`'s `graph.toposort()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from onnx import ModelProto

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what was found while the graph was made legal enough to look at."""
    for problem in facts.problems("unsorted-nodes"):
        yield Hit(problem.location, problem.message, frames=problem.frames)


def _swap(model: object) -> None:
    proto = cast("ModelProto", model)
    first = proto.graph.node.pop(0)
    proto.graph.node.append(first)


RULE = Rule(
    id="NPU012",
    name="unsorted-nodes",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("ONNX specification, docs/IR.md",),
    check=check,
    repair="make-legal",
    examples=(
        Example(
            title="the second node first",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { h = Neg (x)  y = Relu (h) }
            """,
            edit=_swap,
            messages=("node 'y' reads 'h' before the node that makes it",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
        ),
    ),
)
