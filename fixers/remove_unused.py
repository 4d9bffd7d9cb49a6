"""Remove what nothing reads: nodes, weights, optional outputs, imported domains.

**Keeps.** Every input, even an unread one, and everything that an output hangs on.

**Declines.** Nothing.
"""

from __future__ import annotations

from onnx import ModelProto

from npugate.api import Applied, Repair, RepairOptions, RepairResult, Skipped, Target
from npugate.surgery import sweeping


def apply(model: ModelProto, target: Target, options: RepairOptions) -> RepairResult:
    """Sweep the message in place."""
    edits: list[str] = []
    dead = sweeping.sweep_all(model.graph)
    if dead:
        edits.append(f"removed {len(dead)} unread nodes, {dead[0]!r} the first")
    cut = sweeping.cut_outputs(model)
    edits += [f"removed the unread output {name!r} of {op_type}" for op_type, name in cut]
    weights = sweeping.remove_unread_initializers(model)
    if weights:
        edits.append(f"removed {weights} unread initializers")
    domains = sweeping.remove_unused_domains(model)
    edits += [f"removed the import of domain {domain!r}, which no node uses" for domain in domains]
    return Applied(tuple(edits)) if edits else Skipped("everything in it is read")


REPAIR = Repair(
    name="remove-unused",
    doc=__doc__,
    edit_message=apply,
    after=("make-legal", "inline-functions", "set-static-shapes", "fold-constants"),
    example="""
        <ir_version: 8, opset_import: ["" : 14, "com.microsoft.nchwc" : 1]>
        net (float[1, 8] x) => (float[1, 8] y) {
            unread = Exp (x)
            y = Relu (x)
        }
    """,
)
