"""Read how users name rules: by id, by a prefix of ids, or by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from npugate.errors import UsageError
from npugate.findings.values import Severity
from npugate.rules.values import Rule

LEVELS: Mapping[str, Severity | None] = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "note": Severity.NOTE,
    "off": None,
}


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known word, else nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - 0.1 MB, for a typing mistake

    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def ids(name: str, rules: Mapping[str, Rule], where: str) -> frozenset[str]:
    """Return the ids that a rule's id, id prefix or name stands for.

    Args:
        name: as the user wrote it.
        rules: every rule, by id.
        where: what to name in the error, for example ``--select``.

    Raises:
        UsageError: there is no such rule.
    """
    wanted = name.strip()
    found = frozenset(
        rule.id
        for rule in rules.values()
        if rule.name == wanted.lower()
        or (wanted.upper().startswith("NPU") and rule.id.startswith(wanted.upper()))
    )
    if not found:
        known = [*rules, *(rule.name for rule in rules.values())]
        raise UsageError(f"{where}: there is no rule {name!r}{suggestion(wanted, known)}")
    return found


def all_ids(names: Iterable[str], rules: Mapping[str, Rule], where: str) -> frozenset[str]:
    """Return the ids that several names stand for together."""
    return frozenset(key for name in names for key in ids(name, rules, where))


def level(word: str, where: str) -> Severity | None:
    """Return the severity that a word names; None for ``off``.

    Raises:
        UsageError: there is no such level.
    """
    if word not in LEVELS:
        known = ", ".join(LEVELS)
        raise UsageError(f"{where}: {word!r} is no level ({known}){suggestion(word, LEVELS)}")
    return LEVELS[word]
