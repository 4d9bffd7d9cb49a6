"""The baseline: findings that were there before, known by path and fingerprint."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from npugate import beneath, escape, nesting
from npugate.atomic_write import write_text
from npugate.beneath import RefusedError
from npugate.errors import UsageError
from npugate.findings.fingerprint import wording
from npugate.findings.values import Finding, Severity
from npugate.report.values import ModelReport

SCHEMA: Final = "npugate-baseline/2"
_FIRST: Final = "npugate-baseline/1"


class Entry(Struct, frozen=True):
    """A finding that the team has accepted.

    Attributes:
        rule: its id.
        severity: the level that was accepted; None where an entry of the first form has none.
        wording: of an entry of the first form, whose fingerprint says less; empty otherwise.
    """

    rule: str
    severity: Severity | None = None
    wording: str = ""


Known = Mapping[str, Mapping[str, Entry]]
"""Reported path -> fingerprint -> what was accepted."""


def write(path: Path, models: Iterable[ModelReport]) -> None:
    """Record every finding that is not ignored by the configuration.

    Raises:
        UsageError: the file cannot be written; an older one is then untouched.
    """
    content = {
        "schema": SCHEMA,
        "models": {
            model.path: [
                {
                    "fingerprint": f.fingerprint,
                    "rule": f.rule,
                    "severity": f.severity.label,
                    "message": f.message,
                }
                for f in model.findings
                if f.suppression is None or f.suppression.by == "baseline"
            ]
            for model in models
        },
    }
    write_text(path, escape.json_document(content))


def read(path: Path) -> Known:
    """Read a baseline.

    Raises:
        UsageError: it is missing, or no baseline.
    """
    try:
        beneath.refuse_gits(path)
        content: Any = nesting.json_value(path.read_bytes())
    except RefusedError as error:
        raise UsageError(f"cannot read the baseline {path}: it {error}") from error
    except OSError as error:
        raise UsageError(
            f"cannot read the baseline {path}: {error.strerror or error}; "
            "--write-baseline FILE makes one"
        ) from error
    except ValueError as error:
        raise UsageError(f"the baseline {path} is no JSON: {error}") from error
    try:
        if content["schema"] not in {SCHEMA, _FIRST}:
            raise UsageError(f"the baseline {path} has schema {content['schema']!r}, not {SCHEMA}")
        form = _first if content["schema"] == _FIRST else _entry
        return {
            str(name): {str(entry["fingerprint"]): form(entry) for entry in entries}
            for name, entries in content["models"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"the baseline {path} is malformed ({error!r}); write it again with --write-baseline"
        ) from error


def _entry(row: Mapping[str, object]) -> Entry:
    return Entry(str(row["rule"]), Severity[str(row["severity"]).upper()])


def _first(row: Mapping[str, object]) -> Entry:
    return Entry(str(row["rule"]), None, wording(str(row["message"])))


def early(known: Known) -> int:
    """Count the entries of the first form, which name no operator and no level."""
    return sum(entry.severity is None for rows in known.values() for entry in rows.values())


def accepts(entry: Entry | None, finding: Finding) -> bool:
    """Tell whether an entry under a finding's fingerprint accepts it, at its level."""
    if entry is None:
        return False
    if entry.severity is None:
        return entry.wording == wording(finding.message)
    return entry.severity >= finding.severity


def follow(known: Known, renames: Mapping[str, str]) -> Known:
    """Return the baseline with models under their new names.

    Args:
        known: as read.
        renames: old path by new path.
    """
    moved = {new: known[old] for new, old in renames.items() if old in known and new not in known}
    return {**known, **moved}


def unused(known: Known, models: Iterable[ModelReport], ran: Mapping[str, Collection[str]]) -> int:
    """Count the entries that no finding answers to any more.

    Args:
        known: as read; entries of the first form are counted elsewhere.
        models: of this run; entries of others are not counted.
        ran: ids of the rules that ran, by path; a rule that did not run has fixed nothing.
    """
    return sum(
        entry.rule in ran[model.path] and mark not in {f.fingerprint for f in model.findings}
        for model in models
        if not model.unreadable
        for mark, entry in known.get(model.path, {}).items()
        if entry.severity is not None
    )
