"""The table of epochs in both layouts: up to 2.2 and from 4.0 on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from npugate.report.compiled import CompiledEpoch, EpochCounts

_TOTAL_OLD: Final = re.compile(
    r"^Total number of epochs: +(\d+) of which (\d+) implemented in software"
)
_ROW_OLD: Final = re.compile(r"^epoch +(\d+) +(-SW-|HW|EC|\?\?) *(?:\( *(.*?) *\))? *$")
_TOTAL_NEW: Final = re.compile(r"^Total number of epochs +(\d+)\s*$")
_HYBRID_NEW: Final = re.compile(r"^>> hybrid epochs \([^)]*\) +(\d+)")
_HARDWARE_NEW: Final = re.compile(
    r"^>> pure hardware \(HW or EC\) epochs +(\d+)(?: +\(implemented in (\d+) )?"
)
_SOFTWARE_NEW: Final = re.compile(r"^>> pure software \(SW\) epochs +(\d+)")
_ROW_NEW: Final = re.compile(r"^\| epochs? *_?(\d+)(?: +-> +(\d+))? +\| +(\w+) +\| *(.*?) *\|$")
# Up to 2.2 the table knows no hybrid epochs; the JSON of the same run shows that this is one.
_KINDS: Final = {"-SW-": "SW", "??": "HYBRID", "HYBRID": "HYBRID", "SW": "SW"}


def read(lines: Sequence[str]) -> tuple[EpochCounts | None, tuple[CompiledEpoch, ...]]:
    """Return the counts and the rows; None and nothing where the lines hold no table."""
    return _counts(lines), tuple(row for line in lines if (row := _row(line)) is not None)


def _row(line: str) -> CompiledEpoch | None:
    if match := _ROW_OLD.match(line):
        number, kind, operator = int(match[1]), match[2], match[3]
        kind = _KINDS.get(kind, kind)
        return CompiledEpoch(number, number, kind, (operator,) if operator else ())
    if match := _ROW_NEW.match(line):
        first = int(match[1])
        kind = match[3].upper()
        names = tuple(part.strip() for part in match[4].split(",") if part.strip())
        return CompiledEpoch(first, int(match[2] or first), _KINDS.get(kind, kind), names)
    return None


def _counts(lines: Sequence[str]) -> EpochCounts | None:
    old = _first(_TOTAL_OLD, lines)
    if old is not None:
        return EpochCounts(int(old[1]), int(old[2]))
    total, software = _first(_TOTAL_NEW, lines), _first(_SOFTWARE_NEW, lines)
    if total is None or software is None:
        return None
    hybrid, hardware = _first(_HYBRID_NEW, lines), _first(_HARDWARE_NEW, lines)
    return EpochCounts(
        int(total[1]),
        int(software[1]),
        None if hybrid is None else int(hybrid[1]),
        None if hardware is None else int(hardware[1]),
        int(hardware[2]) if hardware is not None and hardware[2] else None,
    )


def _first(pattern: re.Pattern[str], lines: Sequence[str]) -> re.Match[str] | None:
    return next((match for line in lines if (match := pattern.match(line))), None)
