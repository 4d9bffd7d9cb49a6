"""How long a network takes: the compiler's model of an epoch, corrected by what was measured.

An epoch on the accelerator takes as long as the slowest of its parts: the units' work, or the
traffic of one memory. On the CPU it takes cycles by element. The sum, in time, is scaled by what
published times show over many networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Final

from npugate.estimate import chip
from npugate.estimate.chip import Clocks
from npugate.estimate.convolution import Work, work
from npugate.estimate.values import Access, Engine, Epoch, Interval, Memory, Time

_CONVOLUTIONS: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_MOVES: Final = frozenset({"Identity", "Concat", "Reshape", "Transpose", "Split", "Slice", "Pad"})
_ON_CHIP: Final = "npuRAM"
_FLASH: Final = "octoFlash"
_BYTE: Final = 8


@dataclass(frozen=True, slots=True)
class Cost:
    """What an epoch costs before any correction.

    Attributes:
        cycles: of the accelerator, as the compiler would count them.
        bound: ``compute``, or the pool that binds.
        cpu_cycles: of the CPU; 0 for an epoch of the accelerator.
    """

    cycles: float
    bound: str
    cpu_cycles: float = 0.0


def time(
    epochs: tuple[Epoch, ...], memory: Memory | None, clocks: Clocks
) -> tuple[tuple[Epoch, ...], Time]:
    """Return the epochs with their cycles, microseconds and bound, and the time of all of them.

    Args:
        epochs: in running order.
        memory: where the tensors lie; None puts all activations into the fast memory.
        clocks: of the board.
    """
    pools = Pools.of(memory)
    costs = [cost(epoch, pools) for epoch in epochs]
    spread, scale = chip.ratio("cycles"), chip.ratio("network")
    timed: list[Epoch] = []
    for epoch, found in zip(epochs, costs, strict=True):
        raw = found.cycles / clocks.npu_mhz
        if found.cpu_cycles:
            raw = found.cpu_cycles / clocks.cpu_mhz
        cycles = _scaled(found.cycles, spread)
        done = replace(epoch, cycles=cycles, microseconds=_scaled(raw, scale), bound=found.bound)
        timed.append(done)
    return tuple(timed), _sum(timed, sum(c.cycles for c in costs), scale)


def cost(epoch: Epoch, pools: Pools) -> Cost:
    """Return what the compiler would reckon for one epoch."""
    if epoch.engine is not Engine.NPU:
        return _on_cpu(epoch)
    done = _work(epoch)
    traffic: dict[str, float] = {}
    for pool, size in _traffic(epoch, done, pools):
        traffic[pool] = traffic.get(pool, 0.0) + size * pools.cost(pool)
    compute = _compute(epoch, done)
    bound = max(traffic, key=lambda name: traffic[name], default="")
    if not bound or traffic[bound] <= compute:
        return Cost(compute, "compute")
    return Cost(traffic[bound], bound)


@dataclass(frozen=True, slots=True)
class Pools:
    """Which pool each tensor lies in, and what a byte of it costs."""

    of_tensor: Mapping[str, str]
    costs: Mapping[str, float]

    @classmethod
    def of(cls, memory: Memory | None) -> Pools:
        """Take them from a plan."""
        if memory is None:
            return cls({}, {})
        placed = {buffer.tensor: buffer.pool for buffer in memory.buffers if buffer.pool}
        for buffer in memory.buffers:
            if buffer.tensor not in placed and buffer.shares in placed:
                placed[buffer.tensor] = placed[buffer.shares]
        costs = {
            pool.name: chip.cycles_per_byte(
                pool.name, is_external=pool.is_external, is_writable=pool.is_writable
            )
            for pool in memory.pools
        }
        return cls(placed, costs)

    def pool(self, access: Access) -> str:
        """Return where a tensor lies: flash for a weight, the fast memory, where not planned."""
        return self.of_tensor.get(access.tensor, _FLASH if access.is_weight else _ON_CHIP)

    def cost(self, pool: str) -> float:
        """Return accelerator cycles for a byte."""
        known = self.costs.get(pool)
        return chip.cycles_per_byte(pool, is_writable=pool != _FLASH) if known is None else known


def _work(epoch: Epoch) -> Work | None:
    is_convolution = any(o.kind in _CONVOLUTIONS for o in epoch.operators)
    if epoch.window is None or not is_convolution:
        return None
    return work(epoch.window, chip.units())


def _traffic(epoch: Epoch, done: Work | None, pools: Pools) -> Iterable[tuple[str, float]]:
    largest = max((a for a in epoch.reads if a.is_weight), key=lambda a: a.size_bytes, default=None)
    main = next((a for a in epoch.reads if not a.is_weight), None)
    for access in epoch.reads:
        size = float(access.size_bytes)
        if done and access is main:
            size *= done.passes
        if done and access is largest:
            size = max(size, done.weights * access.bits / _BYTE)
        yield pools.pool(access), size
    for access in epoch.writes:
        yield pools.pool(access), float(access.size_bytes)
    if done and epoch.writes:
        yield pools.pool(epoch.writes[0]), float(done.partial_reads + done.partial_writes)


def _compute(epoch: Epoch, done: Work | None) -> float:
    """Return cycles of the units; arithmetic takes an element per cycle, moving takes none."""
    kinds = {operator.kind for operator in epoch.operators} - _MOVES - _CONVOLUTIONS
    streams = [*epoch.reads, *epoch.writes] if kinds and not done else list(epoch.writes)
    elements = max((prod(a.shape) for a in streams if not a.is_weight), default=0)
    if done:
        return max(done.cycles, elements)
    return float(elements) if kinds else 0.0


def _on_cpu(epoch: Epoch) -> Cost:
    if epoch.window is not None and epoch.macs:
        rate = chip.cpu_macs()
        return Cost(epoch.macs / rate.compiler, "compute", epoch.macs / rate.measured)
    elements = max((prod(a.shape) for a in epoch.writes), default=0)
    kind = epoch.operators[0].kind if epoch.operators else ""
    per_element, _ = chip.cpu_rate(kind)
    return Cost(elements * per_element.compiler, "compute", elements * per_element.measured)


def _scaled(value: float, factor: Interval) -> Interval:
    return Interval(value * factor.low, value * factor.likely, value * factor.high)


def _sum(epochs: list[Epoch], cycles: float, scale: Interval) -> Time:
    times = [(e.engine is Engine.NPU, e.microseconds.likely) for e in epochs if e.microseconds]
    total = sum(value for _, value in times)
    npu = sum(value for is_npu, value in times if is_npu)
    share = npu / total if total else 1.0
    notes = _notes(epochs)
    factor = total / scale.likely
    return Time(_scaled(factor, scale), share, 1.0 - share, cycles, not notes, notes)


def _notes(epochs: list[Epoch]) -> tuple[str, ...]:
    notes: list[str] = []
    least, most = chip.calibrated_weights()
    weights = sum(a.size_bytes for e in epochs for a in e.reads if a.is_weight)
    if not least <= weights <= most:
        notes.append(
            f"{weights:,} bytes of weights lie outside of what was measured"
            f" ({least:,.0f} to {most:,.0f})"
        )
    left = {e.operators[0].kind for e in epochs if e.engine is not Engine.NPU and e.operators}
    unknown = sorted(kind for kind in left - _CONVOLUTIONS if not chip.cpu_rate(kind)[1])
    if unknown:
        notes.append(f"no measured time on the CPU for {', '.join(unknown)}")
    if any(e.bound == "hyperRAM" for e in epochs):
        notes.append("activations in external memory slow the network down by 5 to 20 times")
    return tuple(notes)
