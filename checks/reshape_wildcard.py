"""The target of a Reshape holds -1 or 0.

**Why.** The compiler has to work the size out, and the toolchain is known to stumble over it; a
later change of the input silently changes what the Reshape does.

**Fix.** Write the sizes as numbers: `x.view(1, 72, 36, 36)` instead of `x.view(1, -1, 36, 36)`.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each Reshape whose constant target leaves a size open."""
    for node in facts.nodes_of("Reshape"):
        dims = node.integers(1)
        made = node.output()
        if dims is None or made is None or made.is_constant:
            continue
        zero = 0 in dims and not node.int_attribute("allowzero", 0)
        if -1 in dims or zero:
            static = made.static_shape
            now = f"; here it means {list(static)}" if static is not None else ""
            yield node.hit(f"Reshape with an open size: {list(dims)}{now}")


RULE = Rule(
    id="NPU107",
    name="reshape-wildcard",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=("the deployment guide behind this project: Reshape with dynamic dimension (-1)",),
    check=check,
    repair="merge-views",
    examples=(
        Example(
            title="a size to be worked out",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 2, 4] x) => (float[1, 8] y) <int64[2] to = {1, -1}>
                { y = Reshape (x, to) }
            """,
            messages=("Reshape with an open size: [1, -1]; here it means [1, 8]",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 2, 4] x) => (float[1, 8] y) <int64[2] to = {1, 8}>
                { y = Reshape (x, to) }
            """,
        ),
    ),
)
