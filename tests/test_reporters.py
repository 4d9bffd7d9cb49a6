from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import junitparser
import pytest

from npugate.report import ModelReport, Report
from npugate.reporters import REPORTERS, markdown, sarif, text
from npugate.types import Location, Severity
from tests.sample_report import (
    ALL_HOSTILE,
    BATCH,
    CLEAN,
    CPU,
    HOSTILE,
    RANK,
    REPORT,
    finding,
    hostile,
)

SCHEMA = json.loads(
    (Path(__file__).parents[1] / "npugate" / "report.schema.json").read_text(encoding="utf-8")
)
SUFFIXES = {
    "text": "txt",
    "json": "json",
    "junit": "xml",
    "sarif": "sarif",
    "markdown": "md",
    "gitlab": "gitlab.json",
}
ALLOWED_TAGS = re.compile(r"</?(?:details|summary|code)>")


def render(name, report):
    return REPORTERS[name](report)


def of(*findings, **more) -> Report:
    model = ModelReport("m.onnx", "00" * 32, 10, tuple(findings), **more)
    return replace(REPORT, models=(model,), notices=())


# -- whole outputs -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REPORTERS)
def test_the_sample_report_is_rendered_as_in_its_snapshot(name, snapshot):
    snapshot(f"report.{SUFFIXES[name]}", render(name, REPORT))


@pytest.mark.parametrize("name", REPORTERS)
def test_a_clean_report_is_rendered_as_in_its_snapshot(name, snapshot):
    snapshot(f"clean.{SUFFIXES[name]}", render(name, CLEAN))


@pytest.mark.parametrize("name", REPORTERS)
def test_a_report_of_hostile_names_is_rendered_as_in_its_snapshot(name, snapshot):
    snapshot(f"hostile.{SUFFIXES[name]}", render(name, ALL_HOSTILE))


def test_the_verbose_and_coloured_text_is_as_in_its_snapshot(snapshot):
    snapshot("report.verbose.txt", text.render(REPORT, colour=True, verbose=True))


@pytest.mark.parametrize("name", REPORTERS)
def test_rendering_twice_gives_the_same_text(name):
    assert render(name, REPORT) == render(name, REPORT)


@pytest.mark.parametrize("name", REPORTERS)
def test_a_report_without_models_is_rendered(name):
    assert render(name, replace(REPORT, models=())).endswith("\n")


def test_no_format_is_imported_before_it_is_used():
    code = (
        "import sys; from npugate.reporters import REPORTERS\n"
        "from tests.sample_report import REPORT\n"
        "REPORTERS['text'](REPORT)\n"
        "loaded = {'junit_xml', 'onnx', 'numpy', 'npugate.reporters.sarif'} & set(sys.modules)\n"
        "sys.exit(repr(loaded) if loaded else 0)"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run(  # noqa: S603  # our own interpreter and code
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# -- hostile names -------------------------------------------------------------------------------


def assert_calm(output):
    """Assert what holds for every format: nothing that a log or a terminal acts on."""
    for line in output.split("\n"):
        assert not line.lstrip().startswith("::")
        assert not re.search(r"##\w*\[", line)
    raw = {char for char in output if unicodedata.category(char)[0] == "C" and char != "\n"}
    assert raw == set()
    assert len(output) < 2_000_000
    output.encode("utf-8")


@pytest.mark.parametrize("name", REPORTERS)
@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_name_injects_nothing(name, attack):
    assert_calm(render(name, hostile(HOSTILE[attack])))


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_name_leaves_json_readable_and_valid(attack):
    data = json.loads(render("json", hostile(HOSTILE[attack])))
    jsonschema.validate(data, SCHEMA, jsonschema.Draft202012Validator)
    name = re.sub("[\ud800-\udfff]", "\ufffd", HOSTILE[attack])
    if len(name) <= 4096:
        assert data["models"][0]["findings"][1]["message"] == name
        assert data["models"][0]["findings"][0]["location"]["value"] == name
        assert data["models"][0]["path"] == name


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_name_leaves_junit_well_formed(attack):
    output = render("junit", hostile(HOSTILE[attack]))
    root = ET.fromstring(output)  # noqa: S314  # our own output
    assert len(root.findall("testsuite")) == 4
    assert root.find(".//evil") is None
    case = root.find("testsuite/testcase[@name='NPU202 runs-on-cpu']")
    assert case is not None
    assert len(case.findall("system-out")) == 1
    assert junitparser.JUnitXml.fromstring(output).tests == int(root.attrib["tests"])


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_name_leaves_sarif_with_a_legal_uri_and_our_links_only(attack):
    data = json.loads(render("sarif", hostile(HOSTILE[attack])))
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
    output = render("markdown", hostile(HOSTILE[attack]))
    assert len(output.encode()) <= markdown.COMMENT_BYTES
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
def test_a_hostile_name_does_not_break_the_budget_of_markdown(attack):
    report = hostile(HOSTILE[attack])
    report = replace(report, models=report.models * 20, notices=report.notices * 30)
    assert len(markdown.render(report, budget=2_000).encode()) <= 2_000


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_name_leaves_code_quality_readable_with_unique_fingerprints(attack):
    data = json.loads(render("gitlab", hostile(HOSTILE[attack])))
    prints = [issue["fingerprint"] for issue in data]
    assert len(set(prints)) == len(prints) == 15 + 29


# -- text ----------------------------------------------------------------------------------------


def conv(number, rule=BATCH, **more):
    return finding(
        rule, "batch 24, the limit is 1", Location("", f"c{number}", "Conv"), number, **more
    )


def test_twenty_equal_findings_become_one_item_with_the_first_three_places():
    output = text.render(of(*(conv(n) for n in range(20))))
    assert "1. NPU104 batch-size: 20 x Conv, first: batch 24, the limit is 1" in output
    assert "at Conv(c0); Conv(c1); Conv(c2); and 17 more" in output
    assert "2. " not in output


def test_a_few_equal_findings_are_listed_one_by_one():
    output = text.render(of(*(conv(n) for n in range(5))))
    assert "    5. NPU104 batch-size: batch 24, the limit is 1\n" in output


def test_verbose_text_lists_every_finding():
    output = text.render(of(*(conv(n) for n in range(20))), verbose=True)
    assert output.count("batch 24, the limit is 1") == 20


def test_text_keeps_to_100_columns_where_names_allow():
    assert max(len(line) for line in render("text", REPORT).split("\n")) <= 100


def test_a_long_name_stays_in_one_piece_in_text():
    name = "a" * 150
    output = text.render(of(finding(BATCH, "batch 2", Location("", name, "Conv"), 1)))
    assert f"Conv({name})" in output


def test_plain_text_has_no_escape_and_coloured_text_says_the_same():
    plain, coloured = text.render(REPORT), text.render(REPORT, colour=True)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


@pytest.mark.parametrize(
    ("report", "verdict", "sentence"),
    [
        (REPORT, "FAIL (exit status 1)", "2 OF 3 MODELS HAVE VIOLATIONS"),
        (CLEAN, "PASS (exit status 0)", "NO VIOLATIONS OF THE LIMITS OF STM32N6 FOUND IN 1 MODEL"),
        (replace(REPORT, threshold=None), "PASS (exit status 0)", "NOTHING FAILS WITH"),
        (replace(REPORT, crashed=True), "ERROR (exit status 3)", "NPUGATE ITSELF FAILED"),
        (replace(REPORT, models=()), "PASS (exit status 0)", "NO MODEL WAS CHECKED"),
        (
            replace(of(conv(1, CPU)), threshold=Severity.WARNING),
            "FAIL (exit status 1)",
            "MODEL HAS FINDINGS AT OR ABOVE --fail-on warning",
        ),
    ],
)
def test_text_ends_with_the_verdict(report, verdict, sentence):
    *_, said, last = text.render(report).splitlines()
    assert (sentence in said, last) == (True, f"verdict: {verdict}")


# -- json ----------------------------------------------------------------------------------------


def test_json_follows_its_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for report in (REPORT, CLEAN, replace(REPORT, models=(), threshold=None, crashed=True)):
        data = json.loads(render("json", report))
        jsonschema.validate(data, SCHEMA, jsonschema.Draft202012Validator)


def test_the_schema_refuses_a_report_without_any_one_of_its_keys():
    data = json.loads(render("json", REPORT))
    validator = jsonschema.Draft202012Validator(SCHEMA)
    needed = {"schema", "tool", "target", "toolchain", "models", "summary", "exit_code"}
    assert set(SCHEMA["required"]) >= needed
    for key in needed:
        assert not validator.is_valid({k: v for k, v in data.items() if k != key})
    assert validator.is_valid(data | {"estimate": {}})
    data["models"][0]["verdict"] = "maybe"
    assert not validator.is_valid(data)


def test_json_counts_what_is_not_suppressed():
    data = json.loads(render("json", REPORT))
    assert data["summary"] == {
        "models": 3,
        "passed": 1,
        "failed": 1,
        "unreadable": 1,
        "errors": 27,
        "warnings": 1,
        "notes": 1,
        "suppressed": 2,
    }
    assert data["exit_code"] == 1


# -- junit ---------------------------------------------------------------------------------------


def cases(report):
    root = ET.fromstring(render("junit", report))  # noqa: S314  # our own output
    return {
        (suite.get("name"), case.get("name")): [child.tag for child in case]
        for suite in root
        for case in suite.iter("testcase")
    }


def test_junit_fails_on_errors_skips_the_suppressed_and_passes_the_rest():
    found = cases(REPORT)
    rppg, clean = "models/rppg_4d fp32.onnx", "models/clean.onnx"
    assert found[rppg, "NPU102 tensor-rank"] == ["failure"]
    assert found[rppg, "NPU202 runs-on-cpu"] == ["system-out"]
    assert found[rppg, "NPU001 lfs-pointer"] == []
    assert found[clean, "NPU102 tensor-rank"] == ["skipped", "system-out"]


def test_junit_lists_only_the_rules_that_ran_on_an_unreadable_model():
    found = [rule for path, rule in cases(REPORT) if path == "models/pointer.onnx"]
    assert found == ["NPU001 lfs-pointer"]


def test_junit_fails_on_warnings_where_the_gate_does():
    report = replace(of(conv(1, CPU)), threshold=Severity.WARNING)
    assert cases(report)["m.onnx", "NPU202 runs-on-cpu"] == ["failure"]


def test_junit_says_where_in_attributes_that_consumers_read():
    root = ET.fromstring(render("junit", REPORT))  # noqa: S314  # our own output
    case = root.find("testsuite[3]/testcase[@name='NPU102 tensor-rank']")
    assert case is not None
    assert (case.get("file"), case.get("line")) == ("examples/rppg/model_4d_stm32.py", "27")
    assert all(c.get("file") and c.get("line") for c in root.iter("testcase"))


def test_junit_has_no_attribute_that_the_jenkins_schema_refuses():
    root = ET.fromstring(render("junit", REPORT))  # noqa: S314  # our own output
    assert not [e for e in root.iter() if "disabled" in e.attrib]
    times = [e.attrib["time"] for e in root.iter() if "time" in e.attrib]
    assert all(re.fullmatch(r"\d+\.\d{3}", time) for time in times)
    assert root.get("time") == "0.123"


# -- sarif ---------------------------------------------------------------------------------------


def results(report, **more):
    return json.loads(sarif.render(report, **more))["runs"][0]["results"]


def places(report):
    return sorted(
        (
            result["ruleId"],
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            result["locations"][0]["physicalLocation"]["region"]["startLine"],
        )
        for result in results(report)
    )


def test_sarif_has_one_result_for_each_rule_and_line_and_one_at_the_model_for_the_rest():
    model, code = "models/rppg_4d%20fp32.onnx", "examples/rppg/model_4d_stm32.py"
    assert places(REPORT) == [
        ("NPU001", "models/pointer.onnx", 1),
        ("NPU102", code, 27),
        ("NPU102", code, 28),
        ("NPU104", model, 1),
        ("NPU110", model, 1),
        ("NPU202", code, 27),
    ]


def test_sarif_relates_a_line_of_python_to_the_model():
    (result,) = [r for r in results(REPORT) if r["ruleId"] == "NPU202"]
    (related,) = result["relatedLocations"]
    uri = related["physicalLocation"]["artifactLocation"]["uri"]
    assert (related["id"], uri) == (0, "models/rppg_4d%20fp32.onnx")
    assert "[the model](0)" in result["message"]["text"]


def test_sarif_fingerprints_are_unique_and_survive_a_moved_line():
    before = [r["partialFingerprints"] for r in results(REPORT)]
    moved = replace(
        REPORT,
        models=tuple(
            replace(
                model,
                findings=tuple(
                    replace(f, source=replace(f.source, line=f.source.line + 5)) if f.source else f
                    for f in model.findings
                ),
            )
            for model in REPORT.models
        ),
    )
    assert [r["partialFingerprints"] for r in results(moved)] == before
    assert len({p["npugateFingerprint/v1"] for p in before}) == len(before)
    assert all(set(p) == {"npugateFingerprint/v1"} for p in before)


def test_sarif_leaves_out_what_is_suppressed():
    assert results(CLEAN) == []


def test_sarif_keeps_to_what_github_takes():
    (run,) = json.loads(sarif.render(REPORT))["runs"]
    assert run["automationDetails"]["id"] == "npugate/stm32n6/"
    for number, rule in enumerate(run["tool"]["driver"]["rules"]):
        assert "security-severity" not in rule["properties"]
        assert len(rule["properties"]["tags"]) <= 10
        assert rule["help"]["markdown"]
        assert all(r["ruleIndex"] == number for r in run["results"] if r["ruleId"] == rule["id"])
    assert json.loads(sarif.render(REPORT, category="ci/board"))["runs"][0][
        "automationDetails"
    ] == {"id": "ci/board/"}


def test_sarif_keeps_the_worst_results_of_too_many_and_says_so():
    path = "m{}.onnx"
    notes = [conv(1, CPU, severity=Severity.NOTE)]
    models = [ModelReport(path.format(n), "", 1, tuple(notes)) for n in range(25_001)]
    models.append(ModelReport("z.onnx", "", 1, (conv(2),)))
    (run,) = json.loads(sarif.render(replace(REPORT, models=tuple(models), notices=())))["runs"]
    assert len(run["results"]) == 25_000
    assert run["results"][0]["level"] == "error"
    told = run["invocations"][0]["toolExecutionNotifications"]
    assert [t["message"]["text"] for t in told] == [
        "2 results are left out: a run holds at most 25000."
    ]


def test_sarif_names_the_nodes_with_their_figures():
    (result,) = results(of(*(conv(n) for n in range(12))))
    message = result["message"]["text"]
    assert "- Conv(c9): batch 24, the limit is 1" in message
    assert "- and 2 more" in message
    assert "c10" not in message


def test_a_sarif_result_is_as_bad_as_the_worst_of_its_findings():
    (result,) = results(of(conv(1, CPU, severity=Severity.NOTE), conv(2, CPU)))
    assert result["level"] == "warning"


def test_a_sarif_category_ends_in_one_slash():
    (run,) = json.loads(sarif.render(CLEAN, category="ci/board/"))["runs"]
    assert run["automationDetails"] == {"id": "ci/board/"}


def test_a_rule_that_is_not_listed_still_has_an_entry_in_sarif():
    (run,) = json.loads(sarif.render(replace(of(conv(1)), rules={})))["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["NPU104"]


# -- markdown ------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [2_000, 5_000, 20_000, markdown.COMMENT_BYTES])
def test_markdown_keeps_to_its_budget_and_says_what_is_left_out(budget):
    models = tuple(
        ModelReport(f"models/{n}.onnx", "", 1, tuple(conv(i, RANK) for i in range(9)))
        for n in range(1_000)
    )
    output = markdown.render(replace(REPORT, models=models), budget=budget)
    assert len(output.encode()) <= budget
    assert "Left out to keep this short: " in output
    assert output.count("<details>") == output.count("</details>")


def test_markdown_lists_the_failing_models_first():
    output = render("markdown", REPORT)
    rows = [line for line in output.splitlines() if line.startswith("| <code>")]
    assert [row.split(" | ")[1].split()[1] for row in rows] == ["fail", "unreadable", "pass"]


def test_markdown_is_short_when_all_is_well():
    models = tuple(replace(CLEAN.models[0], path=f"{n}.onnx") for n in range(50))
    output = markdown.render(replace(CLEAN, models=models))
    assert output.startswith("## \u2705 npugate: PASS\n")
    assert output.count("\n\n<details><summary>50 models</summary>\n\n|") == 1
    assert "Left out" not in output


def test_markdown_does_not_fold_the_table_when_something_failed():
    models = tuple(
        replace(model, path=f"{n}.onnx") for n in range(50) for model in of(conv(1)).models
    )
    output = markdown.render(replace(CLEAN, models=models))
    assert "<summary>50 models</summary>" not in output
    assert "\n| <code>49.onnx</code> | \u274c fail | 1 |  |  |  |\n" in output


# -- gitlab --------------------------------------------------------------------------------------


def test_code_quality_has_every_counted_finding_at_its_best_place():
    data = json.loads(render("gitlab", REPORT))
    assert [(d["check_name"], d["severity"]) for d in data[:2]] == [
        ("NPU001", "major"),
        ("NPU102", "major"),
    ]
    assert data[1]["location"] == {
        "path": "examples/rppg/model_4d_stm32.py",
        "lines": {"begin": 27},
    }
    assert {d["severity"] for d in data} == {"major", "minor", "info"}
    assert len(data) == 29


@pytest.mark.parametrize(("path", "shown"), [("./a/b.onnx", "a/b.onnx"), ("a\\b.onnx", "a/b.onnx")])
def test_code_quality_and_sarif_paths_are_relative_with_forward_slashes(path, shown):
    report = replace(REPORT, models=(ModelReport(path, "", 1, (conv(1),)),))
    (issue,) = json.loads(render("gitlab", report))
    (result,) = results(report)
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert (issue["location"]["path"], uri) == (shown, shown)
