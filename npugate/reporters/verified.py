"""The report of ``npugate verify`` as text and JSON (``npugate-verify/1``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import to_builtins

from npugate import escape
from npugate.deploy.values import VerifyReport
from npugate.reporters import Render

SCHEMA: Final = "npugate-verify/1"


def document(report: VerifyReport) -> str:
    """Return the report as one JSON object."""
    content = {**to_builtins(report), "passed": report.passed, "exit_code": report.exit_code}
    return escape.json_document({"schema": SCHEMA, **content})


def text(report: VerifyReport) -> str:
    """Return the report for a terminal; it serves as Markdown, too."""
    return escape.log_document("".join(f"{line}\n" for line in _lines(report)))


def _lines(report: VerifyReport) -> Iterator[str]:
    yield f"{escape.visible(report.model)}: {report.samples} samples"
    for item in report.outputs:
        word = "ok" if item.in_range and item.is_finite else "FAILED"
        note = "" if item.is_finite else ", with NaN or infinity"
        wanted = f", expected {report.expect[0]:g} to {report.expect[1]:g}" if report.expect else ""
        span = f"{item.lowest:.6g} to {item.highest:.6g}"
        yield f"  {word}: output {escape.visible(item.name)} is {span}{note}{wanted}"
    if report.int8_inputs_equal is not None:
        word = "ok" if report.int8_inputs_equal else "FAILED"
        yield f"  {word}: inputs rounded to the model's own integers give the same outputs"
    for notice in report.notices:
        yield f"  note: {notice}"
    yield "PASSED" if report.passed else "FAILED"


FORMATS: Final[Mapping[str, Render[VerifyReport]]] = {
    "json": document,
    "markdown": text,
    "text": text,
}
