"""The memories of a board as values, and the order in which the compiler fills them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from msgspec import Struct

from npugate.errors import UsageError

EXTERNAL: Final = 0x60000000
"""What lies here or above is outside the chip; ST's own services tell by the same address."""
_ADDRESSES: Final = 1 << 32


class BoardError(UsageError):
    """A board is not known, or its pool file cannot be used."""


class Bank(Struct, frozen=True):
    """One memory.

    Attributes:
        address: of its first byte.
        cycles_per_byte: NPU cycles that the compiler reckons with.
        read_power: as declared, in mW; the compiler fills equal memories by it.
    """

    name: str
    address: int
    size_bytes: int
    cycles_per_byte: float
    read_power: float = 0.0
    is_writable: bool = True

    @property
    def end(self) -> int:
        """Address behind the last byte."""
        return self.address + self.size_bytes

    @property
    def is_external(self) -> bool:
        """True outside the chip."""
        return self.address >= EXTERNAL


class Board(Struct, frozen=True):
    """What the compiler knows of a board.

    Attributes:
        banks: in the order in which the compiler fills them: fast before slow, then by power, then
            from the upper end.
        cpu_mhz, npu_mhz: clocks.
    """

    name: str
    title: str
    banks: tuple[Bank, ...]
    cpu_mhz: float = 800.0
    npu_mhz: float = 1000.0

    @property
    def on_chip_bytes(self) -> int:
        """Bytes of writable memory on the chip."""
        return sum(b.size_bytes for b in self.banks if b.is_writable and not b.is_external)

    @property
    def ram_bytes(self) -> int:
        """Bytes of all writable memory."""
        return sum(b.size_bytes for b in self.banks if b.is_writable)

    @property
    def flash_bytes(self) -> int:
        """Bytes of all memory that can only be read."""
        return sum(b.size_bytes for b in self.banks if not b.is_writable)


def ordered(banks: Iterable[Bank]) -> tuple[Bank, ...]:
    """Return memories in the order in which the compiler fills them; empty ones are left out.

    Raises:
        BoardError: two have one name or lie on each other, or one ends above 4 GiB.
    """
    kept = [bank for bank in banks if bank.size_bytes]
    by_address = sorted(kept, key=lambda bank: bank.address)
    for first, second in pairwise(by_address):
        if first.end > second.address:
            raise BoardError(f"memories {first.name!r} and {second.name!r} overlap")
    counts = [bank.name for bank in kept]
    for bank in kept:
        if counts.count(bank.name) > 1:
            raise BoardError(f"two memories have the name {bank.name!r}")
        if bank.end > _ADDRESSES:
            raise BoardError(f"memory {bank.name!r} ends above 4 GiB")
    if not any(bank.is_writable for bank in kept):
        raise BoardError("no memory can be written")
    return tuple(
        sorted(kept, key=lambda b: (b.is_external, b.cycles_per_byte, b.read_power, -b.address))
    )
