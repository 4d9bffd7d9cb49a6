"""Put the bodies of local functions where they are called.

**Keeps.** The inputs and outputs of the model, and what its nodes compute.

**Declines.** Functions that call each other in a circle, that would make too many nodes, or that
are written for another operator set than the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import onnx
from onnx import FunctionProto, ModelProto, NodeProto, inliner

from npugate.api import Applied, Declined, Repair, RepairOptions, RepairResult, Skipped, Target
from npugate.surgery.legal import name_nodes
from npugate.surgery.scope import bodies_of

_MOST_NODES: Final = 50_000
_MOST_DEPTH: Final = 32
_Key = tuple[str, str, str]


def apply(model: ModelProto, target: Target, options: RepairOptions) -> RepairResult:
    """Inline every local function in place."""
    if not model.functions:
        return Skipped("it has no local functions")
    functions = {(item.domain, item.name, item.overload): item for item in model.functions}
    sizes: dict[_Key, int] = {}
    for key in functions:
        if _size(key, functions, sizes, 0) > _MOST_NODES:
            return Declined(f"function {key[1]!r} calls itself, or makes over {_MOST_NODES} nodes")
    total = sum(_cost(node, functions, sizes, 0) for node in model.graph.node)
    if total > _MOST_NODES:
        return Declined(f"inlining its functions makes {total} nodes, over {_MOST_NODES}")
    names = ", ".join(sorted({item.name for item in model.functions}))
    try:
        inlined = inliner.inline_local_functions(model)
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        return Declined(f"its functions cannot be inlined: {' '.join(str(error).split())[:200]}")
    if inlined.functions:
        left = ", ".join(sorted(item.name for item in inlined.functions))
        return Declined(f"written for another operator set than the model: {left}")
    name_nodes(inlined.graph)
    before = len(model.graph.node)
    model.CopyFrom(inlined)
    return Applied((f"inlined {names}: {before} nodes became {len(model.graph.node)}",))


def _size(
    key: _Key, functions: Mapping[_Key, FunctionProto], sizes: dict[_Key, int], depth: int
) -> int:
    """Return the nodes that one call makes; more than is allowed where calls nest without end."""
    if depth > _MOST_DEPTH:
        return _MOST_NODES + 1
    if key not in sizes:
        total = 0
        for node in functions[key].node:
            total += _cost(node, functions, sizes, depth + 1)
            if total > _MOST_NODES:
                break
        sizes[key] = total
    return sizes[key]


def _cost(
    node: NodeProto, functions: Mapping[_Key, FunctionProto], sizes: dict[_Key, int], depth: int
) -> int:
    key = (node.domain, node.op_type, node.overload)
    own = _size(key, functions, sizes, depth) if key in functions else 1
    inner = (item for body in bodies_of(node) for item in body.node)
    return own + sum(_cost(item, functions, sizes, depth) for item in inner)


REPAIR = Repair(
    name="inline-functions",
    doc=__doc__,
    edit_message=apply,
    after=("make-legal",),
    example="""
        <ir_version: 8, opset_import: ["" : 14, "local" : 1]>
        net (float[1, 8] x) => (float[1, 8] y) { y = local.twice (x) }
        <domain: "local", opset_import: ["" : 14]>
        twice (a) => (b) { b = Add (a, a) }
    """,
)
