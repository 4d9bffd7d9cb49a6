"""The difference between two models as lines of text: nodes removed, added and changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from onnx import AttributeProto, ModelProto, NodeProto, helper

from npugate.model.node_label import node_label
from npugate.surgery.shapes import InferenceRefusedError, Known, infer

_MOST_ITEMS = 8


def diff(before: ModelProto, after: ModelProto) -> Iterator[str]:
    """Yield a line for every node that differs, ``-`` removed, ``+`` added, ``~`` changed.

    Nodes are identified by name, unnamed ones by their first output.
    """
    old = {node_label(node): node for node in before.graph.node}
    new = {node_label(node): node for node in after.graph.node}
    shapes = _Shapes(before), _Shapes(after)
    for info, other in zip(before.graph.input, after.graph.input, strict=False):
        if info.type != other.type:
            yield f"~ input {info.name}"
    for label, node in old.items():
        if label not in new:
            yield f"- {_line(node, shapes[0])}"
    for label, node in new.items():
        if label not in old:
            yield f"+ {_line(node, shapes[1])}"
        elif node != old[label] and _content(node) != _content(old[label]):
            yield f"~ {_line(old[label], shapes[0])}"
            yield f"  -> {_line(node, shapes[1])}"


def _content(node: NodeProto) -> bytes:
    plain = NodeProto()
    plain.CopyFrom(node)
    plain.ClearField("metadata_props")
    plain.ClearField("doc_string")
    content: bytes = plain.SerializeToString(deterministic=True)
    return content


class _Shapes:
    """The shapes of a model, inferred once a line asks for them."""

    def __init__(self, model: ModelProto) -> None:
        self._model = model

    @cached_property
    def _known(self) -> Mapping[str, Known]:
        try:
            return infer(self._model)
        except InferenceRefusedError:
            return {}  # the lines then go without shapes

    def get(self, name: str) -> Known | None:
        """Return what is known of a value."""
        return self._known.get(name)


def _line(node: NodeProto, shapes: _Shapes) -> str:
    outputs = ", ".join(_value(name, shapes) for name in node.output if name)
    inputs = ", ".join(_value(name, shapes) if name else "-" for name in node.input)
    attributes = ", ".join(_attribute(item) for item in node.attribute)
    operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    braces = f" <{attributes}>" if attributes else ""
    return f"{node_label(node)}: {outputs} = {operator}{braces} ({inputs})"


def _value(name: str, shapes: _Shapes) -> str:
    known = shapes.get(name)
    if known is None or known.shape is None:
        return name
    return f"{name}[{'x'.join('?' if dim is None else str(dim) for dim in known.shape)}]"


def _attribute(item: AttributeProto) -> str:
    if item.type in {AttributeProto.GRAPH, AttributeProto.GRAPHS}:
        return f"{item.name} = {{...}}"
    if item.type in {AttributeProto.TENSOR, AttributeProto.SPARSE_TENSOR}:
        return f"{item.name} = tensor{list(item.t.dims)}"
    value = helper.get_attribute_value(item) if not item.ref_attr_name else f"@{item.ref_attr_name}"
    if isinstance(value, bytes):
        return f"{item.name} = {value.decode('utf-8', 'backslashreplace')!r}"
    if hasattr(value, "__len__") and not isinstance(value, str):
        items = [str(part) for part in list(value)[:_MOST_ITEMS]]
        more = ["..."] if len(value) > _MOST_ITEMS else []
        return f"{item.name} = [{', '.join(items + more)}]"
    return f"{item.name} = {value:g}" if isinstance(value, float) else f"{item.name} = {value}"
