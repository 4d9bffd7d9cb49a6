"""Hold the memory estimate against the compiler's reports and ST's published figures.

::

    python tools/accuracy_memory.py EVIDENCE --output section.md

Writes a Markdown section: every model predicted against real, worst first. A network is judged by
ratios of the other families only (leave one family out), since two widths of one network tell
little more than one. The last line of a table is what ``data/memory.toml`` holds: the same ratios
over all.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT), str(_ROOT / "tools")]

from published_models import build, rows  # noqa: E402 (the folder is on the path only now)

from npugate.estimate import assemble, planner  # noqa: E402 (path first)
from npugate.estimate.memory import Ratios  # noqa: E402 (path first)
from npugate.estimate.parameters import parameter_bytes  # noqa: E402 (path first)
from npugate.facts import Facts  # noqa: E402 (path first)
from npugate.limits import Limits  # noqa: E402 (path first)
from npugate.model.reader import load  # noqa: E402 (path first)
from npugate.report.estimate import Buffer, Fit  # noqa: E402 (path first)
from npugate.target import boards  # noqa: E402 (path first)
from npugate.target.profiles import load as load_target  # noqa: E402 (path first)
from npugate.target.values import Target  # noqa: E402 (path first)

_KIB: Final = 1024
_UNITS: Final = {"B": 1, "kB": _KIB, "MB": _KIB * _KIB}
_TOTAL: Final = re.compile(
    r"Total: .*weights:\s+([\d.]+)\s+(B|kB|MB)\s+activations:\s+([\d.]+)\s+(B|kB|MB)"
)
_POOL: Final = re.compile(r"hyperRAM .*activations:\s+([\d.]+)\s+(B|kB|MB) ")
_MAG: Final = "reports/Magnus3327/stm32n6-edge-ai-benchmarks/Output/Output_CV_Models"
_OCR: Final = "reports/SanXiaCoat/OCR-and-Navigator-Based-On-STM32N6/CubeProjects"
_AUDIO: Final = (
    "reports/STMicroelectronics/STM32N6-GettingStarted-Audio/Projects/X-CUBE-AI/models/"
    "network_analyze_report.txt"
)
_REPORTS: Final = (  # model, toolchain, board, report
    ("mobilenet_v2_224_int8", "2.2", "nucleo-n657x0-q", f"{_MAG}/Cube_MX/mobilenet_v2_224.txt"),
    ("mobilenet_v2_224_int8", "4.0", "stm32n6570-dk", f"{_MAG}/AI_STUDIO/mobilenet_v2_224.txt"),
    ("yolov8n_micro_224_int8", "4.0", "stm32n6570-dk", f"{_MAG}/AI_STUDIO/yolov8n_micro_224.txt"),
    (
        "ch_PP-OCRv4_det_160_qdq",
        "2.2",
        "stm32n6570-dk",
        f"{_OCR}/Navigator/ExtMemLoader/X-CUBE-AI/App/ocr_det_generate_report.txt",
    ),
    ("yamnet_1024_64x96_tl_qdq_int8", "2.2", "stm32n6570-dk-audio", _AUDIO),
)
_TABLE: Final = (  # model of the evidence folder, toolchain, row: internal, external, weights, KiB
    ("yamnet_1024_64x96_tl_qdq_int8", "3.0", (144, 0, 3159.2)),
    ("yunetn_320_qdq_int8", "3.0", (1130.49, 0, 92.31)),
)
_PLANS: Final = (  # c_info.json whose buffers are laid out anew
    "reports/PeleAB/STM32N6-FaceRecognition/converted_models/face_detection_c_info.json",
    f"{_OCR}/OCR_Detection/OCR_model/stedgeai_out/ocr_det_c_info.json",
    f"{_OCR}/Navigator/.ai/ocr_det_ch_PP-OCRv4_det_infer.onnx_c_info.json",
    f"{_OCR}/Navigator/.ai/ocr_det_ch_PP-OCRv4_det_infer_160.onnx_c_info.json",
    "reports/Han-Sang-min/STM32N6_AI/.ai/network_1740468161566_tiny_yolo_v2_224_int8.tflite_c_info.json",
)
_UNKNOWN_HEAD: Final = "_256_128_"
"""In the names of the re-identification networks, whose embedding the table does not tell."""
_FAMILIES: Final = (
    *("efficientnetv2", "mobilenetv2", "mobilenet_v2", "fdmobilenet", "mobilenet", "squeezenet"),
    "sqnxt",
    *("resnet18", "resnet50", "regnet", "darknet", "mnasnet", "yolov8", "yunet", "yamnet", "ch_PP"),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One model: planned and real bytes.

    Attributes:
        source: ``report`` or ``table``.
        bound: our lower bound.
        planned, real: activations; the external part beside them.
        weights, real_weights: parameters.
        fit: our verdict.
    """

    name: str
    toolchain: str
    source: str
    bound: float
    planned: float
    real: float
    external: float
    real_external: float
    weights: float
    real_weights: float
    fit: Fit

    @property
    def family(self) -> str:
        """The architecture, whatever its width and training."""
        found = next((part for part in _FAMILIES if part in self.name), self.name)
        return "mobilenetv2" if found == "mobilenet_v2" else found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the section; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("evidence", type=Path, help="the folder with groundtruth/ and design/")
    parser.add_argument("--output", type=Path, help="instead of standard output")
    chosen = parser.parse_args(arguments)
    text = section(chosen.evidence)
    if chosen.output:
        chosen.output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 0


def section(evidence: Path) -> str:
    """Return the section for the evidence in a folder."""
    cases = [*_of_reports(evidence / "groundtruth"), *_of_table(evidence / "design")]
    lines = ["## Memory", ""]
    lines += _plans(evidence / "groundtruth")
    lines += _weights(cases)
    lines += _activations(cases)
    return "\n".join(lines) + "\n"


def _of_reports(folder: Path) -> Iterator[Case]:
    for model, toolchain, board, report in _REPORTS:
        text = (folder / report).read_text(encoding="utf-8", errors="replace")
        total, outside = _TOTAL.search(text), _POOL.search(text)
        if total is None:
            raise SystemExit(f"{report}: no line with the total")
        weights, activations = _amount(total, 1), _amount(total, 3)
        external = _amount(outside, 1) if outside else 0.0
        file = folder / "models" / f"{model}.onnx"
        yield _case(file, toolchain, board, "report", (activations, external, weights))
    for model, toolchain, (inside, outside_kib, weights_kib) in _TABLE:
        real = ((inside + outside_kib) * _KIB, outside_kib * _KIB, weights_kib * _KIB)
        file = folder / "models" / f"{model}.onnx"
        yield _case(file, toolchain, boards.DEFAULT_BOARD, "table", real)


def _amount(match: re.Match[str], group: int) -> float:
    return float(match[group]) * _UNITS[match[group + 1]]


def _of_table(folder: Path) -> Iterator[Case]:
    with tempfile.TemporaryDirectory() as place:
        for row in rows(folder / "st_published_n6.csv"):
            file = Path(place, f"{row.name.rpartition('.')[0]}.onnx")
            file.write_bytes(build(row).SerializeToString())
            real = (row.internal + row.external, row.external, row.weights)
            amounts = (real[0] * _KIB, real[1] * _KIB, real[2] * _KIB)
            yield _case(file, row.toolchain[:3], boards.DEFAULT_BOARD, "table", amounts)


def _case(
    file: Path, toolchain: str, board: str, source: str, real: tuple[float, float, float]
) -> Case:
    facts = Facts(load(file, file.name, Limits()))
    target = _target(toolchain, board)
    found = assemble.memory(facts, target)
    if found is None:
        raise SystemExit(f"{file.name}: its shapes are not known")
    return Case(
        file.stem,
        toolchain,
        source,
        found.lower_bound,
        sum(pool.activation_bytes for pool in found.pools),
        real[0],
        sum(pool.activation_bytes for pool in found.pools if pool.is_external),
        real[1],
        parameter_bytes(facts, toolchain),
        real[2],
        found.fit,
    )


def _target(toolchain: str, board: str) -> Target:
    from msgspec.structs import replace  # noqa: PLC0415 (one use)

    return replace(load_target("stm32n6", toolchain), board=boards.load(board))


def _plans(folder: Path) -> list[str]:
    """Return the table of the compiler's own buffers laid out by our planner."""
    lines = ["### The planner alone: the compiler's own buffers, laid out anew", ""]
    lines += ["| plan | buffers | ours, KiB | real, KiB | error |", "|---|--:|--:|--:|--:|"]
    table: list[tuple[float, str]] = []
    for name in _PLANS:
        buffers, real = _buffers(json.loads((folder / name).read_text(encoding="utf-8")))
        used = planner.place(buffers, boards.load(boards.DEFAULT_BOARD)).used
        ours = sum(used.values())
        label = f"{Path(name).name} ({name.split('/')[1]})"
        row = f"| {label} | {len(buffers)} | {ours / _KIB:.1f} | {real / _KIB:.1f} |"
        table.append((abs(ours / real - 1), f"{row} {ours / real - 1:+.1%} |"))
    lines += [row for _, row in sorted(table, reverse=True)]
    return [*lines, "", f"n = {len(table)} plans of Core 2.0 to 2.2.", ""]


def _buffers(info: dict[str, Any]) -> tuple[list[Buffer], float]:
    """Return the activations of a c_info.json, those of one piece of memory joined, and the use."""
    names = {pool["id"]: pool["name"] for pool in info["memory_pools"]}
    joined: list[tuple[str, int, int, int, int]] = []
    found = sorted(
        (b for b in info["buffers"] if not b["is_param"]),
        key=lambda b: (b["epochs"]["start"], -b["size_bytes"]),
    )
    for item in found:
        pool, offset = names[item["mpool_id"]], item["offset_start"]
        first, last = item["epochs"]["start"], item["epochs"]["end"]
        for number, (at, start, size, begin, end) in enumerate(joined):
            if at == pool and start <= offset < start + size and begin <= last and first <= end:
                size = max(size, item["size_bytes"] + offset - start)  # noqa: PLW2901 (grown)
                joined[number] = (at, start, size, min(begin, first), max(end, last))
                break
        else:
            joined.append((pool, offset, item["size_bytes"], first, last))
    buffers = [
        Buffer(str(number), size, first, last)
        for number, (_, _, size, first, last) in enumerate(joined)
    ]
    real = sum(
        pool["used_size_bytes"]
        for pool in info["memory_pools"]
        if pool["rights"] == "ACC_WRITE" and "_" not in pool["name"]
    )
    return buffers, real


def _weights(cases: Sequence[Case]) -> list[str]:
    """Return the table of the parameters; they need no calibration."""
    table = sorted(
        ((case.weights / case.real_weights - 1, case) for case in cases),
        key=lambda pair: -abs(pair[0]),
    )
    lines = ["### Weights", "", "| model | Core | source | ours, KiB | real, KiB | error |"]
    lines += ["|---|---|---|--:|--:|--:|"]
    for error, case in table:
        lines.append(
            f"| {case.name} | {case.toolchain} | {case.source} | {case.weights / _KIB:.1f}"
            f" | {case.real_weights / _KIB:.1f} | {error:+.1%} |"
        )
    judged = [row for row in table if _UNKNOWN_HEAD not in row[1].name]
    lines += ["", "Not counted: the two whose head is not public (256 x 128 pixels)."]
    for source in ("report", "table"):
        errors = [abs(error) for error, case in judged if case.source == source]
        lines += ["", f"Median error, {source}s: {_quantile(errors, 0.5):.1%}, n = {len(errors)}."]
    ratio = _ratios([case for _, case in judged], weights=True)
    return [*lines, "", f"Real over counted: {ratio}", ""]


def _activations(cases: Sequence[Case]) -> list[str]:
    """Return the table of the activations, each judged without its family."""
    table: list[tuple[float, Case, Ratios]] = []
    for case in cases:
        ratio = _ratios([c for c in cases if c.family != case.family])
        table.append((max(case.planned * ratio.likely, case.bound) / case.real - 1, case, ratio))
    table.sort(key=lambda row: -abs(row[0]))
    lines = ["### Activations", ""]
    lines += ["| model | Core | source | low | likely | high | real | error | verdict | spills |"]
    lines += ["|---|---|---|--:|--:|--:|--:|--:|---|---|"]
    for error, case, ratio in table:
        found = ratio.of(case.planned, case.bound)
        sizes = (found.low, found.likely, found.high, case.real)
        figures = " | ".join(f"{size / _KIB:.0f}" for size in sizes)
        spills = f"{case.real_external / _KIB:.0f}" if case.real_external else "no"
        lines.append(
            f"| {case.name} | {case.toolchain} | {case.source} | {figures} | {error:+.1%}"
            f" | {case.fit} | {spills} |"
        )
    return [*lines, "", *_summary(table, cases)]


def _summary(table: Sequence[tuple[float, Case, Ratios]], cases: Sequence[Case]) -> list[str]:
    lines: list[str] = []
    for source in ("report", "table"):
        rest = [row for row in table if row[1].source == source]
        errors = [abs(error) for error, _, _ in rest]
        plain = [abs(case.planned / case.real - 1) for _, case, _ in rest]
        inside = sum(
            ratio.of(c.planned, c.bound).low <= c.real <= ratio.of(c.planned, c.bound).high
            for _, c, ratio in rest
        )
        lines.append(
            f"{source.capitalize()}s, n = {len(rest)}: median error {_quantile(errors, 0.5):.1%}"
            f" ({_quantile(plain, 0.5):.1%} before calibration), inside the interval"
            f" {inside / len(rest):.0%}.\n"
        )
    families = sorted({case.family for case in cases})
    by_family = [
        _quantile([abs(e) for e, case, _ in table if case.family == name], 0.5) for name in families
    ]
    spilling = [case for case in cases if case.real_external]
    wrong = [case.name for case in spilling if case.fit is Fit.FITS]
    high = [case.name for case in cases if case.bound > case.real]
    alarms = [c.name for c in cases if not c.real_external and c.fit is not Fit.FITS]
    return [
        *lines,
        f"Each family once, n = {len(families)}: median error {_quantile(by_family, 0.5):.1%}.",
        "",
        f"Said to fit, and spills: {len(wrong)} of {len(spilling)} {' '.join(wrong)}",
        "",
        f"May spill, we say, and fits: {len(alarms)} of {len(cases) - len(spilling)}",
        *alarms,
        "",
        f"Lower bound above the real figure: {len(high)} of {len(cases)} {' '.join(high)}",
        "",
        f"Real over planned: {_ratios(cases)}",
    ]


def _ratios(cases: Iterable[Case], *, weights: bool = False) -> Ratios:
    """Return the ratios of real to planned: the tenth and nine tenths quantile.

    The middle stays 1: most plans are exact to the byte, and a factor would only spoil them.
    """
    found = [
        case.real_weights / case.weights if weights else case.real / case.planned for case in cases
    ]
    low, high = _quantile(found, 0.1), _quantile(found, 0.9)
    return Ratios(round(min(low, 1.0), 3), 1.0, round(max(high, 1.0), 3))


def _quantile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low, part = int(place), place % 1
    return ordered[low] + part * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])


if __name__ == "__main__":
    sys.exit(main())
