from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from npugate.findings.values import Severity
from npugate.report.values import ModelReport
from npugate.reporters import gitlab, sarif
from tests.sample_report import CLEAN, CPU, REPORT, conv, of


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


@pytest.mark.parametrize(("path", "shown"), [("./a/b.onnx", "a/b.onnx"), ("a\\b.onnx", "a/b.onnx")])
def test_code_quality_and_sarif_paths_are_relative_with_forward_slashes(path, shown):
    report = replace(REPORT, models=(ModelReport(path, "", 1, (conv(1),)),))
    (issue,) = json.loads(gitlab.render(report))
    (result,) = results(report)
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert (issue["location"]["path"], uri) == (shown, shown)
