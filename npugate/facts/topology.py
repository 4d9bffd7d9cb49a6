"""The graph of a model as plain values, for the reports that draw it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace
from onnx import NodeProto, TensorProto

from npugate.facts.graph import Graph, Node, Tensor
from npugate.operators import CONVERSIONS
from npugate.report.graph_view import MOST_NODES, GraphView, ViewEdge, ViewNode

_SCOPES_KEY: Final = "pkg.torch.onnx.name_scopes"
_QUOTED: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_LONGEST: Final = 4_096  # characters of a name or a list of scopes that are looked at


def view(graphs: Iterable[Graph], most: int = MOST_NODES) -> GraphView:
    """Return the nodes of some graphs and the tensors between them.

    A body's node that reads a value of an outer graph has an edge from the node that makes it.

    Args:
        graphs: outermost first, as ``Facts.graphs``.
        most: nodes kept.
    """
    every = [node for graph in graphs for node in graph.nodes]
    nodes = every[:most]
    place = {id(node): index for index, node in enumerate(nodes)}
    edges: dict[ViewEdge, None] = {}
    for index, node in enumerate(nodes):
        for tensor in node.inputs:
            source = None if tensor is None else place.get(id(tensor.producer))
            if source is not None:
                edges[ViewEdge(source, index)] = None
        owner = node.graph.owner
        if owner is not None and (source := place.get(id(owner[0]))) is not None and _starts(node):
            edges[ViewEdge(source, index)] = None
    shown = [_node(node) for node in nodes]
    _adopt(shown, edges)
    return GraphView(tuple(shown), tuple(edges), len(every) - len(nodes))


def _adopt(nodes: list[ViewNode], edges: Iterable[ViewEdge]) -> None:
    """Give what a quantiser put in the module of what it quantises: it writes no scopes."""
    pairs = sorted((edge.source, edge.target) for edge in edges)
    for source, target in pairs:
        if not nodes[target].scope and nodes[target].op_type in CONVERSIONS:
            nodes[target] = replace(nodes[target], scope=nodes[source].scope)
    for source, target in reversed(pairs):
        if not nodes[source].scope and nodes[source].is_constant:
            nodes[source] = replace(nodes[source], scope=nodes[target].scope)


def scope_of(node: NodeProto) -> str:
    """Return the module that a node belongs to, ``encoder/block1``; empty when unknown.

    torch's dynamo exporter lists the scopes from the outside in, the node's own last; the older one
    writes them into the name.
    """
    for entry in node.metadata_props:
        if entry.key == _SCOPES_KEY:
            names = [one or two for one, two in _QUOTED.findall(entry.value[:_LONGEST])]
            modules = [name for name in names[:-1] if name]
            return modules[-1].replace(".", "/") if modules else ""
    parts = [part for part in node.name[:_LONGEST].split("/") if part]
    return "/".join(_inner(parts[:-1]))


def _inner(parts: list[str]) -> list[str]:
    """Return path segments without what the exporter repeats: ``block/block.1`` is ``block/1``."""
    return [
        part.removeprefix(f"{parts[index - 1]}.") if index else part
        for index, part in enumerate(parts)
    ]


def _starts(node: Node) -> bool:
    """Tell whether a node of a body reads nothing that the body makes."""
    return not any(t is not None and t.producer is not None for t in node.inputs)


def _node(node: Node) -> ViewNode:
    made = [tensor for tensor in node.outputs if tensor is not None]
    return ViewNode(
        node.graph.path,
        node.label,
        node.full_type,
        scope_of(node.proto),
        tuple(_typed(tensor) for tensor in made),
        bool(made) and all(tensor.is_constant for tensor in made),
    )


def _typed(tensor: Tensor) -> str:
    known = tensor.dtype in TensorProto.DataType.values() and tensor.dtype
    name = TensorProto.DataType.Name(tensor.dtype).lower() if known else "?"
    if tensor.shape is None:
        return f"{name}[?]"
    return f"{name}[{','.join('?' if dim is None else str(dim) for dim in tensor.shape)}]"
