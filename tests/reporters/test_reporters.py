from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from msgspec.structs import replace

from npugate.findings.values import Location, Severity
from npugate.report.values import ModelReport, Report
from npugate.reporters import FILES, REPORTERS, markdown, text
from tests.sample_report import (
    ALL_HOSTILE,
    BATCH,
    CLEAN,
    CPU,
    RANK,
    REPAIRED,
    REPORT,
    conv,
    finding,
    of,
)

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "npugate" / "report.schema.json").read_text(encoding="utf-8")
)
# The page holds its libraries and so has no snapshot: tests/reporters/test_html.py.
SUFFIXES = {n: file.removeprefix("npugate.") for n, file in FILES.items() if n != "html"}


def render(name, report):
    return REPORTERS[name](report)


# -- whole outputs -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SUFFIXES)
def test_the_sample_report_is_rendered_as_in_its_snapshot(name, snapshot):
    snapshot(f"report.{SUFFIXES[name]}", render(name, REPORT))


@pytest.mark.parametrize("name", SUFFIXES)
def test_a_run_that_repairs_is_as_before(name, snapshot):
    snapshot(f"repaired.{SUFFIXES[name]}", render(name, REPAIRED))


def test_the_differing_nodes_are_listed_when_asked_for():
    lines = ["- view: v = Reshape (x)", "+ view~1: v~2 = Reshape (x)"]
    assert all(line not in text.render(REPAIRED) for line in lines)
    assert all(line in text.render(REPAIRED, diff=True) for line in lines)


@pytest.mark.parametrize("name", SUFFIXES)
def test_a_clean_report_is_rendered_as_in_its_snapshot(name, snapshot):
    snapshot(f"clean.{SUFFIXES[name]}", render(name, CLEAN))


@pytest.mark.parametrize("name", SUFFIXES)
def test_a_report_of_hostile_names_is_rendered_as_in_its_snapshot(name, snapshot):
    snapshot(f"hostile.{SUFFIXES[name]}", render(name, ALL_HOSTILE))


def test_the_verbose_and_coloured_text_is_as_in_its_snapshot(snapshot):
    snapshot("report.verbose.txt", text.render(REPORT, colour=True, verbose=True))


@pytest.mark.parametrize("name", SUFFIXES)
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
    root = Path(__file__).parents[2]
    done = subprocess.run(  # our own interpreter and code
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# -- text ----------------------------------------------------------------------------------------


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
    for report in (REPORT, REPAIRED):
        assert max(len(line) for line in render("text", report).split("\n")) <= 100


def test_a_long_name_stays_in_one_piece_in_text():
    name = "a" * 150
    output = text.render(of(finding(BATCH, "batch 2", Location("", name, "Conv"), 1)))
    assert f"Conv({name})" in output


def test_plain_text_has_no_escape_and_coloured_text_says_the_same():
    plain, coloured = text.render(REPORT), text.render(REPORT, colour=True)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1536, "1.5 KiB"),
        (512 * 1024**2, "512.0 MiB"),
        (3 * 1024**3, "3.0 GiB"),
    ],
)
def test_a_size_is_shown_in_the_unit_that_reads_best(size_bytes, shown):
    report = replace(REPORT, models=(ModelReport("m.onnx", "", size_bytes, ()),))
    assert f"  not read as a model, {shown}\n" in text.render(report)


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
    for report in (
        REPORT,
        CLEAN,
        REPAIRED,
        replace(REPORT, models=(), threshold=None, crashed=True),
    ):
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


def test_junit_writes_out_a_hundred_findings_of_a_rule():
    root = ET.fromstring(render("junit", of(*(conv(n) for n in range(103)))))  # noqa: S314  # ours
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.text is not None
    *listed, more, page = failure.text.splitlines()
    assert (len(listed), more) == (100, "... and 3 more")
    assert page == "more: npugate explain NPU104"


def test_junit_has_no_attribute_that_the_jenkins_schema_refuses():
    root = ET.fromstring(render("junit", REPORT))  # noqa: S314  # our own output
    assert not [e for e in root.iter() if "disabled" in e.attrib]
    times = [e.attrib["time"] for e in root.iter() if "time" in e.attrib]
    assert all(re.fullmatch(r"\d+\.\d{3}", time) for time in times)
    assert root.get("time") == "0.123"


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


def test_markdown_says_that_a_rule_crashed():
    output = markdown.render(replace(CLEAN, crashed=True))
    assert output.startswith("## \u274c npugate: ERROR\n")
    assert "**A rule crashed, so the verdict is incomplete" in output


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


FAILED = Report.failure_of("0.1.0", "no target 'x'", 2)


def test_a_run_without_a_verdict_passes_nowhere():
    junit = ET.fromstring(REPORTERS["junit"](FAILED))  # noqa: S314  # our own report
    assert junit.get("errors") == "1"
    log = json.loads(REPORTERS["sarif"](FAILED))
    assert log["runs"][0]["invocations"][0]["executionSuccessful"] is False
    assert json.loads(REPORTERS["json"](FAILED))["exit_code"] == 2
    assert REPORTERS["text"](FAILED).endswith("verdict: ERROR (exit status 2)\n")
    assert REPORTERS["markdown"](FAILED) == (
        "## \u274c npugate: ERROR\n\nThe run came to no verdict.\n\n> no target &#39;x&#39;\n"
    )
