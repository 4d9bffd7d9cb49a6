"""Read the JSON report of a step: whether it passed, and its main numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from npugate import nesting

Json = Mapping[str, Any]
ModelSize = tuple[tuple[str, str], ...]
_LARGEST: Final = 64 << 20


class ReportError(Exception):
    """A step left no report that can be read."""


def read(path: Path) -> Json:
    """Return a step's report.

    Raises:
        ReportError: it is missing or no JSON object.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ReportError(f"{path} is too large")
        value = nesting.json_value(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ReportError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ReportError(f"{path} holds no object")
    return value


def of_step(name: str, report: Json) -> ModelSize:
    """Return the figures of a step by its name."""
    reader = _READERS.get(name)
    return tuple(reader(report)) if reader is not None else ()


def _checked(report: Json) -> Iterator[tuple[str, str]]:
    summary = report["summary"]
    yield "violations", str(summary["errors"])
    yield "warnings", str(summary["warnings"])
    for model in report["models"]:
        yield from _estimated(model.get("estimate"))


def _estimated(found: Json | None) -> Iterator[tuple[str, str]]:
    if found is None:
        return
    epochs = found["epochs"]
    yield "epochs", f"{epochs['npu']} NPU, {epochs['hybrid']} hybrid, {epochs['cpu']} CPU"
    yield "multiply-accumulates", f"{found['macs']:,}"
    if found["memory"] is not None:
        memory = found["memory"]
        yield "memory", str(memory["fit"])
        yield "weights", _kib(memory["weights"])
        yield "activations", _kib(memory["activations"])
    if found["time"] is not None:
        spent = found["time"]["microseconds"]
        low, likely, high = (spent[key] / 1e3 for key in ("low", "likely", "high"))
        yield "time", f"{likely:.3g} ms ({low:.3g} to {high:.3g})"


def _kib(interval: Json) -> str:
    low, likely, high = (interval[key] / 1024 for key in ("low", "likely", "high"))
    return f"{likely:.1f} KiB ({low:.1f} to {high:.1f})"


def _repaired(report: Json) -> Iterator[tuple[str, str]]:
    for model in report["models"]:
        found = sum(
            1 for f in model["findings"] if f["severity"] == "error" and not f["suppressed"]
        )
        yield "violations before", str(found)
        repair = model.get("repair")
        if repair is None:
            continue
        left = [f for f in repair["findings_after"] if f["severity"] == "error"]
        yield "violations after", str(sum(1 for f in left if not f["suppressed"]))
        applied = [o["repair"] for o in repair["outcomes"] if o["state"] == "applied"]
        yield "repairs", ", ".join(applied) or "none needed"
        proof = repair["verification"]
        if proof is not None:
            error, limit = proof["max_abs_error"], proof["tolerance"]
            yield "largest difference", f"{error:.3g}, allowed {limit:.3g}"


def _exported(report: Json) -> Iterator[tuple[str, str]]:
    for attempt in report["attempts"]:
        if attempt["exporter"] != report["chosen"]:
            continue
        yield "exporter", f"{attempt['exporter']}, opset {attempt['opset']}"
        yield "violations before", str(attempt["errors_before"])
        yield "violations after", str(attempt["errors"])
        yield "repairs", ", ".join(attempt["repairs"]) or "none needed"
        agreement = attempt["agreement"]
        if agreement is not None:
            error, limit = agreement["max_abs_error"], agreement["tolerance"]
            yield "largest difference to PyTorch", f"{error:.3g}, allowed {limit:.3g}"


def _quantized(report: Json) -> Iterator[tuple[str, str]]:
    calibration = report["calibration"]
    yield "samples", f"{calibration['used']} of {calibration['available']}"
    yield "method", str(calibration["method"])
    yield (
        "size",
        f"{report['output_bytes'] / 1024:.1f} KiB (float {report['size_bytes'] / 1024:.1f})",
    )
    for check in report["checks"]:
        if not check["passed"]:
            yield f"check {check['name']}", str(check["text"])


def _evaluated(report: Json) -> Iterator[tuple[str, str]]:
    yield "samples", str(report["samples"])
    for figure in report["figures"]:
        unit = f" {figure['unit']}" if figure["unit"] else ""
        if figure["float_value"] is None:
            yield figure["name"], f"{figure['int8_value']:.4g}{unit}"
        else:
            yield (
                figure["name"],
                (
                    f"float {figure['float_value']:.4g}, int8 {figure['int8_value']:.4g}{unit}, "
                    f"loss {figure['loss']:+.4g}"
                ),
            )
    yield "grade", str(report["grade"] or "none")
    for verdict in report["verdicts"]:
        threshold = verdict["threshold"]
        word = "kept" if verdict["passed"] else "missed"
        yield f"limit on {threshold['metric']} {threshold['of']}", f"{word}: {verdict['value']:.4g}"


def _ran(report: Json) -> Iterator[tuple[str, str]]:
    yield "samples", str(report["samples"])
    for row in report["outputs"]:
        yield f"output {row['name']}", f"{row['lowest']:.6g} to {row['highest']:.6g}"
    words = {True: "equal", False: "differ", None: "none: the model takes float"}
    yield "int8 inputs", words[report["int8_inputs_equal"]]


_READERS: Final[Mapping[str, Callable[[Json], Iterator[tuple[str, str]]]]] = {
    "source": lambda report: _repaired(report) if "models" in report else _exported(report),
    "diagnose": _checked,
    "quantize": _quantized,
    "evaluate": _evaluated,
    "verify": _ran,
    "final": _checked,
    "stedgeai": _checked,
}
