"""What every lowering shares: a draft, the rank allowed, and the shapes that few axes are left in.

Every operator is replaced by ``Reshape, operators of low rank, Reshape`` with the order of the
elements kept at both ends, so that fusing the Reshapes removes every tensor of high rank between
two replaced operators. A leading axis of size 1 is kept throughout: compilers refuse operators
that act on the first axis. Axes are merged as far as they go, but where the result would be larger
than the target takes a dimension to be, it is two axes, if the rank leaves room for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from math import isqrt, prod
from typing import Final

from msgspec import Struct

from npugate.surgery.draft import Draft
from npugate.surgery.node import Dims, Node, NoFormError, Value

_MOST_TRIED: Final = 1 << 16  # divisors; dimensions come from a stranger's file


class Lowering(Struct, frozen=True):
    """A draft and how many axes its tensors may have, of which size.

    Attributes:
        rank: at least 4.
        widest: largest dimension that the target takes; None when it takes any.
    """

    draft: Draft
    rank: int
    widest: int | None = None

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

    def fits(self, size: int) -> bool:
        """Tell whether the target takes a dimension."""
        return self.widest is None or size <= self.widest

    def spread(self, sizes: Sequence[int], room: int | None = None) -> list[list[int]]:
        """Cut sizes above the widest in two, in order, as long as there is room for more axes.

        Args:
            sizes: of axes.
            room: most axes in all; by default all beside the leading one.

        Returns:
            For each size the dimensions that stand for it.
        """
        spare = (self.usable if room is None else room) - len(sizes)
        found: list[list[int]] = []
        for size in sizes:
            halves = self._halves(size) if spare > 0 else [size]
            spare -= len(halves) - 1
            found.append(halves)
        return found

    def _halves(self, size: int) -> list[int]:
        """Return one dimension, or two of that product where one is too large."""
        if self.widest is None or self.fits(size):
            return [size]
        first = -(-size // self.widest)
        tried = range(first, min(isqrt(size), first + _MOST_TRIED) + 1)
        divisor = next((number for number in tried if size % number == 0), None)
        return [size] if divisor is None else [divisor, size // divisor]

    def around(self, dims: Sequence[int], axis: int) -> Along:
        """Return ``[1, before, axis, behind]``, what is too large of it in two."""
        sizes = [prod(dims[:axis]), prod(dims[axis + 1 :])]
        is_cut = not self.fits(max(sizes))  # then an axis of size 1 gives its room away
        front, back = ([] if is_cut and size == 1 else [size] for size in sizes)
        cut = self.spread([*front, *back], self.usable - 1)
        ahead = [dim for part in cut[: len(front)] for dim in part]
        behind = [dim for part in cut[len(front) :] for dim in part]
        return Along((1, *ahead, dims[axis], *behind), 1 + len(ahead))

    def finish(self, value: Value, node: Node, position: int = 0) -> None:
        """Let a value, reshaped, be an output of the node that is replaced."""
        output = node.outputs[position]
        self.draft.reshape(value, self.draft.dims(output), output)

    def dtype(self, node: Node, position: int = 0) -> int:
        """Return the type of an output."""
        return self.draft.dtype(node.outputs[position])


class Along(Struct, frozen=True):
    """A shape of few axes for an operator that works along one of them."""

    dims: Dims
    axis: int

    def sized(self, size: int) -> Dims:
        """Return the shape with another size of the axis."""
        return (*self.dims[: self.axis], size, *self.dims[self.axis + 1 :])


Lower = Callable[[Lowering, Node], None]
"""Emits what stands for a node, its outputs included; raises NoFormError when nothing does."""


def lead(dims: Iterable[int]) -> list[int]:
    """Put the leading axis in front."""
    return [1, *dims]


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
    return had_view(low, value) or (1, *low.spread([prod(low.dims(value))])[0])


def had_view(low: Lowering, value: Value) -> Dims | None:
    """Return a shape of few axes that the elements have already."""
    maker = low.draft.producer(value)
    if maker is None or not maker.is_a("Reshape"):
        return None
    dims = low.draft.maybe_dims(maker.inputs[0])
    return dims if dims is not None and len(dims) <= low.rank and dims[:1] == (1,) else None
