"""Mark findings that do not count: ignored by the configuration, or known to the baseline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Container, Iterable, Sequence
from fnmatch import fnmatchcase

from msgspec.structs import replace

from npugate.findings.values import Finding, Suppression
from npugate.settings.options import Ignore, matches


def apply(
    path: str,
    findings: Iterable[Finding],
    ignores: Sequence[Ignore],
    known: Container[str],
    today: dt.date,
    base: Container[str] = (),
) -> tuple[Finding, ...]:
    """Return the findings of one model with their suppressions set.

    Args:
        path: as reported.
        findings: of the model.
        ignores: of the configuration.
        known: fingerprints in the baseline.
        today: an ignore that expired before it no longer holds.
        base: fingerprints of findings that the base branch has already.
    """
    live = [ignore for ignore in ignores if not expired(ignore, today) and _covers(ignore, path)]
    return tuple(_marked(finding, live, known, base) for finding in findings)


def expired(ignore: Ignore, today: dt.date) -> bool:
    """Tell whether an ignore's last day is over."""
    return ignore.expires is not None and ignore.expires < today


def _covers(ignore: Ignore, path: str) -> bool:
    return not ignore.paths or any(matches(path, pattern) for pattern in ignore.paths)


def _marked(
    finding: Finding, ignores: Sequence[Ignore], known: Container[str], base: Container[str]
) -> Finding:
    for ignore in ignores:
        node = finding.location.node
        if finding.rule in ignore.rules and (not ignore.node or fnmatchcase(node, ignore.node)):
            return replace(finding, suppression=Suppression("config", ignore.reason))
    if finding.fingerprint in known:
        return replace(finding, suppression=Suppression("baseline", "known to the baseline"))
    if finding.fingerprint in base:
        return replace(finding, suppression=Suppression("base", "on the base branch already"))
    return finding
