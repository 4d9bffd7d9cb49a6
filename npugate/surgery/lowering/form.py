"""What every lowering shares: a draft, the rank allowed, and the shapes that few axes are left in.

Every operator is replaced by ``Reshape, operators of low rank, Reshape`` with the order of the
elements kept at both ends, so that fusing the Reshapes removes every tensor of high rank between
two replaced operators. A leading axis of size 1 is kept throughout: compilers refuse operators
that act on the first axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from math import prod
from typing import Final

from msgspec import Struct

from npugate.surgery.draft import Draft
from npugate.surgery.node import Dims, Node, NoFormError, Value

AXIS: Final = 2
"""Position of the axis that an operator works along in ``[1, before, axis, behind]``."""


class Lowering(Struct, frozen=True):
    """A draft and the largest rank its tensors may have.

    Attributes:
        rank: at least 4.
    """

    draft: Draft
    rank: int

    @property
    def usable(self) -> int:
        """Axes beside the leading one."""
        return self.rank - 1

    def data(self, node: Node, position: int = 0) -> Value:
        """Return an input that must be there."""
        value = node.input(position)
        if value is None:
            raise NoFormError(f"{node.op} lacks input {position}")
        return value

    def dims(self, value: Value) -> list[int]:
        """Return a static shape with at least one element in all."""
        dims = list(self.draft.dims(value))
        if 0 in dims:
            raise NoFormError(f"{value.name!r} has no elements")
        return dims

    def shape(self, node: Node, position: int = 0) -> list[int]:
        """Return the static shape of an input."""
        return self.dims(self.data(node, position))

    def constants(self, node: Node, position: int) -> list[int] | None:
        """Return an input of integers, None where it is left out.

        Raises:
            NoFormError: it is computed at run time.
        """
        value = node.input(position)
        if value is None:
            return None
        numbers = self.draft.ints(value)
        if numbers is None:
            raise NoFormError(f"input {position} of {node.op} is computed at run time")
        return numbers

    def finish(self, value: Value, node: Node, position: int = 0) -> None:
        """Let a value, reshaped, be an output of the node that is replaced."""
        output = node.outputs[position]
        self.draft.reshape(value, self.draft.dims(output), output)

    def dtype(self, node: Node, position: int = 0) -> int:
        """Return the type of an output."""
        return self.draft.dtype(node.outputs[position])


Lower = Callable[[Lowering, Node], None]
"""Emits what stands for a node, its outputs included; raises NoFormError when nothing does."""


def lead(dims: Iterable[int]) -> list[int]:
    """Put the leading axis in front."""
    return [1, *dims]


def around(dims: Sequence[int], axis: int) -> list[int]:
    """Return ``[1, before, axis, behind]``."""
    return [1, prod(dims[:axis]), dims[axis], prod(dims[axis + 1 :])]


def positive(axis: int, rank: int) -> int:
    """Count an axis from the front."""
    if not -rank <= axis < rank:
        raise NoFormError(f"axis {axis} of a tensor of rank {rank}")
    return axis % rank


def runs(flags: Sequence[object]) -> list[tuple[object, int, int]]:
    """Return (flag, start, end) of each run of equal neighbours."""
    found: list[tuple[object, int, int]] = []
    start = 0
    for flag, group in groupby(flags):
        end = start + sum(1 for _ in group)
        found.append((flag, start, end))
        start = end
    return found


def low_view(low: Lowering, value: Value) -> Dims:
    """Return a shape of few axes that the elements have already, else the flat one."""
    maker = low.draft.producer(value)
    if maker is not None and maker.is_a("Reshape"):
        dims = low.draft.maybe_dims(maker.inputs[0])
        if dims is not None and len(dims) <= low.rank and dims[:1] == (1,):
            return dims
    return 1, prod(low.dims(value))
