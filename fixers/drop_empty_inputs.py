"""Leave out the value of a Pad where it says nothing.

An empty name in the place of the value crashes one version of the compiler, and a scalar without
axes is refused by another. Both mean the default where the value is 0 or the mode takes none.

    pad(x, pads, 0)  =>  pad(x, pads)

**Keeps.** The numbers: 0 is what a Pad writes without a value.

**Declines.** Nothing: a value other than 0 stays, as does one in front of axes that are known only
at run time.
"""

from __future__ import annotations

import numpy as np

from npugate.api import Applied, Repair, RepairOptions, RepairResult, Skipped, Target
from npugate.surgery.batch.regions import pads_by_axis
from npugate.surgery.draft import Draft
from npugate.surgery.node import Node

_VALUE, _AXES = 2, 3


def apply(draft: Draft, target: Target, options: RepairOptions) -> RepairResult:
    """Shorten the inputs of each Pad."""
    edits: list[str] = []
    for node in draft.nodes:
        if (
            not node.is_a("Pad")
            or node.input(1) is None
            or len(node.inputs) <= _VALUE
            or not _says_nothing(draft, node)
        ):
            continue
        if node.input(_AXES) is not None and not _name_every_axis(draft, node):
            continue
        while len(node.inputs) > _VALUE:
            del node.inputs[-1]
        edits.append(f"the value of Pad {node.label!r} is left out; it is the default")
    if not edits:
        return Skipped("no Pad has an empty or default value")
    return Applied(tuple(edits))


def _says_nothing(draft: Draft, node: Node) -> bool:
    value = node.input(_VALUE)
    if value is None or node.text("mode", "constant") != "constant":
        return True
    array = draft.array(value)
    return array is not None and array.ndim == 0 and bool(array == 0)


def _name_every_axis(draft: Draft, node: Node) -> bool:
    """Write the pads for all axes, so that the input of axes can go."""
    dims = draft.maybe_dims(node.inputs[0])
    pads = None if dims is None else pads_by_axis(draft, node, len(dims))
    if dims is None or pads is None:
        return False
    both = [pads.get(axis, (0, 0)) for axis in range(len(dims))]
    full = [pair[0] for pair in both] + [pair[1] for pair in both]
    draft.set_input(node, 1, draft.constant(np.array(full, np.int64), "pads"))
    return True


REPAIR = Repair(
    name="drop-empty-inputs",
    doc=__doc__,
    edit=apply,
    needs=("make-legal", "inline-functions", "fold-constants"),
    example="""
        <ir_version: 8, opset_import: ["" : 14]>
        net (float[1, 4] x) => (float[1, 6] y) <int64[4] p = {0, 1, 0, 1}, float zero = {0.0}>
        { y = Pad (x, p, zero) }
    """,
)
