"""What every predicate is made of: its declaration and the ways it reads a node.

A predicate looks at one node and returns the numbers of the message when the constraint is
**broken**; None when it is kept, and None when it cannot know: an unknown shape is no finding.
The arguments come from the profile (``Constraint.args``); their names and kinds, and the fields
that a text may use, are declared beside each predicate, so that a profile is checked when it is
read. Nothing here imports onnx or numpy, so reading a profile does not either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:  # annotations only: the graph imports onnx
    from npugate.facts.graph import Node, Tensor

Args = Mapping[str, object]
Fields = Mapping[str, object]
Test = Callable[["Node", Args], Fields | None]


class Predicate(Struct, frozen=True):
    """A condition and what it declares.

    Attributes:
        test: returns the fields of the text when the constraint is broken, else None.
        fields: names that the text may use.
        args: name -> ``int``, ``str``, ``list of int``, ``list of str`` or ``list of int|str``.
        optional: arguments that may be left out.
        on_batch: the condition is about the leading axis, which the compiler takes as the batch.
    """

    test: Test
    fields: tuple[str, ...]
    args: Mapping[str, str]
    optional: tuple[str, ...] = ()
    on_batch: bool = False

    @property
    def doc(self) -> str:
        """What the condition means, for the docs."""
        return (self.test.__doc__ or "").strip().partition("\n")[0]


PREDICATES: Final[dict[str, Predicate]] = {}


def predicate(
    *fields: str,
    optional: tuple[str, ...] = (),
    on_batch: bool = False,
    **args: str,
) -> Callable[[Test], Test]:
    """Register a function under its own name as a predicate."""

    def register(test: Test) -> Test:
        PREDICATES[test.__name__] = Predicate(test, fields, args, optional, on_batch)
        return test

    return register


def number(args: Args, name: str, default: int = 0) -> int:
    """Return an integer argument."""
    value = args.get(name, default)
    return value if isinstance(value, int) else default


def many(args: Args, name: str) -> Sequence[object]:
    """Return a list argument; empty when it is left out."""
    value = args.get(name)
    return value if isinstance(value, list) else ()


def shape_of(tensor: Tensor | None) -> tuple[int, ...] | None:
    """Return the shape of an input where it is known."""
    return None if tensor is None else tensor.static_shape


def by(dims: Sequence[int]) -> str:
    """Join sizes for a message, for example ``3x3``."""
    return "x".join(str(dim) for dim in dims)


def axis_of(node: Node, default: int | None) -> tuple[int, int] | None:
    """Return the axis attribute counted from the front, and the rank of the first input."""
    data = node.input(0)
    if data is None or data.rank is None:
        return None
    axis = node.attribute("axis")
    if axis is None:
        axis = default
    if not isinstance(axis, int):
        return None
    return (axis + data.rank if axis < 0 else axis), data.rank


def ints(node: Node, attribute: str, position: int) -> tuple[int, ...] | None:
    """Return a list of integers from an attribute, else from a constant input."""
    written = node.ints_attribute(attribute)
    if written is not None:
        return written
    return node.integers(position)
