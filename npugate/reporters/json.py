"""The report as JSON, schema ``npugate-report/1`` (docs/report-json.md)."""

from __future__ import annotations

from typing import Final

from msgspec import to_builtins

from npugate import escape
from npugate.findings.sketch import Sketch
from npugate.findings.values import Cost, Finding, Severity, Source, Suppression
from npugate.report.estimate import Estimate
from npugate.report.values import Against, ModelReport, RepairReport, Report, Verification
from npugate.reporters import compiler, estimates, outline

SCHEMA: Final = "npugate-report/1"


def render(report: Report) -> str:
    """Return the report as one JSON object, indented and in ASCII.

    Strings of more than 4,096 characters lose their middle; paths and names are kept otherwise.
    """
    return escape.json_document(
        {
            "schema": SCHEMA,
            "tool": {"name": "npugate", "version": report.version},
            "target": report.target,
            "toolchain": report.toolchain,
            "fail_on": report.threshold.label if report.threshold is not None else "never",
            "models": [_model(model, report.threshold) for model in report.models],
            "summary": _summary(report),
            "rules": {
                rule.id: {
                    "name": rule.name,
                    "severity": rule.severity.label,
                    "summary": rule.summary,
                    "repair": rule.repair,
                    "fix": _text(outline.fix_of(rule)),
                }
                for rule in outline.rules_of(report).values()
            },
            "notices": [_text(notice) for notice in report.notices],
            **(
                {"documentation": to_builtins(place)}
                if (place := report.documentation).base
                else {}
            ),
            **({"opens": True} if report.opens else {}),
            **({"departed": _departed(report)} if report.departed else {}),
            **({} if report.may_leave else {"may_leave": False}),
            "crashed": report.crashed,
            "exit_code": report.exit_code,
        }
    )


def _departed(report: Report) -> list[dict[str, str]]:
    return [{"path": _text(row.path), "reason": _text(row.reason)} for row in report.departed]


def _model(model: ModelReport, threshold: Severity | None) -> dict[str, object]:
    census = model.census
    return {
        "path": _text(model.path),
        "sha256": model.digest,
        "size_bytes": model.size_bytes,
        "verdict": model.verdict(threshold),
        "census": {
            "ir_version": census.ir_version,
            "opset": census.opset,
            "producer": _text(census.producer),
            "nodes": census.nodes,
            "quantized": census.quantized,
            "inputs": [_text(name) for name in census.inputs],
            "outputs": [_text(name) for name in census.outputs],
            "domains": {_text(name): version for name, version in census.domains.items()},
        },
        "findings": [_finding(finding) for finding in model.findings],
        **(
            {}
            if model.compiled is None
            else {"stedgeai": _clipped(compiler.document(model.compiled))}
        ),
        **({} if model.estimate is None else {"estimate": _estimated(model.estimate)}),
        **({} if model.against is None else {"base": _against(model.against)}),
        **({} if model.repair is None else {"repair": _repair(model, model.repair, threshold)}),
    }


def _against(against: Against) -> dict[str, object]:
    return {
        "new": sorted(against.new),
        "unchanged": sorted(against.unchanged),
        "fixed": [_finding(finding) for finding in against.fixed],
        **({} if against.estimate is None else {"estimate": _estimate(against.estimate)}),
        **({"added": True} if against.added else {}),
    }


def _estimated(found: Estimate) -> object:
    return _clipped({**estimates.document(found), "steps": estimates.steps(found)})


def _estimate(found: Estimate) -> object:
    return _clipped(estimates.document(found))


def _repair(
    model: ModelReport, repair: RepairReport, threshold: Severity | None
) -> dict[str, object]:
    return {
        "output": None if repair.output is None else _text(repair.output),
        "verdict_after": model.verdict_after(threshold),
        "as_found": model.as_found,
        "findings_after": [_finding(finding) for finding in repair.findings],
        "outcomes": [
            {
                "repair": outcome.repair,
                "state": outcome.state,
                "reason": _text(outcome.reason),
                "edits": [_text(edit) for edit in outcome.edits],
                "interface": [
                    {"name": _text(item.name), "before": item.before, "after": item.after}
                    for item in outcome.interface
                ],
            }
            for outcome in repair.outcomes
        ],
        "verification": _verification(repair.verification),
        "before": to_builtins(repair.before),
        "after": to_builtins(repair.after),
    }


def _verification(found: Verification | None) -> dict[str, object] | None:
    if found is None:
        return None
    return {
        "equal": found.equal,
        "samples": found.samples,
        "values": found.values,
        "max_abs_error": found.max_abs_error,
        "tolerance": found.tolerance,
        "steps": found.steps,
        "most_steps": found.most_steps,
        "reference": found.reference,
        "reason": _text(found.reason),
        "notes": [_text(note) for note in found.notes],
    }


def _finding(finding: Finding) -> dict[str, object]:
    place = finding.location
    return {
        "rule": finding.rule,
        "name": finding.name,
        "severity": finding.severity.label,
        "message": _text(finding.message),
        "location": {
            "graph": _text(place.graph),
            "node": _text(place.node),
            "op_type": _text(place.op_type),
            "value": _text(place.value),
        },
        "source": _source(finding.source),
        "twin": _twin(finding.twin),
        "fingerprint": finding.fingerprint,
        "suppressed": finding.suppression is not None,
        "suppression": _suppression(finding.suppression),
        "repair": finding.repair,
        **({} if finding.cost is None else {"cost": _cost(finding.cost)}),
        **({} if finding.sketch is None else {"neighbours": _sketch(finding.sketch)}),
    }


def _cost(cost: Cost) -> dict[str, object]:
    times = cost.microseconds
    return {
        "microseconds": None
        if times is None
        else dict(zip(("low", "likely", "high"), times, strict=True)),
        "written_bytes": cost.written_bytes,
    }


def _sketch(sketch: Sketch) -> dict[str, object]:
    return {
        "nodes": [{"op_type": _text(spot.kind), "name": _text(spot.name)} for spot in sketch.spots],
        "edges": [
            {"from": link.start, "to": link.end, "shape": _text(link.shape)}
            for link in sketch.links
        ],
        "hidden": sketch.hidden,
    }


def _source(source: Source | None) -> dict[str, object] | None:
    if source is None:
        return None
    return {"file": _text(source.file), "line": source.line, "text": _text(source.text)}


def _twin(twin: Source | None) -> dict[str, object] | None:
    return None if twin is None else {"file": _text(twin.file), "line": twin.line}


def _suppression(suppression: Suppression | None) -> dict[str, object] | None:
    if suppression is None:
        return None
    return {"by": suppression.by, "reason": _text(suppression.reason)}


def _summary(report: Report) -> dict[str, int]:
    counts = outline.verdicts(report)
    return {
        "models": len(report.models),
        "passed": counts["pass"],
        "failed": counts["fail"],
        "unreadable": counts["unreadable"],
        "errors": report.total(Severity.ERROR),
        "warnings": report.total(Severity.WARNING),
        "notes": report.total(Severity.NOTE),
        "suppressed": sum(len(outline.suppressed(model)) for model in report.models),
    }


def _clipped(value: object) -> object:
    """Return a document in which every string is one that a report may hold."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(key): _clipped(item) for key, item in value.items()}
    return [_clipped(item) for item in value] if isinstance(value, list) else value


def _text(text: str) -> str:
    return escape.clip(text, escape.DATA_LIMIT)
