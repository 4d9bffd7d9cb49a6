"""A Reshape sets allowzero.

**Why.** The importer takes only `allowzero = 0`. Current exporters write 1 although no size is 0.

**Fix.** Remove the attribute where no size in the target is 0: it then means nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each Reshape with the attribute."""
    for node in facts.nodes_of("Reshape"):
        made = node.output()
        if node.int_attribute("allowzero", 0) and not (made and made.is_constant):
            yield node.hit("Reshape has allowzero = 1, only 0 is taken")


RULE = Rule(
    id="NPU109",
    name="reshape-allowzero",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=(
        "ST Edge AI Core 2.1, supported_ops_onnx.html: Reshape",
        "stm32n6-edge-ai-benchmarks by Magnus3327",
    ),
    check=check,
    repair="merge-views",
    examples=(
        Example(
            title="allowzero without a zero",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 2, 4] x) => (float[1, 8] y) <int64[2] to = {1, 8}>
                { y = Reshape <allowzero = 1> (x, to) }
            """,
            messages=("Reshape has allowzero = 1, only 0 is taken",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 2, 4] x) => (float[1, 8] y) <int64[2] to = {1, 8}>
                { y = Reshape (x, to) }
            """,
        ),
    ),
)
