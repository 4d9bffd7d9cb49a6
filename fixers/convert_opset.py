"""Write the model in an operator set and a file format that the compiler reads.

**Keeps.** Every number: each operator whose meaning changed between two versions has an entry of
its own, and one whose schema did not change stays as it is. The metadata of a node passes to the
nodes that stand for it. A model whose operator set is in range keeps it, and gets another file
format only.

**Declines.** An operator, an attribute or a type that has no equal form in the wanted set, by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto

from npugate.api import Applied, Declined, Repair, RepairOptions, RepairResult, Skipped, Target
from npugate.surgery.linking import opset_of
from npugate.surgery.node import NoFormError
from npugate.surgery.opsets.convert import convert, least_ir
from npugate.surgery.scope import bodies_of
from npugate.surgery.shapes import InferenceRefusedError

_USUAL_IR = 8
_FIRST_SEPARATE_INITIALIZERS = 4  # IR version from which weights need not be inputs
_TYPES_SINCE: Mapping[int, int] = {
    TensorProto.FLOAT8E4M3FN: 9,
    TensorProto.FLOAT8E4M3FNUZ: 9,
    TensorProto.FLOAT8E5M2: 9,
    TensorProto.FLOAT8E5M2FNUZ: 9,
    TensorProto.UINT4: 10,
    TensorProto.INT4: 10,
    TensorProto.FLOAT4E2M1: 11,
}


def apply(model: ModelProto, target: Target, options: RepairOptions) -> RepairResult:
    """Convert in place."""
    version = opset_of(model)
    if not version:
        return Declined("the model imports no version of ai.onnx")
    goal = _goal(version, target, options)
    edits: list[str] = []
    try:
        if goal != version:
            done = convert(model, goal)
            forms = ", ".join(f"{count} {name}" for name, count in sorted(done.items()) if count)
            changed = f"another form of {forms}" if forms else "no operator has another form"
            edits.append(f"converted opset {version} to {goal}: {changed}")
        edits += _set_ir(model, goal, target, is_new=goal != version)
    except (NoFormError, InferenceRefusedError) as error:
        return Declined(str(error))
    return Applied(tuple(edits)) if edits else Skipped(f"opset {version} is read as it is")


def _goal(version: int, target: Target, options: RepairOptions) -> int:
    if options.opset is not None:
        return options.opset
    lowest, highest = _limit(target, "opset_min"), _limit(target, "opset_max")
    is_read = (lowest is None or version >= lowest) and (highest is None or version <= highest)
    advised = _limit(target, "opset_recommended")
    return version if is_read else advised or highest or lowest or version


def _limit(target: Target, name: str) -> int | None:
    limit = target.limit(name)
    return limit.value if limit is not None and isinstance(limit.value, int) else None


def _set_ir(model: ModelProto, opset: int, target: Target, *, is_new: bool) -> list[str]:
    """Choose the file format; say so when it is another.

    Raises:
        NoFormError: what the file holds needs a format that the target does not read.
    """
    highest = _limit(target, "ir_max")
    before = int(model.ir_version)
    if not is_new and (highest is None or before <= highest):
        return []
    least = max([least_ir(model, opset), *_needed(model.graph)])
    wanted = max(min(before, _USUAL_IR), least)
    if highest is not None and wanted > highest:
        raise NoFormError(f"what it holds needs IR version {wanted}, above {highest}")
    if wanted == before:
        return []
    model.ir_version = wanted
    if before < _FIRST_SEPARATE_INITIALIZERS <= wanted:
        _separate_weights(model.graph)
    return [f"set the IR version from {before} to {wanted}"]


def _needed(graph: GraphProto) -> Iterator[int]:
    """Yield the IR versions that the types in a graph came with."""
    types = {int(item.data_type) for item in graph.initializer}
    for info in (*graph.input, *graph.output, *graph.value_info):
        types.add(int(info.type.tensor_type.elem_type))
    for node in graph.node:
        types.update(int(item.t.data_type) for item in node.attribute if item.HasField("t"))
        types.update(int(item.i) for item in node.attribute if item.name in {"to", "output_dtype"})
        for body in bodies_of(node):
            yield from _needed(body)
    yield from (_TYPES_SINCE[dtype] for dtype in types & _TYPES_SINCE.keys())


def _separate_weights(graph: GraphProto) -> None:
    """Take the weights from among the inputs, where a new format reads them as defaults."""
    weights = {item.name for item in graph.initializer}
    kept = [info for info in graph.input if info.name not in weights]
    copies = [ValueInfoProto.FromString(info.SerializeToString()) for info in kept]
    del graph.input[:]
    graph.input.extend(copies)


REPAIR = Repair(
    name="convert-opset",
    doc=__doc__,
    edit_message=apply,
    after=("make-legal", "inline-functions", "set-static-shapes", "fold-constants"),
    example="""
        <ir_version: 10, opset_import: ["" : 21]>
        net (float[1, 8, 4] x) => (float[1, 8, 1] y) <int64[1] axes = {2}> {
            a = Gelu (x)
            y = ReduceMean (a, axes)
        }
    """,
)
