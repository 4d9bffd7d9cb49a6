"""What the chip costs, as the data file has it; every figure there has a source."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from npugate.report.estimate import Interval

_FILE: Final = Path(__file__).parent / "data" / "timing.toml"


class Clocks(Struct, frozen=True):
    """Clock frequencies of a board.

    Attributes:
        cpu_mhz, npu_mhz: of the processor and of the accelerator.
    """

    cpu_mhz: float = 800.0
    npu_mhz: float = 1000.0


class Units(Struct, frozen=True):
    """The convolution accelerators; see the data file.

    Attributes:
        count: how many can be chained.
        inputs, outputs: channels of a batch.
        outputs_chained: output channels of a batch when all units are chained.
        inflated_width: widest kernel for which a group's inputs are filled up with zeros.
        tile: height, width and width with a stride, of the largest kernel taken whole.
        channels: most channels of a batch of a 1x1 convolution.
        fast_from, fast_rate, fast_ratio: input channels from which a 1x1 convolution reads several
            channels a cycle, how many, and how many times the output channels they must be.
        small_map: elements of a channel up to which the input is read once.
    """

    count: int
    inputs: int
    outputs: int
    outputs_chained: int
    tile: tuple[int, int, int]
    inflated_width: int
    channels: int
    fast_from: int
    fast_rate: int
    fast_ratio: int
    small_map: int


class CpuRate(Struct, frozen=True):
    """Cycles per output element: as the compiler counts, and of the CPU as measured."""

    compiler: float
    measured: float


class Rates(Struct, frozen=True):
    """What published times show, where it differs from the compiler's model.

    Attributes:
        flash, external: accelerator cycles for a byte of flash and of external RAM.
        overhead_us: of each epoch of the accelerator.
        dense: how many times longer a convolution takes that has a window and one group.
        inflated_from: width from which the weights of a grouped convolution are stored inflated.
    """

    flash: float
    external: float
    overhead_us: float
    dense: float
    inflated_from: int


@cache
def rates() -> Rates:
    """Return what published times show."""
    row = _data()["measured"]
    return Rates(
        row["flash"], row["external"], row["overhead_us"], row["dense"], row["inflated_from"]
    )


@cache
def units() -> Units:
    """Return the convolution accelerators."""
    row, point = _data()["convolution"], _data()["pointwise"]
    return Units(
        row["units"],
        row["inputs"],
        row["outputs"],
        row["outputs_chained"],
        (row["tile_height"], row["tile_width"], row["tile_width_strided"]),
        row["inflated_width"],
        point["channels"],
        point["fast_from"],
        point["fast_rate"],
        point["fast_ratio"],
        point["small_map"],
    )


def clocks(mode: str) -> Clocks:
    """Return the clocks of a mode: ``overdrive`` or ``nominal``.

    Raises:
        KeyError: there is no such mode.
    """
    row = _data()["clocks"][mode]
    return Clocks(row["cpu_mhz"], row["npu_mhz"])


def cycles_per_byte(pool: str, *, is_external: bool = False, is_writable: bool = True) -> float:
    """Return accelerator cycles for a byte of a pool; by its kind when the name is not known."""
    known = _data()["pools"].get(pool)
    if isinstance(known, float):
        return known
    kind = ("external" if is_external else "on_chip") if is_writable else "flash"
    return float(_data()["pools_by_kind"][kind])


def cpu_rate(kind: str) -> tuple[CpuRate, bool]:
    """Return what an operator costs on the CPU, and whether that was measured of this operator."""
    rows = _data()["cpu"]
    known = rows.get(kind)
    compiler, measured = known if isinstance(known, list) else rows["default"]
    is_measured = isinstance(known, list) and kind not in rows["assumed"]
    return CpuRate(compiler, measured), is_measured


def cpu_macs() -> CpuRate:
    """Return multiply-accumulates a cycle of a convolution on the CPU."""
    row = _data()["cpu_convolution"]
    return CpuRate(row["macs_per_cycle"], row["cpu_macs_per_cycle"])


def ratio(name: str) -> Interval:
    """Return real over estimated, as measured: ``cycles`` of an epoch or ``network`` time."""
    row = _data()["ratios"][name]
    return Interval(row["low"], row["likely"], row["high"])


def calibrated_weights() -> tuple[float, float]:
    """Return the least and the most bytes of weights among the networks measured."""
    low, high = _data()["ratios"]["network"]["weight_bytes"]
    return low, high


@cache
def _data() -> Mapping[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))
