"""Link a model into an editable graph and write it back.

onnx-graphsurgeon links nodes and tensors and writes new nodes. It drops node metadata, doc strings,
model and graph metadata, unknown fields, quantisation annotations and sparse tensors on a round
trip, and writes IR versions of its own. So only what a repair made passes through its exporter:
every node, initializer and declaration that was not touched goes back as the very message that was
read, and a node that replaces another inherits its metadata and its doc string.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Protocol, TypeGuard

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter
from onnx_graphsurgeon.importers.onnx_importer import OnnxImporter

from npugate.facts.graph import Array
from npugate.facts.structure import captured
from npugate.surgery.node import DEFAULT_DOMAINS, MADE_BY, EditError, Node, Value
from npugate.surgery.weight_store import WeightStore

SEPARATE_INITIALIZERS: Final = 4
"""The IR version from which initializers need not be inputs."""


class Constant(Value, Protocol):
    """A value that is known.

    Attributes:
        values: its elements.
    """

    values: Array


def constant(name: str, array: Array) -> Constant:
    """Make an initializer T[*dims] that no node reads yet."""
    made: Constant = gs.Constant(name, array)
    return made


def variable(name: str) -> Value:
    """Make a value that no node makes yet."""
    made: Value = gs.Variable(name)
    return made


def left_out() -> Value:
    """Make the stand-in for an optional input that is left out."""
    made: Value = gs.Variable.empty()
    return made


def constant_of(node: Node) -> Array | None:
    """Return the value of a Constant node as T[*dims]; None for text and sparse tensors."""
    for item in node.origin.attribute:
        if item.name == "value":
            return np.asarray(numpy_helper.to_array(item.t))
        if item.name in {"value_int", "value_ints"}:
            return np.array(item.i if item.name == "value_int" else list(item.ints), np.int64)
        if item.name in {"value_float", "value_floats"}:
            numbers = item.f if item.name == "value_float" else list(item.floats)
            return np.array(numbers, np.float32)
    return None


def is_constant(value: Value | None) -> TypeGuard[Constant]:
    """Tell whether a value is an initializer."""
    return isinstance(value, gs.Constant)


def opset_of(model: ModelProto) -> int:
    """Return the version of ai.onnx that a model imports; 0 when it imports none."""
    return next(
        (int(item.version) for item in model.opset_import if item.domain in DEFAULT_DOMAINS), 0
    )


def refuse(model: ModelProto) -> None:
    """Refuse what the editing layer would lose.

    Raises:
        EditError: the reason.
    """
    graph = model.graph
    if model.functions:
        raise EditError("the model has local functions that could not be inlined")
    if graph.sparse_initializer or any(
        item.HasField("sparse_tensor") or item.sparse_tensors
        for node in graph.node
        for item in node.attribute
    ):
        raise EditError("the model holds sparse tensors, which the editing layer cannot keep")
    if model.training_info:
        raise EditError("the model holds training information")
    if not opset_of(model):
        raise EditError("the model imports no version of ai.onnx")
    names = {node.name for node in graph.node}
    if len(names) != len(graph.node) or "" in names:
        raise EditError("not every node has a name of its own")


def link(model: ModelProto) -> gs.Graph:
    """Link nodes and tensors of the main graph; the messages stay as they are.

    Raises:
        EditError: an attribute holds text that cannot be decoded.
    """
    try:
        graph = OnnxImporter.import_graph(
            model.graph, opset=opset_of(model), import_domains=model.opset_import
        )
    except UnicodeDecodeError as error:
        raise EditError(f"an attribute holds text that is no UTF-8: {error}") from error
    for node, message in zip(graph.nodes, model.graph.node, strict=True):
        node.__class__ = Node
        node.origin, node.is_new, node.changed = message, False, set()
    return graph


def names_in(model: ModelProto) -> set[str]:
    """Return every name of a node or tensor of the main graph."""
    graph = model.graph
    names = {item.name for item in (*graph.input, *graph.output, *graph.initializer)}
    for node in graph.node:
        names.update((node.name, *node.input, *node.output))
    return names


def captured_by_bodies(model: ModelProto) -> frozenset[str]:
    """Return the tensors of the main graph that bodies of subgraphs read."""
    bodies = (
        body
        for node in model.graph.node
        for item in node.attribute
        for body in (item.g, *item.graphs)
    )
    return frozenset(name for body in bodies for name in captured(body))


def write(
    model: ModelProto,
    nodes: Sequence[Node],
    kept: Iterable[str],
    made: Mapping[str, Constant],
    repair: str,
    store: WeightStore | None = None,
) -> None:
    """Write an edited graph back into the message that it was linked from.

    Args:
        model: changed in place.
        nodes: of the edited graph, in order.
        kept: tensors that are read although no node of the main graph reads them.
        made: initializers made by repairs, by name.
        repair: name of the repair at work.
        store: takes the large ones of these.
    """
    graph = model.graph
    messages = [_message(node, repair) for node in nodes]
    before = {name for message in graph.node for name in message.input}
    read = {name for message in messages for name in message.input} | set(kept)
    copies = [NodeProto.FromString(message.SerializeToString()) for message in messages]
    del graph.node[:]
    graph.node.extend(copies)
    released = before - read - {info.name for info in graph.input}
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name in released:
            del graph.initializer[index]
    tensors = [
        numpy_helper.from_array(np.asarray(value.values), name)
        for name, value in made.items()
        if name in read
    ]
    if store is not None:
        for tensor in tensors:
            store.put(tensor)
    graph.initializer.extend(tensors)
    if model.ir_version < SEPARATE_INITIALIZERS:
        graph.input.extend(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            for tensor in tensors
        )


def _message(node: Node, repair: str) -> NodeProto:
    if node.is_new:
        return _new_message(node, repair)
    origin = node.origin
    inputs = [value.name for value in node.inputs]
    outputs = [value.name for value in node.outputs]
    if inputs == list(origin.input) and outputs == list(origin.output) and not node.changed:
        return origin
    message = NodeProto()
    message.CopyFrom(origin)
    message.input[:] = inputs
    message.output[:] = outputs
    if node.changed:
        made = {key: node.attrs[key] for key in sorted(node.changed) if key in node.attrs}
        left = [item for item in origin.attribute if item.name not in node.changed]
        del message.attribute[:]
        message.attribute.extend([*left, *OnnxExporter.export_attributes(made)])
    return message


def _new_message(node: Node, repair: str) -> NodeProto:
    message: NodeProto = OnnxExporter.export_node(node)
    entries = [entry for entry in node.origin.metadata_props if entry.key != MADE_BY]
    message.metadata_props.extend(entries)
    message.metadata_props.add(key=MADE_BY, value=repair)
    if node.origin.doc_string:
        message.doc_string = node.origin.doc_string
    return message


def prune(graph: GraphProto, changed: Collection[str]) -> None:
    """Drop declarations of values that are gone or have another shape now."""
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    infos = [i for i in graph.value_info if i.name in names and i.name not in changed]
    if len(infos) < len(graph.value_info):
        copies = [onnx.ValueInfoProto.FromString(info.SerializeToString()) for info in infos]
        del graph.value_info[:]
        graph.value_info.extend(copies)
    for index in reversed(range(len(graph.quantization_annotation))):
        if graph.quantization_annotation[index].tensor_name not in names:
            del graph.quantization_annotation[index]
