"""The text twin of a model: one line a node, so that a change of the graph can be reviewed.

A line says what its node computes and nothing that an exporter changes by the way: no producer, no
doc strings, no metadata of nodes, and initializers in the order of their names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct, field
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    ValueInfoProto,
)

from npugate import escape
from npugate.facts import Facts
from npugate.facts.graph import Graph, Node, Shape, Tensor
from npugate.model import wire
from npugate.model.node_label import node_label
from npugate.model.walk import full_type
from npugate.model.weight_digests import Digests
from npugate.sha256 import sha256

FORMAT: Final = "npugate-snapshot/1"
SUFFIX: Final = ".txt"

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:+-]+")
_LINE: Final = 4_000  # characters
_DIGITS: Final = 12
_GRAPH_FIELDS: Final = GraphProto.DESCRIPTOR.fields_by_name
_NODE_FIELDS: Final = NodeProto.DESCRIPTOR.fields_by_name
_ATTRIBUTE_FIELDS: Final = AttributeProto.DESCRIPTOR.fields_by_name
_SPARSE_FIELDS: Final = SparseTensorProto.DESCRIPTOR.fields_by_name
_FUNCTION_FIELDS: Final = FunctionProto.DESCRIPTOR.fields_by_name
_MODEL_FIELDS: Final = ModelProto.DESCRIPTOR.fields_by_name


class Snapshot(Struct, frozen=True):
    """A twin.

    Attributes:
        text: ends in a newline.
        lines: (path of the graph, label of the node), as findings have them -> line, 1-based.
    """

    text: str
    lines: Mapping[tuple[str, str], int]


def render(facts: Facts, digests: Digests) -> Snapshot:
    """Return the twin of a model.

    Args:
        facts: of the model; its shapes are shown.
        digests: of the tensors, see ``weights.digests``.
    """
    proto = facts.model.proto
    page = _Page(digests)
    page.add(0, FORMAT)
    page.add(0, f"ir_version {proto.ir_version}")
    for item in sorted(proto.opset_import, key=lambda item: (item.domain, item.version)):
        page.add(0, f"opset {_name(item.domain or 'ai.onnx')} {item.version}")
    for entry in sorted(proto.metadata_props, key=lambda entry: (entry.key, entry.value)):
        page.add(0, f"metadata {_name(entry.key)} {_quoted(entry.value)}")
    page.graph(proto.graph, facts.main, (_MODEL_FIELDS["graph"].number, 0), 0)
    number = _MODEL_FIELDS["functions"].number
    for index, function in enumerate(proto.functions):
        page.function(function, (number, index))
    return Snapshot("\n".join(page.rows) + "\n", page.lines)


class _Page(Struct):
    digests: Digests
    rows: list[str] = field(default_factory=list)
    lines: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, depth: int, text: str) -> None:
        if len(text) > _LINE:
            text = f"{escape.clip(text, _LINE)} #{_short(text)}"
        self.rows.append("  " * depth + text)

    def graph(self, graph: GraphProto, known: Graph | None, path: wire.Path, depth: int) -> None:
        for word, values in (("input", graph.input), ("output", graph.output)):
            for info in values:
                self.add(depth, f"{word} {_name(info.name)} {_declared(info)}")
        for text in sorted(self._weights(graph, path)):
            self.add(depth, text)
        number = _GRAPH_FIELDS["node"].number
        for index, node in enumerate(graph.node):
            self.node(node, known, (*path, number, index), depth)

    def _weights(self, graph: GraphProto, path: wire.Path) -> Iterator[str]:
        number = _GRAPH_FIELDS["initializer"].number
        for index, tensor in enumerate(graph.initializer):
            yield f"weight {_name(tensor.name)} {self.tensor(tensor, (*path, number, index))}"
        number = _GRAPH_FIELDS["sparse_initializer"].number
        for index, sparse in enumerate(graph.sparse_initializer):
            inner = (*path, number, index)
            yield f"weight {_name(sparse.values.name)} {self.sparse(sparse, inner)}"

    def tensor(self, tensor: TensorProto, path: wire.Path) -> str:
        return f"{_typed(tensor.data_type, tuple(tensor.dims))} {self.digests.get(path, 'empty')}"

    def sparse(self, sparse: SparseTensorProto, path: wire.Path) -> str:
        values = self.tensor(sparse.values, (*path, _SPARSE_FIELDS["values"].number, 0))
        indices = self.tensor(sparse.indices, (*path, _SPARSE_FIELDS["indices"].number, 0))
        return f"sparse[{','.join(map(str, sparse.dims))}] {values} at {indices}"

    def function(self, function: FunctionProto, path: wire.Path) -> None:
        overload = f":{_name(function.overload)}" if function.overload else ""
        head = f"function {_name(f'{function.domain}.{function.name}')}{overload}"
        names = [*function.attribute, *(item.name for item in function.attribute_proto)]
        self.add(
            0, f"{head} {_list(function.input)} -> {_list(function.output)} {_list(sorted(names))}"
        )
        for item in sorted(function.opset_import, key=lambda item: (item.domain, item.version)):
            self.add(1, f"opset {_name(item.domain or 'ai.onnx')} {item.version}")
        number = _FUNCTION_FIELDS["attribute_proto"].number
        for index, attribute in sorted(enumerate(function.attribute_proto), key=_by_name):
            text = self.attribute(attribute, (*path, number, index))
            self.add(1, f"default {text}")
        number = _FUNCTION_FIELDS["node"].number
        for index, node in enumerate(function.node):
            self.node(node, None, (*path, number, index), 1)

    def node(self, node: NodeProto, known: Graph | None, path: wire.Path, depth: int) -> None:
        number = _NODE_FIELDS["attribute"].number
        placed = [
            (attribute, (*path, number, index))
            for index, attribute in sorted(enumerate(node.attribute), key=_by_name)
        ]
        written = [self.attribute(attribute, inner) for attribute, inner in placed]
        made = ", ".join(_value(name, known) for name in node.output)
        text = f"{_name(full_type(node))} {_quoted(node.name)} {_list(node.input)} -> ({made})"
        overload = f" overload={_name(node.overload)}" if node.overload else ""
        attributes = f" {{{', '.join(written)}}}" if written else ""
        self.add(depth, text + overload + attributes)
        if known is not None:
            self.lines.setdefault((known.path, node_label(node)), len(self.rows))
        maker = _maker(node, known)
        for attribute, inner in placed:
            self.bodies(attribute, inner, maker, depth + 1)

    def bodies(
        self, attribute: AttributeProto, path: wire.Path, maker: Node | None, depth: int
    ) -> None:
        known = maker.subgraphs.get(attribute.name) if maker is not None else None
        if attribute.HasField("g"):
            self.add(depth, f"{_name(attribute.name)}:")
            number = _ATTRIBUTE_FIELDS["g"].number
            self.graph(attribute.g, known, (*path, number, 0), depth + 1)
        number = _ATTRIBUTE_FIELDS["graphs"].number
        for index, graph in enumerate(attribute.graphs):
            self.add(depth, f"{_name(attribute.name)}[{index}]:")
            self.graph(graph, None, (*path, number, index), depth + 1)

    def attribute(self, attribute: AttributeProto, path: wire.Path) -> str:
        return f"{_name(attribute.name)}={self._attribute(attribute, path)}"

    def _attribute(self, item: AttributeProto, path: wire.Path) -> str:
        simple = f"@{_name(item.ref_attr_name)}" if item.ref_attr_name else _simple(item)
        if simple is not None:
            return simple
        at = {name: (*path, found.number) for name, found in _ATTRIBUTE_FIELDS.items()}
        if item.type == AttributeProto.TENSOR:
            return f"<{self.tensor(item.t, (*at['t'], 0))}>"
        if item.type == AttributeProto.SPARSE_TENSOR:
            return f"<{self.sparse(item.sparse_tensor, (*at['sparse_tensor'], 0))}>"
        if item.type in (AttributeProto.TENSORS, AttributeProto.SPARSE_TENSORS):
            return self._tensors(item, path)
        is_graph = item.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS)
        return "..." if is_graph else f"type #{_digest_of(item)}"  # bodies follow below

    def _tensors(self, item: AttributeProto, path: wire.Path) -> str:
        at = {name: (*path, found.number) for name, found in _ATTRIBUTE_FIELDS.items()}
        many = [self.tensor(t, (*at["tensors"], n)) for n, t in enumerate(item.tensors)]
        many += [
            self.sparse(s, (*at["sparse_tensors"], n)) for n, s in enumerate(item.sparse_tensors)
        ]
        return f"[{', '.join(f'<{text}>' for text in many)}]"


def _simple(item: AttributeProto) -> str | None:
    """Return a number, a string or a list of them; None for another kind of attribute."""
    if item.type == AttributeProto.INT:
        return str(item.i)
    if item.type == AttributeProto.FLOAT:
        return _float(item.f)
    if item.type == AttributeProto.STRING:
        return _text(item.s)
    texts: Iterable[str]
    if item.type == AttributeProto.INTS:
        texts = map(str, item.ints)
    elif item.type == AttributeProto.FLOATS:
        texts = map(_float, item.floats)
    elif item.type == AttributeProto.STRINGS:
        texts = map(_text, item.strings)
    else:
        return None
    return f"[{', '.join(texts)}]"


def _digest_of(item: AttributeProto) -> str:
    data = item.SerializeToString(deterministic=True)
    return sha256(data)[:_DIGITS]


def _by_name(pair: tuple[int, AttributeProto]) -> tuple[str, int]:
    return pair[1].name, pair[0]


def _maker(node: NodeProto, known: Graph | None) -> Node | None:
    if known is None:
        return None
    found = (known.tensors.get(name) for name in node.output if name)
    return next((t.producer for t in found if t is not None and t.producer is not None), None)


def _value(name: str, known: Graph | None) -> str:
    tensor: Tensor | None = known.tensors.get(name) if known is not None and name else None
    shown = _name(name)
    return shown if tensor is None else f"{shown} {_typed(tensor.dtype, tensor.shape)}"


def _declared(info: ValueInfoProto) -> str:
    if not info.type.HasField("tensor_type"):
        return f"{info.type.WhichOneof('value') or '?'} #{sha256(_type_bytes(info))[:_DIGITS]}"
    kind = info.type.tensor_type
    if not kind.HasField("shape"):
        return _typed(kind.elem_type, None)
    dims = [
        d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in kind.shape.dim
    ]
    return _typed(kind.elem_type, tuple(dims))


def _type_bytes(info: ValueInfoProto) -> bytes:
    data: bytes = info.type.SerializeToString(deterministic=True)
    return data


def _typed(dtype: int, shape: Shape | None) -> str:
    known = dtype in TensorProto.DataType.values() and dtype
    name = TensorProto.DataType.Name(dtype).lower() if known else "?"
    if shape is None:
        return f"{name}[...]"
    dims = ("?" if d is None else _name(d) if isinstance(d, str) else str(d) for d in shape)
    return f"{name}[{','.join(dims)}]"


def _list(names: Sequence[str]) -> str:
    return f"({', '.join(map(_name, names))})"


def _float(value: float) -> str:
    return str(np.float32(value))


def _text(data: bytes) -> str:
    return _quoted(data.decode("utf-8", "backslashreplace"))


def _name(name: str) -> str:
    """Return a name as one word: quoted where it would not be one."""
    if len(name) <= escape.NAME_LIMIT and _PLAIN.fullmatch(name):
        return name
    return _quoted(name)


def _quoted(text: str) -> str:
    """Return a text in quotes; of a long one the digest tells what the cut would hide."""
    mark = f"#{_short(text)}" if len(text) > escape.NAME_LIMIT else ""
    # A twin may be printed in a log, where ## begins a command.
    shown = json.dumps(text, ensure_ascii=False)[1:-1].replace("##", "#\\u0023")
    return f'"{escape.visible(shown, escape.NAME_LIMIT)}"{mark}'


def _short(text: str) -> str:
    return sha256(text.encode("utf-8", "backslashreplace"))[:_DIGITS]
