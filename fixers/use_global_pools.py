"""Turn a mean or maximum over all of space into a global pool.

Exporters write `adaptive_avg_pool2d(x, 1)` and `x.mean((2, 3))` as ReduceMean. The accelerator has
a unit for pools, and the batch of a pool can be folded.

    ReduceMean(x[N, C, H, W], axes=[2, 3])  =>  GlobalAveragePool(x)
    ReduceMax(x[N, C, H, W], axes=[2, 3])   =>  GlobalMaxPool(x)

**Keeps.** The numbers: the same elements are averaged, or compared. Without `keepdims`, a constant
Reshape takes the axes of size 1 away.

**Declines.** Nothing: a reduction over other axes, of other types, or over axes that are known only
at run time is no global pool, and stays.
"""

from __future__ import annotations

from typing import Final

from onnx import TensorProto

from npugate.api import (
    CONVOLUTIONS,
    WINDOW_POOLS,
    Applied,
    Repair,
    RepairOptions,
    RepairResult,
    Skipped,
    Target,
)
from npugate.surgery.draft import Draft
from npugate.surgery.node import Node, Value

_POOLS: Final = {"ReduceMean": "GlobalAveragePool", "ReduceMax": "GlobalMaxPool"}
_RANKS: Final = (3, 4, 5)
_SPATIAL: Final = CONVOLUTIONS | WINDOW_POOLS
_BETWEEN: Final = ("Relu", "BatchNormalization", "LeakyRelu", "Clip", "Sigmoid", "HardSwish", "Elu")
_FLOATS: Final = (TensorProto.FLOAT, TensorProto.FLOAT16)


def apply(draft: Draft, target: Target, options: RepairOptions) -> RepairResult:
    """Replace each such reduction."""
    edits: list[str] = []

    def change(node: Node) -> bool:
        if not _is_global(draft, node):
            return False
        label, op_type = node.label, _POOLS[node.op]
        _pool(draft, node)
        edits.append(f"{node.op} {label!r} over all of space is a {op_type} now")
        return True

    draft.rewrite(change)
    if not edits:
        return Skipped("no ReduceMean or ReduceMax over all of space")
    return Applied(tuple(edits))


def _is_global(draft: Draft, node: Node) -> bool:
    if not node.is_a(*_POOLS) or node.input(0) is None:
        return False
    data, axes = node.inputs[0], _axes(draft, node)
    dims = draft.maybe_dims(data)
    if dims is None or axes is None or len(dims) not in _RANKS or draft.dtype(data) not in _FLOATS:
        return False
    if sorted(axis % len(dims) for axis in axes) != list(range(2, len(dims))):
        return False
    return len(dims) > _RANKS[0] or _comes_from_layer(draft, data)


def _axes(draft: Draft, node: Node) -> list[int] | None:
    given = node.integers("axes")
    return given if given is not None else draft.ints(node.input(1))


def _comes_from_layer(draft: Draft, value: Value) -> bool:
    """Tell whether a layer over space makes a value; of rank 3, it may be a row of tokens too."""
    maker = draft.producer(value)
    while maker is not None and maker.is_a(*_BETWEEN):
        maker = draft.producer(maker.inputs[0])
    return maker is not None and maker.is_a(*_SPATIAL)


def _pool(draft: Draft, node: Node) -> None:
    data, result = node.inputs[0], node.outputs[0]
    dims, dtype = draft.dims(data), draft.dtype(data)
    pooled = (*dims[:2], *(1 for _ in dims[2:]))
    if node.integer("keepdims", 1):
        draft.emit(_POOLS[node.op], [data], pooled, dtype, result)
    else:
        made = draft.emit(_POOLS[node.op], [data], pooled, dtype)
        draft.reshape(made, pooled[:2], result)


REPAIR = Repair(
    name="use-global-pools",
    doc=__doc__,
    edit=apply,
    needs=("make-legal", "inline-functions", "set-static-shapes", "fold-constants"),
    after=("lower-rank",),
    example="""
        <ir_version: 8, opset_import: ["" : 14]>
        net (float[1, 4, 8, 8] x) => (float[1, 4] y) {
            y = ReduceMean <axes = [2, 3], keepdims = 0> (x)
        }
    """,
)
