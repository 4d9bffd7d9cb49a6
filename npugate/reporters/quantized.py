"""The report of ``npugate quantize`` as text, JSON (``npugate-quantize/1``) and Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import to_builtins

from npugate import escape
from npugate.int8.values import QuantizeReport
from npugate.reporters import Render, sections
from npugate.reporters.sections import Section

SCHEMA: Final = "npugate-quantize/1"
_SHOWN: Final = 6  # nodes of an island


def text(report: QuantizeReport) -> str:
    """Return the report for a terminal."""
    return sections.text(_heading(report), _sections(report), _ending(report))


def markdown(report: QuantizeReport) -> str:
    """Return the report for a page."""
    return sections.markdown(_heading(report), _sections(report), _ending(report))


def document(report: QuantizeReport) -> str:
    """Return the report as one JSON object; the samples' digests are in the sidecar only."""
    content = to_builtins(report)
    content["calibration"].pop("digests")
    content["calibration"]["lowest"] = dict(report.calibration.lowest)
    content["calibration"]["highest"] = dict(report.calibration.highest)
    content["violations"] = [
        {"rule": rule, "before": before, "after": after}
        for rule, before, after in report.violations
    ]
    content |= {"passed": report.passed, "exit_code": report.exit_code}
    return escape.json_document({"schema": SCHEMA, **content})


def _heading(report: QuantizeReport) -> str:
    return f"int8 of {report.model}"


def _ending(report: QuantizeReport) -> str:
    if not report.passed:
        count = sum(not check.passed for check in report.checks)
        return f"FAILED: {count} checks of the result failed; nothing was written"
    random = " (accuracy unknown)" if report.calibration.kind == "random" else ""
    return f"PASSED{random}: wrote {report.output}, {report.output_bytes:,} bytes"


def _sections(report: QuantizeReport) -> list[Section]:
    used = report.calibration
    ranges = dict(used.highest)
    about = [
        ("method", used.method),
        ("samples", f"{used.used} of {used.available}, seed {used.seed}"),
        ("data", used.place or "random numbers"),
        ("preprocessing", used.preprocessing),
        *((f"input {name}", f"{low:.4g} to {ranges[name]:.4g}") for name, low in used.lowest),
    ]
    size = f"{report.size_bytes:,} to {report.output_bytes:,} bytes" if report.output else ""
    islands = [
        (
            ", ".join(island.operators),
            ", ".join(island.nodes[:_SHOWN]) + (" ..." if len(island.nodes) > _SHOWN else ""),
            "excluded" if island.asked else "not supported in int8 by the quantiser",
        )
        for island in report.islands
    ]
    return [
        Section("Calibration", about),
        Section(
            "Samples by label",
            [("label", "there are", "used")]
            + [(s.label, str(s.available), str(s.used)) for s in used.strata],
            has_head=True,
        ),
        Section("Prepared", [(line,) for line in report.prepared]),
        Section(
            "Checked",
            [("ok" if c.passed else "FAILED", c.name, c.text) for c in report.checks],
        ),
        Section("Float islands (run on the processor)", islands),
        Section("Size", [(size,)] if size else []),
        Section("Note", [(line,) for line in report.notices]),
    ]


FORMATS: Final[Mapping[str, Render[QuantizeReport]]] = {
    "json": document,
    "markdown": markdown,
    "text": text,
}
