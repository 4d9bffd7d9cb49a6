"""What is estimated of a model: as one line for a page, and as an object for JSON."""

from __future__ import annotations

from collections.abc import Iterator

from npugate.report.estimate import Engine, Epoch, Estimate, Interval, Memory
from npugate.reporters import outline


def line(now: Estimate, before: Estimate | None = None) -> str:
    """Return the figures of a model in one line of plain text.

    Args:
        now: of the model.
        before: of the same model on the base branch, to show what changed; None without.
    """
    return f"estimate for {now.board}: {', '.join(_figures(now, before))}"


def document(found: Estimate) -> dict[str, object]:
    """Return an estimate as JSON has it: figures, not every epoch."""
    time = found.time
    return {
        "board": found.board,
        "toolchain": found.toolchain,
        "epochs": {engine.value: found.count(engine) for engine in Engine},
        "npu_share": {"epochs": found.npu_epoch_share, "macs": found.npu_mac_share},
        "macs": found.macs,
        "macs_by_engine": {engine.value: _macs(found, engine) for engine in Engine},
        "compiler_macs": found.compiler_macs,
        "memory": None if found.memory is None else _memory(found.memory),
        "time": None
        if time is None
        else {
            "microseconds": _interval(time.microseconds),
            "npu": time.npu,
            "cpu": time.cpu,
            "compiler_cycles": time.compiler_cycles,
            "calibrated": time.is_calibrated,
            "notes": list(time.notes),
        },
        "fallbacks": [_fallback(epoch) for epoch in found.fallbacks() if epoch.operators],
        "notes": list(found.notes),
    }


def steps(found: Estimate) -> list[dict[str, object]]:
    """Return each epoch in running order, with what a chart of it needs."""
    live = found.memory.live if found.memory else ()
    return [
        {
            "engine": epoch.engine.value,
            "macs": epoch.macs,
            "microseconds": epoch.microseconds.likely if epoch.microseconds else None,
            "live_bytes": live[at] if at < len(live) else None,
        }
        for at, epoch in enumerate(found.epochs)
    ]


def _macs(found: Estimate, engine: Engine) -> int:
    return sum(epoch.macs for epoch in found.epochs if epoch.engine is engine)


def _memory(found: Memory) -> dict[str, object]:
    return {
        "fit": found.fit.value,
        "weights": _interval(found.weights),
        "activations": _interval(found.activations),
        "external": _interval(found.external),
        "lower_bound": found.lower_bound,
        "peak_epoch": found.peak,
        "pools": [
            {
                "name": pool.name,
                "size_bytes": pool.size_bytes,
                "weight_bytes": pool.weight_bytes,
                "activation_bytes": pool.activation_bytes,
                "external": pool.is_external,
            }
            for pool in found.pools
        ],
    }


def _interval(found: Interval) -> dict[str, float]:
    return {"low": found.low, "likely": found.likely, "high": found.high}


def _fallback(epoch: Epoch) -> dict[str, object]:
    """Return an epoch off the NPU, by its first operator that is not there."""
    left = [operator for operator in epoch.operators if operator.engine is not Engine.NPU]
    first = (left or epoch.operators)[0]
    return {
        "operator": first.kind,
        "engine": epoch.engine.value,
        "node": first.location.node,
        "op_type": first.location.op_type,
        "reason": first.reason,
        "advice": first.advice,
        "microseconds": epoch.microseconds.likely if epoch.microseconds else None,
    }


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
