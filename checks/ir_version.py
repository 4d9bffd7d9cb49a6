"""The file is in a version of the ONNX format that the compiler does not read.

**Why.** The compiler brings an ONNX library of its own, whose checker refuses files of a later
format before it looks at the graph.

**Fix.** Set `model.ir_version` to the limit and save; nothing else of such a file changes unless it
uses the new types.

**Limits.** The format's version is not the operator set's, see opset-version.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Location, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield one finding when the file's version is above the limit."""
    limit = target.limit("ir_max")
    if limit is None or facts.ir_version <= limit.value:
        return
    name = f"{target.name} ({target.toolchain})"
    words = f" (the compiler prints: {limit.error_text})" if limit.error_text else ""
    text = f"IR version {facts.ir_version} is above {limit.value}, the newest that {name} reads"
    yield Hit(Location(), text + words, limit.severity)


RULE = Rule(
    id="NPU207",
    name="ir-version",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("https://github.com/Magnus3327/stm32n6-edge-ai-benchmarks",),
    check=check,
    repair="convert-opset",
    examples=(
        Example(
            title="a file of a newer format",
            bad="""
                <ir_version: 10, opset_import: ["" : 14]>
                net (float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }
            """,
            messages=(
                (
                    "IR version 10 is above 9, the newest that stm32n6 (2.2) reads (the compiler"
                    " prints: INTERNAL ERROR: Your model ir_version 10 is higher than the checker's"
                    " (9).)"
                ),
            ),
            good="""
                <ir_version: 9, opset_import: ["" : 14]>
                net (float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }
            """,
        ),
    ),
)
