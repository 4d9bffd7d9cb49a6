"""Give inputs with open axes a static shape.

**Keeps.** Every node. An open leading axis is the batch and becomes 1, unless a shape is given.

**Declines.** Any other open axis that no `--shape NAME=1,3,224,224` names, and shapes that
contradict the file: a guess there would make another network.
"""

from __future__ import annotations

from onnx import ModelProto

from npugate.api import (
    Applied,
    Declined,
    InterfaceChange,
    Repair,
    RepairOptions,
    RepairResult,
    Skipped,
    Target,
)
from npugate.surgery import static
from npugate.surgery.node import NoFormError
from npugate.surgery.shapes import InferenceRefusedError, Known


def apply(model: ModelProto, target: Target, options: RepairOptions) -> RepairResult:
    """Set the shapes in place."""
    try:
        found = static.plan(model, options.shapes)
        if not found.shapes:
            return Skipped("every input is static")
        changes = static.write(model, found)
    except (NoFormError, InferenceRefusedError) as error:
        return Declined(str(error))
    edits = [
        f"took the open leading axis of input {name!r} for the batch and set it to 1"
        for name in found.assumed
    ]
    edits += [
        f"set input {name!r} to {list(shape)}"
        for name, shape in found.shapes.items()
        if name not in found.assumed
    ]
    interface = [
        InterfaceChange(name, _text(before), _text(after))
        for name, (before, after) in changes.items()
    ]
    return Applied(tuple(edits), tuple(interface))


def _text(known: Known) -> str:
    if known.shape is None:
        return "?"
    return f"[{', '.join('?' if dim is None else str(dim) for dim in known.shape)}]"


REPAIR = Repair(
    name="set-static-shapes",
    doc=__doc__,
    edit_message=apply,
    after=("make-legal", "inline-functions"),
    example="""
        <ir_version: 8, opset_import: ["" : 14]>
        net (float[N, 3, 8, 8] x) => (float[N, 3, 8, 8] y) { y = Relu (x) }
    """,
)
