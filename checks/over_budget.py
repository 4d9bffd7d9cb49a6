"""The estimate exceeds what the team allows.

**Why.** A model shares memory and time with the rest of the firmware. `[budget]` in `npugate.toml`
says what is its share, so that a change that takes more is seen before it is merged.

**Fix.** Make the model smaller, or raise the budget in the same change that needs it. The estimate
is the likely figure; a note tells when only the upper end of its interval exceeds the budget.

**Limits.** Without a budget nothing is checked. A model without shapes is not checked. The latency
is that at the highest clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from npugate.api import (
    Example,
    Facts,
    Hit,
    Interval,
    Location,
    Rule,
    Severity,
    Target,
    memory,
    show_size,
    timed,
)


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each bound that the estimate exceeds."""
    budget = target.budget
    if budget.ram is None and budget.flash is None and budget.latency is None:
        return
    found = memory(facts, target)
    if found is None:
        return
    yield from _exceeded(" of RAM", found.activations, budget.ram, show_size)
    yield from _exceeded(" of flash", found.weights, budget.flash, show_size)
    if budget.latency is not None:
        took = timed(facts, target)[1]
        if took is not None:
            yield from _exceeded("", took.microseconds, budget.latency, _show_time)


def _exceeded(
    name: str, interval: Interval, most: float | None, show: Callable[[float], str]
) -> Iterator[Hit]:
    if most is None or interval.high <= most:
        return
    likely, high = show(interval.likely), show(interval.high)
    subject = name.removeprefix(" of ") or "latency"
    if interval.likely > most:
        text = f"needs {likely}{name}, the budget is {show(most)}"
        yield Hit(Location(), text, subject=subject)
    else:
        text = f"may need {high}{name}, likely {likely}; the budget is {show(most)}"
        yield Hit(Location(), text, Severity.NOTE, subject=subject)


def _show_time(microseconds: float) -> str:
    return f"{microseconds / 1e3:.3g} ms"


_MODEL = """
    <ir_version: 8, opset_import: ["" : 13]>
    net (float[1, 3, {size}, {size}] x) => (float[1, 8, {size}, {size}] y)
    <float s = {{0.1}}, int8 z = {{1}}, int8[8, 3, 3, 3] w, int8 wz = {{0}}>
    {{ q = QuantizeLinear (x, s, z)
      d = DequantizeLinear (q, s, z)
      wd = DequantizeLinear (w, s, wz)
      c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (d, wd)
      cq = QuantizeLinear (c, s, z)
      y = DequantizeLinear (cq, s, z) }}
"""

RULE = Rule(
    id="NPU403",
    name="over-budget",
    severity=Severity.ERROR,
    doc=__doc__,
    sources=("the user's configuration",),
    check=check,
    examples=(
        Example(
            title="more RAM than allowed",
            bad=_MODEL.format(size=64),
            messages=("needs 44.0 KiB of RAM, the budget is 16.0 KiB",),
            good=_MODEL.format(size=16),
            budget={"ram": "16 KiB"},
        ),
    ),
)
