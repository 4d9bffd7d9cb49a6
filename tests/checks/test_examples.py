"""Every example of every rule: the bad model is flagged with these words, the good one is clean."""

from pathlib import Path

import pytest

from npugate.findings.values import Severity
from npugate.rules import registry, testing
from npugate.rules.values import Example, Rule

RULES = registry.rules()
CASES = [
    pytest.param(rule, example, id=f"{rule.id}-{example.title.replace(' ', '-')}")
    for rule in RULES.values()
    for example in rule.examples
]


@pytest.mark.parametrize(("rule", "example"), CASES)
def test_bad_example_is_flagged_with_these_messages(
    rule: Rule, example: Example, tmp_path: Path
) -> None:
    file = testing.write(example, tmp_path)
    target = testing.target_of(example)
    found = testing.hits([rule], file, target, example.tracked)[rule.name]
    assert [hit.message for hit in found] == list(example.messages)


@pytest.mark.parametrize(("rule", "example"), CASES)
def test_good_example_is_clean_under_every_rule(
    rule: Rule, example: Example, tmp_path: Path
) -> None:
    file = testing.write_good(example, tmp_path)
    target = testing.target_of(example)
    found = testing.hits(list(RULES.values()), file, target)
    trouble = {
        name: [hit.message for hit in hits]
        for name, hits in found.items()
        if any(_level(name, hit.severity, target) > Severity.NOTE for hit in hits)
        and (name == rule.name or name != "float-model")
    }
    assert trouble == {}


def _level(name, severity, target) -> Severity:
    trap = target.traps.get(name)
    if severity is None and trap is not None:
        return trap.severity or Severity.NOTE
    own = next(rule.severity for rule in RULES.values() if rule.name == name)
    return severity or own
