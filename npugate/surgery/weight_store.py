"""Large weights, held once while a model is repaired.

Each repair works on a copy of the message, and with the weights in it a model of 97 MB was copied
eight times. Here each large weight is held once, for every copy and for the sessions of the proof.
Its tensor in the message becomes a reference: it keeps its type and dimensions, and names an
external file that does not exist. Code that reads it without the store fails; it never finds zeros.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from secrets import token_hex
from typing import Final

import numpy as np
from msgspec import Struct
from onnx import GraphProto, ModelProto, TensorProto, helper

from npugate.facts.graph import Array
from npugate.model.wire import Window, varint

LEAST_BYTES: Final = 1 << 16
"""Smaller weights stay where they are: copying them costs nothing, and shapes may hang on them."""
_PLAIN: Final = frozenset(  # types that numpy has
    {
        TensorProto.FLOAT,
        TensorProto.FLOAT16,
        TensorProto.DOUBLE,
        *(TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64),
        *(TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64),
    }
)
_RAW: Final = TensorProto.RAW_DATA_FIELD_NUMBER
_LENGTH: Final = 2  # wire type of a field that says its length
_HEAD_BYTES: Final = 16  # field number and length of a payload, and longer lengths around it


class _Item(Struct, frozen=True):
    """A payload, and whether its tensor says that it is in the file, which it need not say."""

    payload: bytes
    is_located: bool


class WeightStore:
    """The large weights of one model by reference; references of another store are unknown here."""

    def __init__(self) -> None:
        """Make an empty store. Its references cannot be guessed, so that no file can forge one."""
        self._secret = f"npugate-{token_hex(8)}-"
        self._items: dict[str, _Item] = {}
        self._count = 0
        self._is_fresh = False

    def take(self, model: ModelProto) -> ModelProto:
        """Move the large weights of a model into the store; the message now belongs to the store.

        Returns:
            The model with references: a copy, as a message gives no memory back, or the same when
            nothing was stored since the last copy.
        """
        for tensor in model.graph.initializer:
            self.put(tensor)
        if not self._is_fresh:
            return model
        self._is_fresh = False
        copy = ModelProto()
        copy.CopyFrom(model)
        return copy

    def put(self, tensor: TensorProto) -> None:
        """Make a tensor a reference, in place; small ones and rare types stay as they are."""
        payload = large_payload(tensor)
        if not payload:
            return
        self._count += 1
        key = f"{self._secret}{self._count}"
        self._items[key] = _Item(payload, tensor.HasField("data_location"))
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=key)
        self._is_fresh = True

    def array(self, tensor: TensorProto) -> Array | None:
        """Return the elements behind a reference, read-only; None when the tensor is none.

        Returns:
            any[*dims] of the tensor's own type.
        """
        item = self._items.get(_key(tensor))
        if item is None:
            return None
        kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        return np.frombuffer(item.payload, kind).reshape(tuple(tensor.dims))

    def keep(self, models: Iterable[ModelProto]) -> None:
        """Drop every weight that none of these models has."""
        named = {_key(tensor) for model in models for tensor in model.graph.initializer}
        self._items = {key: item for key, item in self._items.items() if key in named}

    def size_of(self, model: ModelProto) -> int:
        """Return the size of a model's file in bytes, or a few bytes more."""
        references = (self._items.get(_key(tensor)) for tensor in model.graph.initializer)
        payloads = sum(len(item.payload) + _HEAD_BYTES for item in references if item is not None)
        return int(model.ByteSize()) + payloads

    def serialized(self, model: ModelProto) -> bytes:
        """Return a model with its weights as a file, the very bytes that protobuf writes.

        Protobuf would want the weights three times: in the message, in its buffer, in the result.
        """
        data: bytes = model.SerializeToString()
        window = Window(lambda length, at: data[at : at + length], len(data), len(data))
        model_parts = _Parts(data)
        for start, number, _, body, end in window.fields(0, len(data)):
            if number != ModelProto.GRAPH_FIELD_NUMBER:
                model_parts.keep(start, end)
                continue
            graph_parts = _Parts(data)
            tensors = iter(model.graph.initializer)
            for inner, kind, _, _, stop in window.fields(body, end):
                if kind == GraphProto.INITIALIZER_FIELD_NUMBER:
                    graph_parts.message(kind, self._tensor_parts(next(tensors)))
                else:
                    graph_parts.keep(inner, stop)
            model_parts.message(number, graph_parts)
        return b"".join(model_parts.pieces)

    def _tensor_parts(self, tensor: TensorProto) -> _Parts:
        item = self._items.get(_key(tensor))
        if item is None:
            return _Parts(b"").add(tensor.SerializeToString())
        plain = TensorProto()
        plain.CopyFrom(tensor)
        _restore(plain, item)
        data: bytes = plain.SerializeToString()
        window = Window(lambda length, at: data[at : at + length], len(data), len(data))
        fields = window.fields(0, len(data))
        split = next((at for at, number, *_ in fields if number > _RAW), len(data))
        parts = _Parts(data)
        parts.keep(0, split)
        parts.message(_RAW, _Parts(b"").add(item.payload))
        parts.keep(split, len(data))
        return parts

    def whole(self, model: ModelProto) -> ModelProto:
        """Return a copy of a model with its weights."""
        copy = ModelProto()
        copy.CopyFrom(model)
        for tensor in copy.graph.initializer:
            item = self._items.get(_key(tensor))
            if item is not None:
                _restore(tensor, item)
                tensor.raw_data = item.payload
        return copy


class _Parts:
    """The pieces of a message, whose length is known before they are joined."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.pieces: list[bytes] = []
        self.length = 0

    def keep(self, start: int, end: int) -> None:
        """Add a range of the data."""
        self.add(self._data[start:end])

    def add(self, piece: bytes) -> _Parts:
        """Add bytes."""
        self.pieces.append(piece)
        self.length += len(piece)
        return self

    def message(self, number: int, body: _Parts) -> None:
        """Add a field of known length."""
        self.add(varint(number << 3 | _LENGTH) + varint(body.length))
        self.pieces += body.pieces
        self.length += body.length


def _restore(tensor: TensorProto, item: _Item) -> None:
    """Make a reference the tensor that it was, but for the payload."""
    del tensor.external_data[:]
    tensor.ClearField("data_location")
    if item.is_located:
        tensor.data_location = TensorProto.DEFAULT


def _key(tensor: TensorProto) -> str:
    if tensor.data_location != TensorProto.EXTERNAL or len(tensor.external_data) != 1:
        return ""
    return str(tensor.external_data[0].value)


def large_payload(tensor: TensorProto) -> bytes:
    """Return the elements of a weight that is held outside its message, as the file has them.

    Returns:
        Empty for a small tensor, one of a rare type, and one whose data is elsewhere or damaged.
    """
    if (
        tensor.data_type not in _PLAIN
        or tensor.data_location == TensorProto.EXTERNAL
        or tensor.external_data
        or not tensor.HasField("raw_data")
    ):
        return b""
    size = prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    payload: bytes = tensor.raw_data if size >= LEAST_BYTES else b""
    return payload if len(payload) == size else b""
