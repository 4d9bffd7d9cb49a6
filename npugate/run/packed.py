"""A sequence of many values, each held as a few compressed bytes until it is looked at.

The report of a run over ten thousand small models is ten thousand trees of small objects, 40 KiB
each; packed, one takes a kilobyte.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar, overload

from npugate.sandbox import transfer

T = TypeVar("T")

_LEVEL: Final = 1  # of compression: most of what is to be had, in a tenth of the time


class Packed(Sequence[T]):
    """Values of one type, which are made anew each time they are asked for."""

    def __init__(self, kind: Any, values: Iterable[T] = ()) -> None:  # noqa: ANN401  # a type
        """Take values.

        Args:
            kind: their type, which ``transfer`` can read.
            values: in order.
        """
        self._kind = kind
        self._parts: list[bytes] = []
        for value in values:
            self.append(value)

    def append(self, value: T) -> None:
        """Add a value at the end."""
        self._parts.append(_packed(value))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._parts)

    def __iter__(self) -> Iterator[T]:
        """Yield each, one at a time in memory."""
        return (self._read(part) for part in self._parts)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        """Return one, or some."""
        if isinstance(index, slice):
            return [self._read(part) for part in self._parts[index]]
        return self._read(self._parts[index])

    @classmethod
    def of(cls, kind: Any, values: Iterable[tuple[int, T]]) -> Packed[T]:  # noqa: ANN401  # a type
        """Take values as they come, each with its index."""
        parts = {index: _packed(value) for index, value in values}
        made = cls(kind)
        made._parts = [parts[index] for index in sorted(parts)]
        return made

    def _read(self, part: bytes) -> T:
        value: T = transfer.decode(zlib.decompress(part), self._kind)
        return value


def _packed(value: object) -> bytes:
    return zlib.compress(transfer.encode(value), _LEVEL)
