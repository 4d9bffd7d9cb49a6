"""An estimate as the report page shows it: placement, memory and time, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from npugate import escape
from npugate.report.estimate import (
    Access,
    Buffer,
    Epoch,
    Estimate,
    Interval,
    Memory,
    Operator,
    Time,
)

Places = Mapping[tuple[str, str], int]
"""(path of the graph, label of the node) -> position in the drawn graph."""


def estimate(found: Estimate | None, places: Places) -> dict[str, object] | None:
    """Return an estimate as a value for JSON; None stays None.

    Args:
        found: of one model.
        places: of its nodes in the drawn graph.
    """
    if found is None:
        return None
    return {
        "board": _name(found.board),
        "target": _name(found.target),
        "toolchain": _name(found.toolchain),
        "macs": found.macs,
        "compiler_macs": found.compiler_macs,
        "npu_macs": round(found.npu_mac_share, 6),
        "npu_epochs": round(found.npu_epoch_share, 6),
        "epochs": [_epoch(epoch, places) for epoch in found.epochs],
        "breaks": [epoch.index for epoch in found.breaks()],
        "memory": None if found.memory is None else _memory(found.memory),
        "time": None if found.time is None else _time(found.time),
        "notes": _texts(found.notes),
    }


def _epoch(epoch: Epoch, places: Places) -> dict[str, object]:
    return {
        "engine": epoch.engine.value,
        "ops": [_operator(operator, places) for operator in epoch.operators],
        "reads": sum(a.size_bytes for a in epoch.reads if not a.is_weight),
        "weights": sum(a.size_bytes for a in epoch.reads if a.is_weight),
        "writes": sum(a.size_bytes for a in epoch.writes),
        "out": ", ".join(_shape(access) for access in epoch.writes[:4]),
        "macs": epoch.macs,
        "cycles": _interval(epoch.cycles),
        "us": _interval(epoch.microseconds),
        "bound": _name(epoch.bound),
    }


def _operator(operator: Operator, places: Places) -> dict[str, object]:
    place = operator.location
    node = places.get((place.graph, place.node), -1)
    return {
        "kind": _name(operator.kind),
        "engine": operator.engine.value,
        "node": node,
        "label": _name(place.node),
        "scope": _name(operator.scope),
        "reason": _text(operator.reason),
        "advice": _text(operator.advice),
        "rule": _name(operator.rule),
    }


def _shape(access: Access) -> str:
    return f"{access.bits}-bit [{','.join(map(str, access.shape[:8]))}]"


def _memory(memory: Memory) -> dict[str, object]:
    return {
        "fit": memory.fit.value,
        "pools": [
            {
                "name": _name(pool.name),
                "size": pool.size_bytes,
                "weights": pool.weight_bytes,
                "activations": pool.activation_bytes,
                "external": pool.is_external,
                "writable": pool.is_writable,
            }
            for pool in memory.pools
        ],
        "weights": _interval(memory.weights),
        "activations": _interval(memory.activations),
        "external": _interval(memory.external),
        "lower": memory.lower_bound,
        "peak": memory.peak,
        "alive": [_buffer(buffer) for buffer in memory.alive],
        "live": list(memory.live),
        "buffers": [_buffer(buffer) for buffer in memory.buffers],
    }


def _buffer(buffer: Buffer) -> list[object]:
    pool, shares = _name(buffer.pool), _name(buffer.shares)
    life = (buffer.first, buffer.last)
    return [_name(buffer.tensor), buffer.size_bytes, *life, pool, buffer.offset, shares]


def _time(time: Time) -> dict[str, object]:
    return {
        "us": _interval(time.microseconds),
        "npu": time.npu,
        "cpu": time.cpu,
        "cycles": time.compiler_cycles,
        "calibrated": time.is_calibrated,
        "notes": _texts(time.notes),
    }


def _interval(found: Interval | None) -> list[float] | None:
    if found is None:
        return None
    return [float(f"{value:.6g}") for value in (found.low, found.likely, found.high)]


def _name(text: str) -> str:
    return escape.visible(text, escape.NAME_LIMIT)


def _text(text: str) -> str:
    return escape.visible(text, escape.TEXT_LIMIT)


def _texts(values: Sequence[str]) -> list[str]:
    return [_text(value) for value in values]
