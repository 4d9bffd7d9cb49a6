"""The model is written in an operator set that the compiler does not read, or not the best one.

**Why.** The importer knows the operators as they were in a range of versions. A newer set has other
inputs and attributes for the same names.

**Fix.** Export again with the recommended version, or convert with `onnx.version_converter` and
check the numbers.

**Limits.** Only the default domain has a version limit here.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Location, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield one finding: outside the range, else another than the recommended version."""
    version = facts.opset
    if not version:
        return
    name = f"{target.name} ({target.toolchain})"
    lowest, highest = target.limit("opset_min"), target.limit("opset_max")
    advised = target.limit("opset_recommended")
    if lowest is not None and version < lowest.value:
        text = f"opset {version} is below {lowest.value}, the oldest that {name} reads"
        yield Hit(Location(), text, lowest.severity)
    elif highest is not None and version > highest.value:
        text = f"opset {version} is above {highest.value}, the newest that {name} reads"
        yield Hit(Location(), text, highest.severity)
    elif advised is not None and version != advised.value:
        text = f"opset {version} is read by {name}; {advised.value} is recommended"
        yield Hit(Location(), text, advised.severity)


RULE = Rule(
    id="NPU206",
    name="opset-version",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("https://stedgeai-dc.st.com/assets/embedded-docs/supported_ops_onnx.html",),
    check=check,
    repair="convert-opset",
    examples=(
        Example(
            title="a set that is too new",
            bad="""
                <ir_version: 8, opset_import: ["" : 21]>
                net (float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }
            """,
            messages=("opset 21 is above 20, the newest that stm32n6 (2.2) reads",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }
            """,
        ),
        Example(
            title="a set that is too old",
            bad="""
                <ir_version: 8, opset_import: ["" : 6]>
                net (float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }
            """,
            messages=("opset 6 is below 7, the oldest that stm32n6 (2.2) reads",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }
            """,
        ),
        Example(
            title="a set that is read, but is not the recommended one",
            target="stm32n6@3.0",
            bad="""
                <ir_version: 10, opset_import: ["" : 21]>
                net (float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }
            """,
            messages=("opset 21 is read by stm32n6 (3.0); 14 is recommended",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }
            """,
        ),
    ),
)
