"""The report as SARIF 2.1.0, in the subset that GitHub code scanning accepts and uses.

GitHub distinguishes alerts by rule, file and the text of the line. So the findings of one rule in
one model are one result, and those whose Python line is known are one result for each line, with
the model as the related location. Every result has a location, or the whole upload would be
refused; a model, being binary, is located at its line 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from npugate import escape
from npugate.findings.values import Finding, Severity, Source
from npugate.report.values import ModelReport, Report, RuleInfo
from npugate.reporters import outline
from npugate.sha256 import sha256

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_MAX_RESULTS: Final = 25_000  # a run with more is refused
_MAX_TEXT: Final = 1_000  # GitHub: 1,024 for the descriptions of a rule
_MAX_NAME: Final = 255
_NODES: Final = 10  # nodes listed in a message
_PROBLEM: Final = {
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.NOTE: "recommendation",
}


class _Result(Struct, frozen=True):
    model: ModelReport
    findings: tuple[Finding, ...]
    source: Source | None

    @property
    def severity(self) -> Severity:
        return max(finding.severity for finding in self.findings)


def render(report: Report, *, category: str = "") -> str:
    """Return the report as one SARIF log with one run.

    Args:
        report: the run.
        category: distinguishes several runs on one commit; by default ``npugate/<target>``.
    """
    rules = outline.rules_of(report)
    results = [result for model in report.models for result in _results(model)]
    kept = sorted(results, key=lambda result: -result.severity)[:_MAX_RESULTS]
    category = (category or f"npugate/{report.target}").strip("/")
    return escape.json_document(
        {
            "$schema": _SCHEMA,
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {"driver": _driver(report, rules)},
                    "automationDetails": {"id": f"{escape.visible(category)}/"},
                    "invocations": [_invocation(report, len(results) - len(kept))],
                    "columnKind": "unicodeCodePoints",
                    "results": _written(kept, {rule: n for n, rule in enumerate(rules)}),
                }
            ],
        }
    )


def _driver(report: Report, rules: Mapping[str, RuleInfo]) -> dict[str, object]:
    return {
        "name": "npugate",
        "version": report.version,
        "semanticVersion": report.version,
        **({"informationUri": home} if (home := report.documentation.home) else {}),
        "rules": [_rule(rule, report) for rule in rules.values()],
    }


def _rule(rule: RuleInfo, report: Report) -> dict[str, object]:
    summary = escape.clip(rule.summary, _MAX_TEXT)
    page = outline.page_of(report, rule.id)
    text = rule.doc.strip()
    more = "" if page else f"\n\nMore: `npugate explain {rule.id}`."
    return {
        "id": rule.id,
        "name": escape.visible(rule.name, _MAX_NAME - 55),  # room for the note about the cut
        "shortDescription": {"text": summary},
        "fullDescription": {"text": summary},
        "help": {"text": f"{text}{more}", "markdown": f"{text}{more}"},
        **({"helpUri": page} if page else {}),
        "defaultConfiguration": {"level": rule.severity.label},
        "properties": {
            "precision": "high",
            "problem.severity": _PROBLEM[rule.severity],
            "tags": ["onnx", "npu", escape.visible(report.target)],
        },
    }


def _invocation(report: Report, left_out: int) -> dict[str, object]:
    notices = [escape.sarif_message(notice) for notice in report.notices]
    if left_out:
        notices.append(f"{left_out} results are left out: a run holds at most {_MAX_RESULTS}.")
    return {
        "executionSuccessful": not (report.crashed or report.failure),
        "exitCode": report.exit_code,
        "toolExecutionNotifications": [
            {"level": "note", "message": {"text": notice}} for notice in notices
        ],
    }


def _results(model: ModelReport) -> Iterator[_Result]:
    """Yield the results of a model: by rule, then by line of Python."""
    found: dict[tuple[str, str, int], list[Finding]] = {}
    for finding in outline.counted(model):
        line = finding.source or finding.twin
        place = (line.file, line.line) if line else ("", 0)
        found.setdefault((finding.rule, *place), []).append(finding)
    for findings in found.values():
        yield _Result(model, tuple(findings), findings[0].source or findings[0].twin)


def _written(results: list[_Result], index: Mapping[str, int]) -> list[dict[str, object]]:
    seen: Counter[str] = Counter()
    written = []
    for result in results:
        identity = _identity(result)
        seen[identity] += 1
        fingerprint = sha256(f"{identity}\0{seen[identity]}".encode("utf-8", "backslashreplace"))
        written.append(_result(result, index, fingerprint[:32]))
    return written


def _identity(result: _Result) -> str:
    """Return what makes the result the same one tomorrow: its line may have moved by then."""
    rule, path = result.findings[0].rule, result.model.path
    if result.source is None:
        return f"{rule}\0{path}"
    return f"{rule}\0{path}\0{result.source.file}\0{result.source.text.strip()}"


def _result(result: _Result, index: Mapping[str, int], fingerprint: str) -> dict[str, object]:
    model, source, rule = result.model, result.source, result.findings[0].rule
    written: dict[str, object] = {
        "ruleId": rule,
        "ruleIndex": index[rule],
        "level": result.severity.label,
        "message": {"text": _message(result)},
        "locations": [_location(model.path, 1)],
        "partialFingerprints": {"npugateFingerprint/v1": fingerprint},
    }
    if source is not None:
        written["locations"] = [_location(source.file, source.line, source.text.strip())]
        related = {"id": 0, "message": {"text": "The model."}}
        written["relatedLocations"] = [related | _location(model.path, 1)]
        twin = result.findings[0].twin
        if twin is not None and twin != source:
            also = {"id": 1, "message": {"text": "Its text twin."}}
            written["relatedLocations"] = [
                related | _location(model.path, 1),
                also | _location(twin.file, twin.line, twin.text),
            ]
    return written


def _location(path: str, line: int, text: str = "") -> dict[str, object]:
    address = escape.uri(path.replace("\\", "/").removeprefix("./"))
    region: dict[str, object] = {"startLine": max(line, 1)}
    if text:
        region["snippet"] = {"text": escape.visible(text)}
    return {"physicalLocation": {"artifactLocation": {"uri": address}, "region": region}}


def _message(result: _Result) -> str:
    """Return a title sentence and the nodes, each with its numbers; GitHub shows it as text."""
    findings = result.findings
    lines = [escape.sarif_message(_closed(findings[0].message))]
    if len(findings) > 1:
        more = outline.plural(len(findings) - 1, "more finding")
        lines[0] += f" And {more} of this rule."
    if result.source is not None:
        # The link leads to the related location 0; its text is ours, the name follows as text.
        lines.append(f"In [the model](0) {escape.sarif_message(result.model.path)}.")
    lines += [f"- {_node(finding)}" for finding in findings[:_NODES]]
    if len(findings) > _NODES:
        lines.append(f"- and {len(findings) - _NODES} more")
    repairs = sorted({finding.repair for finding in findings if finding.repair})
    if repairs:
        lines.append(f"Repairable by {escape.sarif_message(', '.join(repairs))}.")
    return "\n".join(lines)


def _node(finding: Finding) -> str:
    place = escape.sarif_message(str(finding.location), escape.NAME_LIMIT)
    return f"{place}: {escape.sarif_message(finding.message, 2 * escape.NAME_LIMIT)}"


def _closed(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
