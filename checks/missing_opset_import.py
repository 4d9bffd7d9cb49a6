"""Operators of a domain are used that opset_import does not name.

**Why.** Without it nobody can tell which version of the operators is meant, and the ONNX checker
refuses the file.

**Fix.** Add the domain and its version to `model.opset_import`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from onnx import ModelProto

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield what was found while the graph was made legal enough to look at."""
    for problem in facts.problems("missing-opset-import"):
        yield Hit(problem.location, problem.message, frames=problem.frames)


def _forget(model: object) -> None:
    proto = cast("ModelProto", model)
    del proto.opset_import[:]


RULE = Rule(
    id="NPU013",
    name="missing-opset-import",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("ONNX specification, docs/IR.md",),
    check=check,
    repair="make-legal",
    examples=(
        Example(
            title="no opset import at all",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
            edit=_forget,
            messages=(
                (
                    "operators of domain 'ai.onnx' are used, Relu the first, "
                    "but opset_import does not name it"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }
            """,
        ),
    ),
)
