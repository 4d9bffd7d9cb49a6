"""Every report links to the pages of the rules, or names a command where they are not known."""

import json
import re
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

import npugate
from npugate.report.documentation import OF_SITE, Documentation
from npugate.reporters import REPORTERS, reading
from npugate.run import pipeline
from tests.sample_report import CLEAN, REPAIRED, REPORT, finding, of

SITE = Documentation("https://docs.example/npugate/")
REPOSITORY = Documentation("https://github.com/o/n/blob/v1.2.0/docs/", ".md")
RULE = {
    SITE: "https://docs.example/npugate/rules/tensor-rank/",
    REPOSITORY: "https://github.com/o/n/blob/v1.2.0/docs/rules/tensor-rank.md",
}
REPAIR = {
    SITE: "https://docs.example/npugate/repairs/collapse-rank/",
    REPOSITORY: "https://github.com/o/n/blob/v1.2.0/docs/repairs/collapse-rank.md",
}
LINKING = ("text", "junit", "sarif", "markdown", "html")
PLACES = pytest.mark.parametrize("place", [SITE, REPOSITORY], ids=["site", "repository"])


def rendered(form, place=None, report=REPORT):
    return REPORTERS[form](replace(report, documentation=place or Documentation()))


def driver(place=None):
    return json.loads(rendered("sarif", place))["runs"][0]["tool"]["driver"]


def page(place=None, report=REPORT):
    text = rendered("html", place, report)
    return json.loads(re.search(r'id="npugate-data"[^>]*>(.*?)</script>', text, re.DOTALL)[1])


@PLACES
@pytest.mark.parametrize("form", LINKING)
def test_a_report_links_to_the_page_of_a_rule(form, place):
    assert RULE[place] in rendered(form, place)


@pytest.mark.parametrize("form", LINKING)
def test_where_no_page_is_known_the_command_is_named_and_nothing_links(form):
    text = rendered(form)
    assert "npugate explain" in text
    for base in ("docs.example", "/blob/", "helpUri", "informationUri"):
        assert base not in text


@PLACES
@pytest.mark.parametrize("form", ["markdown", "html"])
def test_a_report_links_to_the_page_of_a_repair(form, place):
    assert REPAIR[place] in rendered(form, place)


def test_sarif_links_the_tool_and_each_rule():
    assert driver(SITE)["informationUri"] == "https://docs.example/npugate/"
    home = "https://github.com/o/n/blob/v1.2.0/docs/rules/README.md"
    assert driver(REPOSITORY)["informationUri"] == home
    assert all(rule["helpUri"].startswith(SITE.base) for rule in driver(SITE)["rules"])
    assert all("npugate explain" not in rule["help"]["text"] for rule in driver(SITE)["rules"])
    texts = {rule["id"]: rule["help"]["text"] for rule in driver()["rules"]}
    assert all(text.endswith(f"More: `npugate explain {key}`.") for key, text in texts.items())


def test_junit_ends_a_failure_with_its_page():
    failures = ET.fromstring(rendered("junit", SITE)).iter("failure")  # noqa: S314 - ours
    last = {failure.text.splitlines()[-1] for failure in failures}
    assert f"more: {RULE[SITE]}" in last
    assert all(line.startswith("more: https://docs.example/npugate/rules/") for line in last)


def test_the_text_names_a_page_once_for_each_rule_of_a_model():
    lines = rendered("text", SITE).splitlines()
    assert sum(RULE[SITE] in line for line in lines) == 1
    assert f"more: {RULE[SITE]}" in [line.strip() for line in lines]


def test_a_comment_names_the_command_once_and_only_where_there_is_something_to_learn():
    assert rendered("markdown").count("npugate explain") == 1
    assert "npugate explain" not in rendered("markdown", SITE)
    assert "npugate explain" not in rendered("markdown", report=CLEAN)


def test_the_page_has_the_address_of_every_rule_and_repair_that_it_names():
    found = page(SITE, REPAIRED)
    assert found["rules"]["NPU102"]["link"] == RULE[SITE]
    assert {"collapse-rank", "fold-batch", "lower-rank", "split-einsum"} <= set(found["repairs"])
    assert found["repairs"]["collapse-rank"] == REPAIR[SITE]
    assert page()["repairs"] == {}


@pytest.mark.parametrize("form", LINKING)
def test_a_rule_that_is_not_ours_has_no_page(form):
    stranger = replace(REPORT.rules["NPU102"], id="NPU999", name="a-stranger", repair=None)
    report = of(finding(stranger, "no rule of this run", REPORT.models[0].findings[0].location, 1))
    assert "a-stranger/" not in rendered(form, SITE, report)
    if form != "html":  # whose program writes it: tools/validate_page.py
        assert "npugate explain NPU999" in rendered(form, SITE, report)


@pytest.mark.parametrize("name", ["", "../../evil", "a b", "A", "a)](https://evil.example", "a\n"])
def test_a_name_that_is_no_page_makes_no_address(name):
    assert (SITE.rule(name), REPOSITORY.repair(name)) == ("", "")


def test_the_setting_is_empty_or_an_address_that_a_report_may_hold():
    assert reading.read(rendered("json", OF_SITE).encode()).documentation == OF_SITE
    assert pipeline.OF_SITE.base == npugate.SITE


@PLACES
def test_the_json_report_holds_the_place_of_the_pages(place):
    written = rendered("json", place)
    expected = {"base": place.base, "suffix": place.suffix}
    assert json.loads(written)["documentation"] == expected
    assert reading.read(written.encode()).documentation == place
    assert "documentation" not in json.loads(rendered("json"))
    assert reading.read(rendered("json").encode()).documentation == Documentation()


@pytest.mark.parametrize(
    "place",
    [
        {"base": "javascript:alert(1)/", "suffix": "/"},
        {"base": "http://docs.example/", "suffix": "/"},
        {"base": "https://docs.example/a) [b](https://evil.example/", "suffix": "/"},
        {"base": "https://docs.example/\n/", "suffix": "/"},
        {"base": "https://docs.example/", "suffix": ".exe"},
        {"base": "https://docs.example", "suffix": "/"},
        {"suffix": "/"},
    ],
)
def test_a_json_report_with_another_place_is_refused(place):
    value = {**json.loads(rendered("json")), "documentation": place}
    with pytest.raises(reading.UntrustedReportError, match="documentation"):
        reading.read(json.dumps(value).encode())
