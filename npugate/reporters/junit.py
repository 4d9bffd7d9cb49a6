"""The report as JUnit XML: a suite for each model, a case for each rule that ran on it.

Written with ``junit-xml``, whose output is then brought to what the Jenkins schema allows: no
``disabled`` attribute, times with three decimals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final
from xml.etree.ElementTree import Element, indent, tostring

from junit_xml import TestCase, TestSuite

from npugate import escape
from npugate.findings.values import Finding, Severity
from npugate.report.values import ModelReport, Report, RuleInfo
from npugate.reporters import outline

_LISTED: Final = 100  # findings written out in one case
_TOTALS: Final = ("tests", "failures", "errors")


def render(report: Report) -> str:
    """Return the report as an XML document in ASCII.

    A rule fails with an error, and with less where ``--fail-on`` says so; what does not fail it
    goes to the case's output. A rule with suppressed findings only is skipped. Of a model that
    could not be read, only the rules that found something are listed: the others did not run. A
    run that came to no verdict is an error, because an empty document would pass.
    """
    root = Element("testsuites", name="npugate")
    if report.failure:
        root.append(_no_verdict(report))
    for model in report.models:
        root.append(_suite(model, report))
    for name in _TOTALS:
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    root.set("time", f"{sum(model.seconds for model in report.models):.3f}")
    indent(root)
    document = tostring(root, encoding="us-ascii", xml_declaration=False).decode("ascii")
    return escape.xml_document(f'<?xml version="1.0" encoding="UTF-8"?>\n{document}\n')


def _no_verdict(report: Report) -> Element:
    case = TestCase("verdict", classname="npugate")
    case.add_error_info(escape.xml("; ".join(report.notices)))
    return _element(TestSuite("npugate", [case]), 0.0)


def _suite(model: ModelReport, report: Report) -> Element:
    # The threshold may be lower than an error, and never means that no error fails the *gate*.
    level = min(report.threshold or Severity.ERROR, Severity.ERROR)
    suite = TestSuite(
        escape.xml(model.path, escape.DATA_LIMIT),
        list(_cases(model, report, level)),
        properties={
            "target": escape.xml(report.target),
            "toolchain": escape.xml(report.toolchain),
            "sha256": model.digest,
            "verdict": model.verdict(report.threshold),
        },
    )
    return _element(suite, model.seconds)


def _element(suite: TestSuite, seconds: float) -> Element:
    element: Element = suite.build_xml_doc()
    del element.attrib["disabled"]
    element.set("time", f"{seconds:.3f}")
    for case in element.iter("testcase"):
        case.set("time", "0.000")
    return element


def _cases(model: ModelReport, report: Report, level: Severity) -> Iterator[TestCase]:
    by_rule = {
        rule: tuple(found)
        for rule, found in groupby(
            sorted(model.left, key=lambda finding: finding.rule), lambda f: f.rule
        )
    }
    for rule in outline.rules_of(report).values():
        if rule.id in by_rule or not model.unreadable:
            more = outline.more_about(report, rule.id)
            yield _case(model, rule, by_rule.get(rule.id, ()), level, more)


def _case(
    model: ModelReport,
    rule: RuleInfo,
    findings: tuple[Finding, ...],
    level: Severity,
    more: str,
) -> TestCase:
    counted = [finding for finding in findings if finding.suppression is None]
    failing = [finding for finding in counted if finding.severity >= level]
    others = [f for f in findings if f.suppression is not None or f.severity < level]
    path = escape.xml(model.path, escape.DATA_LIMIT)
    file, line = path, 1
    if located := [f.source for f in failing if f.source is not None]:
        file, line = escape.xml(located[0].file, escape.DATA_LIMIT), located[0].line
    case = TestCase(
        f"{rule.id} {escape.xml(rule.name)}",
        # Jenkins takes what follows the last dot for the class, so the path must have none.
        classname=f"npugate.{path.replace('.', '_')}",
        file=file,
        line=line,
        stdout=_lines(others) if others else None,
    )
    if failing:
        told = f"{_lines(failing)}\nmore: {escape.xml(more)}"
        case.add_failure_info(_title(failing), told, failing[0].severity.label)
    elif findings and not counted:
        case.add_skipped_info(_reason(findings))
    return case


def _title(failing: list[Finding]) -> str:
    more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
    return escape.xml(failing[0].message) + more


def _reason(findings: Iterable[Finding]) -> str:
    told = [
        f"{count} suppressed by {by}: {why}" for count, _, by, why in outline.reasons([*findings])
    ]
    return escape.xml("; ".join(told))


def _lines(findings: list[Finding]) -> str:
    lines = [_line(finding) for finding in findings[:_LISTED]]
    if len(findings) > _LISTED:
        lines.append(f"... and {len(findings) - _LISTED} more")
    return "\n".join(lines)


def _line(finding: Finding) -> str:
    text = f"{finding.severity.label}: {finding.message} (at {finding.location})"
    if finding.suppression is not None:
        text = f"suppressed by {finding.suppression.by}, {text}"
    if finding.source is not None:
        source = finding.source
        text += f" {source.file}:{source.line}: {source.text.strip()}"
    if finding.repair:
        text += f" [repairable by {finding.repair}]"
    return escape.xml(text)
