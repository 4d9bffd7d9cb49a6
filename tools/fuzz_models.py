"""Damaged models without end: seeded, by structure and by bytes, each from one number.

``Source(seeds).file(number)`` returns the same bytes for the same number and seeds. Half of the
changes follow the message (a field gone or doubled, a piece of another model of the same type, an
operator or attribute swapped, numbers at the edges of their types), the others the bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

NUMBERS: Final = (0, 1, 2, 127, 128, 4095, 4096, 4097, 2**31 - 1, 2**31, 2**32, 2**63, 2**64 - 1)
_EDGES: Final = (
    *range(-3, 9),
    *(sign * value for value in (16, 255, 65_535, 65_536, 2**31 - 1, 2**31) for sign in (1, -1)),
    10**18,
    2**63 - 1,
    -(2**63),
)
_FLOATS: Final = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, 3.4e38, float("inf"), float("nan"))
_NAMES: Final = ("", "x", "y", "w", "F", "-->", "../../../etc/passwd", "\x1b[2J", "é", "a" * 300)
_TYPES: Final = (*range(24), -2, 9999, 2**31 - 1)
_FIELD_NUMBERS: Final = 26
_MOST_BYTES: Final = 1 << 19
_KINDS: Final = FieldDescriptor
_INTEGERS: Final = {
    _KINDS.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    _KINDS.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    _KINDS.CPPTYPE_UINT64: (0, 2**64 - 1),
    _KINDS.CPPTYPE_UINT32: (0, 2**32 - 1),
}
Change = Callable[[random.Random, ModelProto, "Source"], None]


class Source:
    """Models to start from, and what is made of them."""

    def __init__(self, seeds: Sequence[bytes]) -> None:
        """Keep the seeds that parse, and their pieces by type of message."""
        self.seeds = list(seeds)
        self.models = [model for model in map(_parsed, seeds) if model is not None]
        self.pieces: dict[str, list[Message]] = {}
        for model in self.models:
            for message in _messages(model):
                held = self.pieces.setdefault(message.DESCRIPTOR.full_name, [])
                if len(held) < 400:  # noqa: PLR2004  # of each type, from the first models on
                    held.append(message)
        self.operators = sorted({schema.name for schema in onnx.defs.get_all_schemas()})

    def file(self, number: int, seed: int = 0) -> bytes:
        """Return a damaged model."""
        rng = random.Random(f"{seed}/{number}")  # noqa: S311  # must be repeatable, not secret
        if rng.random() < 0.2:  # noqa: PLR2004  # a share
            return mutate(rng, rng.choice(self.seeds), self.seeds)
        model = ModelProto()
        model.CopyFrom(rng.choice(self.models))
        for _ in range(rng.choice((1, 1, 2, 3, 6))):
            rng.choice(_CHANGES)(rng, model, self)
        data = model.SerializeToString()
        if rng.random() < 0.1:  # noqa: PLR2004  # a share
            data = mutate(rng, data, self.seeds)
        return data[:_MOST_BYTES]


def _parsed(data: bytes) -> ModelProto | None:
    try:
        return ModelProto.FromString(data)
    except Exception:  # noqa: BLE001  # a seed for the bytes only
        return None


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else (value,):
                yield from _messages(part)


def _some(rng: random.Random, model: ModelProto, kind: type[Any]) -> Any:  # noqa: ANN401  # of kind
    found = [message for message in _messages(model) if isinstance(message, kind)]
    return rng.choice(found) if found else None


def _change_field(rng: random.Random, model: ModelProto, source: Source) -> None:
    """Change any field of any message."""
    message = rng.choice(list(_messages(model)))
    fields = list(message.DESCRIPTOR.fields)
    present = [field for field, _ in message.ListFields()]
    field = rng.choice(present if present and rng.random() < 0.8 else fields)  # noqa: PLR2004  # one of the ways
    try:
        if field.is_repeated:
            _change_list(rng, message, field, source)
        elif field.message_type is not None:
            _replace(rng, getattr(message, field.name), source)
        elif rng.random() < 0.2:  # noqa: PLR2004  # a share
            message.ClearField(field.name)
        else:
            setattr(message, field.name, _scalar(rng, field))
    except (ValueError, TypeError):
        return  # protobuf takes no such value there


def _change_list(
    rng: random.Random, message: Message, field: FieldDescriptor, source: Source
) -> None:
    items = getattr(message, field.name)
    how = rng.randrange(4)
    if how == 0 and items:
        del items[rng.randrange(len(items))]
    elif field.message_type is None:
        if items and how < 3:  # noqa: PLR2004  # one of the ways
            items[rng.randrange(len(items))] = _scalar(rng, field)
        else:
            items.append(_scalar(rng, field))
    elif items and how == 1:
        copy = type(items[0]).FromString(rng.choice(items).SerializeToString())
        items.add().CopyFrom(copy)
    elif items and how == 2:  # noqa: PLR2004  # one of the ways
        _replace(rng, rng.choice(items), source)
    else:
        _replace(rng, items.add(), source)


def _replace(rng: random.Random, message: Message, source: Source) -> None:
    """Put a piece of a seed in the place of a message."""
    pieces = source.pieces.get(message.DESCRIPTOR.full_name)
    if pieces:
        message.CopyFrom(rng.choice(pieces))


def _scalar(rng: random.Random, field: FieldDescriptor) -> object:
    kind = field.cpp_type
    if kind in _INTEGERS:
        low, high = _INTEGERS[kind]
        value = rng.choice(_TYPES if field.name in {"elem_type", "data_type"} else _EDGES)
        return min(max(value, low), high)
    if kind in {_KINDS.CPPTYPE_FLOAT, _KINDS.CPPTYPE_DOUBLE}:
        return rng.choice(_FLOATS)
    if kind == _KINDS.CPPTYPE_ENUM:
        return rng.randrange(16)
    if field.type == _KINDS.TYPE_BYTES:
        return rng.randbytes(rng.choice((0, 1, 4, 8, 16, 100)))
    return rng.choice(_NAMES)


def _swap_operator(rng: random.Random, model: ModelProto, source: Source) -> None:
    node = _some(rng, model, NodeProto)
    if node is not None:
        node.op_type = rng.choice(source.operators)


def _rewire(rng: random.Random, model: ModelProto, _: Source) -> None:
    """Let a node read or make another value than it did."""
    node = _some(rng, model, NodeProto)
    graph = _some(rng, model, GraphProto)
    if node is None or graph is None:
        return
    names = [info.name for info in (*graph.input, *graph.output)] + [""]
    names += [item.name for item in graph.initializer]
    names += [name for other in graph.node for name in other.output]
    side = node.input if rng.random() < 0.8 else node.output  # noqa: PLR2004  # a share
    if side and rng.random() < 0.6:  # noqa: PLR2004  # a share
        side[rng.randrange(len(side))] = rng.choice(names)
    elif side and rng.random() < 0.5:  # noqa: PLR2004  # a share
        del side[rng.randrange(len(side))]
    else:
        side.append(rng.choice(names))


def _change_attribute(rng: random.Random, model: ModelProto, source: Source) -> None:
    """Give a node an attribute that its operator knows, with a value at some edge."""
    node = _some(rng, model, NodeProto)
    if node is None:
        return
    try:
        known = list(onnx.defs.get_schema(node.op_type).attributes)
    except onnx.defs.SchemaError:
        known = []
    name = rng.choice([*known, *(item.name for item in node.attribute), "axis"])
    item = next((item for item in node.attribute if item.name == name), None)
    item = node.attribute.add(name=name) if item is None else item
    item.type = rng.choice((*range(1, 9), item.type))
    item.i = rng.choice(_EDGES)
    item.f = rng.choice(_FLOATS)
    item.s = rng.choice(_NAMES).encode()
    if rng.random() < 0.6:  # noqa: PLR2004  # a share
        del item.ints[:]
        item.ints.extend(rng.choice(_EDGES) for _ in range(rng.randrange(7)))
    if item.type == AttributeProto.TENSOR:
        _replace(rng, item.t, source)


def _change_tensor(rng: random.Random, model: ModelProto, _: Source) -> None:
    """Give a constant other numbers, of a type and shape that fit them or not."""
    tensor = _some(rng, model, TensorProto)
    if tensor is None:
        return
    name = tensor.name
    count = rng.choice((0, 1, 1, 2, 3, 4, 6, 8))
    is_float = rng.random() < 0.4  # noqa: PLR2004  # a share
    values = [rng.choice(_FLOATS if is_float else _EDGES) for _ in range(count)]
    dims = rng.choice(([count], [count], [], [1, count], [count, 0], [rng.choice(_EDGES)]))
    tensor.Clear()
    tensor.name = name
    tensor.dims.extend(dims)
    if is_float:
        tensor.data_type = rng.choice((TensorProto.FLOAT, TensorProto.DOUBLE))
        side = tensor.float_data if tensor.data_type == TensorProto.FLOAT else tensor.double_data
        side.extend(values)
    else:
        tensor.data_type = TensorProto.INT64
        tensor.int64_data.extend(int(value) for value in values)


def _change_shape(rng: random.Random, model: ModelProto, _: Source) -> None:
    """Give an input or output other dimensions."""
    infos = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    if not infos:
        return
    info = rng.choice(infos)
    dims = info.type.tensor_type.shape.dim
    if dims and rng.random() < 0.5:  # noqa: PLR2004  # a share
        del dims[rng.randrange(len(dims))]
    elif dims and rng.random() < 0.7:  # noqa: PLR2004  # a share
        rng.choice(dims).dim_value = rng.choice(_EDGES)
    else:
        dims.add().dim_value = rng.choice(_EDGES)


def _change_opset(rng: random.Random, model: ModelProto, _: Source) -> None:
    entry = model.opset_import.add()
    entry.domain = rng.choice(("", "", "ai.onnx", "com.microsoft", "local", "a"))
    entry.version = rng.choice((*range(1, 26), 0, -1, 2**31 - 1, 2**31, 2**63 - 1))
    if rng.random() < 0.7 and len(model.opset_import) > 1:  # noqa: PLR2004  # a share
        del model.opset_import[0]


def _nest_graph(rng: random.Random, model: ModelProto, _: Source) -> None:
    """Put the graph into a body of its own, or into a function."""
    if model.ByteSize() > _MOST_BYTES // 4:
        return
    if rng.random() < 0.5:  # noqa: PLR2004  # a share
        body = GraphProto.FromString(model.graph.SerializeToString())
        node = model.graph.node.add(op_type=rng.choice(("If", "Loop", "Scan")))
        node.output.append(rng.choice(("y", "z")))
        name = rng.choice(("body", "then_branch", "else_branch"))
        node.attribute.add(name=name, type=AttributeProto.GRAPH).g.CopyFrom(body)
    else:
        function = model.functions.add(name="F", domain="local")
        function.input.extend(info.name for info in model.graph.input)
        function.output.extend(info.name for info in model.graph.output)
        function.node.extend(model.graph.node)
        function.opset_import.extend(model.opset_import)
        node = model.graph.node.add(op_type="F", domain="local", output=["z"])
        node.input.extend(info.name for info in model.graph.input)


_CHANGES: Final[tuple[Change, ...]] = (
    *[_change_field] * 3,
    _swap_operator,
    _rewire,
    *[_change_attribute] * 2,
    *[_change_tensor] * 2,
    _change_shape,
    _change_opset,
    _nest_graph,
)


def mutate(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return the bytes with one to six changes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(8):
            case 0:
                changed[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del changed[at : at + rng.choice([1, 2, 8, 64])]
            case 2:
                changed[at:at] = _varint(rng.choice(NUMBERS))
            case 3:
                changed[at : at + 1] = _varint(rng.choice(NUMBERS))
            case 4:
                changed[at:at] = _field(rng, changed)
            case 5:
                other = rng.choice(others)
                start = rng.randrange(len(other) + 1)
                changed[at:at] = other[start : start + rng.randrange(1, 6000)]
            case 6:
                changed += rng.choice(others)
            case _:
                changed[:] = _nest(rng, bytes(changed))
    return bytes(changed[:_MOST_BYTES])


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:  # noqa: PLR2004  # the bit that says that more follows
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(rng: random.Random, data: bytearray) -> bytes:
    start = rng.randrange(len(data) + 1)
    body = bytes(data[start : start + rng.choice([0, 4, 100, 5000])])
    number, wire = rng.randint(0, _FIELD_NUMBERS), rng.randrange(8)
    length = _varint(rng.choice([len(body), len(body), *NUMBERS])) if wire in (0, 2) else b""
    return _varint(number << 3 | wire) + length + body


def _nest(rng: random.Random, data: bytes) -> bytes:
    """Make a body a field of itself, at the top: graph, initializer, function, training."""
    number = rng.choice([1, 5, 6, 7, 10, 20, 25])
    return data + _varint(number << 3 | 2) + _varint(len(data)) + data
