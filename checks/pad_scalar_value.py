"""The value of a Pad is a scalar tensor without axes.

**Why.** One version of the compiler answers `Failed to build a valid graph: missing shape or size
for value=Pad_..._constant_value`; others take it.

**Fix.** Leave the value out where it is 0, or merge the Pad into the convolution behind it.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each Pad whose value has no axes."""
    for node in facts.nodes_of("Pad"):
        value = node.input(2)
        if (
            value is not None
            and value.rank == 0
            and node.text_attribute("mode", "constant") == "constant"
        ):
            yield node.hit(f"the value of Pad, {value.name!r}, is a scalar without axes")


RULE = Rule(
    id="NPU222",
    name="pad-scalar-value",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=("LarocheC/stm32n6-deployment-zoo, known issues, Core 4.0.1",),
    check=check,
    repair="drop-empty-inputs",
    examples=(
        Example(
            title="a scalar zero",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 6] y)
                <int64[4] p = {0, 1, 0, 1}, float v = {0.0}>
                { y = Pad (x, p, v) }
            """,
            messages=("the value of Pad, 'v', is a scalar without axes",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 6] y) <int64[4] p = {0, 1, 0, 1}>
                { y = Pad (x, p) }
            """,
        ),
    ),
)
