"""Turn hits into findings: level, fingerprint, source line, suppression; by every judge at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from npugate.findings.fingerprint import early, fingerprints, subject
from npugate.findings.values import Finding, Hit, Severity
from npugate.repository.source_lines import Checkout
from npugate.rules import check
from npugate.rules.values import Rule
from npugate.settings import baseline, suppress
from npugate.settings.baseline import Entry
from npugate.settings.options import CheckSettings, Ignore

Hits = Sequence[tuple[str, Hit]]


class Ruling(Struct, frozen=True):
    """By what one judge judges one model.

    Attributes:
        check_settings: its settings for the path.
        chosen: ids of the rules that run for it.
        ignores: what it does not count.
        known: its baseline for the path, by fingerprint.
        at: which examination of the model it looks at: each target has one of its own.
        old: levels of the base's findings by fingerprint; what is no worse does not count.
    """

    check_settings: CheckSettings
    chosen: tuple[str, ...]
    ignores: tuple[Ignore, ...] = ()
    known: Mapping[str, Entry] = field(default_factory=dict)
    at: int = 0
    old: Mapping[str, Severity] = field(default_factory=dict)


class PolicyContext(Struct, frozen=True):
    """What every model is judged with.

    Attributes:
        rules: every rule, by id.
        checkout: finds lines of Python.
        today: an ignore that expired before it no longer holds.
    """

    rules: Mapping[str, Rule]
    checkout: Checkout
    today: dt.date


def is_of_the_run(rule: Rule) -> bool:
    """Tell whether a rule says that there is no verdict: nothing lowers or ignores it."""
    return rule.unreadable or rule.name == check.CRASHED


def findings_of(
    path: str,
    rulings: Iterable[Ruling],
    examined: Sequence[tuple[Hits, str]],
    context: PolicyContext,
) -> tuple[Finding, ...]:
    """Return the findings of a model, worst first: each as its strictest judge has it.

    Args:
        path: as reported.
        rulings: of every judge.
        examined: hits and digest of each examination of the model.
        context: what they are judged with.
    """
    made = [_made(hits, digest, context) for hits, digest in examined]
    strictest: dict[str, Finding] = {}
    for ruling in rulings:
        for finding in _ruled(path, ruling, made[ruling.at : ruling.at + 1], context):
            other = strictest.get(finding.fingerprint)
            if other is None or _weight(other) < _weight(finding):
                strictest[finding.fingerprint] = finding
    return tuple(sorted(strictest.values(), key=lambda f: (-f.severity, f.rule)))


def _weight(finding: Finding) -> tuple[bool, Severity]:
    return finding.suppression is None, finding.severity


class _Made(Struct, frozen=True):
    """A finding as its rule has it.

    Attributes:
        early: its fingerprint in a baseline of the first form.
        of_the_run: it says that there is no verdict.
        is_known: False for a finding of the run on a file without digest: it matches no other.
    """

    finding: Finding
    early: str
    of_the_run: bool
    is_known: bool


def _made(hits: Hits, digest: str, context: PolicyContext) -> list[_Made]:
    rules = context.rules
    about = [
        subject(hit, (digest or "unknown") if is_of_the_run(rules[key]) else None)
        for key, hit in hits
    ]
    places = [(key, hit.location) for key, hit in hits]
    marks = fingerprints((*place, text) for place, text in zip(places, about, strict=True))
    found = (
        _finding(rules[key], hit, mark, context.checkout)
        for (key, hit), mark in zip(hits, marks, strict=True)
    )
    return [
        _Made(finding, mark, run := is_of_the_run(rules[finding.rule]), bool(digest) or not run)
        for finding, mark in zip(found, early(places), strict=True)
    ]


def _finding(rule: Rule, hit: Hit, mark: str, checkout: Checkout) -> Finding:
    severity = hit.severity or rule.severity
    source = checkout.source(hit.frames)
    return Finding(
        rule.id,
        rule.name,
        severity,
        hit.message,
        hit.location,
        mark,
        source,
        repair=rule.repair,
        cost=hit.cost,
    )


def _ruled(
    path: str, ruling: Ruling, made: Iterable[Sequence[_Made]], context: PolicyContext
) -> Iterable[Finding]:
    """Return the findings as one judge has them."""
    mine = [
        replace(row, finding=_levelled(row, ruling))
        for rows in made
        for row in rows
        if row.finding.rule in ruling.chosen
    ]
    accepted = {row.finding.fingerprint for row in mine if _accepts(ruling.known, row)}
    old = {
        row.finding.fingerprint
        for row in mine
        if ruling.old.get(row.finding.fingerprint, 0) >= row.finding.severity
    }
    run = frozenset(row.finding.rule for row in mine if row.of_the_run)
    ignores = [replace(ignore, rules=ignore.rules - run) for ignore in ruling.ignores]
    return suppress.apply(
        path, [row.finding for row in mine], ignores, accepted, context.today, old
    )


def _levelled(row: _Made, ruling: Ruling) -> Finding:
    level = (
        Severity.ERROR if row.of_the_run else ruling.check_settings.severity.get(row.finding.rule)
    )
    return row.finding if level is None else replace(row.finding, severity=level)


def _accepts(known: Mapping[str, Entry], row: _Made) -> bool:
    """Tell whether a baseline accepts a finding.

    An entry of the first form says too little of a file that cannot be read.
    """
    if baseline.accepts(known.get(row.finding.fingerprint), row.finding):
        return row.is_known
    first = known.get(row.early)
    is_first = first is not None and first.severity is None
    return is_first and not row.of_the_run and baseline.accepts(first, row.finding)


def levels(findings: Iterable[Finding]) -> dict[str, Severity]:
    """Return the level of each finding by its fingerprint."""
    return {finding.fingerprint: finding.severity for finding in findings}
