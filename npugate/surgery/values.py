"""Constants as folding sees them: a tensor of the file, or a value that was computed."""

from __future__ import annotations

from collections import ChainMap
from math import prod

import numpy as np
from msgspec import Struct
from onnx import NodeProto, TensorProto, helper, numpy_helper

from npugate.facts.graph import Array
from npugate.surgery.evaluating import known_value
from npugate.surgery.weight_store import WeightStore


class Held(Struct):
    """A constant.

    Attributes:
        tensor: the message that holds it, if any; decoded when first asked for.
        value: its elements, once they are known.
        stored: bytes that the file holds to make it; those of the tensor when there is one.
        store: holds the elements when the tensor is a reference.
    """

    tensor: TensorProto | None = None
    value: Array | None = None
    stored: int = 0
    store: WeightStore | None = None

    def __post_init__(self) -> None:
        """Take the size of the tensor."""
        if self.tensor is not None:
            self.stored = _bytes_of(self.tensor)

    @property
    def array(self) -> Array | None:
        """The elements as T[*dims]; None when they are not held, or are too many."""
        if self.value is None and self.tensor is not None:
            self.value = known_value(self.tensor, self.store)
        return self.value

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.stored if self.value is None else int(self.value.nbytes)


Constants = ChainMap[str, Held]


def _bytes_of(tensor: TensorProto) -> int:
    try:
        size = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except KeyError:
        size = 1
    return prod(int(dim) for dim in tensor.dims) * size


def hold(array: Array | None, name: str) -> TensorProto:
    """Return the message of a value T[*dims]; T[] stays without axes.

    Raises:
        ValueError: there is no value.
    """
    if array is None:
        raise ValueError(name)
    return numpy_helper.from_array(np.array(array, order="C"), name)


def literal(node: NodeProto) -> TensorProto | None:
    """Return what a Constant node holds as a tensor; None when it is sparse or malformed."""
    if len(node.attribute) != 1 or len(node.output) != 1:
        return None
    item = node.attribute[0]
    if item.name == "value":
        found: TensorProto = item.t
        return found
    texts = {"value_string": [item.s], "value_strings": list(item.strings)}
    if item.name in texts:
        dims = [] if item.name == "value_string" else [len(item.strings)]
        return helper.make_tensor("", TensorProto.STRING, dims, texts[item.name])
    numbers: dict[str, Array] = {
        "value_int": np.array(item.i, np.int64),
        "value_ints": np.array(item.ints, np.int64),
        "value_float": np.array(item.f, np.float32),
        "value_floats": np.array(item.floats, np.float32),
    }
    return hold(numbers[item.name], "") if item.name in numbers else None
