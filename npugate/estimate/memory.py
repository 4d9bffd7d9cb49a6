"""Estimate what a model needs of each memory of a board, and whether it fits.

The plan is the compiler's way of laying out the buffers that we expect; how far such plans were
from the compiler's reports, over networks whose family had no part in the figure, is in
``data/memory.toml`` and makes the interval.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from npugate.estimate.boards import Board
from npugate.estimate.lives import buffers
from npugate.estimate.parameters import parameter_bytes
from npugate.estimate.planner import Plan, live, place
from npugate.estimate.values import Epoch, Fit, Interval, Memory, Pool
from npugate.facts import Facts

_FILE: Final = Path(__file__).parent / "data" / "memory.toml"


@dataclass(frozen=True, slots=True)
class Ratios:
    """Real over planned, over the measured models: the tenth, half and nine tenths quantile."""

    low: float
    likely: float
    high: float

    def of(self, planned: float, floor: float = 0.0) -> Interval:
        """Return what a planned figure may really be, not below a floor."""
        likely = max(planned * self.likely, floor)
        return Interval(
            max(min(planned * self.low, likely), floor), likely, max(planned * self.high, likely)
        )


def plan(epochs: tuple[Epoch, ...], facts: Facts, board: Board, toolchain: str = "") -> Memory:
    """Estimate the memory of a model.

    Args:
        epochs: as placed.
        facts: of the model.
        board: whose memories are filled.
        toolchain: version whose packing of the weights is taken; the newest by default.
    """
    needed = buffers(epochs, facts)
    alive = live(needed, len(epochs))
    bound = max(alive, default=0)
    peak = alive.index(bound) if alive else 0
    layout = place(needed, board)
    weights = ratios("weights").of(parameter_bytes(facts, toolchain))
    lost = sum(item.size_bytes for item in layout.buffers if not item.pool and not item.shares)
    planned = sum(layout.used.values()) + lost
    activations = ratios("activations").of(planned, bound)
    external = _external(layout, board, activations, bound)
    at_peak = [b for b in layout.buffers if b.first <= peak <= b.last and not b.shares]
    return Memory(
        _fit(board, bound, weights, activations, external, lost),
        _pools(layout, board, weights),
        weights,
        activations,
        bound,
        peak,
        tuple(sorted(at_peak, key=lambda b: (-b.size_bytes, b.tensor))),
        alive,
        layout.buffers,
        external,
    )


@cache
def ratios(kind: str) -> Ratios:
    """Return how far plans were from reports; ``kind`` is ``weights`` or ``activations``."""
    row: Mapping[str, Any] = tomllib.loads(_FILE.read_text(encoding="utf-8"))["ratios"][kind]
    return Ratios(row["low"], row["likely"], row["high"])


def _external(layout: Plan, board: Board, activations: Interval, bound: int) -> Interval:
    """Return the bytes outside the chip."""
    outside = {bank.name for bank in board.banks if bank.is_external}
    planned = sum(size for name, size in layout.used.items() if name in outside)
    low = max(bound - board.on_chip_bytes, 0)
    likely = max(planned, low)
    return Interval(low, likely, max(likely, activations.high - board.on_chip_bytes))


def _fit(
    board: Board,
    bound: int,
    weights: Interval,
    activations: Interval,
    external: Interval,
    lost: int,
) -> Fit:
    room = board.ram_bytes - (0 if board.flash_bytes else weights.low)
    if bound > room or (board.flash_bytes and weights.low > board.flash_bytes + room - bound):
        return Fit.DOES_NOT_FIT
    if external.low > 0:
        return Fit.SPILLS
    inside = board.on_chip_bytes - (0 if board.flash_bytes else weights.high)
    if external.likely > 0 or lost or activations.high > inside:
        return Fit.MAY_SPILL
    return Fit.FITS


def _pools(layout: Plan, board: Board, weights: Interval) -> tuple[Pool, ...]:
    """Return the memories filled; the weights go into the flash, else where RAM is left."""
    pools = [
        Pool(
            bank.name,
            bank.size_bytes,
            activation_bytes=layout.used.get(bank.name, 0),
            is_external=bank.is_external,
            is_writable=bank.is_writable,
        )
        for bank in board.banks
    ]
    left = round(weights.likely)
    for number in sorted(range(len(pools)), key=lambda n: pools[n].is_writable):
        pool = pools[number]
        taken = min(left, pool.size_bytes - pool.activation_bytes)
        pools[number] = replace(pool, weight_bytes=taken)
        left -= taken
    return tuple(pools)
