"""The leading axis of an input is a symbol.

**Why.** The compiler takes an unknown batch as 1 and goes on. That is what most people mean; it is
not when the axis is a number of frames or samples.

**Fix.** Write the batch into the file: export without `dynamic_axes`, or set the axis to 1.

**Limits.** Every other rule checks the model with this axis at 1, as the compiler would.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Location, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield one hit for each input whose leading axis was read as 1."""
    for name, symbol in facts.symbolic_batches.items():
        shown = "unknown" if symbol == "?" else repr(symbol)
        yield Hit(Location(value=name), f"axis 0 of input {name!r} is {shown}; it is taken as 1")


RULE = Rule(
    id="NPU103",
    name="symbolic-batch",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=(
        "ST Edge AI Core 2.1, supported_ops_onnx.html: a variable batch is considered equal to 1",
        "ST's own deeplab_v3 QDQ model has a symbolic batch and compiles",
    ),
    check=check,
    repair="set-static-shapes",
    examples=(
        Example(
            title="a symbolic batch",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[batch, 3, 8, 8] x) => (float[batch, 3, 8, 8] y) { y = Relu (x) }
            """,
            messages=("axis 0 of input 'x' is 'batch'; it is taken as 1",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) { y = Relu (x) }
            """,
        ),
    ),
)
