"""What the reporters share: equal findings put together, counts in words, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from npugate.findings.values import Finding, Severity
from npugate.report.values import ModelReport, Report, RuleInfo

GROUP_FROM: Final = 10  # fewer equal findings are worth a line each
PLACES: Final = 3
WORST_FIRST: Final = (Severity.ERROR, Severity.WARNING, Severity.NOTE)

_FIX: Final = re.compile(r"\*\*Fix\.\*\*\s*(.+?)(?:\n\s*\n|\Z)", re.DOTALL)
_SENTENCE: Final = re.compile(r"(.+?[.!?])(?=\s+[A-Z`])", re.DOTALL)
_KIB: Final = 1024


class Group(Struct, frozen=True):
    """Findings that read as one: of one rule, one severity and one kind of node.

    Attributes:
        findings: at least one, in report order.
    """

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        """The finding that stands for all."""
        return self.findings[0]

    def __len__(self) -> int:
        """Return the number of findings."""
        return len(self.findings)


def groups(findings: Iterable[Finding], group_from: int = GROUP_FROM) -> tuple[Group, ...]:
    """Put equal findings together, each group where its first finding stood.

    Args:
        findings: in report order.
        group_from: smaller sets of equal findings are listed one by one.
    """
    equal: dict[tuple[str, Severity, str], list[Finding]] = {}
    ordered = list(findings)
    for finding in ordered:
        equal.setdefault(_kind(finding), []).append(finding)
    result: list[Group] = []
    for finding in ordered:
        same = equal[_kind(finding)]
        if len(same) < group_from:
            result.append(Group((finding,)))
        elif same[0] is finding:
            result.append(Group(tuple(same)))
    return tuple(result)


def counted(model: ModelReport) -> tuple[Finding, ...]:
    """Return the findings of a model that are left and not suppressed."""
    return unsuppressed(model.left)


def unsuppressed(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings that are not suppressed."""
    return tuple(finding for finding in findings if finding.suppression is None)


def suppressed(model: ModelReport) -> tuple[Finding, ...]:
    """Return the suppressed findings of a model."""
    return tuple(finding for finding in model.left if finding.suppression is not None)


def rules_of(report: Report) -> dict[str, RuleInfo]:
    """Return every rule that ran or has a finding, by id; an unlisted one goes by its finding."""
    found = dict(report.rules)
    for model in report.models:
        for f in (*model.findings, *model.left):
            if f.rule not in found:
                found[f.rule] = RuleInfo(f.rule, f.name, f.severity, f.name, f.name, f.repair)
    return dict(sorted(found.items()))


def fix_of(rule: RuleInfo | None) -> str:
    """Return the first sentence of the rule's Fix paragraph; empty when it has none."""
    match = _FIX.search(rule.doc) if rule else None
    if match is None:
        return ""
    text = " ".join(match[1].split())
    sentence = _SENTENCE.match(text)
    return sentence[1] if sentence else text


def page_of(report: Report, rule: str) -> str:
    """Return the address of the page of a rule that ran; empty where none is known."""
    info = report.rules.get(rule)
    return report.documentation.rule(info.name) if info else ""


def more_about(report: Report, rule: str) -> str:
    """Return where there is more about a rule: the address of its page, else the command."""
    return page_of(report, rule) or f"npugate explain {rule}"


def plural(count: int, noun: str) -> str:
    """Return for example ``1 error`` or ``2 errors``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def tally(model: ModelReport) -> str:
    """Return the counts of what is left of a model, as ``tally_of`` does."""
    return tally_of(model.left)


def tally_of(findings: Sequence[Finding]) -> str:
    """Return the counts of findings in words, worst first, without the zeros."""
    shown = unsuppressed(findings)
    counts = {level: sum(1 for f in shown if f.severity is level) for level in WORST_FIRST}
    parts = [plural(count, level.label) for level, count in counts.items() if count]
    if hidden := len(findings) - len(shown):
        parts.append(f"{hidden} suppressed")
    return ", ".join(parts) or "no findings"


def against(model: ModelReport) -> str:
    """Say how a model compares with the base branch; empty when it was not compared."""
    found = model.against
    if found is None:
        return ""
    if found.added:
        return "against the base: a new model"
    counts = len(found.new), len(found.unchanged), len(found.fixed)
    text = "against the base: {} new, {} unchanged, {} fixed".format(*counts)
    rules = sorted({f"{finding.rule} {finding.name}" for finding in found.fixed})
    return f"{text} ({', '.join(rules)})" if rules else text


def describe(model: ModelReport) -> str:
    """Return what the model is in one line: opset, IR, nodes, quantisation, size."""
    census = model.census
    size = f"{size_text(model.size_bytes)}"
    if not (census.opset or census.ir_version or census.nodes):
        return f"not read as a model, {size}"
    nodes = plural(census.nodes, "node")
    return f"opset {census.opset}, IR {census.ir_version}, {nodes}, {census.quantized}, {size}"


def size_text(size_bytes: int) -> str:
    """Return a size in bytes, KiB, MiB or GiB."""
    if size_bytes < _KIB:
        return plural(size_bytes, "byte")
    value = float(size_bytes)
    for unit in ("KiB", "MiB"):
        value /= _KIB
        if value < _KIB:
            return f"{value:.1f} {unit}"
    return f"{value / _KIB:.1f} GiB"


def departed(report: Report) -> tuple[str, list[tuple[str, str]]]:
    """Return a title for the models that left the gate, and (path, what became of it) of each."""
    count = len(report.departed)
    fails = "" if report.may_leave else ", which fails the run"
    return f"{plural(count, 'model')} left the gate{fails}", [
        (row.path, row.reason) for row in report.departed
    ]


def verdicts(report: Report) -> dict[str, int]:
    """Return how many models passed, failed or could not be read."""
    found = {"pass": 0, "fail": 0, "unreadable": 0}
    for model in report.models:
        found[model.final_verdict(report.threshold)] += 1
    return found


def verdict_word(report: Report) -> str:
    """Return ``PASS``, ``FAIL`` or, when a rule crashed or there is no verdict, ``ERROR``."""
    if report.crashed or report.failure:
        return "ERROR"
    return "FAIL" if report.failed else "PASS"


def reasons(findings: Sequence[Finding]) -> list[tuple[int, str, str, str]]:
    """Return (count, rule, by, reason) of suppressed findings, in report order."""
    found: dict[tuple[str, str, str], int] = {}
    for finding in findings:
        if finding.suppression is not None:
            key = (finding.rule, finding.suppression.by, finding.suppression.reason)
            found[key] = found.get(key, 0) + 1
    return [(count, *key) for key, count in found.items()]


def _kind(finding: Finding) -> tuple[str, Severity, str]:
    return finding.rule, finding.severity, finding.location.op_type
