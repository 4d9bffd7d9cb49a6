"""What is estimated of a model, as one line for a page."""

from __future__ import annotations

from collections.abc import Iterator

from npugate.estimate.values import Estimate, Interval
from npugate.reporters import outline


def line(now: Estimate, before: Estimate | None = None) -> str:
    """Return the figures of a model in one line of plain text.

    Args:
        now: of the model.
        before: of the same model on the base branch, to show what changed; None without.
    """
    return f"estimate for {now.board}: {', '.join(_figures(now, before))}"


def _figures(now: Estimate, before: Estimate | None) -> Iterator[str]:
    epochs = outline.plural(len(now.epochs), "epoch")
    old = f" (was {before.npu_epoch_share:.0%})" if before else ""
    yield f"{now.npu_epoch_share:.0%} of {epochs} on the NPU{old}"
    yield f"{now.macs / 1e6:.2f} MMAC{_change(now.macs, before.macs if before else None)}"
    if now.time is not None:
        old_time = before.time.microseconds.likely if before and before.time else None
        took = now.time.microseconds
        yield f"{_milliseconds(took)}{_change(took.likely, old_time)}"
    if now.memory is not None:
        was = before.memory if before else None
        weights, activations = now.memory.weights.likely, now.memory.activations.likely
        yield f"weights {_size(weights)}{_change(weights, was.weights.likely if was else None)}"
        changed = _change(activations, was.activations.likely if was else None)
        yield f"activations {_size(activations)}{changed}, {now.memory.fit.value}"


def _milliseconds(found: Interval) -> str:
    low, likely, high = (value / 1e3 for value in (found.low, found.likely, found.high))
    return f"{likely:.3g} ms ({low:.3g} to {high:.3g})"


def _size(count: float) -> str:
    return outline.size_text(round(count))


def _change(now: float, before: float | None) -> str:
    if before is None or now == before:
        return ""
    return f" ({(now - before) / before:+.1%})" if before else " (was 0)"
