"""What ``validate`` measured on a board."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from npugate.report.compiled import Timing

_DURATION: Final = re.compile(
    r"^ *duration +: +([\d.]+) ms by sample(?: \(([\d.]+)/([\d.]+)/[\d.]+\))?"
)
_SAMPLES: Final = re.compile(r"^ *nb sample\(s\) +: +(\d+)")
_CYCLES: Final = re.compile(r"^ *CPU cycles +: +\[([\d,]+) ([\d,]+) ([\d,]+)\]")
_DEVICE: Final = re.compile(r"^ *device\.desc +: +(.+?) *$")
_CLOCK: Final = re.compile(r"\b(\w+)_freq=(\d+)MHz")
_ATTRIBUTES: Final = re.compile(r"^ *device\.attrs +: +")


def read(part: Sequence[str]) -> Timing | None:
    """Return the measurement in these lines; None where there is none."""
    duration = _first(_DURATION, part)
    if duration is None:
        return None
    samples, cycles, device = (_first(p, part) for p in (_SAMPLES, _CYCLES, _DEVICE))
    attributes = next((line for line in part if _ATTRIBUTES.match(line)), "")
    return Timing(
        float(duration[1]),
        float(duration[2]) if duration[2] else None,
        float(duration[3]) if duration[3] else None,
        int(samples[1]) if samples else None,
        (_int(cycles[1]), _int(cycles[2]), _int(cycles[3])) if cycles else None,
        tuple((name, int(mhz)) for name, mhz in _CLOCK.findall(attributes)),
        device[1] if device else "",
    )


def _first(pattern: re.Pattern[str], part: Sequence[str]) -> re.Match[str] | None:
    return next((match for line in part if (match := pattern.match(line))), None)


def _int(text: str) -> int:
    return int(text.replace(",", ""))
