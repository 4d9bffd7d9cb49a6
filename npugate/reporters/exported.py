"""The report of ``npugate export`` as text, JSON (``npugate-export/1``) and Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import to_builtins

from npugate import escape
from npugate.export.values import Advice, Attempt, ExportReport
from npugate.reporters import Render, sections
from npugate.reporters.sections import Section

SCHEMA: Final = "npugate-export/1"
_GUIDE: Final = "docs/clean-export.md"


def text(report: ExportReport) -> str:
    """Return the report for a terminal."""
    return sections.text(_heading(report), _sections(report), _ending(report))


def markdown(report: ExportReport) -> str:
    """Return the report for a page."""
    return sections.markdown(_heading(report), _sections(report), _ending(report))


def document(report: ExportReport) -> str:
    """Return the report as one JSON object."""
    content = to_builtins(report)
    for name in ("inputs", "outputs"):
        content[name] = [
            {"name": item, "type": kind, "shape": shape}
            for item, kind, shape in getattr(report, name)
        ]
    content["left"] = [
        {"rule": rule, "message": message, "node": node} for rule, message, node in report.left
    ]
    content |= {"passed": report.passed, "exit_code": report.exit_code}
    return escape.json_document({"schema": SCHEMA, **content})


def _heading(report: ExportReport) -> str:
    return f"ONNX of {report.entry}"


def _ending(report: ExportReport) -> str:
    if report.output is None:
        return "FAILED: no exporter made a model that may be written; nothing was written"
    size = f"{report.output}, {report.output_bytes:,} bytes"
    if report.left:
        return f"FAILED: wrote {size}, but {len(report.left)} errors are left in it"
    return f"PASSED: wrote {size}"


def _sections(report: ExportReport) -> list[Section]:
    about = [
        ("torch", report.torch),
        ("target", report.target),
        *([("weights", report.weights)] if report.weights else []),
        *(("input", f"{name} {kind} {shape}") for name, kind, shape in report.inputs),
        *(("output", f"{name} {kind} {shape}") for name, kind, shape in report.outputs),
    ]
    chosen = [(report.chosen, report.reason)] if report.chosen else []
    return [
        Section("Model", about),
        Section(
            "Exporters",
            [("exporter", "opset", "nodes", "errors", "on the CPU", "result")]
            + [_attempt(item) for item in report.attempts],
            has_head=True,
        ),
        Section("Chosen", chosen),
        Section("Refused", [row for item in report.attempts for row in _refusal(item)]),
        Section("From the code", _from_code(report)),
        Section("Errors left", [(rule, node, message) for rule, message, node in report.left]),
        Section("Note", [(line,) for line in report.notices]),
    ]


def _attempt(item: Attempt) -> tuple[str, ...]:
    cpu = "?" if item.cpu_operators is None else str(item.cpu_operators)
    opset = f"{item.opset}, written as {item.opset_written}" if item.opset else "-"
    if item.opset == item.opset_written:
        opset = str(item.opset) if item.opset else "-"
    errors = f"{item.errors}, {item.errors_before} before repairs"
    if item.fault or item.agreement is None:
        return (item.exporter, opset, "-", "-", "-", item.fault)
    found = item.agreement
    result = (
        f"agrees with PyTorch: {found.samples} samples, difference {found.max_abs_error:.2g} "
        f"(limit {found.tolerance:.2g}), relative {found.max_rel_error:.1e}"
    )
    return (item.exporter, opset, str(item.nodes), errors, cpu, result)


def _refusal(item: Attempt) -> list[tuple[str, ...]]:
    if not item.where and item.advice is None:
        return []
    return [(item.exporter, item.where), *_advice(item.advice)]


def _from_code(report: ExportReport) -> list[tuple[str, ...]]:
    """Return every finding with its line; an advice only where it comes up first."""
    rows: list[tuple[str, ...]] = []
    told: set[Advice | None] = set()
    for item in report.findings:
        rows.append(
            ("repaired" if item.fixed else item.level, f"{item.rule} {item.name}: {item.message}")
        )
        at = f"{item.file}:{item.line}: {item.text}" if item.file else f"at {item.node}"
        rows.append(("", at))
        if item.advice not in told:
            rows += _advice(item.advice)
        told.add(item.advice)
    return rows


def _advice(advice: Advice | None) -> list[tuple[str, ...]]:
    if advice is None:
        return []
    rows: list[tuple[str, ...]] = [
        ("", f"why: {advice.why}"),
        ("", f"write: {advice.rewrite}"),
    ]
    return [*rows, ("", f"see: {_GUIDE}#{advice.guide}")] if advice.guide else rows


FORMATS: Final[Mapping[str, Render[ExportReport]]] = {
    "json": document,
    "markdown": markdown,
    "text": text,
}
