"""The report of ``npugate evaluate`` as text, JSON (``npugate-evaluate/1``) and Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import to_builtins

from npugate import escape
from npugate.evaluation.values import EvaluationReport, Fidelity, Figure, Grade
from npugate.reporters import Render, sections
from npugate.reporters.sections import Section

SCHEMA: Final = "npugate-evaluate/1"
_LAYERS: Final = 5


def text(report: EvaluationReport) -> str:
    """Return the report for a terminal."""
    return sections.text(_heading(report), _sections(report), _ending(report))


def markdown(report: EvaluationReport) -> str:
    """Return the report for a page."""
    return sections.markdown(_heading(report), _sections(report), _ending(report))


def document(report: EvaluationReport) -> str:
    """Return the report as one JSON object."""
    content = to_builtins(report)
    content["grade"] = None if report.grade is None else report.grade.name
    content["points"] = [
        {"label": label, "float": made, "int8": other} for label, made, other in report.points
    ]
    content |= {"passed": report.passed, "exit_code": report.exit_code}
    return escape.json_document({"schema": SCHEMA, **content})


def _heading(report: EvaluationReport) -> str:
    return f"{report.int8_model} against {report.float_model}"


def _ending(report: EvaluationReport) -> str:
    word = "PASSED" if report.passed else "FAILED"
    grade = "no grade" if report.grade is None else report.grade.name
    unknown = "; calibrated with random numbers" if report.calibration == "random" else ""
    return f"{word}, {grade}: {report.graded_by}, on {report.samples} samples{unknown}"


def _sections(report: EvaluationReport) -> list[Section]:
    return [
        Section(
            "Metrics",
            [("metric", "float", "int8", "loss"), *(_figure(item) for item in report.figures)],
            has_head=True,
        ),
        Section(
            "int8 output against the float one",
            [
                ("output", "centred SQNR", "NRMSE", "cosine", "max error", "RMSE", "spread"),
                *(_fidelity(item) for item in report.fidelity),
            ],
            has_head=True,
        ),
        Section("Thresholds", [_verdict(report, n) for n in range(len(report.verdicts))]),
        Section(
            "Layers that lose most (npugate quantize --exclude NODE keeps one in float)",
            [
                ("node", "operator", "SQNR after", "lost"),
                *(
                    (row.node, row.operator, f"{row.sqnr_db:.1f} dB", f"{row.lost_db:.1f} dB")
                    for row in report.layers[:_LAYERS]
                ),
            ],
            has_head=True,
        ),
        Section(
            "Data",
            [
                ("samples", f"{report.samples} of {report.available} in {report.data}"),
                ("disjoint from calibration", _disjoint(report)),
            ],
        ),
        Section("Note", [(line,) for line in report.notices]),
    ]


def _disjoint(report: EvaluationReport) -> str:
    if report.disjoint is None:
        return "not known"
    return "yes" if report.disjoint else f"no, {report.overlap} samples are in both"


def _figure(figure: Figure) -> tuple[str, str, str, str]:
    unit = f" {figure.unit}" if figure.unit else ""
    value = f"{figure.int8_value:.4g}{unit}"
    if figure.float_value is None or figure.loss is None:
        return figure.name, "is the truth", value, ""
    return figure.name, f"{figure.float_value:.4g}{unit}", value, f"{figure.loss:+.4g}{unit}"


def _fidelity(item: Fidelity) -> tuple[str, ...]:
    return (
        item.output,
        "does not vary" if item.sqnr_db is None else f"{item.sqnr_db:.1f} dB",
        "" if item.nrmse is None else f"{item.nrmse:.3g}",
        f"{item.cosine:.5f}",
        f"{item.max_error:.4g}",
        f"{item.rmse:.4g}",
        f"{item.spread:.4g}",
    )


def _verdict(report: EvaluationReport, index: int) -> tuple[str, str, str]:
    verdict = report.verdicts[index]
    word = "ok" if verdict.passed else "FAILED"
    if verdict.threshold.metric == "grade":
        wanted = Grade(int(verdict.threshold.limit)).name
        return word, f"grade at least {wanted}", Grade(int(verdict.value)).name
    return word, verdict.threshold.text(), f"{verdict.value:.4g}"


FORMATS: Final[Mapping[str, Render[EvaluationReport]]] = {
    "json": document,
    "markdown": markdown,
    "text": text,
}
