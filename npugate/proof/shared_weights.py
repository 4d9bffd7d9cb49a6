"""Large weights, held once for the onnxruntime sessions of both models.

onnxruntime copies the weights of every session, and needs twice their size while it loads: two
models of 100 MB took 600 MB. So a large initializer is declared as external data, in a file that
is never read, and all sessions of one proof are given the same array for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from msgspec import Struct, field
from onnx import ModelProto, TensorProto, helper

from npugate.facts.graph import Array
from npugate.surgery.weight_store import WeightStore, large_payload

EXTERNAL_FILE: Final = Path(__file__).resolve().parents[1] / "py.typed"
"""The file that external initializers name: onnxruntime demands that it exists."""


class ExternalWeights(Struct, frozen=True):
    """A model whose large initializers are external data, and their elements.

    Attributes:
        data: the model as protobuf writes it.
        weights: elements by name; views of bytes that they keep alive.
    """

    data: bytes
    weights: dict[str, Array]


class SharedWeights(Struct):
    """The large weights of all models that were externalized, each held once."""

    store: WeightStore | None = None
    _held: dict[str, Array] = field(default_factory=dict)

    def whole(self, model: ModelProto) -> ModelProto:
        """Return a model with its weights in it."""
        return model if self.store is None else self.store.whole(model)

    def externalize(self, model: ModelProto) -> ExternalWeights:
        """Return a model with its large weights as external data; the model itself is unchanged."""
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
            stub.external_data.add(key="location", value=EXTERNAL_FILE.name)
            weights[tensor.name] = array
        return ExternalWeights(copy.SerializeToString(), weights)

    def _array(self, tensor: TensorProto) -> Array | None:
        """Return the elements of a large weight; None when the weight stays in the message.

        Returns:
            T[*dims], read-only; one array for equal weights of one name.
        """
        stored = None if self.store is None else self.store.array(tensor)
        data = b"" if stored is not None else large_payload(tensor)
        if not data:
            return stored
        kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        array = np.frombuffer(data, kind).reshape(tuple(tensor.dims))
        held = self._held.get(tensor.name)
        if held is None:
            return self._held.setdefault(tensor.name, array)
        is_same = held.dtype == array.dtype and held.shape == array.shape
        return held if is_same and held.tobytes() == data else array


def _set(message: object, name: str, value: object) -> None:
    """Copy a field, whatever its kind."""
    mine = getattr(message, name)
    if hasattr(mine, "extend"):
        mine.extend(value)
    elif hasattr(mine, "CopyFrom"):
        mine.CopyFrom(value)
    else:
        setattr(message, name, value)
