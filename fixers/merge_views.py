"""Write Squeeze, Unsqueeze, Flatten and Reshape as one Reshape to constant sizes each.

A chain of them becomes one, and one that changes nothing becomes none. No axes are left that a
compiler could fail to read, no size `-1` or `0` that it must work out, and no `allowzero`.

    reshape(reshape(x, a), b)  =>  reshape(x, b),  reshape(x, shape(x))  =>  x

**Keeps.** The elements and their order: all four operators keep both.

**Declines.** Nothing: where the shape is known only at run time, the operator stays, also where the
file declares one.
"""

from __future__ import annotations

from npugate.api import RESHAPES, Applied, Repair, RepairOptions, RepairResult, Skipped, Target
from npugate.surgery import views
from npugate.surgery.draft import Draft
from npugate.surgery.linking import is_constant
from npugate.surgery.node import Node


def apply(draft: Draft, target: Target, options: RepairOptions) -> RepairResult:
    """Replace each view whose shape is static, and fuse them."""
    edits: list[str] = []

    def change(node: Node) -> bool:
        if not _is_open(draft, node):
            return False
        dims = draft.dims(node.outputs[0])
        edits.append(f"{node.op} {node.label!r} is a Reshape to {list(dims)} now")
        draft.reshape(node.inputs[0], dims, node.outputs[0])
        return True

    before = len(draft.nodes)
    draft.rewrite(change)
    if not edits:
        return Skipped("every view with a static shape is a Reshape to constant sizes already")
    views.fuse(draft)
    gone = before - len(draft.nodes)
    if gone:
        edits.append(f"Reshapes in a row are one now: {gone} fewer")
    return Applied(tuple(edits))


def _is_open(draft: Draft, node: Node) -> bool:
    """Tell whether a node is a view that can be written more plainly."""
    if not node.is_a(*RESHAPES) or node.input(0) is None:
        return False
    dims = draft.maybe_dims(node.outputs[0])
    if dims is None or 0 in dims:  # in the target of a Reshape, a 0 says "as before"
        return False
    target = node.input(1)
    if draft.is_output(node.outputs[0]) and target is not None and draft.array(target) is None:
        return False  # the shape is only what the file says: it was not inferred
    if node.op != "Reshape" or "allowzero" in node.attrs:
        return True
    return not is_constant(node.input(1)) or draft.ints(node.input(1)) != list(dims)


REPAIR = Repair(
    name="merge-views",
    doc=__doc__,
    edit=apply,
    needs=("make-legal", "inline-functions", "set-static-shapes", "fold-constants"),
    after=("lower-rank", "use-global-pools", "fold-batch"),
    example="""
        <ir_version: 8, opset_import: ["" : 14]>
        net (float[1, 4, 1, 6] x) => (float[1, 24] y) <int64[1] axes = {2}> {
            h = Squeeze (x, axes)
            y = Flatten (h)
        }
    """,
)
