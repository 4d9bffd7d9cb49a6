"""Make a file legal that loaders refuse, where that takes no guess.

**Keeps.** Every node, attribute, weight and value's name: only the names of nodes, their order and
declarations change.

**Declines.** What can be meant in two ways: a value that is made twice or by nobody, weights or
inputs declared twice, a cycle, a missing operator set that more than one meaning fits, an output
whose shape cannot be inferred.
"""

from __future__ import annotations

from onnx import ModelProto

from npugate.api import Applied, Declined, Repair, RepairOptions, RepairResult, Skipped, Target
from npugate.surgery import legal
from npugate.surgery.node import NoFormError
from npugate.surgery.opsets.imports import import_missing
from npugate.surgery.shapes import InferenceRefusedError


def apply(model: ModelProto, target: Target, options: RepairOptions) -> RepairResult:
    """Correct the message in place."""
    advised = target.limit("opset_recommended")
    wanted = advised.value if advised is not None and isinstance(advised.value, int) else 14
    try:
        edits = [
            *legal.name_graph(model),
            *legal.name_nodes(model.graph),
            *legal.declare_weights(model),
            *legal.drop_doubled_declarations(model.graph),
            *import_missing(model, wanted),
        ]
        fault = legal.contradiction(model)
        if fault:
            return Declined(fault)
        edits += [*legal.sort_nodes(model.graph), *legal.declare_outputs(model)]
    except (NoFormError, InferenceRefusedError) as error:
        return Declined(str(error))
    return Applied(tuple(edits)) if edits else Skipped("the file is legal")


REPAIR = Repair(
    name="make-legal",
    doc=__doc__,
    edit_message=apply,
    legalises=True,
    example="""
        <ir_version: 8, opset_import: ["" : 14]>
        net (float[1, 8] x) => (float[1, 8] y) {
            [same] a = Relu (x)
            [same] y = Sigmoid (a)
        }
    """,
)
