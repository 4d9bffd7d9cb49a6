"""What a model costs, for a person at a terminal: where it runs, its memory, its time."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from itertools import islice
from typing import Final

from npugate import escape
from npugate.report.estimate import Engine, Epoch, Estimate, Interval, Memory, Time
from npugate.report.values import ModelReport, Report
from npugate.reporters import outline

_WIDTH: Final = 100
_LISTED: Final = 10
_NAMES: Final = {Engine.NPU: "NPU", Engine.HYBRID: "hybrid", Engine.CPU: "CPU"}


def render(report: Report, *, every: bool = False) -> str:
    """Return the estimates of a run as text.

    Args:
        report: of a check.
        every: list every epoch off the NPU and every tensor of the peak, not the first ten.
    """
    lines = [
        line for model in report.models for line in _model(model, sys.maxsize if every else _LISTED)
    ]
    return escape.log_document("\n".join(lines) + "\n")


def _model(model: ModelReport, most: int) -> Iterator[str]:
    yield escape.visible(model.path, escape.DATA_LIMIT)
    if model.estimate is None:
        why = [finding.message for finding in model.findings if model.unreadable]
        yield from _wrapped(f"not estimated: {'; '.join(why) or 'the target has no NPU'}")
        return
    for finding in model.faults:
        text = f"not a valid model: {finding.rule} {finding.name}: {finding.message}"
        yield from _wrapped(escape.visible(text))
    found = model.estimate
    yield f"  for {escape.visible(found.board)}, toolchain {escape.visible(found.toolchain)}"
    yield ""
    yield from _placement(found, most)
    if found.memory is not None:
        yield from _memory(found, found.memory, most)
    if found.time is not None:
        yield from _time(found.time)
    for note in found.notes:
        yield from _wrapped(f"note: {note}")
    yield ""


def _placement(found: Estimate, most: int) -> Iterator[str]:
    counts = ", ".join(f"{found.count(engine)} {name}" for engine, name in _NAMES.items())
    yield f"  PLACEMENT  {outline.plural(len(found.epochs), 'epoch')}: {counts}"
    share = f"{found.npu_mac_share:.1%} of them on the NPU"
    yield f"    {found.macs:,} multiply-accumulates, {share}"
    yield f"    ({found.compiler_macs:,} as the compiler counts them)"
    left = [epoch for epoch in found.fallbacks() if epoch.operators]
    breaks = {epoch.index for epoch in found.breaks()}
    said: set[str] = set()
    for number, epoch in enumerate(islice(left, most), 1):
        yield from _fallback(number, epoch, said, is_break=epoch.index in breaks)
    if len(left) > most:
        yield f"    and {len(left) - most} more off the NPU (--verbose lists them)"
    yield ""


def _fallback(number: int, epoch: Epoch, said: set[str], *, is_break: bool) -> Iterator[str]:
    """Yield an epoch off the NPU; what was ``said`` before of another is not said again."""
    first = next((o for o in epoch.operators if o.engine is not Engine.NPU), epoch.operators[0])
    took = f", {_time_text(epoch.microseconds)}" if epoch.microseconds is not None else ""
    ends = ", ends a chain of NPU epochs" if is_break else ""
    place = escape.visible(str(first.location))
    yield from _wrapped(f"{number}. {first.kind} on {_NAMES[epoch.engine]}{took}{ends}: {place}")
    for title, text in (("why", first.reason), ("instead", first.advice)):
        if text and text not in said:
            yield from _wrapped(f"{title}: {escape.visible(text)}", "       ")
            said.add(text)


def _memory(found: Estimate, memory: Memory, most: int) -> Iterator[str]:
    yield f"  MEMORY  {memory.fit.value}"
    yield f"    weights      {_bytes(memory.weights)}"
    yield f"    activations  {_bytes(memory.activations)}, at least {_size(memory.lower_bound)}"
    if memory.external.high:
        yield f"    external RAM {_bytes(memory.external)}"
    for pool in memory.pools:
        used = pool.weight_bytes + pool.activation_bytes
        if used:
            share = used / pool.size_bytes if pool.size_bytes else 0.0
            name = escape.visible(pool.name)
            yield f"    {name:12} {_size(used)} of {_size(pool.size_bytes)} ({share:.0%})"
    if memory.alive and memory.peak < len(found.epochs):
        yield f"    at the peak, epoch {memory.peak} of {len(found.epochs)}, these are alive:"
        for buffer in memory.alive[:most]:
            yield from _wrapped(
                f"{_size(buffer.size_bytes)}  {escape.visible(buffer.tensor)}", "      "
            )
    yield ""


def _time(time: Time) -> Iterator[str]:
    sure = "" if time.is_calibrated else ", outside of what was measured"
    yield f"  TIME  {_time_text(time.microseconds)}{sure}"
    yield f"    {time.npu:.0%} of it on the NPU, {time.cpu:.0%} on the CPU"
    for note in time.notes:
        yield from _wrapped(f"note: {escape.visible(note)}")
    yield ""


def _time_text(found: Interval) -> str:
    low, likely, high = (value / 1e3 for value in (found.low, found.likely, found.high))
    return f"{likely:.3g} ms ({low:.3g} to {high:.3g})"


def _bytes(found: Interval) -> str:
    return f"{_size(found.likely)} ({_size(found.low)} to {_size(found.high)})"


def _size(count: float) -> str:
    return outline.size_text(round(count))


def _wrapped(text: str, indent: str = "    ") -> Iterator[str]:
    yield from textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent + "  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
