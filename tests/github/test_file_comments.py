"""Comments on the files of failing models, against an API on the loopback."""

import pytest
from msgspec.structs import replace

from tests.comment_step import api, no_proxy, step
from tests.github_api import Fault
from tests.sample_report import REPORT, conv, of

__all__ = ["api", "no_proxy", "step"]

PINNED = {"INPUT_FILE_COMMENTS": "true", "INPUT_COMMENT": "off"}
FAILING = [model.path for model in REPORT.models if model.final_verdict(REPORT.threshold) != "pass"]


def changed(*names, status="modified"):
    return [{"filename": name, "status": status} for name in names]


def test_each_failing_model_gets_one_comment_on_its_file(api, step):
    api.files = changed(*FAILING, "models/clean.onnx")
    step.run(REPORT, **PINNED)
    assert sorted(c["path"] for c in api.review.values()) == sorted(FAILING)
    assert api.bodies() == []
    step.run(REPORT, **PINNED, GITHUB_RUN_ID="101")
    assert len(api.review) == 2
    assert [method for method, _ in api.wrote()] == ["POST", "POST", "PATCH", "PATCH"]


def test_a_model_that_passes_meanwhile_is_told_where_it_failed(api, step):
    api.files = changed("m.onnx")
    step.run(of(conv(1)), **PINNED)
    assert "❌" in api.bodies("review")[0]
    step.run(of(), **PINNED, GITHUB_RUN_ID="101")
    assert len(api.review) == 1
    assert "## ✅ npugate: PASS" in api.bodies("review")[0]


def test_ten_files_are_commented_on_at_most(api, step):
    models = tuple(replace(of(conv(1)).models[0], path=f"{n:02}.onnx") for n in range(14))
    api.files = changed(*(model.path for model in models))
    out = step.run(replace(REPORT, models=models), **PINNED)
    assert len(api.review) == 10
    assert "4 more models fail" in out


def test_among_three_thousand_changed_files_the_model_is_found(api, step):
    api.files = changed(*(f"{n}.txt" for n in range(2_999)), "m.onnx")
    step.run(of(conv(1)), **PINNED)
    assert len(api.review) == 1


@pytest.mark.parametrize(
    "files",
    [
        [],
        changed("m.onnx", status="removed"),
        changed(*map(str, range(3_000)), "m.onnx"),
    ],
    ids=["unchanged", "removed", "beyond what the API lists"],
)
def test_a_file_that_the_pull_request_does_not_change_gets_a_notice(api, step, files):
    api.files = files
    out = step.run(of(conv(1)), **PINNED)
    assert api.review == {}
    assert "the pull request does not change their files" in out


@pytest.mark.parametrize("is_done", [True, False])
def test_a_file_comment_is_not_posted_twice_on_a_bad_day(api, step, is_done):
    api.files = changed("m.onnx")
    api.faults = [Fault("POST", status=502, is_done=is_done)]
    step.run(of(conv(1)), **PINNED)
    assert len(api.review) == 1


def test_a_head_that_moved_meanwhile_ends_in_a_notice(api, step):
    api.files = changed("m.onnx")
    api.head = "f" * 40
    assert "could not be resolved" in step.run(of(conv(1)), **PINNED)
