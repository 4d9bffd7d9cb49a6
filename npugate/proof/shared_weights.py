"""Large weights, held once and lent to the sessions of both models.

onnxruntime keeps the weights of every session for itself, and needs twice their size on the way:
two models of 100 MB took 600 MB. A weight that is lent stands in the message as one in another
file, which nobody reads; sessions of one proof share the array.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Final

import numpy as np
from msgspec import Struct, field
from onnx import ModelProto, TensorProto, helper

from npugate.facts.graph import Array
from npugate.surgery.weight_store import WeightStore

_LEAST_BYTES: Final = 1 << 16  # smaller ones are not worth it, and may be sizes that others need
_PLAIN: Final = frozenset(
    {
        TensorProto.FLOAT,
        TensorProto.FLOAT16,
        TensorProto.DOUBLE,
        *(TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64),
        *(TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64),
    }
)
PLACE: Final = Path(__file__).resolve().parents[1] / "py.typed"
"""The file that lent weights are said to be in: onnxruntime wants one that exists."""


class Lent(Struct, frozen=True):
    """A model without its large weights, and the weights.

    Attributes:
        data: the message.
        weights: by name; views of bytes that they keep alive.
    """

    data: bytes
    weights: dict[str, Array]


class Lender(Struct):
    """The weights of the models that were lent so far."""

    store: WeightStore | None = None
    _held: dict[str, Array] = field(default_factory=dict)

    def whole(self, model: ModelProto) -> ModelProto:
        """Return a model with the weights that it has tickets for."""
        return model if self.store is None else self.store.whole(model)

    def lend(self, model: ModelProto) -> Lent:
        """Take the large weights out of a model; it is left as it is."""
        copy = ModelProto()
        for item, value in model.ListFields():
            if item.name != "graph":
                _set(copy, item.name, value)
        for item, value in model.graph.ListFields():
            if item.name != "initializer":
                _set(copy.graph, item.name, value)
        weights: dict[str, Array] = {}
        for tensor in model.graph.initializer:
            array = self._array(tensor)
            if array is None:
                copy.graph.initializer.add().CopyFrom(tensor)
                continue
            stub = copy.graph.initializer.add(
                name=tensor.name, data_type=tensor.data_type, dims=tensor.dims
            )
            stub.data_location = TensorProto.EXTERNAL
            stub.external_data.add(key="location", value=PLACE.name)
            weights[tensor.name] = array
        return Lent(copy.SerializeToString(), weights)

    def _array(self, tensor: TensorProto) -> Array | None:
        """Return the elements of a weight to be lent; None of one that stays in the message."""
        stored = None if self.store is None else self.store.array(tensor)
        if stored is not None or not _is_lent(tensor):
            return stored
        data = tensor.raw_data
        kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        array = np.frombuffer(data, kind).reshape(tuple(tensor.dims))
        held = self._held.get(tensor.name)
        if held is None:
            return self._held.setdefault(tensor.name, array)
        is_same = held.dtype == array.dtype and held.shape == array.shape
        return held if is_same and held.tobytes() == data else array


def _is_lent(tensor: TensorProto) -> bool:
    if tensor.data_type not in _PLAIN or tensor.data_location == TensorProto.EXTERNAL:
        return False
    size = prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return bool(size >= _LEAST_BYTES and tensor.HasField("raw_data"))


def _set(message: object, name: str, value: object) -> None:
    """Copy a field, whatever its kind."""
    mine = getattr(message, name)
    if hasattr(mine, "extend"):
        mine.extend(value)
    elif hasattr(mine, "CopyFrom"):
        mine.CopyFrom(value)
    else:
        setattr(message, name, value)
