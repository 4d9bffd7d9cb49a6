"""The report for a person at a terminal: per model a verdict and what to do, totals at the end."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from npugate import escape
from npugate.findings.values import Finding, Location, Severity
from npugate.report.compiled import Compiled
from npugate.report.values import ModelReport, RepairReport, Report, RuleInfo
from npugate.reporters import compiler, estimates, outline, repairs

_WIDTH: Final = 100
_HEADINGS: Final = {
    Severity.ERROR: "VIOLATIONS (must fix):",
    Severity.WARNING: "WARNINGS (should fix):",
    Severity.NOTE: "NOTES:",
}
_COLOURS: Final = {
    "fail": "1;31",
    "unreadable": "1;31",
    "pass": "1;32",
    "path": "1",
    Severity.ERROR: "31",
    Severity.WARNING: "33",
    Severity.NOTE: "36",
}


def render(
    report: Report, *, colour: bool = False, verbose: bool = False, diff: bool = False
) -> str:
    """Return the report as text of at most 100 columns, except for unbreakable names.

    Args:
        report: the run.
        colour: True adds terminal colours.
        verbose: True lists every finding for itself, suppressed ones too, and more of each model.
        diff: True lists the nodes that a repair removed, added and changed.
    """
    page = _Page(report, colour=colour, verbose=verbose, diff=diff)
    return escape.log_document("\n".join(page.lines()) + "\n")


_NO_VERDICT: Final = "THE RUN CAME TO NO VERDICT: A NOTICE SAYS WHY"


class _Page:
    def __init__(self, report: Report, *, colour: bool, verbose: bool, diff: bool) -> None:
        self._report = report
        self._diff = diff
        self._colour = colour
        self._verbose = verbose

    def lines(self) -> Iterator[str]:
        report = self._report
        models = outline.plural(len(report.models), "model")
        against = escape.visible(f"{report.target}, toolchain {report.toolchain}")
        yield f"npugate {report.version}: {models} against {against}"
        for model in report.models:
            yield ""
            yield from self._model(model)
        yield ""
        yield from self._totals()

    def _model(self, model: ModelReport) -> Iterator[str]:
        verdict = model.verdict(self._report.threshold)
        path = self._paint(escape.visible(model.path, escape.DATA_LIMIT), "path")
        yield path
        yield f"  {escape.visible(outline.describe(model))}"
        if self._verbose:
            yield from self._details(model)
        word = "NO VERDICT" if verdict == "pass" and self._report.failure else verdict.upper()
        yield f"  {self._paint(word, verdict)}: {outline.tally_of(model.findings)}"
        if compared := outline.against(model):
            yield from _wrapped(escape.visible(compared), "  ", "    ")
        if model.estimate is not None:
            before = model.against.estimate if model.against else None
            line = escape.visible(estimates.line(model.estimate, before))
            yield from _wrapped(line, "  ", "    ")
        explained: set[str] = set()
        for severity in outline.WORST_FIRST:
            yield from self._section(outline.unsuppressed(model.findings), severity, explained)
        yield from self._suppressed(model)
        if model.compiled is not None:
            yield from self._compiled(model.compiled)
        if model.repair is not None:
            yield from self._repair(model, model.repair)

    def _compiled(self, found: Compiled) -> Iterator[str]:
        yield ""
        yield from _wrapped(escape.visible(compiler.headline(found)), "  COMPILER: ", "    ")
        for line in compiler.amounts(found):
            yield from _wrapped(escape.visible(line), "    ", "      ")
        sentence, differ = compiler.compared(found)
        yield from ([f"    {sentence}"] if sentence else [])
        for row in found.differences if self._verbose else differ:
            mark = "" if row.agrees else " (differs)"
            text = f"{row.subject}: predicted {row.predicted}, compiled {row.compiled}{mark}"
            yield from _wrapped(escape.visible(text), "      - ", "        ")

    def _repair(self, model: ModelReport, repair: RepairReport) -> Iterator[str]:
        yield ""
        yield f"  {self._paint('REPAIR', 'path')}: {escape.visible(repairs.headline(repair))}"
        for sentence, details in repairs.outcomes(repair):
            yield from _wrapped(escape.visible(sentence), "    ", "      ")
            for detail in details:
                yield from _wrapped(escape.visible(detail), "      - ", "        ")
        if repair.verification is not None:
            text = repairs.proof(repair.verification)
            yield from _wrapped(escape.visible(text), "    proof: ", "      ")
            for note in repair.verification.notes:
                yield from _wrapped(escape.visible(note), "      note: ", "        ")
        if repair.is_repaired:
            changes = ", ".join(repairs.size_changes(repair.before, repair.after))
            yield from _wrapped(changes, "    ", "      ")
            verdict = model.verdict_after(self._report.threshold)
            left = outline.tally_of(repair.findings)
            yield f"    after repair: {self._paint(verdict.upper(), verdict)}: {left}"
            for severity in outline.WORST_FIRST[:2]:
                yield from self._section(outline.unsuppressed(repair.findings), severity, set())
        if self._diff and repair.diff:
            yield ""
            yield from (f"    {escape.visible(line, escape.DATA_LIMIT)}" for line in repair.diff)

    def _details(self, model: ModelReport) -> Iterator[str]:
        census = model.census
        for label, values in (
            ("sha256", (model.digest,)),
            ("producer", (census.producer,)),
            ("inputs", census.inputs),
            ("outputs", census.outputs),
            ("domains", [f"{name or 'ai.onnx'} {n}" for name, n in census.domains.items()]),
        ):
            text = ", ".join(escape.visible(value, escape.NAME_LIMIT) for value in values if value)
            if text:
                yield from _wrapped(text, f"  {label}: ", "    ")

    def _section(
        self, findings: Iterable[Finding], severity: Severity, explained: set[str]
    ) -> Iterator[str]:
        found = [f for f in findings if f.severity is severity]
        if not found:
            return
        yield ""
        yield f"  {self._paint(_HEADINGS[severity], severity)}"
        size = len(found) + 1 if self._verbose else outline.GROUP_FROM
        for number, group in enumerate(outline.groups(found, size), 1):
            yield from self._item(number, group, explained)

    def _item(self, number: int, group: outline.Group, explained: set[str]) -> Iterator[str]:
        first = group.first
        label = f"{number:>3}. "
        rest = " " * (len(label) + 2)
        many = f"{len(group)} x {first.location.op_type or 'equal'}, first: "
        text = f"{first.rule} {first.name}: {many if len(group) > 1 else ''}{first.message}"
        yield from _wrapped(escape.visible(text), f"  {label}", rest)
        places = [_place(finding) for finding in group.findings[: outline.PLACES]]
        more = len(group) - len(places)
        listed = "; ".join(places) + (f"; and {more} more" if more else "")
        if first.location != Location():
            yield from _wrapped(listed, f"{rest}at ", f"{rest}   ")
        for line in _sources(group):
            yield from _wrapped(line, rest, f"{rest}  ")
        yield from self._advice(first, rest, explained)

    def _advice(self, finding: Finding, indent: str, explained: set[str]) -> Iterator[str]:
        if finding.repair:
            yield from _wrapped(escape.visible(f"repairable by {finding.repair}"), indent, indent)
        rule: RuleInfo | None = self._report.rules.get(finding.rule)
        known = finding.rule in explained
        fix = "" if known else outline.fix_of(rule)
        page = "" if known else outline.page_of(self._report, finding.rule)
        explained.add(finding.rule)
        if fix:
            yield from _wrapped(escape.visible(fix), f"{indent}fix: ", f"{indent}     ")
        if page:
            yield f"{indent}more: {page}"

    def _suppressed(self, model: ModelReport) -> Iterator[str]:
        hidden = outline.suppressed(model)
        if not hidden:
            return
        yield ""
        yield "  SUPPRESSED (not counted):"
        for count, rule, by, reason in outline.reasons(hidden):
            text = f"{count} x {rule} by {by}: {reason or 'no reason given'}"
            yield from _wrapped(escape.visible(text), "    ", "      ")
            if self._verbose:
                yield from (
                    f"      at {_place(f)}: {escape.visible(f.message)}"
                    for f in hidden
                    if (f.rule, f.suppression and f.suppression.reason) == (rule, reason)
                )

    def _totals(self) -> Iterator[str]:
        report = self._report
        counts = outline.verdicts(report)
        yield self._paint("FINAL DIAGNOSTIC REPORT", "path")
        verdicts = f"{counts['pass']} passed, {counts['fail']} failed"
        yield f"  Models:     {len(report.models)} ({verdicts}, {counts['unreadable']} unreadable)"
        if any(model.repair is not None for model in report.models):
            fixed = sum(1 for m in report.models if m.repair is not None and m.repair.is_repaired)
            yield f"  Repaired:   {fixed}; what follows is what is left"
        yield f"  Violations: {report.total(Severity.ERROR)}"
        yield f"  Warnings:   {report.total(Severity.WARNING)}"
        yield f"  Notes:      {report.total(Severity.NOTE)}"
        if hidden := sum(len(outline.suppressed(model)) for model in report.models):
            yield f"  Suppressed: {hidden}"
        yield from self._outlook()
        yield from _departed(report)
        for notice in report.notices:
            yield from _wrapped(escape.visible(notice), "  notice: ", "    ")
        word = outline.verdict_word(report)
        shade = "pass" if word == "PASS" else "fail"
        came_to_none = report.failure and report.models
        yield self._paint(_NO_VERDICT if came_to_none else _sentence(report), shade)
        yield f"verdict: {self._paint(word, shade)} (exit status {report.exit_code})"

    def _outlook(self) -> Iterator[str]:
        every = [finding for model in self._report.models for finding in outline.counted(model)]
        repairs = sorted({finding.repair for finding in every if finding.repair})
        if repairs:
            count = sum(1 for finding in every if finding.repair)
            text = f"{outline.plural(count, 'finding')} repairable by {', '.join(repairs)}"
            yield from _wrapped(escape.visible(text), "  ", "    ")
        if every:
            yield f"  More about a rule: npugate explain {escape.visible(every[0].rule)}"

    def _paint(self, text: str, shade: str | Severity) -> str:
        return f"\x1b[{_COLOURS[shade]}m{text}\x1b[0m" if self._colour else text


def _departed(report: Report) -> Iterator[str]:
    if report.departed:
        title, rows = outline.departed(report)
        yield f"  {title}:"
        for path, reason in rows:
            yield from _wrapped(escape.visible(f"{path}: {reason}"), "    ", "      ")


def _sentence(report: Report) -> str:
    target = escape.visible(report.target).upper()
    whole = outline.plural(len(report.models), "model").upper()
    has = "HAS" if len(report.models) == 1 else "HAVE"
    failing = sum(1 for model in report.models if model.fails(report.threshold))
    of = f"{failing} OF {whole}" if len(report.models) > 1 else "MODEL"
    if report.crashed:
        return "NPUGATE ITSELF FAILED: A RULE CRASHED, SO THE VERDICT IS INCOMPLETE"
    if failing and report.total(Severity.ERROR):
        return f"{of} {has} VIOLATIONS - MUST FIX BEFORE {target} DEPLOYMENT"
    if report.failed:
        level = report.threshold.label if report.threshold is not None and failing else ""
        found = f"{of} {has} FINDINGS AT OR ABOVE --fail-on {level}"
        return found if level else "MODELS LEFT THE GATE, WHICH FAILS THE RUN"
    if report.total(Severity.ERROR):
        return "THERE ARE VIOLATIONS, BUT NOTHING FAILS WITH --fail-on never"
    if not report.models:
        return "NO MODEL WAS CHECKED"
    return f"NO VIOLATIONS OF THE LIMITS OF {target} FOUND IN {whole}"


def _place(finding: Finding) -> str:
    return escape.visible(str(finding.location), escape.NAME_LIMIT)


def _sources(group: outline.Group) -> list[str]:
    found: dict[str, None] = {}
    for finding in group.findings:
        if finding.source is not None:
            source = finding.source
            text = escape.visible(source.text.strip(), escape.NAME_LIMIT)
            found[f"{escape.visible(source.file)}:{source.line}: {text}"] = None
    return list(found)[: outline.PLACES]


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,  # a name stays in one piece, so that it can be copied
        break_on_hyphens=False,
    )
