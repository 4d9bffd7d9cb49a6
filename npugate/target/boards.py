"""The memories of a board: bundled profiles, and users' own pool files.

A board is the name of a profile in ``data/boards.toml`` or the path of an ``.mpool`` file, the JSON
in which the compiler itself is told its memories.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from npugate.errors import UsageError
from npugate.units import parse_size

DEFAULT_BOARD: Final = "stm32n6570-dk"
EXTERNAL: Final = 0x60000000
"""What lies here or above is outside the chip; ST's own services tell by the same address."""
_FILE: Final = Path(__file__).parent / "boards.toml"
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
    """What the compiler is told of a board.

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


def names() -> tuple[str, ...]:
    """Return the names of the bundled boards, the default first."""
    return tuple(_profiles()["boards"])


def load(name: str) -> Board:
    """Return a bundled board, or the one that a pool file describes.

    Args:
        name: of a profile, or a path that ends in ``.mpool``.

    Raises:
        BoardError: there is none of the name, or the file cannot be used; the text says why.
    """
    if name.endswith(".mpool"):
        from npugate.target import mpool  # noqa: PLC0415 - it needs the types of this module

        return mpool.load(Path(name))
    if name not in names():
        listed = ", ".join(names())
        raise BoardError(f"no board {name!r}; there are: {listed}, or give an .mpool file")
    profiles = _profiles()
    row = profiles["boards"][name]
    sizes = row.get("sizes", {})
    banks = [_bank(key, profiles["memories"][key], sizes) for key in row["memories"]]
    return Board(name, row["title"], ordered(banks), row["cpu_mhz"], row["npu_mhz"])


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


def _bank(name: str, row: Mapping[str, Any], sizes: Mapping[str, str]) -> Bank:
    return Bank(
        name,
        row["address"],
        parse_size(sizes.get(name, row["size"])),
        row["frequency_ratio"] / row["byte_width"],
        row["read_power"],
        row.get("is_writable", True),
    )


@cache
def _profiles() -> Mapping[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))
