"""The axes of a Squeeze or Unsqueeze come from a node instead of an initializer.

**Why.** The value is known, but only after folding: a Constant node, or shape arithmetic.
Toolchains have answered such models with `'NoneType' object has no attribute 'get_value'`.

**Fix.** Turn the node into an initializer: every simplifier does, and so does folding constants at
export.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each node whose axes a node makes, although they are known."""
    for node in facts.nodes_of("Squeeze", "Unsqueeze"):
        axes, made = node.input(1), node.output()
        known = node.integers(1)
        if axes is None or axes.producer is None or known is None:
            continue
        if made is not None and made.is_constant:
            continue
        values = list(known)
        yield node.hit(
            f"the axes of {node.op_type}, {values}, come from a {axes.producer.op_type} node; "
            "some versions answer 'NoneType' object has no attribute 'get_value'"
        )


RULE = Rule(
    id="NPU111",
    name="axes-from-constant-node",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=("the deployment guide behind this project: Squeeze axes, tensor against attribute",),
    check=check,
    repair="merge-views",
    examples=(
        Example(
            title="axes in a Constant node",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4, 1] x) => (float[1, 4] y)
                { axes = Constant <value_ints = [2]> ()  y = Squeeze (x, axes) }
            """,
            messages=(
                (
                    "the axes of Squeeze, [2], come from a Constant node; some versions answer "
                    "'NoneType' object has no attribute 'get_value'"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4, 1] x) => (float[1, 4] y) <int64[1] axes = {2}>
                { y = Squeeze (x, axes) }
            """,
        ),
    ),
)
