"""Compare the estimated times with all evidence there is, and write a Markdown section.

python tools/accuracy_timing.py EVIDENCE [--output FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from calibrate_timing import HIGH, LOW, fits, published  # noqa: E402 (path first)

from npugate.estimate import chip, timing  # noqa: E402 (path first)
from npugate.findings.values import Location  # noqa: E402 (path first)
from npugate.report.estimate import (  # noqa: E402 (path first)
    Access,
    Buffer,
    Engine,
    Epoch,
    Fit,
    Interval,
    Memory,
    Operator,
    Pool,
    Window,
)

_OCR: Final = "reports/SanXiaCoat/OCR-and-Navigator-Based-On-STM32N6/CubeProjects"
INFOS: Final = (  # name, toolchain, file
    ("PP-OCR det 160", "2.2", f"{_OCR}/OCR_Detection/OCR_model/stedgeai_out/ocr_det_c_info.json"),
    (
        "centerface 128",
        "2.1",
        "reports/PeleAB/STM32N6-FaceRecognition/converted_models/face_detection_c_info.json",
    ),
    (
        "tiny YOLO v2 224",
        "2.0",
        "reports/Han-Sang-min/STM32N6_AI/.ai/network_tiny_yolo_v2_224_int8.tflite_c_info.json",
    ),
    (
        "PP-OCR det 160, float",
        "2.2",
        f"{_OCR}/Navigator/.ai/ocr_det_ch_PP-OCRv4_det_infer_160.onnx_c_info.json",
    ),
    (
        "PP-OCR det 1x1, float",
        "2.2",
        f"{_OCR}/Navigator/.ai/ocr_det_ch_PP-OCRv4_det_infer.onnx_c_info.json",
    ),
)
_RANK: Final = 4


@dataclass(frozen=True, slots=True)
class Compared:
    """An epoch of a compile: what the compiler reckons, and what is estimated."""

    model: str
    name: str
    kinds: str
    engine: Engine
    real: float
    estimated: float
    bound: str

    @property
    def error(self) -> float:
        """Relative error."""
        return abs(self.estimated - self.real) / self.real


def compared(evidence: Path) -> Iterator[Compared]:
    """Yield the epochs of all compiles that have a cost."""
    for model, _, file in INFOS:
        path = evidence / "groundtruth" / file
        for epoch, real, pools in _epochs(json.loads(path.read_text(encoding="utf-8"))):
            cycles, bound = timing.compiler_cycles(timing.load_of(epoch, pools), pools)
            kinds = "+".join(operator.kind for operator in epoch.operators)
            name = f"epoch {epoch.index}"
            yield Compared(model, name, kinds, epoch.engine, real, cycles, bound)


def _epochs(info: dict[str, Any]) -> Iterator[tuple[Epoch, float, timing.Pools]]:
    buffers = {item["id"]: item for item in info["buffers"]}
    names = {item["id"]: item["name"] for item in info["memory_pools"]}
    pools = timing.Pools.of(_memory(buffers.values(), names))
    real = {item["node_id"]: item["max_cycles"] for item in info["power_estimates"]}
    for index, node in enumerate(info["graphs"][0]["nodes"]):
        if real.get(node["id"], 0) > 0:
            yield _epoch(index, node, buffers), real[node["id"]], pools


def _memory(buffers: Any, names: dict[int, str]) -> Memory:  # noqa: ANN401 (parsed JSON)
    placed = tuple(
        Buffer(item["name"], item["size_bytes"], 0, 0, names.get(item["mpool_id"], ""))
        for item in buffers
    )
    nothing = Interval(0, 0, 0)
    pools = tuple(
        Pool(
            name, 0, is_external=name in {"hyperRAM", "octoFlash"}, is_writable=name != "octoFlash"
        )
        for name in names.values()
    )
    return Memory(Fit.FITS, pools, nothing, nothing, 0, 0, buffers=placed)


def _epoch(index: int, node: dict[str, Any], buffers: dict[int, Any]) -> Epoch:
    engines = {"NODE_SW": Engine.CPU, "NODE_SW_HW": Engine.HYBRID}
    engine = engines.get(node["mapping"], Engine.NPU)
    parts = node["subgraph_nodes"] or [node]
    operators = tuple(
        Operator(p["description"].removeprefix("Node kind="), engine, Location()) for p in parts
    )
    reads: dict[str, Access] = {}
    for key in node["inputs"]:
        if key in buffers:
            reads.setdefault(buffers[key]["name"], _access(buffers[key]))
    writes = tuple(_access(buffers[key]) for key in node["outputs"] if key in buffers)
    window = _window(parts, buffers, writes)
    macs = 0
    if window:
        fan_in = window.channels_in // window.groups
        macs = fan_in * prod(window.kernel) * window.channels_out * prod(window.size_out)
    return Epoch(index, engine, operators, tuple(reads.values()), writes, macs, window)


def _access(item: dict[str, Any]) -> Access:
    return Access(item["name"], tuple(item["shape"]), item["nbits"], item["is_param"])


def _window(
    parts: Sequence[dict[str, Any]], buffers: dict[int, Any], writes: Sequence[Access]
) -> Window | None:
    """Return the window of the convolution with the most weights; strides from the sizes."""
    found: list[tuple[int, Window]] = []
    for part in parts:
        inputs = [buffers[key] for key in part["inputs"] if key in buffers]
        if not part["description"].endswith("Conv") or len(inputs) < 2:  # noqa: PLR2004 (weights)
            continue
        data, weights = inputs[0]["shape"], inputs[1]["shape"]
        if len(data) != _RANK or len(weights) != _RANK or not inputs[1]["is_param"]:
            continue
        channels = data[1]
        groups = channels if weights[1] < channels and weights[0] == channels else 1
        made = [a.shape for a in writes if len(a.shape) == _RANK and a.shape[1] == weights[0]]
        size = (made[0][2], made[0][3]) if made else (data[2], data[3])
        stride = max(1, round(data[2] / size[0]))
        window = Window(
            (weights[2], weights[3]),
            (stride, stride),
            groups=groups,
            channels_in=channels,
            channels_out=weights[0],
            size_in=(data[2], data[3]),
            size_out=size,
        )
        found.append((prod(data) * weights[0], window))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def section(evidence: Path) -> str:
    """Return the section for the evidence in a folder."""
    lines = ["## Time", "", *_cycles(tuple(compared(evidence))), "", *_networks(evidence)]
    return "\n".join(lines) + "\n"


def _cycles(rows: Sequence[Compared]) -> list[str]:
    lines = ["### Cycles of each epoch, against the compiler", ""]
    lines += [
        "From the shapes and pools of the compiler's own plan. The rule was worked out on these",
        "files: the figures are in-sample, and say nothing of the placement or the plan. TinyBERT",
        "(409 rows of `epoch_cycles.csv`) is left out: its table has no shapes of what is read.",
        "",
        "| model | engine | epochs | median error | within 15 % | sum, estimated / real |",
        "|---|---|---|---|---|---|",
    ]
    groups = [(m, e) for m, _, _ in INFOS for e in Engine]
    for model, engine in [*groups, ("all", None)]:
        chosen = [r for r in rows if model == "all" or (r.model, r.engine) == (model, engine)]
        if chosen:
            errors = [r.error for r in chosen]
            near = sum(e <= 0.15 for e in errors) / len(errors)  # noqa: PLR2004 (the target)
            share = sum(r.estimated for r in chosen) / sum(r.real for r in chosen)
            lines.append(
                f"| {model} | {engine or ''} | {len(chosen)} | {np.median(errors):.1%}"
                f" | {near:.0%} | {share:.2f} |"
            )
    ratios = [r.real / r.estimated for r in rows if r.estimated]
    low, high = np.quantile(ratios, [LOW, HIGH])
    bounds = Counter(r.bound for r in rows)
    lines += ["", f"Real over estimated, {LOW:.0%} to {HIGH:.0%}: {low:.3f} to {high:.3f}."]
    lines += [f"Bound by: {', '.join(f'{k} {v}' for k, v in bounds.most_common())}.", ""]
    lines += ["| model | epoch | operators | engine | real | estimated | error | bound |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    lines += [
        f"| {r.model} | {r.name} | {r.kinds} | {r.engine} | {r.real:,.0f}"
        f" | {r.estimated:,.0f} | {r.error:.1%} | {r.bound} |"
        for r in sorted(rows, key=lambda r: -r.error)
    ]
    return lines


def _networks(evidence: Path) -> list[str]:
    cases = tuple(published(evidence))
    found = fits(cases)
    held = [case.predicted(found.best(case.family)) for case in cases]
    real = np.array([case.milliseconds for case in cases])
    ratios, families = real / np.array(held), np.array([case.family for case in cases])
    scale = chip.ratio("network")
    table: list[tuple[float, bool, str]] = []
    for case, mean, ratio in zip(cases, held, ratios, strict=True):
        low, high = np.quantile(ratios[families != case.family], [LOW, HIGH])
        error, shipped = (
            abs(mean - case.milliseconds) / case.milliseconds,
            case.predicted(chip.rates()),
        )
        text = (
            f"| {case.name} | {case.toolchain} | {case.external_kib:.0f} | {case.milliseconds:.2f}"
            f" | {mean:.2f} | {mean * low:.2f} to {mean * high:.2f} | {error:.0%} | {shipped:.2f} |"
        )
        table.append((error, bool(low <= ratio <= high), text))
    errors = [row[0] for row in table]
    inside = [row[0] for row, case in zip(table, cases, strict=True) if not case.external_kib]
    outside = [row[0] for row, case in zip(table, cases, strict=True) if case.external_kib]
    return [
        "### Whole networks, against the published times",
        "",
        f"{len(cases)} rows of {len(set(families))} families could be rebuilt of the 196; the four",
        "figures and the interval of a row are fitted without its family.",
        "",
        (
            f"- median error {np.median(errors):.1%} (n = {len(errors)}); without external RAM"
            f" {np.median(inside):.1%} (n = {len(inside)}), with {np.median(outside):.1%}"
            f" (n = {len(outside)})"
        ),
        (
            f"- the interval holds {np.mean([row[1] for row in table]):.0%} of them;"
            f" the shipped one is {scale.low} to {scale.high} times the estimate"
        ),
        "",
        "| network | Core | external KiB | real ms | estimated | interval | error | as shipped |",
        "|---|---|---|---|---|---|---|---|",
        *(row[2] for row in sorted(table, key=lambda row: -row[0])),
    ]


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


if __name__ == "__main__":
    raise SystemExit(main())
