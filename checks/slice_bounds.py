"""The bounds of a Slice are negative or beyond the end.

**Why.** ONNX counts negative bounds from the end and cuts large ones. One version of the compiler
answers `TOOL ERROR: Error in computation of shapes`.

**Fix.** Write the bounds as positions inside the axis.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each Slice with such a bound."""
    for node in facts.nodes_of("Slice"):
        made, data = node.output(), node.input(0)
        starts, ends = node.integers(1), node.integers(2)
        shape = data.static_shape if data is not None else None
        if starts is None or ends is None or shape is None or made is None or made.is_constant:
            continue
        axes = range(len(starts)) if node.input(3) is None else node.integers(3) or ()
        for start, end, axis in zip(starts, ends, axes, strict=False):
            if not -len(shape) <= axis < len(shape):
                continue  # no axis of it: shape inference says so
            size = shape[axis]
            if start < 0 or end < 0 or end > size:
                yield node.hit(f"Slice from {start} to {end} on axis {axis} of size {size}")


RULE = Rule(
    id="NPU223",
    name="slice-bounds",
    severity=Severity.NOTE,
    doc=__doc__,
    sources=("LarocheC/stm32n6-deployment-zoo, known issues, Core 4.0.1",),
    check=check,
    repair="normalize-slices",
    examples=(
        Example(
            title="up to the end",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 2] y)
                <int64[1] a = {-2}, int64[1] b = {9223372036854775807}, int64[1] axis = {1}>
                { y = Slice (x, a, b, axis) }
            """,
            messages=("Slice from -2 to 9223372036854775807 on axis 1 of size 4",),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 4] x) => (float[1, 2] y)
                <int64[1] a = {2}, int64[1] b = {4}, int64[1] axis = {1}>
                { y = Slice (x, a, b, axis) }
            """,
        ),
    ),
)
