"""What the report page shows, as one value that becomes JSON (docs/report-page.md).

Every text is made harmless here; the page's own program writes texts as text, never as markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import to_builtins

from npugate import escape
from npugate.findings.values import Finding, Source
from npugate.report.graph_view import GraphView
from npugate.report.values import ModelReport, RepairReport, Report, Verification
from npugate.reporters import compiler, outline
from npugate.reporters.pageestimate import Places, estimate

SCHEMA: Final = "npugate-page/1"
_MOST_FINDINGS: Final = 2_000  # of one model; all of them are in the other reports
_MOST_DRAWN: Final = 40_000  # nodes on a whole page
_MOST_LINES: Final = 400  # of a difference


def page(report: Report, sources: str) -> dict[str, object]:
    """Return everything that a page shows.

    Args:
        report: a whole run.
        sources: what a path is put behind to link to it; empty links nothing.
    """
    room = _MOST_DRAWN
    models: list[dict[str, object]] = []
    for model in report.models:
        drawn = sum(len(view.nodes) for view in _views(model))
        models.append(_model(model, report, sources, draws=drawn <= room))
        room -= drawn if drawn <= room else 0
    return {
        "schema": SCHEMA,
        "version": report.version,
        "target": _name(report.target),
        "toolchain": _name(report.toolchain),
        "fail_on": report.threshold.label if report.threshold is not None else "never",
        "verdict": outline.verdict_word(report),
        "notices": [_text(notice) for notice in (*_departed(report), *report.notices)],
        "rules": {
            rule.id: {
                "name": rule.name,
                "summary": _text(rule.summary),
                "fix": _text(outline.fix_of(rule)),
                "link": outline.page_of(report, rule.id),
            }
            for rule in outline.rules_of(report).values()
        },
        "repairs": _repairs(report),
        "models": models,
    }


def _departed(report: Report) -> list[str]:
    title, rows = outline.departed(report)
    return [f"{title}: {path}: {reason}" for path, reason in rows]


def _repairs(report: Report) -> dict[str, str]:
    """Return the address of the page of each repair that is named, where it is known."""
    named = {rule.repair for rule in outline.rules_of(report).values() if rule.repair}
    tried = {o.repair for m in report.models if m.repair is not None for o in m.repair.outcomes}
    pages = {name: report.documentation.repair(name) for name in sorted(named | tried)}
    return {name: page for name, page in pages.items() if page}


def _views(model: ModelReport) -> list[GraphView]:
    after = None if model.repair is None else model.repair.graph
    return [view for view in (model.graph, after) if view is not None]


def _model(model: ModelReport, report: Report, sources: str, *, draws: bool) -> dict[str, object]:
    census = model.census
    graph = model.graph if draws else None
    places = _places(graph)
    repair = model.repair
    return {
        "path": _name(model.path),
        "about": _text(outline.describe(model)),
        "tally": outline.tally_of(model.findings),
        "base": _text(outline.against(model)),
        "sha256": model.digest,
        "producer": _name(census.producer),
        "inputs": [_name(name) for name in census.inputs],
        "outputs": [_name(name) for name in census.outputs],
        "crowded": not draws,
        "before": {
            "verdict": model.verdict(report.threshold),
            "findings": [
                _finding(f, places, sources, model) for f in model.findings[:_MOST_FINDINGS]
            ],
            "left_out": max(0, len(model.findings) - _MOST_FINDINGS),
            "graph": _graph(graph),
            "estimate": estimate(model.estimate, places),
        },
        "compiler": compiler.page(model.compiled),
        "repair": None if repair is None else _repair(model, repair, report, sources, draws=draws),
    }


def _repair(
    model: ModelReport, repair: RepairReport, report: Report, sources: str, *, draws: bool
) -> dict[str, object]:
    graph = repair.graph if draws else None
    places = _places(graph)
    check = repair.verification
    return {
        "repaired": repair.is_repaired,
        "output": None if repair.output is None else _name(repair.output),
        "outcomes": [
            {
                "repair": outcome.repair,
                "state": outcome.state,
                "reason": _text(outcome.reason),
                "edits": [_text(edit) for edit in outcome.edits],
                "interface": [
                    [_name(item.name), _name(item.before), _name(item.after)]
                    for item in outcome.interface
                ],
            }
            for outcome in repair.outcomes
        ],
        "proof": None if check is None else _proof(check),
        "figures": [to_builtins(repair.before), to_builtins(repair.after)],
        "diff": [_text(line) for line in repair.diff[:_MOST_LINES]],
        "diff_left_out": max(0, len(repair.diff) - _MOST_LINES),
        "after": {
            "verdict": model.verdict_after(report.threshold),
            "findings": [
                _finding(f, places, sources, model) for f in repair.findings[:_MOST_FINDINGS]
            ],
            "left_out": max(0, len(repair.findings) - _MOST_FINDINGS),
            "graph": _graph(graph),
            "estimate": estimate(repair.estimate, places),
        },
    }


def _proof(check: Verification) -> dict[str, object]:
    notes = [_text(note) for note in check.notes]
    return {**to_builtins(check), "reason": _text(check.reason), "notes": notes}


def _places(graph: GraphView | None) -> Places:
    """Return the position of each node by its graph and label."""
    found: dict[tuple[str, str], int] = {}
    for index, node in enumerate(() if graph is None else graph.nodes):
        found.setdefault((node.graph, node.label), index)
    return found


def _graph(graph: GraphView | None) -> dict[str, object] | None:
    if graph is None:
        return None
    index = _Index()
    return {
        # label; operator, scope, graph and types of the outputs by their number; 1 for a constant
        "nodes": [
            [
                _name(node.label),
                index.of(_name(node.op_type)),
                index.of(_name(node.scope)),
                index.of(_name(node.graph)),
                index.of(_name(", ".join(node.outputs))),
                int(node.is_constant),
            ]
            for node in graph.nodes
        ],
        "edges": [number for edge in graph.edges for number in (edge.source, edge.target)],
        "texts": index.texts,
        "left_out": graph.left_out,
    }


class _Index:
    """Texts that occur often, each written once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._known: dict[str, int] = {}

    def of(self, text: str) -> int:
        """Return the number of a text."""
        if text not in self._known:
            self._known[text] = len(self.texts)
            self.texts.append(text)
        return self._known[text]


def _finding(
    finding: Finding, places: Mapping[tuple[str, str], int], sources: str, model: ModelReport
) -> dict[str, object]:
    place = finding.location
    against = model.against
    return {
        "rule": finding.rule,
        "name": finding.name,
        "severity": finding.severity.label,
        "message": _text(finding.message),
        "place": _name(str(place)),
        "op": _name(place.op_type),
        "node": places.get((place.graph, place.node), -1) if place.node else -1,
        "source": _source(finding.source, sources),
        "twin": _source(finding.twin, sources),
        "suppressed": "" if finding.suppression is None else _text(finding.suppression.reason),
        "counts": finding.suppression is None,
        "new": against is not None and finding.fingerprint in against.new,
        "repair": finding.repair or "",
    }


def _source(source: Source | None, sources: str) -> dict[str, object] | None:
    if source is None:
        return None
    link = f"{sources}{escape.uri(source.file.lstrip('/'))}#L{source.line}" if sources else ""
    return {
        "file": _name(source.file),
        "line": source.line,
        "text": _text(source.text.strip()),
        "link": link,
    }


def _name(text: str) -> str:
    return escape.visible(text, escape.NAME_LIMIT)


def _text(text: str) -> str:
    return escape.visible(text, escape.TEXT_LIMIT)
