"""Make a refused file legal without touching a node's meaning: names, order, declarations.

Each function corrects one kind of fault of the main graph in place and returns
sentences that say what it did. None renames a value, changes an attribute or touches a weight.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import Final

from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper

from npugate.model.node_label import label
from npugate.surgery.linking import opset_of
from npugate.surgery.node import NoFormError
from npugate.surgery.scope import captured_in
from npugate.surgery.shapes import infer

_FIRST_SEPARATE_INITIALIZERS: Final = 4  # IR version from which weights need not be inputs
_SHOWN: Final = 3


def name_graph(model: ModelProto) -> list[str]:
    """Give a nameless graph a name."""
    if model.graph.name:
        return []
    model.graph.name = "main"
    return ["named the graph 'main'"]


def name_nodes(graph: GraphProto) -> list[str]:
    """Name the nodes without a name after their first output; number those that share one."""
    taken = {node.name for node in graph.node} - {""}
    seen: set[str] = set()
    counts: dict[str, int] = {}
    named = renamed = 0
    edits: list[str] = []
    for index, node in enumerate(graph.node):
        if node.name and node.name not in seen:
            seen.add(node.name)
            continue
        base = label(node.name, node.output, f"node_{index}")
        name = base
        while name in taken:
            counts[base] = counts.get(base, 1) + 1
            name = f"{base}_{counts[base]}"
        if not node.name:
            named += 1
        elif len(edits) < _SHOWN:
            edits.append(f"renamed the second node {node.name!r} to {name!r}")
        else:
            renamed += 1
        node.name = name
        taken.add(name)
        seen.add(name)
    if renamed:
        edits.append(f"renamed {renamed} more nodes whose names were taken")
    if named:
        edits.insert(0, f"named {named} nodes after their first outputs")
    return edits


def sort_nodes(graph: GraphProto) -> list[str]:
    """Put each node behind those that make what it reads, as near to the file's order as can be.

    Raises:
        NoFormError: there is a cycle.
    """
    maker = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    needs = [
        {maker[name] for name in (*node.input, *captured_in(node)) if name in maker}
        for node in graph.node
    ]
    if all(all(other < i for other in wanted) for i, wanted in enumerate(needs)):
        return []
    readers: list[list[int]] = [[] for _ in needs]
    for i, wanted in enumerate(needs):
        for other in wanted:
            readers[other].append(i)
    waiting = [len(wanted) for wanted in needs]
    ready = [i for i, count in enumerate(waiting) if not count]
    order: list[int] = []
    while ready:
        current = heapq.heappop(ready)
        order.append(current)
        for reader in readers[current]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(needs):
        stuck = next(i for i, count in enumerate(waiting) if count)
        raise NoFormError(f"the graph has a cycle through node {graph.node[stuck].name!r}")
    copies = [NodeProto.FromString(graph.node[i].SerializeToString()) for i in order]
    del graph.node[:]
    graph.node.extend(copies)
    moved = sum(1 for place, i in enumerate(order) if place != i)
    return [f"put the nodes in order: {moved} have another place"]


def declare_weights(model: ModelProto) -> list[str]:
    """Declare the initializers of an old file among its inputs."""
    graph = model.graph
    if not 0 < model.ir_version < _FIRST_SEPARATE_INITIALIZERS:
        return []
    declared = {info.name for info in graph.input}
    missing = [item for item in graph.initializer if item.name not in declared]
    graph.input.extend(
        helper.make_tensor_value_info(item.name, item.data_type, [int(dim) for dim in item.dims])
        for item in missing
    )
    if not missing:
        return []
    wish = f"as IR version {model.ir_version} wants it"
    return [f"declared {len(missing)} initializers among the inputs, {wish}"]


def drop_doubled_declarations(graph: GraphProto) -> list[str]:
    """Keep one of equal declarations of an inner value; drop those that contradict each other."""
    groups: dict[str, set[bytes]] = {}
    counts = Counter(info.name for info in graph.value_info)
    for info in graph.value_info:
        groups.setdefault(info.name, set()).add(info.type.SerializeToString(deterministic=True))
    doubled = {name for name, count in counts.items() if count > 1}
    if not doubled:
        return []
    kept: list[ValueInfoProto] = []
    seen: set[str] = set()
    for info in graph.value_info:
        is_clear = len(groups[info.name]) == 1
        if info.name not in doubled or (is_clear and info.name not in seen):
            kept.append(ValueInfoProto.FromString(info.SerializeToString()))
        seen.add(info.name)
    del graph.value_info[:]
    graph.value_info.extend(kept)
    return [f"dropped the second declaration of {_list(sorted(doubled))}"]


def declare_outputs(model: ModelProto) -> list[str]:
    """Give the outputs without a type or shape what inference finds.

    Raises:
        NoFormError: inference does not find it.
    """
    bare = [info for info in model.graph.output if _is_bare(info)]
    if not bare:
        return []
    if not opset_of(model):
        raise NoFormError("the shapes of its outputs cannot be inferred without an opset")
    known = infer(model)
    for info in bare:
        item = known.get(info.name)
        if item is None or not item.dtype or item.shape is None:
            raise NoFormError(f"the shape of output {info.name!r} cannot be inferred")
        dtype = info.type.tensor_type.elem_type
        if dtype and dtype != item.dtype:
            raise NoFormError(f"output {info.name!r} is declared with another type than it has")
        made = helper.make_tensor_value_info(info.name, item.dtype, list(item.shape))
        info.type.tensor_type.MergeFrom(made.type.tensor_type)
    return [f"declared the shape of {_list([info.name for info in bare])}"]


def _is_bare(info: ValueInfoProto) -> bool:
    kind = info.type.WhichOneof("value")
    if kind is None:
        return True
    return kind == "tensor_type" and not (
        info.type.tensor_type.HasField("shape") and info.type.tensor_type.elem_type
    )


def contradiction(model: ModelProto) -> str:
    """Return why a file cannot be made legal without a guess; empty when it can."""
    graph = model.graph
    if model.ir_version < 1:
        return "the file states no IR version"
    weights = [item.name for item in graph.initializer]
    declared = [info.name for info in graph.input]
    for kind, names in (("initializer", weights), ("input", declared)):
        name, count = next(iter(Counter(names).most_common(1)), ("", 0))
        if count > 1:
            return f"{kind} {name!r} is declared twice"
    made = Counter(name for node in graph.node for name in node.output if name)
    known = set(weights) | set(declared)
    for name, count in made.items():
        if count > 1 or name in known:
            return f"value {name!r} is made twice"
    visible = known | made.keys() | {item.values.name for item in graph.sparse_initializer}
    for node in graph.node:
        for name in (*node.input, *captured_in(node)):
            if name and name not in visible:
                return f"node {node.name!r} reads {name!r}, which nothing makes"
    return ""


def _list(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
