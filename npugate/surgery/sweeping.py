"""Remove what nothing reads: nodes, initializers, declarations."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto

from npugate.surgery.scope import bodies_of, captured_in
from npugate.surgery.shapes import Known, known_of


def read_in(graph: GraphProto) -> set[str]:
    """Return the values that the nodes of a graph read, bodies included, and its outputs."""
    used = {info.name for info in graph.output}
    for node in graph.node:
        used.update(node.input)
        used |= captured_in(node)
    return used - {""}


def sweep(graph: GraphProto) -> list[NodeProto]:
    """Remove the nodes that nothing reads, bodies excluded; return them."""
    used = {info.name for info in graph.output}
    kept: list[NodeProto] = []
    dead: list[NodeProto] = []
    for node in reversed(graph.node):
        if any(name in used for name in node.output if name):
            kept.append(node)
            used.update(node.input)
            used |= captured_in(node)
        else:
            dead.append(node)
    if dead:
        gone = [NodeProto.FromString(node.SerializeToString()) for node in dead]
        copies = [NodeProto.FromString(node.SerializeToString()) for node in reversed(kept)]
        del graph.node[:]
        graph.node.extend(copies)
        return gone
    return []


def release(graph: GraphProto, before: set[str]) -> int:
    """Remove the initializers that were read before and are not any more; return how many.

    Inputs of the graph stay, whatever holds their default.
    """
    gone = before - read_in(graph) - {info.name for info in graph.input}
    return remove_initializers(graph, gone)


def remove_initializers(graph: GraphProto, names: set[str]) -> int:
    """Remove initializers, and what is noted on their quantisation; return how many."""
    doomed = [i for i, item in enumerate(graph.initializer) if item.name in names]
    if len(doomed) * 2 > len(graph.initializer):  # deleting one by one is quadratic
        kept = [item for item in graph.initializer if item.name not in names]
        copies = [TensorProto.FromString(item.SerializeToString()) for item in kept]
        del graph.initializer[:]
        graph.initializer.extend(copies)
    else:
        for index in reversed(doomed):
            del graph.initializer[index]
    return len(doomed)


def drop_declarations(graph: GraphProto, known: Mapping[str, Known]) -> None:
    """Drop declarations of inner values that are gone, or that inference contradicts.

    A declaration that says less than inference (a stale symbol) goes, too: it would stop inference.
    """
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    declared = known_of(graph.value_info)

    def stays(info: ValueInfoProto) -> bool:
        if info.name not in names:
            return False
        mine, found = declared.get(info.name), known.get(info.name)
        return mine is None or found is None or found.static is None or mine == found

    infos = [info for info in graph.value_info if stays(info)]
    if len(infos) < len(graph.value_info):
        copies = [ValueInfoProto.FromString(info.SerializeToString()) for info in infos]
        del graph.value_info[:]
        graph.value_info.extend(copies)
    for index in reversed(range(len(graph.quantization_annotation))):
        if graph.quantization_annotation[index].tensor_name not in names:
            del graph.quantization_annotation[index]
    for node in graph.node:
        for body in bodies_of(node):
            drop_declarations(body, {})
