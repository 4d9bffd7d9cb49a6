"""A Pad has an empty third input.

**Why.** An empty name means that the value is left out. One version of the compiler crashes on it:
`Internal compiler error (signo=11)`.

**Fix.** Remove the empty input from the node.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from onnx import ModelProto

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each Pad whose value is written as an empty name."""
    for node in facts.nodes_of("Pad"):
        if len(node.inputs) > 2 and node.input(2) is None:  # noqa: PLR2004 - data, pads, value
            yield node.hit("Pad has an empty third input")


def _leave_empty(model: object) -> None:
    proto = cast("ModelProto", model)
    proto.graph.node[0].input.append("")


RULE = Rule(
    id="NPU221",
    name="pad-empty-value",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=("LarocheC/stm32n6-deployment-zoo, known issues, Core 4.0.1",),
    check=check,
    repair="drop-empty-inputs",
    examples=(
        Example(
            title="an empty value",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 6] y) <int64[4] p = {0, 1, 0, 1}>
                { y = Pad (x, p) }
            """,
            edit=_leave_empty,
            messages=("Pad has an empty third input",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 6] y) <int64[4] p = {0, 1, 0, 1}>
                { y = Pad (x, p) }
            """,
        ),
    ),
)
