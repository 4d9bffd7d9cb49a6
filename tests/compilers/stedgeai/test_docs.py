"""The page and the example workflows about the compiler say what the program does."""

import re
from pathlib import Path

import pytest
import yaml

from npugate.commands.parser import parser
from npugate.github.inputs import INPUTS

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "stedgeai.md").read_text("utf-8")
EXAMPLES = sorted((ROOT / "examples" / "stedgeai").glob("*.yml"))


def steps(path):
    for job in yaml.safe_load(path.read_text("utf-8"))["jobs"].values():
        yield from job["steps"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_gives_inputs_that_there_are(path):
    known = {row.name: row for row in INPUTS}
    ours = [step for step in steps(path) if step["uses"] == "./"]
    assert ours
    for step in ours:
        for name, value in step.get("with", {}).items():
            known[name].parse(value)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_consents_wherever_it_asks_the_compiler_and_only_on_a_licensed_runner(path):
    for job in yaml.safe_load(path.read_text("utf-8"))["jobs"].values():
        given = {k: v for step in job["steps"] for k, v in step.get("with", {}).items()}
        asks = given.get("stedgeai", "off") != "off"
        assert asks is ("self-hosted" in job["runs-on"])
        assert asks is (given.get("stedgeai-accept-license") == "true")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_keeps_forks_off_the_licensed_runner(path):
    document = yaml.safe_load(path.read_text("utf-8"))
    events = document[True]  # YAML reads the key "on" so
    for job in document["jobs"].values():
        if "self-hosted" in job["runs-on"] and "pull_request" in events:
            assert "head.repo.full_name == github.repository" in job["if"]


def test_the_licensed_job_follows_the_gate():
    jobs = yaml.safe_load((ROOT / "examples/stedgeai/two-jobs.yml").read_text("utf-8"))["jobs"]
    assert jobs["compile"]["needs"] == "gate"


def test_every_option_on_the_page_exists():
    commands = parser()._subparsers._group_actions[0].choices
    options = {text for command in commands.values() for text in command._option_string_actions}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    of_the_tool = {"--target", "--st-neural-art", "--version"}
    assert named - of_the_tool <= options


def test_every_file_that_the_page_names_is_there():
    for place in re.findall(r"\]\((\.\./[^)]+|[a-z-]+\.md)\)", PAGE):
        assert (ROOT / "docs" / place).exists(), place
