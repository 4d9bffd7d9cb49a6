"""A dimension is larger than the compiler takes.

**Why.** Sizes are held in 16 bits.

**Fix.** Split the axis, or process the signal in pieces.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each tensor with such a dimension, once, at the node that makes it."""
    limit = target.limit("dimension_max")
    if limit is None:
        return
    for tensor in facts.tensors:
        if tensor.is_constant and tensor.producer is not None:
            continue
        for axis, dim in enumerate(tensor.shape or ()):
            if isinstance(dim, int) and dim > limit.value:
                yield tensor.hit(
                    f"axis {axis} of {tensor.name!r} has {dim} elements, "
                    f"the limit is {limit.value}",
                    limit.severity,
                )
                break


RULE = Rule(
    id="NPU112",
    name="dimension-too-large",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("ST Edge AI Core 2.1, supported_ops_onnx.html: each dimension in [0, 65535]",),
    check=check,
    examples=(
        Example(
            title="a long signal",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 70000] x) => (float[1, 70000] y) { y = Relu (x) }
            """,
            messages=(
                "axis 1 of 'x' has 70000 elements, the limit is 65535",
                "axis 1 of 'y' has 70000 elements, the limit is 65535",
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 7000] x) => (float[1, 7000] y) { y = Relu (x) }
            """,
        ),
    ),
)
