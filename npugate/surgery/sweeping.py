"""Remove what nothing reads: nodes, initializers, declarations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from npugate.model.node_label import node_label
from npugate.surgery.linking import opset_of
from npugate.surgery.node import DEFAULT_DOMAINS
from npugate.surgery.scope import bodies_of, captured_in
from npugate.surgery.shapes import Known, known_of

_TRAINS: Final = frozenset({"BatchNormalization", "Dropout"})  # more outputs: another meaning
_FIRST_SEPARATE_INITIALIZERS: Final = 4  # IR version from which weights need not be inputs


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


def sweep_all(graph: GraphProto) -> list[str]:
    """Remove the nodes that nothing reads, bodies included; return their labels."""
    gone = [node_label(node) for node in sweep(graph)]
    for node in graph.node:
        for body in bodies_of(node):
            gone += sweep_all(body)
    return gone


def cut_outputs(model: ModelProto) -> list[tuple[str, str]]:
    """Remove optional outputs that nothing reads; return (operator, output) of each."""
    version = opset_of(model)
    used = read_in(model.graph)
    cut: list[tuple[str, str]] = []
    for node in model.graph.node:
        if node.domain not in DEFAULT_DOMAINS or node.op_type in _TRAINS or not version:
            continue
        unread = [i for i, name in enumerate(node.output) if name and name not in used]
        if not unread or not onnx.defs.has(node.op_type, max_inclusive_version=version):
            continue
        formal = onnx.defs.get_schema(node.op_type, version).outputs
        optional = onnx.defs.OpSchema.FormalParameterOption.Optional
        for i in unread:
            if i < len(formal) and formal[i].option == optional:
                cut.append((node.op_type, node.output[i]))
                node.output[i] = ""
        while node.output and not node.output[-1]:
            node.output.pop()
    return cut


def remove_unread_initializers(model: ModelProto) -> int:
    """Remove the initializers that nothing reads; inputs of the user stay."""
    graph = model.graph
    weights = {item.name for item in graph.initializer}
    unread = weights - read_in(graph)
    is_old = model.ir_version < _FIRST_SEPARATE_INITIALIZERS
    if is_old:
        kept = [info for info in graph.input if info.name not in unread]
        copies = [ValueInfoProto.FromString(info.SerializeToString()) for info in kept]
        del graph.input[:]
        graph.input.extend(copies)
    else:
        unread -= {info.name for info in graph.input}
    return remove_initializers(graph, unread) if unread else 0


def remove_unused_domains(model: ModelProto) -> list[str]:
    """Remove the imports of domains that no node uses; ai.onnx stays."""
    used = set(_domains(model.graph))
    for function in model.functions:
        used.add(function.domain)
        used.update(node.domain for node in function.node)
    unused = [
        item.domain
        for item in model.opset_import
        if item.domain not in used and item.domain not in DEFAULT_DOMAINS
    ]
    for index in reversed(range(len(model.opset_import))):
        if model.opset_import[index].domain in unused:
            del model.opset_import[index]
    return unused


def _domains(graph: GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield node.domain
        for body in bodies_of(node):
            yield from _domains(body)
