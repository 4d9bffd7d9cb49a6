"""An operator works along the leading axis, which the compiler takes as the batch.

**Why.** The compiler lays every tensor out with the samples apart and runs one of them. Joining,
cutting, gathering along that axis, or moving it, has no meaning there.

**Fix.** Keep a leading axis of size 1 through the whole network and let the data use the others.

**Limits.** Tensors of rank 1 are left out; so are operators that are computed at compile time.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import Example, Facts, Hit, Rule, Severity, Target, acts_on_batch, broken


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield every broken condition about the batch axis."""
    for node in facts.nodes:
        for row, message in broken(node, target):
            if acts_on_batch(row):
                yield node.hit(message, severity=row.severity, subject=row.id)


RULE = Rule(
    id="NPU204",
    name="batch-axis",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=("https://stedgeai-dc.st.com/assets/embedded-docs/supported_ops_onnx.html",),
    check=check,
    examples=(
        Example(
            title="samples joined and moved",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8] a, float[1, 8] b) => (float[8, 2] y)
                {
                    c = Concat <axis = 0> (a, b)
                    y = Transpose <perm = [1, 0]> (c)
                }
            """,
            messages=(
                (
                    "concat-batch: it joins along axis 0, which the compiler takes as the batch;"
                    " join along another axis"
                ),
                (
                    "transpose-batch: perm (1, 0) moves the leading axis of 2, which the compiler"
                    " takes as the batch; keep the leading axis in place"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8] a, float[1, 8] b) => (float[1, 16] y)
                {
                    y = Concat <axis = 1> (a, b)
                }
            """,
        ),
        Example(
            title="a cut of the samples, which 4.0 refuses",
            target="stm32n6@4.0",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[4, 8] x) => (float[2, 8] y)
                <int64[1] starts = {1}, int64[1] ends = {3}, int64[1] axes = {0}> {
                    y = Slice (x, starts, ends, axes)
                }
            """,
            messages=(
                (
                    "slice-batch: it cuts the leading axis of 4 from 1 to 3, which the compiler"
                    " takes as the batch; move the samples to another axis (the compiler prints:"
                    " NOT IMPLEMENTED: Slice on batch dimension)"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 8] x) => (float[1, 2] y)
                <int64[1] starts = {1}, int64[1] ends = {3}, int64[1] axes = {1}> {
                    y = Slice (x, starts, ends, axes)
                }
            """,
        ),
    ),
)
