"""What a relation may ask of a node; what it asks and is not known is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from onnx import TensorProto

from npugate.facts.graph import Array, Dim, Node, Tensor

Relation = Callable[["Operands"], Iterator[str]]
"""Yields a sentence for each contradiction, with both sizes in it."""

_SHOWN: Final = 16
_NAMES: Final[Mapping[int, str]] = {
    value: name.lower() for name, value in TensorProto.DataType.items()
}


class Operands:
    """The inputs and attributes of one node.

    Attributes:
        node: the node.
        opset: version of ai.onnx.
        unknown: what was asked for and is not known when the file is read.
    """

    def __init__(self, node: Node, opset: int) -> None:
        """Look at one node."""
        self.node = node
        self.opset = opset
        self.unknown: list[str] = []

    def given(self, position: int) -> bool:
        """Tell whether an input is there."""
        return self.node.input(position) is not None

    def name(self, position: int) -> str:
        """Return the name of an input, for a message."""
        tensor = self.node.input(position)
        return repr(tensor.name) if tensor is not None else f"input {position}"

    def shape(self, position: int) -> tuple[Dim, ...] | None:
        """Return the dimensions of an input; None when it is left out or its rank is unknown."""
        tensor = self.node.input(position)
        if tensor is not None and tensor.shape is None:
            self._miss("rank", tensor)
        return None if tensor is None else tensor.shape

    def static(self, position: int) -> tuple[int, ...] | None:
        """Return the dimensions of an input when each is a number."""
        tensor = self.node.input(position)
        if tensor is not None and tensor.static_shape is None:
            self._miss("shape", tensor)
        return None if tensor is None else tensor.static_shape

    def rank(self, position: int) -> int | None:
        """Return the number of dimensions of an input."""
        shape = self.shape(position)
        return None if shape is None else len(shape)

    def dim(self, position: int, axis: int) -> int | None:
        """Return one dimension of an input; None when it is unknown or there is no such axis."""
        shape = self.shape(position)
        if shape is None or not -len(shape) <= axis < len(shape):
            return None
        size = shape[axis]
        if isinstance(size, int):
            return size
        self._miss(f"axis {axis}", self.node.input(position))
        return None

    def count(self, position: int) -> int | None:
        """Return the number of elements of an input."""
        tensor = self.node.input(position)
        if tensor is None:
            return None
        if tensor.elements is None:
            self._miss("shape", tensor)
        return tensor.elements

    def values(self, position: int) -> Array | None:
        """Return the elements of an input as T[*dims] when they are fixed and small; else None."""
        tensor = self.node.input(position)
        if tensor is None:
            return None
        if tensor.constant is None:
            self._miss("values", tensor)
        return tensor.constant

    def ints(self, position: int) -> tuple[int, ...] | None:
        """Return the elements of an integer input, flat."""
        value = self.values(position)
        if value is None or value.dtype.kind not in "iu":
            return None
        return tuple(int(item) for item in value.reshape(-1))

    def dtype(self, position: int) -> int:
        """Return the element type of an input; 0 when unknown."""
        tensor = self.node.input(position)
        return 0 if tensor is None else tensor.dtype

    def _miss(self, what: str, tensor: Tensor | None) -> None:
        if tensor is not None:
            self.unknown.append(f"{what} of {tensor.name!r}")


def type_name(dtype: int) -> str:
    """Return the name of an element type as the standard writes it."""
    return _NAMES.get(dtype, f"type {dtype}")


def shown(shape: tuple[Dim, ...]) -> str:
    """Return a shape, or other numbers, for a message; of many only the first."""
    texts = ["?" if dim is None else str(dim) for dim in shape[:_SHOWN]]
    more = [f"... ({len(shape)})"] if len(shape) > _SHOWN else []
    return f"[{', '.join([*texts, *more])}]"
