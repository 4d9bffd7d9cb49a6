"""Write an Einsum of two operands as a MatMul between transposes.

    einsum(x, w)  =>  transpose(x'[B, M, K] @ w'[B, K, N])

B are the labels of both operands and the result, M and N those of one operand and the result, K
those that are summed over.

**Keeps.** The numbers, up to the order of the sums inside the product.

**Declines.** An Einsum of another number of operands, with an ellipsis, a repeated label, a size
that is broadcast, a sum over one operand alone, or operands of unknown shape.
"""

from __future__ import annotations

from npugate.api import (
    Applied,
    Declined,
    Repair,
    RepairOptions,
    RepairResult,
    Skipped,
    Target,
)
from npugate.surgery import views
from npugate.surgery.draft import Draft
from npugate.surgery.einsum import split
from npugate.surgery.node import Node

_LEAST_RANK = 4


def apply(draft: Draft, target: Target, options: RepairOptions) -> RepairResult:
    """Replace every Einsum, or none."""
    limit = target.limit("rank_max")
    rank = options.prefer_rank or (limit.value if limit is not None else _LEAST_RANK)
    edits: list[str] = []

    def change(node: Node) -> bool:
        if not node.is_a("Einsum"):
            return False
        text = node.text("equation", "")
        split(draft, node, max(rank, _LEAST_RANK))
        edits.append(f"Einsum {node.label!r} of {text!r} is a MatMul now")
        return True

    done = draft.rewrite(change)
    if done.failures:
        return Declined(done.failures[0][1])
    if not edits:
        return Skipped("no Einsum")
    views.fuse(draft)
    return Applied(tuple(edits))


REPAIR = Repair(
    name="split-einsum",
    doc=__doc__,
    edit=apply,
    needs=("make-legal", "inline-functions", "set-static-shapes", "fold-constants"),
    after=("lower-rank",),
    example="""
        <ir_version: 8, opset_import: ["" : 14]>
        net (float[1, 4, 8] a, float[1, 6, 8] b) => (float[1, 4, 6] y)
        { y = Einsum <equation = "bij,bkj->bik"> (a, b) }
    """,
)
