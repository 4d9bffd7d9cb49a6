"""Hold predicted epochs, engines and counts against the compiler's reports.

::

    python tools/accuracy_placement.py EVIDENCE --output section.md

Writes a Markdown section: every model predicted against real, worst first. Nothing is fitted here,
so there is nothing to leave out: the rows of ``data/placement.toml`` say which models show them.
Three kinds of models: those of the evidence folder with a report; the compiler's own intermediates,
whose scales are in a file of their own, so that a scale is put on every tensor; and PP-OCR det in
float, which is the quantised one without its conversions.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import onnx
from onnx import ModelProto, TensorProto, helper

_ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT)]

from npugate.compilers.stedgeai import info, text  # noqa: E402 - as above
from npugate.estimate import assemble  # noqa: E402 - as above
from npugate.estimate.counting import compiler_macs, plain_macs  # noqa: E402 - as above
from npugate.facts import Facts  # noqa: E402 - as above
from npugate.limits import Limits  # noqa: E402 - as above
from npugate.model.reader import load  # noqa: E402 - as above
from npugate.report.compiled import CompiledRun  # noqa: E402 - as above
from npugate.report.estimate import Engine  # noqa: E402 - as above
from npugate.target import profiles  # noqa: E402 - the folder is on the path only now

_MAG: Final = "reports/Magnus3327/stm32n6-edge-ai-benchmarks/Output"
_OCR: Final = "reports/SanXiaCoat/OCR-and-Navigator-Based-On-STM32N6/CubeProjects/Navigator"
_ST: Final = "reports/STMicroelectronics/STM32N6-GettingStarted-Audio/Projects/X-CUBE-AI/models"
_SVC: Final = "reports/TitoNicolaDrugman/stm32ai-modelzoo-services/application_code/audio/STM32N6"
_MODELS: Final = (  # model, toolchain, report
    ("mobilenet_v2_224_int8", "2.2", f"{_MAG}/Output_CV_Models/Cube_MX/mobilenet_v2_224.txt"),
    ("mobilenet_v2_224_int8", "4.0", f"{_MAG}/Output_CV_Models/AI_STUDIO/mobilenet_v2_224.txt"),
    ("yolov8n_micro_224_int8", "4.0", f"{_MAG}/Output_CV_Models/AI_STUDIO/yolov8n_micro_224.txt"),
    ("yamnet_1024_64x96_tl_qdq_int8", "2.2", f"{_ST}/network_analyze_report.txt"),
    (
        "yamnet_1024_64x96_tl_qdq_int8",
        "2.1",
        f"{_SVC}/Projects/X-CUBE-AI/models/network_analyze_report.txt",
    ),
    (
        "ch_PP-OCRv4_det_160_qdq",
        "2.2",
        f"{_OCR}/ExtMemLoader/X-CUBE-AI/App/ocr_det_generate_report.txt",
    ),
)
_FLOAT: Final = (
    "ch_PP-OCRv4_det_160_qdq",
    "2.2",
    f"{_OCR}/.ai/ocr_det_ch_PP-OCRv4_det_infer_160.onnx_c_info.json",
)
_MICRO: Final = (  # intermediate, folder of the report of 2.2, name of the one of 4.0
    ("conv2d_16f_3x3", "Conv2d_16f_3x3", "conv2d_16f_3x3"),
    ("conv2d_1x1", "Conv2d_1x1", "conv2d_1x1"),
    ("conv2d_32f_5x5", "Conv2d_32f_5x5", "conv2d_32f_5x5"),
    ("conv2d_32f_7x7", "Conv2d_32f_7x7", "conv2d_32f_7x7"),
    ("conv2d_3x3", "Conv2d_3x3", "conv2d_3x3"),
    ("conv2d_64f_3x3", "conv2d_64f_3x3", "conv2d_64f_3x3"),
    ("conv2d_pool", "Conv2d_poll", "conv2d_poll"),
    ("depthwise_3x3", "Depthwise_3x3", "depthwise_3x3"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One model, predicted and real; ``real_macs`` is None where a report has no count."""

    name: str
    toolchain: str
    epochs: int
    real_epochs: int
    found: Counter[str]
    real: Counter[str]
    macs: int
    real_macs: int | None
    plain: int

    @property
    def epoch_error(self) -> float:
        """Relative."""
        return self.epochs / self.real_epochs - 1

    @property
    def mac_error(self) -> float | None:
        """Relative; None without a count."""
        return self.macs / self.real_macs - 1 if self.real_macs else None


def rows(evidence: Path) -> list[Row]:
    """Return every model that has a report.

    Args:
        evidence: the folder with ``groundtruth``.
    """
    truth = evidence / "groundtruth"
    found: list[Row] = []
    for name, toolchain, report in _MODELS:
        model = onnx.load(truth / "models" / f"{name}.onnx")
        found.append(_row(name, toolchain, model, _run(truth / report)))
    name, toolchain, source = _FLOAT
    model = without_conversions(onnx.load(truth / "models" / f"{name}.onnx"))
    found.append(_row(f"{name}, float", toolchain, model, _run(truth / source)))
    for stem, folder, newer in _MICRO:
        path = truth / "oe_intermediate" / f"baseline_{stem}_int8_OE_3_3_0.onnx"
        given = onnx.load(path)
        plain = without_conversions(given, relus=False)  # made of a TFLite file, which has none
        model = with_conversions(given)
        base = truth / _MAG / "Output_Baseline"
        older = base / "CubeMX_xcubeai" / folder / "network_generate_report.txt"
        found.append(_row(f"baseline_{stem}", "2.2", model, _run(older), plain))
        last = base / "AI_STUDIO" / f"{newer}.txt"
        found.append(_row(f"baseline_{stem}", "4.0", _first_last(model), _run(last), plain))
    return found


def _run(report: Path) -> CompiledRun:
    data = report.read_bytes()
    runs = [info.read(data)] if report.suffix == ".json" else text.read(data)
    known = [run for run in runs if run.counts]
    return next((run for run in known if run.command == "generate"), known[0])


def _facts(model: ModelProto) -> Facts:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.onnx")
        onnx.save(model, file)
        return Facts(load(file, "model.onnx", Limits()))


def _row(
    name: str,
    toolchain: str,
    model: ModelProto,
    run: CompiledRun,
    counted: ModelProto | None = None,
) -> Row:
    """Predict a model; ``counted`` is the form whose operators the report counts."""
    assert run.counts is not None, name  # noqa: S101 - see _run
    facts = _facts(model)
    target = profiles.load("stm32n6", toolchain)
    epochs = assemble.epochs(facts, target)
    found = Counter(
        _name(operator.kind)
        for epoch in epochs
        if epoch.engine is not Engine.NPU
        for operator in epoch.operators
    )
    real = Counter(
        _name(operator)
        for epoch in run.epochs
        if epoch.engine is not Engine.NPU
        for operator in epoch.operators
    )
    form = facts if counted is None else _facts(counted)
    return Row(
        name, toolchain, len(epochs), run.counts.total, found, real, compiler_macs(form, target),
        run.macs, plain_macs(facts),
    )  # fmt: skip


def _name(operator: str) -> str:
    return operator.partition("(")[0]


def without_conversions(model: ModelProto, *, relus: bool = True) -> ModelProto:
    """Return the float model: without conversions of activations.

    Args:
        model: quantised.
        relus: put back the Relus behind convolutions that the scale of their result does, where
            its zero point is the least integer.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    constants = {item.name: item for item in model.graph.initializer}
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    renamed: dict[str, str] = {}
    del copy.graph.node[:], copy.graph.value_info[:]
    for node in model.graph.node:
        inputs = [renamed.get(name, name) for name in node.input]
        if node.op_type == "QuantizeLinear" and node.input[0] not in constants:
            renamed[node.output[0]] = inputs[0]
            zero = constants.get(node.input[2])
            is_cut = relus and zero is not None and int(onnx.numpy_helper.to_array(zero)) == _LEAST
            if is_cut and made_by.get(node.input[0]) in _CUT:
                renamed[node.output[0]] = f"{inputs[0]}.relu"
                copy.graph.node.append(helper.make_node("Relu", [inputs[0]], [f"{inputs[0]}.relu"]))
        elif node.op_type == "DequantizeLinear" and node.input[0] not in constants:
            renamed[node.output[0]] = inputs[0]
        else:
            kept = copy.graph.node.add()
            kept.CopyFrom(node)
            kept.input[:] = inputs
    for output in copy.graph.output:
        source = renamed.get(output.name)
        if source is not None:
            copy.graph.node.append(helper.make_node("Identity", [source], [output.name]))
    return _with_float_weights(copy)


_LEAST: Final = -128
_CUT: Final = frozenset({"Conv", "ConvTranspose", "BatchNormalization"})


def _with_float_weights(model: ModelProto) -> ModelProto:
    """Replace dequantised weights by float ones; the values play no part here."""
    made = {n.output[0]: n for n in model.graph.node if n.op_type == "DequantizeLinear"}
    kept = [n for n in model.graph.node if n.op_type != "DequantizeLinear"]
    shapes = {item.name: list(item.dims) for item in model.graph.initializer}
    del model.graph.node[:]
    model.graph.node.extend(kept)
    for name, node in made.items():
        dims = shapes[node.input[0]]
        size = 4
        for dim in dims:
            size *= dim
        model.graph.initializer.append(
            TensorProto(name=name, dims=dims, data_type=TensorProto.FLOAT, raw_data=bytes(size))
        )
    return model


def with_conversions(model: ModelProto) -> ModelProto:
    """Return a QDQ model: every float activation and weight gets a scale."""
    copy = onnx.shape_inference.infer_shapes(model)
    graph = copy.graph
    weights = {i.name for i in graph.initializer if i.data_type == TensorProto.FLOAT and i.dims}
    graph.initializer.append(helper.make_tensor("q.s", TensorProto.FLOAT, [], [0.1]))
    graph.initializer.append(helper.make_tensor("q.z", TensorProto.INT8, [], [3]))
    nodes = list(graph.node)
    del graph.node[:]
    names: dict[str, str] = {}

    def convert(name: str) -> Iterator[onnx.NodeProto]:
        yield helper.make_node("QuantizeLinear", [name, "q.s", "q.z"], [f"{name}.q"])
        yield helper.make_node("DequantizeLinear", [f"{name}.q", "q.s", "q.z"], [f"{name}.d"])
        names[name] = f"{name}.d"

    for name in (*(i.name for i in graph.input if i.name not in weights), *sorted(weights)):
        graph.node.extend(convert(name))
    outputs = {o.name for o in graph.output}
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        for index, name in enumerate(node.output):
            if name in outputs:
                node.output[index] = f"{name}.raw"
                graph.node.append(node)
                graph.node.extend(convert(f"{name}.raw"))
                graph.node[-1].output[0] = name
                break
        else:
            graph.node.append(node)
            for name in node.output:
                graph.node.extend(convert(name))
    return copy


def _first_last(model: ModelProto) -> ModelProto:
    """Return a model without its first Transpose: the file that 4.0 read has channels last."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.op_type == "Transpose":
            node.op_type = "Identity"
            del node.attribute[:]
    dims = copy.graph.input[0].type.tensor_type.shape.dim
    sizes = [dim.dim_value for dim in dims]
    for dim, size in zip(dims, (sizes[0], sizes[3], sizes[1], sizes[2]), strict=True):
        dim.dim_value = size
    del copy.graph.value_info[:]
    return copy


def recall(found: Sequence[Row]) -> tuple[float, float, int]:
    """Return recall and precision of operators off the NPU, and how many there really are."""
    hits = sum((row.found & row.real).total() for row in found)
    real = sum(row.real.total() for row in found)
    predicted = sum(row.found.total() for row in found)
    return hits / real if real else 1.0, hits / predicted if predicted else 1.0, real


def section(found: Sequence[Row]) -> str:
    """Write the section, worst first."""
    lines = ["## Placement", "", *_summary(found), ""]
    lines += ["| model | toolchain | epochs | real | error | missed | too many |"]
    lines += ["|---|---|--:|--:|--:|---|---|"]
    for row in sorted(found, key=lambda r: -abs(r.epoch_error)):
        missed, extra = row.real - row.found, row.found - row.real
        lines.append(
            f"| {row.name} | {row.toolchain} | {row.epochs} | {row.real_epochs} "
            f"| {row.epoch_error:+.0%} | {_words(missed)} | {_words(extra)} |"
        )
    lines += ["", "## The compiler's count of multiply-accumulates", ""]
    lines += [
        "| model | toolchain | plain | predicted | real | error |",
        "|---|---|--:|--:|--:|--:|",
    ]
    known = [row for row in found if row.mac_error is not None]
    for row in sorted(known, key=lambda r: -abs(r.mac_error or 0)):
        lines.append(
            f"| {row.name} | {row.toolchain} | {row.plain:,} | {row.macs:,} | {row.real_macs:,} "
            f"| {row.mac_error:+.2%} |"
        )
    return "\n".join(lines) + "\n"


def _summary(found: Sequence[Row]) -> Iterator[str]:
    for toolchain in (*sorted({row.toolchain for row in found}), "all"):
        part = [row for row in found if toolchain in {row.toolchain, "all"}]
        share, precision, real = recall(part)
        errors = [abs(row.epoch_error) for row in part]
        counts = [abs(row.mac_error) for row in part if row.mac_error is not None]
        counted = f"; count: median error {median(counts):.2%}, n = {len(counts)}" if counts else ""
        yield (
            f"- {toolchain}: operators off the NPU: recall {share:.3f}, precision {precision:.3f}, "
            f"n = {real} in {len(part)} models; epochs: median error {median(errors):.0%}, "
            f"worst {max(errors):.0%}{counted}"
        )


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{kind} {number}" for kind, number in sorted(counts.items()))


def main(arguments: Sequence[str]) -> int:
    """Write the section to a file or to standard output."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("evidence", type=Path, help="the folder that holds groundtruth/")
    parser.add_argument("--output", type=Path, help="a Markdown file")
    options = parser.parse_args(arguments)
    page = section(rows(options.evidence))
    if options.output:
        options.output.write_text(page, encoding="utf-8")
    else:
        sys.stdout.write(page)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
