"""The memories of a board: bundled profiles, and users' own pool files.

A board is the name of a profile in ``boards.toml`` or the path of an ``.mpool`` file, the JSON
that gives the compiler its memories.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from npugate.target.memories import Bank, Board, BoardError, ordered
from npugate.units import parse_size

DEFAULT_BOARD: Final = "stm32n6570-dk"
_FILE: Final = Path(__file__).parent / "boards.toml"


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
        from npugate.target import mpool  # noqa: PLC0415 - loads json, and few boards are files

        return mpool.load(Path(name))
    if name not in names():
        listed = ", ".join(names())
        raise BoardError(f"no board {name!r}; there are: {listed}, or give an .mpool file")
    profiles = _profiles()
    row = profiles["boards"][name]
    sizes = row.get("sizes", {})
    banks = [_bank(key, profiles["memories"][key], sizes) for key in row["memories"]]
    return Board(name, row["title"], ordered(banks), row["cpu_mhz"], row["npu_mhz"])


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
