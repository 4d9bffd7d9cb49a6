"""The baseline: findings that were there before, known by path and fingerprint."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from npugate import beneath, escape, nesting
from npugate.atomic_write import write_text
from npugate.beneath import RefusedError
from npugate.errors import UsageError
from npugate.report.values import ModelReport

SCHEMA: Final = "npugate-baseline/1"
Known = Mapping[str, Mapping[str, str]]
"""Reported path -> fingerprint -> rule id."""


def write(path: Path, models: Iterable[ModelReport]) -> None:
    """Record every finding that is not ignored by the configuration.

    Raises:
        UsageError: the file cannot be written; an older one is then untouched.
    """
    content = {
        "schema": SCHEMA,
        "models": {
            model.path: [
                {"fingerprint": f.fingerprint, "rule": f.rule, "message": f.message}
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
        if content["schema"] != SCHEMA:
            raise UsageError(f"the baseline {path} has schema {content['schema']!r}, not {SCHEMA}")
        return {
            str(name): {str(entry["fingerprint"]): str(entry["rule"]) for entry in entries}
            for name, entries in content["models"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"the baseline {path} is malformed ({error!r}); write it again with --write-baseline"
        ) from error


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
        known: as read.
        models: of this run; entries of others are not counted.
        ran: ids of the rules that ran, by path; a rule that did not run has fixed nothing.
    """
    return sum(
        rule in ran[model.path] and mark not in {f.fingerprint for f in model.findings}
        for model in models
        if not model.unreadable
        for mark, rule in known.get(model.path, {}).items()
    )
