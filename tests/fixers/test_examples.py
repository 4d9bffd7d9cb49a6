"""Every rule that names a repair, through the whole gate on its own examples."""

import pytest

from npugate.facts import Facts
from npugate.limits import Limits
from npugate.repair import gate
from npugate.repair.context import RepairContext
from npugate.rules import check, registry
from npugate.rules.testing import model_from_text
from npugate.settings.options import RepairRequest
from npugate.surgery import structure
from npugate.surgery.results import RepairOptions
from npugate.target import profiles

RULES = registry.rules()
REPAIRS = registry.repairs()
CASES = [
    pytest.param(rule, example, id=f"{rule.id}-{example.title.replace(' ', '-')}")
    for rule in RULES.values()
    if rule.repair is not None
    for example in rule.examples
    if example.write is None
]
# Rules with an example that has no equivalent model: the repair must say so, not try.
DECLINED = {
    "NPU102",  # only its user knows the size of an image
    "NPU108",  # a shape that hangs on the values of an input
    "NPU110",  # axes that do
    "NPU206",  # opset 6 has no table; a set that is read is kept
    "NPU226",  # a computed slope
    "NPU303",  # a mask that is an output
}


def repaired(rule, example):
    model = model_from_text(example.bad)
    if example.edit is not None:
        example.edit(model)
    name, _, version = example.target.partition("@")
    profile = profiles.load(name, version or None)
    chosen = tuple(RULES)
    selected = frozenset({rule.repair})
    context = RepairContext(
        RULES, chosen, profile, Limits(), RepairRequest(REPAIRS, RepairOptions(), selected)
    )
    facts = Facts(structure.skeleton(model), Limits())
    hits = check.run(facts, RULES, chosen, profile, lambda _stage: None).hits
    return hits, gate.repair_model(model, facts, hits, context)[0]


@pytest.mark.parametrize(("rule", "example"), CASES)
def test_the_finding_is_gone_or_the_reason_is_given(rule, example):
    before, result = repaired(rule, example)
    had = sum(1 for key, _ in before if key == rule.id)
    left = sum(1 for key, _ in result.hits if key == rule.id)
    state = next(o for o in result.report.outcomes if o.repair == rule.repair)
    assert had
    if state.state == "applied":
        assert left < had
        assert result.report.verification.equal is True
    else:
        assert rule.id in DECLINED, (state.state, state.reason)
        assert state.reason
        assert left == had


@pytest.mark.parametrize("item", REPAIRS.values(), ids=lambda item: item.name)
def test_a_repair_changes_its_own_example_and_is_proved_on_it(item):
    model = model_from_text(item.example)
    chosen = tuple(RULES)
    context = RepairContext(
        RULES,
        chosen,
        profiles.load("stm32n6"),
        Limits(),
        RepairRequest(REPAIRS, RepairOptions(), frozenset({item.name})),
    )
    facts = Facts(structure.skeleton(model), Limits())
    hits = check.run(facts, RULES, chosen, context.target, lambda _stage: None).hits
    result, _ = gate.repair_model(model, facts, hits, context)
    outcome = next(o for o in result.report.outcomes if o.repair == item.name)
    assert outcome.state == "applied", outcome.reason
    assert outcome.edits
    assert result.report.verification.equal is True
    assert result.report.diff


def test_every_repair_that_a_rule_names_exists():
    assert {rule.repair for rule in RULES.values() if rule.repair} <= set(REPAIRS)


@pytest.mark.parametrize("item", REPAIRS.values(), ids=lambda item: item.name)
def test_a_repair_says_what_it_keeps_and_when_it_declines(item):
    assert item.summary.endswith(".")
    assert "**Keeps.**" in item.doc
    assert "**Declines.**" in item.doc
