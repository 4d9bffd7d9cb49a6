"""Names in a model and its bodies: make fresh ones, change them where they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto


def bodies_of(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the bodies that a node holds in its attributes."""
    for item in node.attribute:
        if item.type == AttributeProto.GRAPH:
            yield item.g
        elif item.type == AttributeProto.GRAPHS:
            yield from item.graphs


def made_in(graph: GraphProto) -> set[str]:
    """Return the values that a graph itself makes or declares."""
    names = {info.name for info in graph.input} | {item.name for item in graph.initializer}
    names |= {item.values.name for item in graph.sparse_initializer}
    names.update(name for node in graph.node for name in node.output)
    return names - {""}


class Names:
    """Every name of a model, bodies included, and the source of new ones."""

    def __init__(self, model: ModelProto) -> None:
        """Collect the names in use."""
        self._taken = set(_names_below(model.graph))
        self._count = 0

    def fresh(self, base: str) -> str:
        """Return a name that nothing in the model has, made from a base."""
        stem = base.partition("~")[0]
        while True:
            self._count += 1
            name = f"{stem}~{self._count}"
            if name not in self._taken:
                self._taken.add(name)
                return name


def _names_below(graph: GraphProto) -> Iterator[str]:
    yield from made_in(graph)
    yield from (info.name for info in (*graph.output, *graph.value_info))
    for node in graph.node:
        yield node.name
        yield from node.input
        for body in bodies_of(node):
            yield from _names_below(body)


def rename_reads(node: NodeProto, mapping: Mapping[str, str]) -> None:
    """Let a node, and the bodies in it, read other values."""
    for position, name in enumerate(node.input):
        if name in mapping:
            node.input[position] = mapping[name]
    for body in bodies_of(node):
        _rename_captured(body, mapping)


def _rename_captured(body: GraphProto, mapping: Mapping[str, str]) -> None:
    own = made_in(body)
    seen = {old: new for old, new in mapping.items() if old not in own} if own else mapping
    if not seen:
        return
    for node in body.node:
        rename_reads(node, seen)
    for info in body.output:
        info.name = seen.get(info.name, info.name)


def captured_in(node: NodeProto) -> set[str]:
    """Return the values of the graphs around that the bodies of a node read."""
    found: set[str] = set()
    for body in bodies_of(node):
        inner = {info.name for info in body.output}
        for item in body.node:
            inner.update(item.input)
            inner |= captured_in(item)
        found |= inner - made_in(body)
    return found - {""}
