"""The parts of a draft: nodes and values as onnx-graphsurgeon links them."""

from __future__ import annotations

from typing import Final, Protocol

import onnx_graphsurgeon as gs
from msgspec import Struct
from onnx import NodeProto, TensorProto

from npugate.model.node_label import label

Dims = tuple[int, ...]
Attribute = int | float | str | bytes | list[int] | list[float] | TensorProto
MADE_BY: Final = "npugate.repair"
"""Metadata key on every node that a repair made; its value is the repair's name."""
DEFAULT_DOMAINS: Final = frozenset({"", "ai.onnx"})


class EditError(Exception):
    """A model that the editing layer cannot edit without loss; the text says why."""


class NoFormError(Exception):
    """A node that has no equivalent of the wanted kind; the text says why."""


class Value(Protocol):
    """A tensor of a draft: ``gs.Variable`` or ``gs.Constant``.

    Attributes:
        name: ``""`` for an optional input or output that is left out.
        inputs: the node that makes it, if any.
        outputs: the nodes that read it, once for every position.
    """

    name: str
    inputs: list[Node]
    outputs: list[Node]

    def is_empty(self) -> bool:
        """Tell whether this is an optional value that is left out."""


class Node(gs.Node):  # type: ignore[misc]  # onnx-graphsurgeon has no types
    """A node of a draft.

    Compared by identity: comparing by content makes unlinking quadratic, and unlinks the wrong one
    of two equal nodes.

    Attributes:
        origin: the message it was read from; for a new node, of the node that it replaces.
        is_new: True when a repair made it.
        changed: names of the attributes that a repair set or removed.
    """

    origin: NodeProto
    is_new: bool
    changed: set[str]

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        """Tell whether this is the same node."""
        return self is other

    @property
    def is_standard(self) -> bool:
        """True for an operator of ai.onnx."""
        return (self.domain or "") in DEFAULT_DOMAINS

    @property
    def label(self) -> str:
        """The name, else the name of the first output, else the operator."""
        return label(str(self.name), (value.name for value in self.outputs), str(self.op))

    def is_a(self, *op_types: str) -> bool:
        """Tell whether it is one of these operators of ai.onnx."""
        return self.op in op_types and self.is_standard

    def input(self, position: int) -> Value | None:
        """Return the value at a position; None where it is left out."""
        if position >= len(self.inputs) or self.inputs[position].is_empty():
            return None
        value: Value = self.inputs[position]
        return value

    def integer(self, name: str, default: int) -> int:
        """Return an INT attribute."""
        return int(self.attrs.get(name, default))

    def integers(self, name: str) -> list[int] | None:
        """Return an INTS attribute; None when it is absent."""
        value = self.attrs.get(name)
        return None if value is None else [int(item) for item in value]

    def text(self, name: str, default: str) -> str:
        """Return a STRING attribute."""
        value = self.attrs.get(name, default)
        return value.decode() if isinstance(value, bytes) else str(value)

    def used_outputs(self) -> list[Value]:
        """Return the outputs that have a name."""
        return [value for value in self.outputs if value.name]


class Rewritten(Struct, frozen=True):
    """What a pass over the nodes did.

    Attributes:
        replaced: number of nodes that were replaced.
        failures: nodes that have no form of the wanted kind, and why.
    """

    replaced: int
    failures: tuple[tuple[Node, str], ...]
