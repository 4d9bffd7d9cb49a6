"""Give each Gemm and MatMul that shares a weight a copy of its own.

    y1 = x1 @ w,  y2 = x2 @ w  =>  y1 = x1 @ w,  y2 = x2 @ w',  w' = w

**Keeps.** The numbers: the copies are equal, and a quantised one has the same scales.

**Declines.** Copies that would exceed `--weight-budget`.
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
from npugate.surgery.again import again
from npugate.surgery.batch.tiling import int8_bytes
from npugate.surgery.draft import Draft
from npugate.surgery.linking import is_constant
from npugate.surgery.node import Node, Value

_BETWEEN = ("DequantizeLinear", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity")


def apply(draft: Draft, target: Target, options: RepairOptions) -> RepairResult:
    """Copy the weight for every reader but the first."""
    sharing = _sharing(draft)
    if not sharing:
        return Skipped("no weight is shared by several Gemm or MatMul nodes")
    added = sum(size for _, size in sharing.values())
    if added > options.weight_budget_bytes:
        return Declined(
            f"the copies would add {added} bytes of int8 weights, the budget is"
            f" {options.weight_budget_bytes}"
        )
    edits: list[str] = []

    def change(node: Node) -> bool:
        if id(node) in sharing:
            name, size = sharing[id(node)]
            draft.set_input(node, 1, _copy(draft, node.inputs[1]))
            edits.append(f"{node.op} {node.label!r} has a copy of {name!r} of {size} bytes now")
        return False

    draft.rewrite(change)
    draft.sweep()
    return Applied(tuple(edits))


def _sharing(draft: Draft) -> dict[int, tuple[str, int]]:
    """Return for every reader but the first of a weight its name and int8 bytes."""
    seen: set[str] = set()
    found: dict[int, tuple[str, int]] = {}
    for node in draft.nodes:
        source = _source(draft, node) if node.is_a("Gemm", "MatMul") else None
        if source is None:
            continue
        array = draft.array(source)
        if array is None or array.ndim < 2:  # noqa: PLR2004 - a matrix
            continue
        if source.name in seen:
            found[id(node)] = (source.name, int8_bytes(array))
        seen.add(source.name)
    return found


def _source(draft: Draft, node: Node) -> Value | None:
    """Return the initializer that a node's second input comes from."""
    value = node.input(1)
    while value is not None and not is_constant(value):
        maker = draft.producer(value)
        if maker is None or not maker.is_a(*_BETWEEN) or draft.maybe_dims(value) is None:
            return None
        value = maker.input(0)
    return value


def _copy(draft: Draft, value: Value) -> Value:
    """Return a copy of a weight, with what lies between it and its reader."""
    array = draft.array(value) if is_constant(value) else None
    if array is not None:
        return draft.constant(array, value.name)
    maker = draft.producer(value)
    assert maker is not None, "only a value with a source is copied"  # noqa: S101 - _source
    others = [None if item.is_empty() else item for item in maker.inputs[1:]]
    inputs = [_copy(draft, maker.inputs[0]), *others]
    return again(draft, maker, inputs, draft.dims(value))


REPAIR = Repair(
    name="copy-shared-weights",
    doc=__doc__,
    edit=apply,
    needs=("make-legal", "inline-functions", "set-static-shapes", "fold-constants"),
    after=("fold-batch",),
    example="""
        <ir_version: 8, opset_import: ["" : 14]>
        net (float[1, 4] x) => (float[1, 4] y) <float[4, 4] w>
        { h = MatMul (x, w)  y = MatMul (h, w) }
    """,
)
