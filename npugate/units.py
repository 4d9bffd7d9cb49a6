"""Read and write amounts of memory and time as people do: ``1.8 MiB``, ``15 ms``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

_BYTES: Final = {"B": 1, "KIB": 1 << 10, "KB": 1 << 10, "MIB": 1 << 20, "MB": 1 << 20}
_TIMES: Final = {"US": 1.0, "MS": 1e3, "S": 1e6}
_AMOUNT: Final = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([A-Za-z]+)\s*")
_KIB: Final = 1024
_BUDGETS: Final = ("ram", "flash", "latency")


class Budget(Struct, frozen=True):
    """What a team allows a model; None for no bound.

    Attributes:
        ram: bytes of activations.
        flash: bytes of parameters.
        latency: microseconds for one inference.
    """

    ram: float | None = None
    flash: float | None = None
    latency: float | None = None

    def over(self, base: Budget) -> Budget:
        """Return these bounds on top of others."""
        return Budget(
            base.ram if self.ram is None else self.ram,
            base.flash if self.flash is None else self.flash,
            base.latency if self.latency is None else self.latency,
        )


def parse_budget(rows: Mapping[str, object]) -> Budget:
    """Read ``{"ram": "1.8 MiB", "flash": "4 MiB", "latency": "20 ms"}``.

    Raises:
        ValueError: an unknown key or an amount that is none; it names the key.
    """
    found: dict[str, float] = {}
    for key, text in rows.items():
        if key not in _BUDGETS:
            raise ValueError(f"unknown key {key!r}; there are: {', '.join(_BUDGETS)}")
        if not isinstance(text, str):
            raise ValueError(f"{key!r} must be a string, not {text!r}")  # noqa: TRY004 (of a file)
        try:
            found[key] = (parse_time if key == "latency" else parse_size)(text)
        except ValueError as error:
            raise ValueError(f"{key!r} {error}") from error
    return Budget(**found)


def parse_size(text: str) -> int:
    """Return an amount of memory in bytes; KB and MB are binary, as in the compiler's reports.

    Raises:
        ValueError: the text is no amount; it says what is expected.
    """
    return round(_parse(text, _BYTES, "a size such as '1.8 MiB' or '512 KiB'"))


def parse_time(text: str) -> float:
    """Return a time in microseconds.

    Raises:
        ValueError: the text is no amount; it says what is expected.
    """
    return _parse(text, _TIMES, "a time such as '15 ms'")


def show_size(size: float) -> str:
    """Write bytes for people: ``1.80 MiB``, ``12.5 KiB``, ``65 B``."""
    if size >= _KIB * _KIB:
        return f"{size / _KIB / _KIB:.2f} MiB"
    return f"{size / _KIB:.1f} KiB" if size >= _KIB else f"{size:.0f} B"


def _parse(text: str, units: Mapping[str, float], wanted: str) -> float:
    match = _AMOUNT.fullmatch(text)
    unit = units.get(match[2].upper()) if match else None
    if match is None or unit is None or float(match[1]) == 0:
        raise ValueError(f"must be {wanted}, not {text!r}")
    return float(match[1]) * unit
