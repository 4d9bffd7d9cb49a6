"""Which tensor of a repaired model stands for which of the original."""

from __future__ import annotations

from msgspec import Struct, field


class Lineage(Struct):
    """Which tensors of a repaired model hold the elements of which tensor of the original.

    The proof compares each pair, flattened: a tensor keeps its name through every repair as long
    as it keeps its elements and their order; for a tensor with a new name, this says whose it has.

    Attributes:
        names: of every tensor of the original model.
        links: name of a new tensor -> name of the original one.
    """

    names: frozenset[str]
    links: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str | None:
        """Return the tensor of the original model whose elements this one has."""
        return name if name in self.names else self.links.get(name)

    def join(self, left: str, right: str) -> None:
        """Note that two tensors have the same elements in the same order."""
        mine, other = self.of(left), self.of(right)
        if mine is not None and other is None:
            self.links[right] = mine
        elif other is not None and mine is None:
            self.links[left] = other
