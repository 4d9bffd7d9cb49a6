"""How long a network takes: the compiler's model of an epoch, corrected by what was measured.

An epoch on the accelerator takes as long as the slowest of its parts: the units' work, or the
traffic of one memory. On the CPU it takes cycles by element. The sum, in time, is scaled by what
published times show over many networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from npugate.estimate import chip
from npugate.estimate.chip import Clocks, Rates
from npugate.estimate.convolution import Work, work
from npugate.estimate.lives import partial_sums
from npugate.operators import POOLS, WEIGHTED
from npugate.report.estimate import Access, Engine, Epoch, Interval, Memory, Time, Window

_MOVES: Final = frozenset({"Identity", "Concat", "Reshape", "Transpose", "Split", "Slice", "Pad"})
_ON_CHIP: Final = "npuRAM"
_FLASH: Final = "octoFlash"
_BYTE: Final = 8


class Load(Struct, frozen=True):
    """What an epoch asks of the chip, before any clock.

    Attributes:
        compute: cycles of the accelerator's units, or of the CPU as the compiler counts them.
        traffic: bytes of each pool.
        stored: the same where a grouped convolution's weights are stored as they are.
        is_dense: the compute is that of a convolution with a window and one group.
        cpu_cycles: of the CPU, as measured; 0 for an epoch of the accelerator.
    """

    compute: float
    traffic: Mapping[str, float]
    stored: Mapping[str, float]
    is_dense: bool = False
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
    spread, scale = chip.ratio("cycles"), chip.ratio("network")
    timed: list[Epoch] = []
    total = 0.0
    for epoch in epochs:
        asked = load_of(epoch, pools)
        count, bound = compiler_cycles(asked, pools)
        total += count
        lasting = _scaled(microseconds(asked, pools, chip.rates(), clocks), scale)
        done = replace(epoch, cycles=_scaled(count, spread), microseconds=lasting, bound=bound)
        timed.append(done)
    return tuple(timed), _sum(timed, total, scale)


def load_of(epoch: Epoch, pools: Pools) -> Load:
    """Return what an epoch asks of the chip."""
    if epoch.engine is not Engine.NPU:
        return _on_cpu(epoch, _traffic(epoch, None, pools)[0])
    done = _work(epoch)
    whole, stored = _traffic(epoch, done, pools)
    window = epoch.window
    is_dense = bool(done and window and _accumulates(window))
    return Load(_compute(epoch, done), whole, stored, is_dense)


def compiler_cycles(asked: Load, pools: Pools) -> tuple[float, str]:
    """Return the cycles that the compiler reckons with, and what limits them."""
    cycles, bound = asked.compute, "compute"
    for pool, size in asked.traffic.items():
        if size * pools.cost(pool) > cycles:
            cycles, bound = size * pools.cost(pool), pool
    return cycles, bound


def microseconds(asked: Load, pools: Pools, rates: Rates, clocks: Clocks) -> float:
    """Return how long an epoch lasts on the board, before the interval is put around it."""
    if asked.cpu_cycles:
        return asked.cpu_cycles / clocks.cpu_mhz
    parts = [asked.compute * (rates.dense if asked.is_dense else 1.0)]
    for pool, size in asked.stored.items():
        kind = pools.kind(pool)
        own = {"flash": rates.flash, "external": rates.external}.get(kind)
        parts.append(size * (pools.cost(pool) if own is None else own))
    return max(parts) / clocks.npu_mhz + (rates.overhead_us if max(parts) else 0.0)


class Pools(Struct, frozen=True):
    """Which pool each tensor lies in, and what a byte of it costs."""

    of_tensor: Mapping[str, str]
    costs: Mapping[str, float]
    kinds: Mapping[str, str]
    free: tuple[int, ...] = ()
    """Bytes on the chip that no tensor takes, in each epoch; empty when not planned."""

    @classmethod
    def of(cls, memory: Memory | None) -> Pools:
        """Take them from a plan."""
        if memory is None:
            return cls({}, {}, {})
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
        kinds = {
            pool.name: ("external" if pool.is_external else "chip") if pool.is_writable else "flash"
            for pool in memory.pools
        }
        size = sum(pool.size_bytes for pool in memory.pools if kinds[pool.name] == "chip")
        return cls(placed, costs, kinds, tuple(size - used for used in memory.live))

    def pool(self, access: Access) -> str:
        """Return where a tensor lies: flash for a weight, the fast memory, where not planned."""
        return self.of_tensor.get(access.tensor, _FLASH if access.is_weight else _ON_CHIP)

    def beside(self, epoch: Epoch, size: int) -> str:
        """Return where partial sums go: beside the result, or off the chip where that is full."""
        near = self.pool(epoch.writes[0])
        if epoch.index >= len(self.free) or size <= self.free[epoch.index]:
            return near
        return next((name for name, kind in self.kinds.items() if kind == "external"), near)

    def cost(self, pool: str) -> float:
        """Return accelerator cycles for a byte."""
        known = self.costs.get(pool)
        return chip.cycles_per_byte(pool, is_writable=pool != _FLASH) if known is None else known

    def kind(self, pool: str) -> str:
        """Return ``flash``, ``external`` or ``chip``."""
        known = self.kinds.get(pool)
        return ("flash" if pool == _FLASH else "chip") if known is None else known


def _work(epoch: Epoch) -> Work | None:
    is_convolution = any(o.kind in WEIGHTED for o in epoch.operators)
    if epoch.window is None or not is_convolution:
        return None
    window, units = epoch.window, chip.units()
    if _parts(epoch) > 1:
        height, width, strided = units.tile
        across = strided if max(window.strides) > 1 else width
        kernel = min(window.kernel[0], height), min(window.kernel[1], across)
        window = replace(window, kernel=kernel)
    return work(window, units)


def _parts(epoch: Epoch) -> int:
    """Return how many epochs share the convolution of this one: a large window takes several."""
    window = epoch.window
    if window is None or not epoch.macs:
        return 1
    fan_in = window.channels_in // window.groups * prod(window.kernel)
    return max(1, round(fan_in * window.channels_out * prod(window.size_out) / epoch.macs))


def _accumulates(window: Window) -> bool:
    """Tell whether a window's sums take more than one batch of input channels."""
    is_dense = window.kernel != (1, 1) and window.groups == 1
    return is_dense and window.channels_in > chip.units().inputs


def _traffic(
    epoch: Epoch, done: Work | None, pools: Pools
) -> tuple[dict[str, float], dict[str, float]]:
    """Return bytes of each pool, with the weights inflated as 2.x does, and as later ones do."""
    largest = max((a for a in epoch.reads if a.is_weight), key=lambda a: a.size_bytes, default=None)
    main = _streamed(epoch)
    moved: dict[str, float] = {}
    for access in (*epoch.reads, *epoch.writes):
        count = done.passes if done and access is main else 1
        pool = pools.pool(access)
        moved[pool] = moved.get(pool, 0.0) + float(access.size_bytes * count)
    for access in partial_sums(epoch):
        pool = pools.pool(access)
        moved[pool] = moved.get(pool, 0.0) + 2.0 * access.size_bytes / _parts(epoch)
    if done and epoch.writes:
        beside = pools.beside(epoch, done.partial_bytes)
        moved[beside] = moved.get(beside, 0.0) + done.partial_reads + done.partial_writes
    inflated = dict(moved)
    if done and largest:
        more = max(0.0, done.weights * min(largest.bits, _BYTE) / _BYTE - largest.size_bytes)
        inflated[pools.pool(largest)] += more
        if epoch.window and epoch.window.size_in[1] >= chip.rates().inflated_from:
            moved = inflated
    return inflated, moved


def _streamed(epoch: Epoch) -> Access | None:
    """Return what the convolution reads: the first activation of its input's size."""
    data = [access for access in epoch.reads if not access.is_weight]
    window = epoch.window
    wanted = window.channels_in * prod(window.size_in) if window else 0
    return next((a for a in data if prod(a.shape) == wanted), data[0] if data else None)


def _compute(epoch: Epoch, done: Work | None) -> float:
    """Return cycles of the units; arithmetic takes an element per cycle, moving takes none."""
    kinds = {operator.kind for operator in epoch.operators} - _MOVES - WEIGHTED
    streams = [*epoch.reads, *epoch.writes] if kinds and not done else list(epoch.writes)
    elements = max((prod(a.shape) for a in streams if not a.is_weight), default=0)
    if done:
        return max(done.cycles, elements)
    return float(elements) if kinds else 0.0


def _on_cpu(epoch: Epoch, traffic: Mapping[str, float]) -> Load:
    if epoch.window is not None and epoch.macs and epoch.operators[0].kind in WEIGHTED:
        rate = chip.cpu_macs()
        count, real = epoch.macs / rate.compiler, epoch.macs / rate.measured
        return Load(count, traffic, {}, cpu_cycles=real)
    elements = max((prod(a.shape) for a in epoch.writes), default=0)
    kind = epoch.operators[0].kind if epoch.operators else ""
    rate, _ = chip.cpu_rate(kind)
    walked = elements
    if kind in POOLS:  # it walks over what it reads
        walked = max((prod(a.shape) for a in epoch.reads if not a.is_weight), default=elements)
    return Load(elements * rate.compiler, traffic, {}, cpu_cycles=walked * rate.measured)


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
    unknown = sorted(kind for kind in left - WEIGHTED if not chip.cpu_rate(kind)[1])
    if unknown:
        notes.append(f"no measured time on the CPU for {', '.join(unknown)}")
    if any(e.bound == "hyperRAM" for e in epochs):
        notes.append("activations in external memory slow the network down by 5 to 20 times")
    return tuple(notes)
