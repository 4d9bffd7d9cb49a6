from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import junitparser
import pytest
from msgspec.structs import replace

from npugate.reporters import REPORTERS, markdown
from tests.sample_report import HOSTILE, hostile

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "npugate" / "report.schema.json").read_text(encoding="utf-8")
)
BLOB = "https://github.example/o/r/blob/0123"
OUR_LINK = re.compile(
    rf"\[(<code>[^<>\[\]]*</code>)\]\({BLOB}(?:/(?:[A-Za-z0-9._~-]|%[0-9A-F]{{2}})+)+#L\d+\)"
)
SAFE = r"(?:[A-Za-z0-9 _./+,()=-]|#\d+;)*"
LABEL = rf'"(?:\?|{SAFE})"'
DRAWING = re.compile(
    "^```mermaid\nflowchart TB\n"
    rf"(?:  n\d+(?:\[{LABEL}\]|\(\[{LABEL}\]\))\n)+"
    rf"(?:  n\d+ -->(?:\|{LABEL}\|)? n\d+\n)*"
    "  classDef here [a-z0-9:#,-]+\n  class n0 here\n```\n",
    re.MULTILINE,
)
ALLOWED_TAGS = re.compile(r"</?(?:details|summary|code)>")


@cache
def rendered(name, attack):
    """Return a report with hostile names in one format; several tests look at each."""
    return REPORTERS[name](hostile(HOSTILE[attack]))


def assert_calm(output):
    """Assert what holds for every format: nothing that a log or a terminal acts on."""
    for line in output.split("\n"):
        assert not line.lstrip().startswith("::")
    assert not re.search(r"##\w*\[", output)
    raw = {char for char in set(output) if unicodedata.category(char)[0] == "C" and char != "\n"}
    assert raw == set()
    assert len(output) < 2_000_000
    output.encode("utf-8")


@pytest.mark.parametrize("name", REPORTERS)
@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_name_injects_nothing(name, attack):
    assert_calm(rendered(name, attack))


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_name_leaves_json_readable_and_valid(attack):
    data = json.loads(rendered("json", attack))
    jsonschema.validate(data, SCHEMA, jsonschema.Draft202012Validator)
    name = re.sub("[\ud800-\udfff]", "\ufffd", HOSTILE[attack])
    if len(name) <= 4096:
        assert data["models"][0]["findings"][1]["message"] == name
        assert data["models"][0]["findings"][0]["location"]["value"] == name
        assert data["models"][0]["path"] == name


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_name_leaves_junit_well_formed(attack):
    output = rendered("junit", attack)
    root = ET.fromstring(output)  # noqa: S314  # our own output
    assert len(root.findall("testsuite")) == 4
    assert root.find(".//evil") is None
    case = root.find("testsuite/testcase[@name='NPU202 runs-on-cpu']")
    assert case is not None
    assert len(case.findall("system-out")) == 1
    assert junitparser.JUnitXml.fromstring(output).tests == int(root.attrib["tests"])


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_name_leaves_sarif_with_a_legal_uri_and_our_links_only(attack):
    data = json.loads(rendered("sarif", attack))
    for result in data["runs"][0]["results"]:
        for location in result["locations"] + result.get("relatedLocations", []):
            uri = location["physicalLocation"]["artifactLocation"]["uri"]
            assert re.fullmatch(r"(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})*", uri)
        message = result["message"]["text"]
        assert re.findall(r"\[([^\[\]]*)\]\(", message) in ([], ["the model"])
        assert not re.search(r"@\w", message)
        assert not re.search(r"(?<!\{)\{\d+\}", message)


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_name_leaves_markdown_without_live_markup(attack):
    report = hostile(HOSTILE[attack])
    assert_page_is_inert(markdown.render(report))
    assert_page_is_inert(markdown.render(report, blob=BLOB))


def assert_page_is_inert(output, drawings=1):
    """Assert that GitHub acts on nothing that a model decides, links to the checkout aside."""
    assert len(output.encode()) <= markdown.COMMENT_BYTES
    output, drawn = DRAWING.subn("", output)
    assert drawn >= drawings
    output = OUR_LINK.sub(r"\1", output)
    for line in output.split("\n"):
        bare = ALLOWED_TAGS.sub("", line)
        assert not re.search(r"[<`@\[\]!~\\]", bare)
        assert not re.search(r"(?i)https?:|www\.", bare)
        assert "\\" not in bare
        if line.startswith("| "):
            assert line.count("|") == 7
    for tag in ("details", "summary", "code"):
        assert output.count(f"<{tag}>") == output.count(f"</{tag}>")
    prose = re.sub(r"<code>.*?</code>", "", output)
    # What GitHub looks for after rendering is split wherever it stands outside of code.
    assert not re.search(r"&#(?:64|35);\w", prose)


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_name_in_a_drawing_names_no_address(attack):
    for drawing in DRAWING.findall(rendered("markdown", attack)):
        assert not re.search(r"(?i)https?:|www\.|```.+```|@", drawing[3:])


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_name_does_not_break_the_budget_of_markdown(attack):
    report = hostile(HOSTILE[attack])
    report = replace(report, models=report.models * 20, notices=report.notices * 30)
    assert len(markdown.render(report, budget=2_000).encode()) <= 2_000


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_name_leaves_code_quality_readable_with_unique_fingerprints(attack):
    data = json.loads(rendered("gitlab", attack))
    prints = [issue["fingerprint"] for issue in data]
    assert len(set(prints)) == len(prints) == 15 + 29
