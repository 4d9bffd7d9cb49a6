"""An input with one axis feeds a Reshape.

**Why.** One version of the compiler misses the shape of such an input and stops.

**Fix.** Declare the input with a leading axis of 1: `[1, N]` instead of `[N]`.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each input of rank 1 that a Reshape reads as its data."""
    for tensor in facts.main.inputs:
        if tensor.rank == 1 and any(
            node.op_type == "Reshape" and node.input(0) is tensor for node in tensor.consumers
        ):
            yield tensor.hit(f"input {tensor.name!r} has rank 1 and feeds a Reshape")


RULE = Rule(
    id="NPU113",
    name="rank-one-input",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=("LarocheC/stm32n6-deployment-zoo, known issues, Core 4.0.1",),
    check=check,
    examples=(
        Example(
            title="a flat input",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[8] x) => (float[1, 8] y) <int64[2] to = {1, 8}> { y = Reshape (x, to) }
            """,
            messages=("input 'x' has rank 1 and feeds a Reshape",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 2, 4] x) => (float[1, 8] y) <int64[2] to = {1, 8}>
                { y = Reshape (x, to) }
            """,
        ),
    ),
)
