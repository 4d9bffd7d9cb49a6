"""Run the rules over the facts of one model; a rule that raises is a finding, never silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from npugate import log
from npugate.facts import Facts
from npugate.findings import rule_names
from npugate.findings.values import Hit, Location, Severity
from npugate.rules.values import Rule
from npugate.target.values import Target

CRASHED: Final = rule_names.RULE_CRASHED
INVALID: Final = rule_names.INVALID_MODEL


class Outcome(Struct, frozen=True):
    """What the rules found in one model.

    Attributes:
        hits: (rule id, hit with its severity set), in the order of the rules.
        tracebacks: one for each rule that raised.
    """

    hits: tuple[tuple[str, Hit], ...]
    tracebacks: tuple[str, ...] = ()


def run(
    facts: Facts,
    rules: Mapping[str, Rule],
    chosen: Iterable[str],
    target: Target,
    stage: Callable[[str], None],
) -> Outcome:
    """Run the chosen rules.

    Args:
        facts: of the model.
        rules: every rule, by id.
        chosen: ids of those to run.
        target: to check for.
        stage: told which rule runs.
    """
    hits: list[tuple[str, Hit]] = []
    tracebacks: list[str] = []
    for key in chosen:
        rule = rules[key]
        stage(f"rule {rule.id} {rule.name}")
        try:
            found = list(rule.check(facts, target))
        except Exception as error:  # noqa: BLE001 - one broken rule must not hide the others
            if is_refused(facts):
                log.debug(log.traceback())
                hits.append((id_of(rules, INVALID), _unjudged(rule, error)))
                continue
            tracebacks.append(log.traceback())
            message = f"rule {rule.id} {rule.name} raised {type(error).__name__}: {error}"
            hits.append((id_of(rules, CRASHED), Hit(Location(), message, Severity.ERROR)))
            continue
        hits += ((rule.id, levelled(hit, rule, target)) for hit in found)
    return Outcome(tuple(hit for hit in hits if hit[1].severity is not None), tuple(tracebacks))


def is_refused(facts: Facts) -> bool:
    """Tell whether a file is no valid model, as the reader, the checker and inference say.

    It may then lack whatever a rule reads, and that a rule fails on it is the file's fault.
    """
    return any(True for name in rule_names.FILE_FAULTS for _ in facts.problems(name))


def _unjudged(rule: Rule, error: Exception) -> Hit:
    reason = f"{type(error).__name__}: {error}"
    message = f"{rule.id} {rule.name} cannot judge a file that is no valid model ({reason})"
    return Hit(Location(), message, Severity.ERROR)


def levelled(hit: Hit, rule: Rule, target: Target) -> Hit:
    """Return a hit with its level: its own, else the target's for the rule, else the rule's.

    A target that switches the rule off leaves None.
    """
    if hit.severity is not None:
        return hit
    trap = target.traps.get(rule.name)
    return replace(hit, severity=rule.severity if trap is None else trap.severity)


def id_of(rules: Mapping[str, Rule], name: str) -> str:
    """Return the id of a rule by its name.

    Raises:
        KeyError: there is no such rule.
    """
    return next(rule.id for rule in rules.values() if rule.name == name)
