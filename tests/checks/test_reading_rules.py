import pytest
from onnx import parser

from npugate.errors import ModelError
from npugate.findings.values import Hit, Location, Problem, Severity
from npugate.limits import Limits
from npugate.model.reader import load, read
from npugate.rules import registry

LIMITS = Limits()
IDS = {
    "NPU001": True,
    "NPU004": True,
    "NPU005": False,
    "NPU006": False,
    "NPU008": True,
    "NPU017": False,
}
RULES = [rule for rule in registry.rules().values() if rule.id in IDS]
EXAMPLES = [(rule, example) for rule in RULES for example in rule.examples]


class Found:
    """Facts, as far as these rules read them."""

    def __init__(self, *problems):
        self._problems = problems

    def problems(self, rule):
        return iter([problem for problem in self._problems if problem.rule == rule])


def outcome(example, folder):
    try:
        if example.write is not None:
            model = load(example.write(folder), "net.onnx", LIMITS)
        else:
            proto = parser.parse_model(example.bad)
            if example.edit is not None:
                example.edit(proto)
            model = read(proto.SerializeToString(), "net.onnx", LIMITS, folder)
    except ModelError as error:
        return [(error.rule, str(error))]
    return [(problem.rule, problem.message) for problem in model.problems]


def test_the_rules_of_the_reader_are_all_there_and_are_errors():
    assert {rule.id: rule.unreadable for rule in RULES} == IDS
    assert {rule.severity for rule in RULES} == {Severity.ERROR}


@pytest.mark.parametrize(("rule", "example"), EXAMPLES, ids=lambda x: getattr(x, "title", ""))
def test_an_example_is_reported_in_exactly_these_words(rule, example, tmp_path):
    assert outcome(example, tmp_path) == [(rule.name, text) for text in example.messages]


@pytest.mark.parametrize(("rule", "example"), EXAMPLES, ids=lambda x: getattr(x, "title", ""))
def test_the_good_model_is_read_without_a_word(rule, example, tmp_path):
    data = parser.parse_model(example.good).SerializeToString()
    assert read(data, "net.onnx", LIMITS, tmp_path).problems == ()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_reports_its_own_problems_and_no_others(rule):
    place = Location(value="w")
    facts = Found(Problem(rule.name, place, "text"), Problem("other", place, "else"))
    assert list(rule.check(facts, None)) == [Hit(place, "text")]
