"""An operator breaks a condition under which the target takes it.

**Why.** Each unit of the hardware has its sizes: a window, a stride, a line buffer; and the
importer takes some attributes with their default only. Beyond them an operator is split into
several passes, falls back to the CPU, or is refused.

**Fix.** The message names it. The level says what it costs: a note is a slower form, a warning a
fallback or an undocumented case, an error a refusal that was seen.

**Limits.** The conditions are rows of the target profile, each with its source; a documented limit
that a compiled model breaks is a note and names the model. One that would send an operator to the
CPU is not reported where compiles show that the operator stays on the NPU.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import (
    Example,
    Facts,
    Hit,
    Place,
    Rule,
    Severity,
    Target,
    acts_on_batch,
    broken,
    operators,
)

_STAYS = (Place.NPU, Place.FOLDED)


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield every broken condition that is not about the batch axis.

    A condition that sends an operator to the CPU counts where the operator does leave the NPU.
    """
    for node, found in operators(facts, target):
        for row, message in broken(node, target):
            is_void = row.effect == "cpu" and target.npu and found.place in _STAYS
            if not is_void and not acts_on_batch(row):
                yield node.hit(message, severity=row.severity, subject=row.id, cost=found.cost)


RULE = Rule(
    id="NPU203",
    name="operator-constraint",
    severity=Severity.WARNING,
    doc=__doc__,
    sources=(
        "https://stedgeai-dc.st.com/assets/embedded-docs/stneuralart_operator_support.html",
        "https://stedgeai-dc.st.com/assets/embedded-docs/supported_ops_onnx.html",
    ),
    check=check,
    examples=(
        Example(
            title="a large kernel and a product of two activations",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 4, 4, 4] y)
                <float[4, 3, 5, 5] w> {
                    c = Conv (x, w)
                    y = MatMul (c, c)
                }
            """,
            messages=(
                (
                    "conv-kernel: kernel 5x5 is larger than the 3x6 of the convolution unit at"
                    " stride 1: it is split into several passes; use stacked 3x3 kernels"
                ),
                (
                    "matmul-operand: the second operand is computed at run time, so the product"
                    " runs on the CPU; make one operand constant, or accept the cost"
                ),
                (
                    "matmul-rank: an operand has 4 dimensions; the importer documents 3; fold the"
                    " leading axes"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 4, 6, 6] y)
                <float[4, 3, 3, 3] w> {
                    y = Conv (x, w)
                }
            """,
        ),
        Example(
            title="a cut of four axes at once, which 4.0 refuses",
            target="stm32n6@4.0",
            bad="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8, 8] x) => (float[1, 2, 4, 4, 4] y)
                <int64[4] starts = {0, 0, 0, 0}, int64[4] ends = {2, 4, 4, 4},
                 int64[4] axes = {1, 2, 3, 4}> {
                    y = Slice (x, starts, ends, axes)
                }
            """,
            messages=(
                (
                    "slice-axes: it cuts 4 axes at once, above 3; cut the axes one after the other"
                    " (the compiler prints: NOT IMPLEMENTED: Slice on more than 3 dimensions)"
                ),
            ),
            good="""
                <ir_version: 8, opset_import: ["" : 14]>
                net (float[1, 3, 8, 8] x) => (float[1, 2, 4, 4] y)
                <int64[3] starts = {0, 0, 0}, int64[3] ends = {2, 4, 4},
                 int64[3] axes = {1, 2, 3}> {
                    y = Slice (x, starts, ends, axes)
                }
            """,
        ),
    ),
)
