"""Give inputs with open axes a static shape.

**Keeps.** Every node. An open leading axis is the batch and becomes 1; where a window leaves
nothing of 1, it is an axis of the data. Any other takes what `--shape NAME=1,3,224,224` or `shapes`
in the configuration says, else the size of the weights that it meets, else the first of some usual
sizes (224 for images, 128 for sequences) that the network takes; the report says that it was
chosen.

**Declines.** Shapes that contradict the file or each other, and networks that take none of the
usual sizes.
"""

from __future__ import annotations

from collections.abc import Mapping

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
from npugate.surgery import sizes, static
from npugate.surgery.extent import STARVED, starved
from npugate.surgery.node import NoFormError
from npugate.surgery.shapes import InferenceRefusedError, Known


def apply(model: ModelProto, target: Target, options: RepairOptions) -> RepairResult:
    """Set the shapes in place."""
    chosen: Mapping[str, tuple[int, ...]] = {}
    try:
        try:
            found = _planned(model, options)
        except NoFormError as reason:
            chosen = _chosen(model, options, str(reason))
            found = static.plan(model, {**options.shapes, **chosen})
        if not found.shapes:
            return Skipped("every input is static")
        changes = static.write(model, found)
    except (NoFormError, InferenceRefusedError) as error:
        return Declined(str(error))
    edits = [
        f"input {name!r} was open: {list(shape)} was chosen; give --shape "
        f"{name}={','.join(map(str, shape))} with the sizes that you use"
        for name, shape in chosen.items()
    ]
    edits += [
        f"took the open leading axis of input {name!r} for the batch and set it to 1"
        for name in found.assumed
    ]
    edits += [
        f"set input {name!r} to {list(shape)}"
        for name, shape in found.shapes.items()
        if name not in found.assumed and name not in chosen
    ]
    interface = [
        InterfaceChange(name, _text(before), _text(after))
        for name, (before, after) in changes.items()
    ]
    return Applied(tuple(edits), tuple(interface))


def _planned(model: ModelProto, options: RepairOptions) -> static.Plan:
    """Plan without choosing sizes; raises NoFormError where one must be chosen."""
    found = static.plan(model, options.shapes)
    if found.shapes and (fault := starved(static.shaped(model, found))):
        what = "takes no batch of 1" if found.assumed else "does not work with these shapes"
        raise NoFormError(f"the network {what}: {fault}")
    return found


def _chosen(
    model: ModelProto, options: RepairOptions, reason: str
) -> Mapping[str, tuple[int, ...]]:
    """Choose sizes; where none fits, the reason to give is that of the open axis."""
    is_batch = not reason.endswith(STARVED)
    try:
        try:
            chosen = sizes.choose(model, options.shapes, is_batch=is_batch)
        except NoFormError as error:
            if not is_batch or not str(error).endswith(STARVED):
                raise
            chosen = sizes.choose(model, options.shapes, is_batch=False)
    except NoFormError as error:
        raise NoFormError(f"{reason}; of the usual sizes none fits: {error}") from error
    if not chosen:
        raise NoFormError(reason)
    return chosen


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
