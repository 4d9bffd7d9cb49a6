"""The estimate exceeds what the team allows.

**Why.** A model shares memory and time with the rest of the firmware. `[budget]` in `npugate.toml`
says what is its share, so that a change that takes more is seen before it is merged.

**Fix.** Make the model smaller, or raise the budget in the same change that needs it. The estimate
is the likely figure; a note tells when only the upper end of its interval exceeds the budget.

**Limits.** Without a budget nothing is judged. A model without shapes is not judged. A latency is
not estimated yet, which a note says.
"""

from __future__ import annotations

from collections.abc import Iterator

from npugate.api import (
    Example,
    Facts,
    Hit,
    Location,
    Rule,
    Severity,
    Target,
    memory,
    show_size,
)


def check(facts: Facts, target: Target) -> Iterator[Hit]:
    """Yield each bound that the estimate exceeds."""
    budget = target.budget
    if budget.latency is not None and target.npu:
        yield Hit(Location(), "the latency budget is not judged: no time is known", Severity.NOTE)
    if budget.ram is None and budget.flash is None:
        return
    found = memory(facts, target)
    if found is None:
        return
    for name, interval, most in (
        ("RAM", found.activations, budget.ram),
        ("flash", found.weights, budget.flash),
    ):
        if most is None or interval.high <= most:
            continue
        likely, high = show_size(interval.likely), show_size(interval.high)
        if interval.likely > most:
            yield Hit(Location(), f"needs {likely} of {name}, the budget is {show_size(most)}")
        else:
            yield Hit(
                Location(),
                f"may need {high} of {name}, likely {likely}; the budget is {show_size(most)}",
                Severity.NOTE,
            )


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
