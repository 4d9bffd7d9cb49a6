"""Read a memory pool file (``.mpool``): the JSON that gives the compiler its memories.

Comments and commas before a closing bracket are taken, as the compiler takes them. A relative pool
at address 0 is the compiler's own book-keeping and left out. The file may come from anybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

from msgspec import Struct

from npugate import beneath
from npugate.beneath import RefusedError
from npugate.target.memories import Bank, Board, BoardError, ordered

_MOST_BYTES: Final = 1 << 20
_MOST_POOLS: Final = 64
_MOST_TEXT: Final = 64
_UNITS: Final = {"BYTES": 1, "KBYTES": 1 << 10, "MBYTES": 1 << 20}
_RIGHTS: Final = {"ACC_WRITE": True, "ACC_READ": False}
_RATIOS: Final = (1e-3, 1e3)
# A string, a comment, or a comma that closes nothing; strings first, so that theirs stay.
_TOKEN: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.DOTALL)
_COMMENT: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


def load(path: Path) -> Board:
    """Read a pool file.

    Raises:
        BoardError: it cannot be read, is no JSON, or says something that no memory is.
    """
    try:
        beneath.refuse_gits(path)
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except RefusedError as error:
        raise BoardError(f"cannot read {path}: it {error}") from error
    except (OSError, ValueError) as error:  # the latter of a name with a NUL in it
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BoardError(f"cannot read {path}: {reason}") from error
    return parse(data, str(path))


def parse(data: bytes, name: str) -> Board:
    """Read the content of a pool file.

    Args:
        data: the file.
        name: for messages, and the board's name.

    Raises:
        BoardError: as ``load``.
    """
    if len(data) > _MOST_BYTES:
        raise BoardError(f"{name}: larger than {_MOST_BYTES} bytes, so it is no pool file")
    root = _Item(name, _decode(data, name))
    pools = root.item("memory").items("mempools")
    if len(pools) > _MOST_POOLS:
        raise BoardError(f"{name}: {len(pools)} memory pools, at most {_MOST_POOLS} are taken")
    banks = [_bank(pool) for pool in pools if not _is_bookkeeping(pool)]
    try:
        return Board(name, f"memories of {Path(name).name}", ordered(banks))
    except BoardError as error:
        raise BoardError(f"{name}: {error}") from error


def _decode(data: bytes, name: str) -> object:
    try:
        text = data.decode("utf-8-sig")
        bare = _COMMENT.sub(_keep_strings, text)
        return json.loads(_TOKEN.sub(_keep_strings, bare), parse_constant=_refuse)
    except (UnicodeDecodeError, ValueError) as error:  # JSONDecodeError is a ValueError
        raise BoardError(f"{name} is no JSON: {error}") from error
    except RecursionError as error:
        raise BoardError(f"{name}: nested too deeply") from error


def _keep_strings(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith('"') else " "


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _is_bookkeeping(pool: _Item) -> bool:
    offset = pool.item("offset").data.get("value")
    return pool.text("mode", "") == "USEMODE_RELATIVE" and offset in ("0", 0)


def _bank(pool: _Item) -> Bank:
    prop = pool.item("prop")
    rights = prop.text("rights")
    if rights not in _RIGHTS:
        prop.fail(f"'rights' must be ACC_READ or ACC_WRITE, not {rights!r}")
    width, ratio = prop.number("byteWidth"), prop.number("freqRatio")
    low, high = _RATIOS
    if not low <= ratio <= high or not 1 <= width <= high:
        prop.fail(f"a byteWidth of {width:g} and a freqRatio of {ratio:g} are no memory's")
    power = next((key for key in ("read_power", "readPower") if key in prop.data), "")
    return Bank(
        pool.text("name"),
        pool.item("offset").amount(),
        pool.item("size").amount(),
        ratio / width,
        prop.number(power) if power else 0.0,
        _RIGHTS[rights],
    )


class _Item(Struct, frozen=True):
    """One JSON value and how to name it."""

    where: str
    value: object

    @property
    def data(self) -> Mapping[str, object]:
        if not isinstance(self.value, dict):
            self.fail(f"must be an object, not {_show(self.value)}")
        return self.value

    def fail(self, what: str) -> NoReturn:
        raise BoardError(f"{self.where}: {what}")

    def item(self, key: str) -> _Item:
        if key not in self.data:
            self.fail(f"{key!r} is missing")
        return _Item(f"{self.where}: {key}", self.data[key])

    def items(self, key: str) -> list[_Item]:
        value = self.item(key).value
        if not isinstance(value, list):
            self.fail(f"{key!r} must be a list, not {_show(value)}")
        return [_Item(f"{self.where}: {key} {n}", item) for n, item in enumerate(value, 1)]

    def text(self, key: str, default: str | None = None) -> str:
        value = self.data.get(key, default)
        if not isinstance(value, str) or len(value) > _MOST_TEXT or not value.isprintable():
            self.fail(f"{key!r} must be a short text, not {_show(value)}")
        return value

    def number(self, key: str) -> float:
        value = self.data.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1 << 40:
            self.fail(f"{key!r} must be a number, not {_show(value)}")
        return float(value)

    def amount(self) -> int:
        """Read ``{"value": "448", "magnitude": "KBYTES"}``; the value may be hexadecimal."""
        unit = self.text("magnitude")
        value = self.data.get("value")
        digits = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if unit not in _UNITS:
            self.fail(f"'magnitude' must be one of {', '.join(_UNITS)}, not {unit!r}")
        if not isinstance(digits, str) or not re.fullmatch(
            r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}", digits
        ):
            self.fail(f"'value' must be a whole number up to 4 GiB, not {_show(value)}")
        return int(digits, 16 if digits[1:2] in {"x", "X"} else 10) * _UNITS[unit]


def _show(value: object) -> str:
    return repr(value)[:_MOST_TEXT]
