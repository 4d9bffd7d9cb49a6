"""Say what the settings of a change relax against those of its base: it is not taken over.

Both judge each model, and the stricter one wins; so whatever is looser in the change has no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from npugate.findings.values import Severity
from npugate.rules.values import Rule
from npugate.run.policy_findings import is_of_the_run
from npugate.settings import baseline
from npugate.settings.options import THRESHOLDS, CheckSettings, Policy
from npugate.units import Budget

_NAMED: Final = 5
_ABOVE_ALL: Final = 9  # any level of a finding
_OFF: Final = "off"


def relaxed(
    head: Policy, base: Policy, rules: Mapping[str, Rule], known: tuple[int, int]
) -> Iterator[str]:
    """Yield what the change's settings relax, a phrase each.

    Args:
        head: of the change.
        base: of its base.
        rules: every rule, by id.
        known: entries of the head's baseline, and how many of them the base's has.
    """
    new, old = head.check_settings(""), base.check_settings("")
    if _level(new) > _level(old):
        yield f"fail-on: {old.threshold} → {new.threshold}"
    yield from _rules(new, old, rules)
    yield from _budget(new.budget, old.budget)
    mine, theirs = head.settings, base.settings
    if added := [row for row in mine.ignores if row not in theirs.ignores]:
        names = sorted({name for row in added for name in row.rules})
        yield f"{_count(len(added), 'ignore')} of {_listed(names)}"
    if globs := [glob for glob in mine.exclude if glob not in theirs.exclude]:
        yield f"exclude: {_listed(repr(glob) for glob in globs)}"
    if known[0] > known[1]:
        yield f"{known[0] - known[1]} entries of the baseline"
    if sections := [row for row in mine.sections if row not in theirs.sections]:
        globs = [glob for row in sections for glob in row.paths]
        yield f"[[models]] of {_listed(repr(glob) for glob in globs)}, as far as it relaxes"
    if mine.may_leave and not theirs.may_leave:
        yield "may-leave: false → true"


def doubled(head: Policy, base: Policy) -> Iterator[str]:
    """Yield what both judges judge by, each by its own, a phrase each."""
    new, old = head.check_settings(""), base.check_settings("")
    for key in ("target", "toolchain", "board"):
        before, after = _plain(getattr(old, key)), _plain(getattr(new, key))
        if before != after:
            yield f"{key}: {before} → {after}"


def sentences(
    head: Policy, base: Policy, *, rules: Mapping[str, Rule], known: tuple[int, int]
) -> Iterator[str]:
    """Yield what a reviewer is to know of the settings of a change; nothing where they agree."""
    if loose := list(relaxed(head, base, rules, known)):
        yield f"not taken over from the settings of this change: {'; '.join(loose)}"
    if both := list(doubled(head, base)):
        yield f"each model is checked with both: {'; '.join(both)}"


def without_effect(policy: Policy, rules: Mapping[str, Rule]) -> Iterator[str]:
    """Yield what the settings say of the rules of the run, whose findings always count."""
    fixed = {key: rule for key, rule in rules.items() if is_of_the_run(rule)}
    places = [policy.settings.check_settings, policy.command]
    places += [section.check_settings for section in policy.settings.sections]
    lowered = {key for place in places for key in place.severity if key in fixed}
    ignored = {
        key for row in policy.settings.ignores if row.rules <= fixed.keys() for key in row.rules
    }
    for word, keys in (("level", lowered), ("ignore", ignored)):
        for key in sorted(keys):
            yield (
                f"a {word} of {key} {fixed[key].name} has no effect: it says that there is no "
                "verdict on a model; leave the model out with 'exclude' instead"
            )


def shared(head: baseline.Known, base: baseline.Known) -> tuple[int, int]:
    """Return how many entries a baseline has, and how many of them another one has."""
    entries = [(path, mark) for path, rows in head.items() for mark in rows]
    return len(entries), sum(mark in base.get(path, {}) for path, mark in entries)


def _rules(new: CheckSettings, old: CheckSettings, rules: Mapping[str, Rule]) -> Iterator[str]:
    fallen: dict[tuple[int, int], list[str]] = {}
    for key, rule in rules.items():
        before, after = _rule_level(old, rule), _rule_level(new, rule)
        if after < before and not is_of_the_run(rule):
            fallen.setdefault((before, after), []).append(key)
    for (before, after), keys in fallen.items():
        yield f"{_listed(keys)}: {_word(before)} → {_word(after)}"


def _rule_level(check_settings: CheckSettings, rule: Rule) -> int:
    """Return the level of a rule's findings; 0 where it does not run."""
    selected = check_settings.select is None or rule.id in check_settings.select
    level = check_settings.severity.get(rule.id, rule.severity)
    return level if selected and rule.id not in check_settings.ignore and level is not None else 0


def _word(level: int) -> str:
    return Severity(level).label if level else _OFF


def _level(check_settings: CheckSettings) -> int:
    return THRESHOLDS[check_settings.threshold or "error"] or _ABOVE_ALL


def _budget(new: Budget, old: Budget) -> Iterator[str]:
    for key in Budget.__struct_fields__:
        before, after = getattr(old, key), getattr(new, key)
        if before is not None and (after is None or after > before):
            yield f"budget of {key}"


def _plain(name: str | None) -> str:
    """Return a name without the folder that it was kept in: both have a file of their own."""
    return Path(name).name if name and name.endswith((".toml", ".mpool")) else name or "nothing"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _listed(words: Iterable[str]) -> str:
    every = list(words)
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more
