"""The report for GitLab's Code Quality widget: an array of issues, each with a fingerprint."""

from __future__ import annotations

from collections import Counter
from typing import Final

from npugate import escape
from npugate.findings.values import Finding, Severity
from npugate.report.values import ModelReport, Report
from npugate.reporters import outline
from npugate.sha256 import sha256

_LEVELS: Final = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.NOTE: "info"}


def render(report: Report) -> str:
    """Return a Code Quality report; suppressed findings are left out."""
    seen: Counter[str] = Counter()
    return escape.json_document(
        [
            _issue(model, finding, _identity(model, finding, seen))
            for model in report.models
            for finding in outline.counted(model)
        ]
    )


def _issue(model: ModelReport, finding: Finding, fingerprint: str) -> dict[str, object]:
    where = (
        (model.path, 1) if finding.source is None else (finding.source.file, finding.source.line)
    )
    path = where[0].replace("\\", "/").removeprefix("./")
    text = f"{finding.rule} {finding.name}: {finding.message}"
    if finding.source is not None:
        text += f" ({model.path})"  # the location names the Python file
    return {
        "description": escape.visible(text),
        "check_name": finding.rule,
        "fingerprint": fingerprint,
        "severity": _LEVELS[finding.severity],
        "location": {"path": escape.visible(path, escape.DATA_LIMIT), "lines": {"begin": where[1]}},
    }


def _identity(model: ModelReport, finding: Finding, seen: Counter[str]) -> str:
    """Return a fingerprint that no other issue has: GitLab shows equal ones once."""
    text = f"{model.path}\0{finding.fingerprint}"
    seen[text] += 1
    return sha256(f"{text}\0{seen[text]}".encode("utf-8", "backslashreplace"))
