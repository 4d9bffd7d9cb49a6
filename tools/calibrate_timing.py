"""Fit the few figures of time that the compiler's model has wrong, and print them as TOML rows.

    python tools/calibrate_timing.py EVIDENCE

The networks are those of ST's published table that can be rebuilt. Four figures are searched on a
grid: cycles per byte of flash and of external RAM, the overhead of an epoch, and how much longer
dense convolutions with a window take. The error of a network is judged with figures that its own
family had no part in.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from msgspec.structs import replace

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from published_models import build, rows  # noqa: E402 (path first)

from npugate.estimate import assemble, chip, timing  # noqa: E402 (path first)
from npugate.estimate.chip import Rates  # noqa: E402 (path first)
from npugate.facts import Facts  # noqa: E402 (path first)
from npugate.limits import Limits  # noqa: E402 (path first)
from npugate.model.reader import load  # noqa: E402 (path first)
from npugate.target import boards  # noqa: E402 (path first)
from npugate.target.profiles import load as load_target  # noqa: E402 (path first)

_FAMILIES: Final = (
    *("efficientnet", "mobilenetv2", "fdmobilenet", "mobilenet", "squeezenet", "sqnxt"),
    *("preresnet", "resnet18", "resnet50", "regnet", "darknet", "mnasnet"),
)  # fmt: skip
_RELATED: Final = {"preresnet": "resnet18", "mnasnet": "mobilenetv2", "fdmobilenet": "mobilenet"}
_FLASH: Final = (1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 6.0)
_EXTERNAL: Final = (2.5, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 24.0)
_OVERHEAD: Final = (0.0, 2.5, 5.0, 10.0, 20.0, 40.0)
_DENSE: Final = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 6.0)
_WORST: Final = 0.7
"""An error beyond a factor of two counts as one of two: it is of another kind."""
LOW, HIGH = 0.05, 0.95


@dataclass(frozen=True, slots=True)
class Published:
    """One row of the table, and what its network asks of the chip."""

    name: str
    toolchain: str
    family: str
    milliseconds: float
    external_kib: float
    weight_bytes: int
    loads: tuple[timing.Load, ...]
    pools: timing.Pools

    def predicted(self, rates: Rates) -> float:
        """Return milliseconds."""
        clocks = chip.clocks("overdrive")
        each = (timing.microseconds(asked, self.pools, rates, clocks) for asked in self.loads)
        return sum(each) / 1000


def published(evidence: Path) -> Iterator[Published]:
    """Yield the rows that can be rebuilt."""
    board = boards.load(boards.DEFAULT_BOARD)
    with tempfile.TemporaryDirectory() as place:
        for row in rows(evidence / "design" / "st_published_n6.csv"):
            file = Path(place, f"{row.name.rpartition('.')[0]}.onnx")
            file.write_bytes(build(row).SerializeToString())
            facts = Facts(load(file, file.name, Limits()))
            target = replace(load_target("stm32n6", row.toolchain[:3]), board=board)
            epochs = assemble.epochs(facts, target)
            pools = timing.Pools.of(assemble.memory(facts, target))
            loads = tuple(timing.load_of(epoch, pools) for epoch in epochs)
            weights = sum(a.size_bytes for e in epochs for a in e.reads if a.is_weight)
            family = next(name for name in _FAMILIES if row.name.startswith(name))
            yield Published(
                row.name,
                row.toolchain,
                _RELATED.get(family, family),
                row.milliseconds,
                row.external,
                weights,
                loads,
                pools,
            )


@dataclass(frozen=True, slots=True)
class Fits:
    """Log of real over predicted, of each candidate (row) and network (column)."""

    candidates: tuple[Rates, ...]
    errors: np.ndarray[tuple[int, int], np.dtype[np.float64]]
    cases: tuple[Published, ...]

    def best(self, without: str = "") -> Rates:
        """Return the figures with the least error over the networks not of a family."""
        kept = np.array([case.family != without for case in self.cases])
        groups = sorted({case.family for case in self.cases} - {without})
        bounded = np.minimum(np.abs(self.errors), _WORST)
        cost = np.zeros(len(self.candidates))
        for group in groups:  # a family counts by the root of its size, not by its size
            chosen = kept & np.array([case.family == group for case in self.cases])
            cost += bounded[:, chosen].mean(axis=1) * np.sqrt(chosen.sum())
        return self.candidates[int(cost.argmin())]


def fits(cases: Sequence[Published]) -> Fits:
    """Try every candidate on every network."""
    since = chip.rates().inflated_from
    grid = itertools.product(_FLASH, _EXTERNAL, _OVERHEAD, _DENSE)
    candidates = tuple(Rates(*values, since) for values in grid)
    flash, external, overhead, dense = (
        np.array([getattr(c, name) for c in candidates])[:, None]
        for name in ("flash", "external", "overhead_us", "dense")
    )
    errors = np.empty((len(candidates), len(cases)))
    for column, case in enumerate(cases):
        parts = np.array([_parts(asked, case.pools) for asked in case.loads]).T
        cycles = np.maximum(parts[0] * np.where(parts[1] > 0, dense, 1.0), parts[2])
        cycles = np.maximum(np.maximum(cycles, parts[3] * flash), parts[4] * external)
        total = cycles / 1000 + np.where(cycles > 0, overhead, 0.0) * (parts[5] == 0) + parts[5]
        errors[:, column] = np.log(case.milliseconds * 1000 / total.sum(axis=1))
    return Fits(candidates, errors, tuple(cases))


def _parts(asked: timing.Load, pools: timing.Pools) -> tuple[float, ...]:
    """Return compute, is dense, cycles on chip, bytes of flash and external, CPU time in us."""
    if asked.cpu_cycles:
        return 0, 0, 0, 0, 0, asked.cpu_cycles / chip.clocks("overdrive").cpu_mhz
    sizes = {"chip": 0.0, "flash": 0.0, "external": 0.0}
    for pool, size in asked.stored.items():
        kind = pools.kind(pool)
        value = size * pools.cost(pool) if kind == "chip" else size
        sizes[kind] = max(sizes[kind], value)
    return asked.compute, asked.is_dense, sizes["chip"], sizes["flash"], sizes["external"], 0


def main() -> int:
    """Print the rows."""
    cases = tuple(published(Path(sys.argv[1])))
    found = fits(cases)
    best = found.best()
    real = [c.milliseconds / c.predicted(found.best(c.family)) for c in cases]
    low, high = np.quantile(real, [LOW, HIGH])
    fields = ("flash", "external", "overhead_us", "dense", "inflated_from")
    weights = [case.weight_bytes for case in cases]
    lines = ["[measured]", *(f"{name} = {getattr(best, name)}" for name in fields)]
    lines += [f"n = {len(cases)}", "", "[ratios.network]", f"low = {low:.3f}", "likely = 1.0"]
    lines += [f"high = {high:.3f}", f"weight_bytes = [{min(weights)}, {max(weights)}]"]
    sys.stdout.write("\n".join([*lines, f"n = {len(cases)}", ""]))
    errors = np.abs(1 - 1 / np.array(real))
    sys.stdout.write(f"# leave one family out: median error {np.median(errors):.1%}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
