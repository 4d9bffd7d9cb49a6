"""Estimate what a model needs of each memory of a board, and whether it fits.

The plan is the compiler's way of laying out the buffers that we expect; how far such plans were
from the compiler's reports, over networks whose family had no part in the figure, is in
``data/memory.toml`` and makes the interval.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from npugate.estimate.compiled_graph import CompiledGraph
from npugate.estimate.lives import OWN, Step, buffers, steps
from npugate.estimate.parameters import parameter_bytes
from npugate.estimate.planner import Plan, live, place
from npugate.estimate.writing import writing_epochs
from npugate.report.estimate import Buffer, Epoch, Fit, Interval, Memory, Pool
from npugate.target.memories import Board

_FILE: Final = Path(__file__).parent / "data" / "memory.toml"


class Ratios(Struct, frozen=True):
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


def plan(graph: CompiledGraph, epochs: tuple[Epoch, ...], board: Board) -> Memory:
    """Estimate the memory of a model.

    Args:
        graph: what becomes of each node; its toolchain says how weights are packed.
        epochs: as placed; the result speaks of them.
        board: whose memories are filled.
    """
    facts, toolchain = graph.facts, graph.target.toolchain
    detail = writing_epochs(graph)
    order = steps(detail)
    needed = buffers(detail, order, facts)
    order = _placed(order, detail, epochs)
    layout = _in_epochs(place(needed, board), order)
    alive = _by_epoch(live(needed, len(order)), order, len(epochs))
    peak = max(range(len(alive)), key=lambda epoch: (alive[epoch], -epoch), default=0)
    bound = _bound(needed, len(order))
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


def lower_bound(graph: CompiledGraph) -> int:
    """Return the bytes alive at the peak; a tensor of unknown shape counts as nothing."""
    detail = writing_epochs(graph)
    order = steps(detail)
    return _bound(buffers(detail, order, graph.facts), len(order))


def _placed(
    order: Sequence[Step], detail: Sequence[Epoch], epochs: Sequence[Epoch]
) -> tuple[Step, ...]:
    """Return steps that name the epoch, as placed, in which they happen; none goes back in time."""
    homes = {operator.location: e.index for e in epochs for operator in e.operators}
    found: list[Step] = []
    at = 0
    for step in order:
        operators = detail[step.epoch].operators
        at = max([at, *(homes.get(operator.location, 0) for operator in operators)])
        found.append(replace(step, epoch=at))
    return tuple(found)


def _bound(needed: Iterable[Buffer], count: int) -> int:
    """Return the peak of what no compiler can do without."""
    return max(live([item for item in needed if OWN not in item.tensor], count), default=0)


def _in_epochs(layout: Plan, order: Sequence[Step]) -> Plan:
    """Return a plan whose times are epochs instead of steps."""
    starts = _starts(order)
    return replace(
        layout,
        buffers=tuple(
            replace(
                item,
                first=starts[item.first] if item.first >= 0 else -1,
                last=order[item.last].epoch,
            )
            for item in layout.buffers
        ),
    )


def _by_epoch(alive: Sequence[int], order: Sequence[Step], epochs: int) -> tuple[int, ...]:
    """Return the most bytes alive in each epoch, given those of each step."""
    most = [0] * epochs
    for size, start, step in zip(alive, _starts(order), order, strict=True):
        for epoch in range(start, step.epoch + 1):
            most[epoch] = max(most[epoch], size)
    return tuple(most)


def _starts(order: Sequence[Step]) -> list[int]:
    """Return the epoch in which each step begins.

    An epoch without a step of its own runs within the next one that has: layers that are computed
    as one, of which the step has the place of the last.
    """
    ends = [-1, *(step.epoch for step in order)]
    return [min(before + 1, end) for before, end in itertools.pairwise(ends)]


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
