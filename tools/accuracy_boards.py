"""Compare the estimated times with what boards took, on networks that no figure was fitted to.

python tools/accuracy_boards.py EVIDENCE [--output FILE]

The networks are those of the evidence folder that ``validate`` ran on a board or that ST's table
has, through our own placement and plan, at the clocks that the report names.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import onnx
from msgspec.structs import replace

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from accuracy_placement import with_conversions  # noqa: E402 (path first)

from npugate.compilers.stedgeai import text  # noqa: E402 (path first)
from npugate.estimate import assemble, chip, timing  # noqa: E402 (path first)
from npugate.estimate.chip import Clocks  # noqa: E402 (path first)
from npugate.facts import Facts  # noqa: E402 (path first)
from npugate.limits import Limits  # noqa: E402 (path first)
from npugate.model.reader import load, read  # noqa: E402 (path first)
from npugate.report.estimate import Interval  # noqa: E402 (path first)
from npugate.target import boards  # noqa: E402 (path first)
from npugate.target.profiles import load as load_target  # noqa: E402 (path first)

_RUNS: Final = "reports/Magnus3327/stm32n6-edge-ai-benchmarks/Output"
_WHOLE: Final = ("mobilenet_v2_224_int8", "yolov8n_micro_224_int8")
_TABLE: Final = {  # file of ST's table: file of the evidence
    "yamnet_e1024_64x96_tl_qdq_int8.onnx": "yamnet_1024_64x96_tl_qdq_int8.onnx",
    "yunetn_320_qdq_int8.onnx": "yunetn_320_qdq_int8.onnx",
    "facelandmarksv1_192_int8.onnx": "face_landmarks_v1_192_int8_pc.onnx",
}
_NEAR: Final = 0.25


@dataclass(frozen=True, slots=True)
class Run:
    """A network on a board; times in milliseconds."""

    name: str
    source: str
    toolchain: str
    clocks: Clocks
    real: float
    estimated: Interval

    @property
    def is_whole(self) -> bool:
        """Tell whether it is more than a layer."""
        return self.name in _WHOLE or f"{self.name}.onnx" in _TABLE.values()

    @property
    def error(self) -> float:
        """Relative error."""
        return abs(self.estimated.likely - self.real) / self.real

    @property
    def is_inside(self) -> bool:
        """Tell whether the interval holds the real time."""
        return self.estimated.low <= self.real <= self.estimated.high


def runs(evidence: Path) -> Iterator[Run]:
    """Yield all runs, and the rows of ST's table whose very file is at hand."""
    folder = evidence / "groundtruth"
    for report in sorted((folder / _RUNS).rglob("*.txt")):
        for found in text.read(report.read_bytes()):
            model = _model(folder, report)
            if found.timing is None or model is None:
                continue
            mhz = dict(found.timing.clocks_mhz)
            clocks = Clocks(float(mhz["mcu"]), float(mhz["npu"]))
            source = report.relative_to(folder / _RUNS).parts[1]
            real = found.timing.milliseconds
            yield _run(model[0], model[1], source, found.toolchain, clocks, real)
    with (evidence / "design" / "st_published_n6.csv").open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            name = _TABLE.get(row["file_name"])
            if name is not None:
                path = folder / "models" / name
                facts = Facts(load(path, name, Limits()))
                version, real = row["stedgeai_version"][:3], float(row["inference_ms"])
                yield _run(path.stem, facts, "ST's table", version, chip.clocks("overdrive"), real)


def _model(folder: Path, report: Path) -> tuple[str, Facts] | None:
    """Return the model of a report, by the names of its file and folder."""
    named = f"{report.parent.name}/{report.stem}".lower().replace("poll", "pool")
    for name in _WHOLE:
        if name.removesuffix("_int8") in named:
            path = folder / "models" / f"{name}.onnx"
            return name, Facts(load(path, path.name, Limits()))
    for path in sorted((folder / "oe_intermediate").glob("*.onnx")):
        short = path.stem.removeprefix("baseline_").partition("_int8")[0]
        if short in named:
            whole = with_conversions(onnx.load(path)).SerializeToString()
            return short, Facts(read(whole, path.name, Limits()))
    return None


def _run(name: str, facts: Facts, source: str, toolchain: str, clocks: Clocks, real: float) -> Run:
    board = boards.load(boards.DEFAULT_BOARD)
    target = replace(load_target("stm32n6", toolchain), board=board)
    placed, memory = assemble.epochs(facts, target), assemble.memory(facts, target)
    _, took = timing.time(placed, memory, clocks)
    whole = took.microseconds
    in_ms = Interval(whole.low / 1000, whole.likely / 1000, whole.high / 1000)
    return Run(name, source, toolchain, clocks, real, in_ms)


def section(found: Sequence[Run]) -> str:
    """Return the section."""
    lines = ["### Boards, on networks that nothing was fitted to", ""]
    groups = {
        "whole networks": [r for r in found if r.is_whole],
        "one layer": [r for r in found if not r.is_whole],
    }
    for group, chosen in groups.items():
        errors = [run.error for run in chosen]
        inside = sum(run.is_inside for run in chosen) / len(chosen)
        lines.append(
            f"- {group}: median error {median(errors):.0%}, within {_NEAR:.0%}:"
            f" {sum(e <= _NEAR for e in errors)} of {len(errors)}, interval holds {inside:.0%}"
        )
    lines += [
        "",
        "The report of 600 / 800 MHz has slower flash, too, which no report of it names.",
        "",
    ]
    lines += [
        "| network | source | Core | CPU / NPU MHz | real ms | estimated | interval | error |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|"]
    lines += [
        f"| {r.name} | {r.source} | {r.toolchain} | {r.clocks.cpu_mhz:.0f} / {r.clocks.npu_mhz:.0f}"
        f" | {r.real:.3f} | {r.estimated.likely:.3f}"
        f" | {r.estimated.low:.3f} to {r.estimated.high:.3f} | {r.error:.0%} |"
        for r in sorted(found, key=lambda run: -run.error)
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the section; see the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("evidence", type=Path, help="the folder with groundtruth/ and design/")
    parser.add_argument("--output", type=Path, help="instead of standard output")
    chosen = parser.parse_args(arguments)
    written = section(tuple(runs(chosen.evidence)))
    if chosen.output:
        chosen.output.write_text(written, encoding="utf-8")
    else:
        sys.stdout.write(written)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
