"""Replace an ``If`` of known condition by its branch, a ``Loop`` of known length by copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper

from npugate.facts.control import MOST_COPIES, MOST_TURNS, RANDOM
from npugate.surgery.scope import Names, made_in, rename_reads
from npugate.surgery.values import Held


def body_of(node: NodeProto, attribute: str) -> GraphProto | None:
    """Return the body in an attribute."""
    for item in node.attribute:
        if item.name == attribute and item.type == AttributeProto.GRAPH:
            found: GraphProto = item.g
            return found
    return None


def inline(
    owner: NodeProto,
    body: GraphProto,
    given: Mapping[str, str],
    wanted: Sequence[str],
    names: Names,
) -> tuple[list[NodeProto], list[TensorProto]]:
    """Copy a body into the graph around it.

    Args:
        owner: the node that holds the body; names are made from its name.
        body: it is left as it is.
        given: inputs of the body -> the values that stand for them.
        wanted: names that the body's outputs get, in order; ``""`` where none is read.
        names: source of new names.

    Returns:
        The copies of its nodes, and of its initializers.
    """
    stem = owner.name or owner.op_type
    mapping = dict(given)
    left: list[tuple[str, str]] = []
    taken: set[str] = set(given)
    inside = {name for node in body.node for name in node.output if name}
    for info, name in zip(body.output, wanted, strict=False):
        if name and info.name in inside and info.name not in taken:
            mapping[info.name] = name
            taken.add(info.name)
        elif name:
            left.append((info.name, name))
    for name in sorted(made_in(body) - mapping.keys()):
        mapping[name] = names.fresh(f"{stem}/{name}")
    nodes = [_copy(node, stem, mapping, names) for node in body.node]
    for source, name in left:
        made = helper.make_node("Identity", [mapping.get(source, source)], [name])
        made.name = names.fresh(f"{stem}/{name}")
        made.metadata_props.extend(owner.metadata_props)
        nodes.append(made)
    held = []
    for item in body.initializer:
        copy = TensorProto()
        copy.CopyFrom(item)
        copy.name = mapping[item.name]
        held.append(copy)
    return nodes, held


def _copy(node: NodeProto, stem: str, mapping: Mapping[str, str], names: Names) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.name = names.fresh(f"{stem}/{node.name or node.op_type}")
    rename_reads(copy, mapping)
    copy.output[:] = [mapping.get(name, name) for name in node.output]
    return copy


def trips(node: NodeProto, body: GraphProto, known: Mapping[str, Held]) -> int | None:
    """Return how often a Loop runs; None when it is unknown, may stop early, or is not unrolled.

    Args:
        node: the Loop.
        body: its body.
        known: the constants that the graph around it can see.
    """
    count = _scalar(known, node.input[0]) if node.input and node.input[0] else None
    if count is None or not 1 <= count <= MOST_TURNS or count * len(body.node) > MOST_COPIES:
        return None
    start = node.input[1] if len(node.input) > 1 else ""
    if start and _scalar(known, start) != 1:
        return None
    # With outputs that are stacked, the copies would be joined along axis 0.
    if len(node.output) > len(body.output) - 1 or len(body.input) != len(node.input):
        return None
    if len(body.output) != len(body.input) - 1 or body.sparse_initializer:
        return None
    if any(item.op_type in RANDOM for item in body.node):
        return None
    return int(count) if _runs_on(body, known) else None


def _runs_on(body: GraphProto, known: Mapping[str, Held]) -> bool:
    """Tell whether the body always answers that the loop goes on."""
    name = body.output[0].name
    makers = {output: node for node in body.node for output in node.output}
    while name in makers and makers[name].op_type in {"Identity", "Cast"}:
        name = makers[name].input[0]
    if name == body.input[1].name:
        return True
    own = {item.name: Held(tensor=item) for item in body.initializer}
    maker = makers.get(name)
    if maker is not None:
        value = next((item.t for item in maker.attribute if item.name == "value"), None)
        if maker.op_type != "Constant" or value is None:
            return False
        own[name] = Held(tensor=value)
    return _scalar(own if name in own else known, name) == 1


def _scalar(known: Mapping[str, Held], name: str) -> float | None:
    held = known.get(name)
    value = None if held is None else held.array
    return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None


def unroll(
    node: NodeProto, body: GraphProto, count: int, names: Names
) -> tuple[list[NodeProto], list[TensorProto]]:
    """Return what stands for a Loop of known length: copies of its body and their initializers."""
    stem = node.name or "Loop"
    go_on = names.fresh(f"{stem}/condition")
    held = [numpy_helper.from_array(np.array(1, np.bool_), go_on)]
    nodes: list[NodeProto] = []
    state = list(node.input[2:])
    for trip in range(count):
        number = names.fresh(f"{stem}/trip")
        held.append(numpy_helper.from_array(np.array(trip, np.int64), number))
        given = dict(zip((info.name for info in body.input), (number, go_on, *state), strict=True))
        is_last = trip == count - 1
        results = list(node.output) if is_last else [names.fresh(f"{stem}/state") for _ in state]
        fresh, weights = inline(node, body, given, ["", *results], names)
        nodes += fresh
        held += weights
        state = results
    return nodes, held
