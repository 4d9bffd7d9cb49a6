"""What the documentation counts and lists is what the code has."""

import argparse
import re
from pathlib import Path

import pytest

from npugate.commands.parser import parser
from npugate.reporters import FILES
from npugate.rules import registry
from npugate.settings import config
from npugate.target import profiles
from tests.project.test_links import FILES as TRACKED
from tests.project.test_links import FOLDERS, PAGES, ROOT

README = (ROOT / "README.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
WORDS = {"gitlab": "gitlab code quality", "html": "a page"}  # what a format is called in the README
# Of the action, which calls them; its section says so.
INNER = {"action", "base", "comment"}
# Names for any file, and a folder of the wheel.
EXAMPLES = {"npugate/a/b.py", "tests/a/test_b.py", "checks/name.py", "npugate/third_party"}
PATH = re.compile(r"[\w.-]+(/[\w.-]+)+/?")
ROW = re.compile(r"^\| (`.*?) \| (.*) \|$", re.MULTILINE)


def commands():
    (found,) = [a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return set(found.choices)


def test_the_readme_has_the_number_of_the_rules():
    (count,) = re.findall(r"\[(.+?) rules\]\(docs/rules/README\.md\)", README)
    assert count == str(len(registry.rules()))


def test_the_readme_names_every_target_toolchain_and_format():
    for name in profiles.names():
        assert f"[{name}](docs/targets/{name}.md)" in README
        for row in profiles.load(name).toolchains:
            assert re.search(rf"\b{re.escape(row.version)}\b", README), row.version
    (formats,) = re.findall(r"Reports: (.*?)\. Settings", README, re.DOTALL)
    plain = re.sub(r"\s*\(\[.*?\]\(.*?\)\)", "", formats)  # (schema)
    listed = re.split(r",\s+", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", plain))
    assert [word.lower() for word in listed] == [WORDS.get(form, form) for form in FILES]


def test_every_command_is_shown_in_the_readme_or_in_docs():
    pages = "".join((ROOT / name).read_text("utf-8") for name in PAGES)
    assert [name for name in commands() - INNER if f"npugate {name}" not in pages] == []
    named = set(re.findall(r"^\$ npugate ([a-z]+)", pages, re.MULTILINE))
    assert named - commands() == set()


def test_what_the_readme_says_that_it_does_is_what_there_are_commands_for():
    (sentence,) = re.findall(r"^npugate (checks, .*?);", README, re.MULTILINE | re.DOTALL)
    verbs = {"checks": "check", "repairs": "fix", "estimates": "estimate", "exports": "export",
             "quantises": "quantize", "evaluates": "evaluate", "deploys": "deploy",
             "reports": "report"}  # fmt: skip
    assert re.split(r", | and ", sentence) == list(verbs)
    assert set(verbs.values()) <= commands()
    assert not re.search(r"does not \w+, \w+ or \w+ yet", README)


def test_contributing_lists_the_families_of_the_rules():
    (listed,) = re.findall(r"say what a\s+rule is about: (.*?)\. Ids", CONTRIBUTING, re.DOTALL)
    rows = re.findall(r"(\d) (.*?)(?:, (?=\d )|$)", " ".join(listed.split()))
    assert {int(number): text for number, text in rows} == registry.FAMILIES


def test_every_rule_is_in_the_changelog():
    named = set(re.findall(r"NPU\d{3}", CHANGELOG))
    for first, last in re.findall(r"NPU(\d{3}) to NPU(\d{3})", CHANGELOG):
        named |= {f"NPU{number:03}" for number in range(int(first), int(last) + 1)}
    assert sorted(registry.rules().keys() - named) == [], "a line in CHANGELOG.md names each rule"


@pytest.mark.parametrize("row", ROW.findall(ARCHITECTURE), ids=lambda row: row[0])
def test_a_module_that_the_architecture_names_is_there(row):
    place, text = row
    folder = ""
    for name in re.findall(r"`([\w./]+)`", place):  # a name alone stands beside the one before it
        folder = "" if "/" in name.rstrip("/") or name in TRACKED | FOLDERS else folder
        assert f"{folder}{name}".rstrip("/") in TRACKED | FOLDERS
        folder = f"{name.rpartition('/')[0]}/" if "/" in name.rstrip("/") else folder
    folders = [ROOT / name for name in re.findall(r"`(npugate/[\w/]+/)`", place)]
    for name in re.findall(r"`([a-z_0-9]+/?)`", text) if folders else ():
        found = [p for p in folders if (p / f"{name}.py").is_file() or (p / name).is_dir()]
        assert found, f"{place} has no {name}"


def test_every_package_has_a_row_in_the_architecture():
    places = " ".join(place for place, _ in ROW.findall(ARCHITECTURE))
    names = {Path(name).parts[1] for name in TRACKED if name.startswith("npugate/")}
    packages = {name for name in names if (ROOT / "npugate" / name).is_dir()}
    assert [name for name in sorted(packages) if f"npugate/{name}/" not in places] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_file_that_a_page_names_is_there(page):
    text = (ROOT / page).read_text("utf-8")
    tops = {name.partition("/")[0] for name in TRACKED if "/" in name}
    named = {name for name in re.findall(r"`([^`\s]+)`", text) if PATH.fullmatch(name)}
    ours = {name.rstrip("/") for name in named - EXAMPLES if name.partition("/")[0] in tops}
    assert ours - TRACKED - FOLDERS == set()


@pytest.mark.parametrize("page", PAGES)
def test_a_target_of_make_that_a_page_names_is_there(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = (ROOT / page).read_text("utf-8")
    assert set(re.findall(r"(?:`|^\$ )make ([a-z-]+)", text, re.MULTILINE)) <= targets


def test_every_target_of_make_that_helps_to_contribute_is_in_contributing():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    helped = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", CONTRIBUTING + README))
    assert helped - named - {"help", "lint", "venv", "clean", "demo-networks"} == set()


def test_every_key_of_the_configuration_is_in_its_page():
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    keys = {*config._TOP, *config._MODELS, *config._IGNORES}
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", page)] == []
