"""The known failures and silent traps of the compiler, as data."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, get_args

from msgspec import Struct

from npugate.errors import TargetError
from npugate.findings.values import Severity

FILE: Final = Path(__file__).resolve().parent / "errors.toml"
REFUSED: Final = "NPU601"
MEMORY: Final = "NPU602"
QUANTIZATION: Final = "NPU603"
PROFILE: Final = "NPU604"
FALLBACK: Final = "NPU605"

Where = Literal["failure", "output", "later"]
Kind = Literal["model", "memory", "profile", "tool", "board"]
ABOUT_THE_MODEL: Final = frozenset({"model", "memory"})


class Known(Struct, frozen=True):
    """A row of the catalogue; the head of the file says what each key means.

    Attributes:
        pattern: None for a row that no text shows.
    """

    id: str
    where: Where
    kind: Kind
    cause: str
    fix: str
    source: str
    versions: tuple[str, ...]
    pattern: re.Pattern[str] | None = None
    rule: str = REFUSED
    repair: str = ""
    level: Severity = Severity.ERROR

    @property
    def is_about_the_model(self) -> bool:
        """False for what says nothing about the model: the tool, the board, the profile."""
        return self.kind in ABOUT_THE_MODEL


@functools.cache
def rows() -> tuple[Known, ...]:
    """Return the catalogue in its order.

    Raises:
        TargetError: the file is damaged.
    """
    with FILE.open("rb") as file:
        data = tomllib.load(file)
    sources = data["sources"]
    return tuple(_row(row, sources) for row in data["errors"])


def _row(row: dict[str, object], sources: dict[str, str]) -> Known:
    name = row.get("id")
    unknown = set(row) - set(Known.__struct_fields__) - {"match"}
    choices = {"where": get_args(Where), "kind": get_args(Kind), "source": tuple(sources)}
    wrong = [key for key, allowed in choices.items() if row.get(key) not in allowed]
    if unknown or wrong or not (row.get("match") or row.get("where") == "later"):
        raise TargetError(f"{FILE.name}: row {name!r}: {', '.join([*sorted(unknown), *wrong])}")
    match = str(row.pop("match", ""))
    level = Severity[str(row.pop("level", "error")).upper()]
    values: dict[str, object] = {
        **row,
        "pattern": re.compile(match) if match else None,
        "level": level,
        "rule": row.get("rule") or REFUSED,
        "versions": tuple(str(text) for text in row.get("versions", ())),  # type: ignore[attr-defined]  # a list, as TOML has it
    }
    return Known(**values)  # type: ignore[arg-type]  # the keys were checked above; a test reads every row


def of_failure(lines: Iterable[str]) -> Known | None:
    """Return the first row that a failed run's lines show; None for an unknown failure."""
    texts = list(lines)
    for row in rows():
        if row.where == "failure" and row.pattern and any(map(row.pattern.search, texts)):
            return row
    return None


def of_output(lines: Iterable[str]) -> tuple[tuple[Known, int], ...]:
    """Return the traps that an output shows, each with the number of lines that show it."""
    texts = list(lines)
    counts = (
        (row, sum(1 for text in texts if row.pattern.search(text)))
        for row in rows()
        if row.where == "output" and row.pattern
    )
    return tuple((row, count) for row, count in counts if count)
