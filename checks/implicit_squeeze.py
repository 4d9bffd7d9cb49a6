"""A Squeeze names no axes.

**Why.** It removes every axis of size 1, the batch too, and what it removes changes with the input.

**Fix.** Name the axes: `x.squeeze(-1)` instead of `x.squeeze()`.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each Squeeze without axes."""
    for node in facts.nodes_of("Squeeze"):
        made = node.output()
        if node.input(1) is None and not node.has("axes") and not (made and made.is_constant):
            yield node.hit("Squeeze names no axes and removes every axis of size 1")


RULE = Rule(
    id="NPU114",
    name="implicit-squeeze",
    severity=Severity.NOTE,
    doc=__doc__,
    sources=("the deployment guide behind this project, question 2: use explicit axes",),
    check=check,
    repair="merge-views",
    examples=(
        Example(
            title="a bare squeeze",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4, 1] x) => (float[4] y) { y = Squeeze (x) }
            """,
            messages=("Squeeze names no axes and removes every axis of size 1",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4, 1] x) => (float[1, 4] y) <int64[1] axes = {2}>
                { y = Squeeze (x, axes) }
            """,
        ),
    ),
)
