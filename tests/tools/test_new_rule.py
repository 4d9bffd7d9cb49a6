"""Beginning a rule: its id, its file, and an example that fails until the rule is written."""

import importlib.util
import io
from pathlib import Path

import pytest

from npugate.rules import registry, testing

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("new_rule", ROOT / "tools/new_rule.py")
new_rule = importlib.util.module_from_spec(spec)
spec.loader.exec_module(new_rule)


def test_the_next_id_is_above_every_one_of_its_family():
    assert new_rule.next_id(["NPU101", "NPU107", "NPU201"], 1) == "NPU108"
    assert new_rule.next_id(["NPU101"], 6) == "NPU601"
    with pytest.raises(ValueError, match="no free id"):
        new_rule.next_id(["NPU199"], 1)


@pytest.mark.parametrize("repair", [[], ["merge-views"]])
def test_the_file_is_a_rule_whose_example_fails(tmp_path, monkeypatch, repair):
    monkeypatch.setattr(new_rule, "CHECKS", tmp_path)
    said = io.StringIO()
    assert new_rule.main(["odd-relu", "2", *repair], said) == 0
    ((key, rule),) = registry.rules(tmp_path, f"tests_new_rule_{len(repair)}").items()
    assert f"checks/odd_relu.py as {key}" in said.getvalue()
    assert key == new_rule.next_id(registry.rules(), 2)
    assert (rule.repair or "") == "".join(repair)
    (example,) = rule.examples
    found = testing.hits([rule], testing.write(example, tmp_path), testing.target_of(example))
    assert [hit.message for hit in found[rule.name]] != list(example.messages)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Odd_Relu", "2"], "kebab-case"),
        (["tensor-rank", "1"], "there is a rule"),
        (["odd-relu", "5"], "invalid choice"),
        (["odd-relu", "2", "no-such"], "there is no repair"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.setattr(new_rule, "CHECKS", tmp_path)
    with pytest.raises(SystemExit) as stop:
        new_rule.main(arguments)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_rule_is_of_a_family():
    assert {int(key[3:]) // 100 for key in registry.rules()} == registry.FAMILIES.keys()
