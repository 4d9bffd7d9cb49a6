"""Ways by which a model left the gate without a word, or came into it with its faults excused.

Each test is a bypass that was green once. The scripts and the program run as on GitHub.
"""

import pytest

from tests.pull_request import PullRequest, advance, bad, good, needs_git, submodule, told

pytestmark = needs_git


@pytest.fixture
def request_(tmp_path, monkeypatch):
    return PullRequest(tmp_path, monkeypatch)


def left(outcome, path, reason=""):
    assert [row["path"] for row in outcome.report["departed"]] == [path], outcome.report["departed"]
    for page in (outcome.summary, outcome.comment):
        assert "left the gate" in told(page)
        assert path in told(page)
        assert reason in told(page)


LEAVES = {
    "deleted": ({"m/net.onnx": None}, "", "deleted"),
    "renamed to another suffix": ({"m/net.onnx": None, "m/net.bin": bad}, "", "m/net.bin"),
    "renamed to no suffix": ({"m/net.onnx": None, "net": bad}, "", "net"),
    "moved out of the folder": ({"m/net.onnx": None, "n/net.onnx": bad}, "m", "n/net.onnx"),
    "hidden by a skipped folder": ({"m/net.onnx": None, "m/venv/net.onnx": bad}, "m", "venv"),
    "hidden by a hidden folder": ({"m/net.onnx": None, "m/.x/net.onnx": bad}, "m/**", ".x"),
    "hidden by a glob": ({"m/net.onnx": None, "m/net.ONNX": bad}, "m/*.onnx", "m/net.ONNX"),
}


@pytest.mark.parametrize("case", LEAVES)
def test_a_model_that_leaves_is_named_and_a_setting_makes_it_fail(request_, case):
    change, models, reason = LEAVES[case]
    request_.base({"m/net.onnx": bad, "good.onnx": good, "x/keep.onnx": good})
    keep = {"m/keep.onnx": good} if models else {}
    outcome = request_.change(keep | change, INPUT_MODELS=models)
    assert outcome.verdict == "pass", outcome.log
    left(outcome, "m/net.onnx", reason)
    assert request_.judge(INPUT_MODELS=models, INPUT_MAY_LEAVE="false").verdict == "fail"


def test_the_setting_of_the_base_holds(request_):
    request_.base({"net.onnx": bad, "good.onnx": good, "npugate.toml": "may-leave = false\n"})
    outcome = request_.change({"net.onnx": None, "npugate.toml": "may-leave = true\n"})
    assert outcome.verdict == "fail"
    left(outcome, "net.onnx")
    assert "may-leave" in told(outcome.summary)
    assert outcome.report["exit_code"] == 1


def test_the_last_model_leaves_as_any_other(request_):
    request_.base({"net.onnx": bad})
    left(request_.change({"net.onnx": None, "net.bin": bad}), "net.onnx")
    left(request_.judge(INPUT_MODELS="*.onnx"), "net.onnx")
    left(request_.judge(INPUT_MODELS="."), "net.onnx")


def test_a_model_that_moves_into_a_submodule_leaves(request_):
    request_.base({"net.onnx": bad, "good.onnx": good})
    request_.commit({"net.onnx": None})
    submodule(request_, "sub", {"net.onnx": bad})
    left(request_.judge(), "net.onnx", "deleted")


def test_a_model_of_a_submodule_is_judged_when_that_moves(request_):
    submodule(request_, "sub", {"net.onnx": good}, commit=False)
    request_.base({"good.onnx": good})
    models = {"INPUT_MODELS": "sub/*.onnx\ngood.onnx"}
    assert request_.change({"README": "x"}, **models).paths == []
    advance(request_, "sub", {"net.onnx": bad})
    outcome = request_.judge(**models)
    assert (outcome.verdict, outcome.paths) == ("fail", ["sub/net.onnx"])
    text = (request_.folder / ".gitmodules").read_text()
    outcome = request_.change({".gitmodules": f"{text}\tignore = all\n"}, **models)
    assert outcome.verdict == "fail"


def test_a_model_that_is_excluded_by_the_change_stays(request_):
    request_.base({"net.onnx": good, "good.onnx": good})
    outcome = request_.change({"net.onnx": bad, "npugate.toml": "exclude = ['net.onnx']\n"})
    assert outcome.verdict == "fail"
    assert "departed" not in outcome.report


def test_a_renamed_model_does_not_leave(request_):
    request_.base({"net.onnx": bad, "good.onnx": good})
    outcome = request_.change({"net.onnx": None, "deep/there.onnx": bad})
    assert outcome.verdict == "pass"
    assert "left the gate" not in told(outcome.summary)


@pytest.mark.parametrize(
    "config",
    [
        "exclude = ['old/**']\n",
        "[[ignores]]\nrule = 'NPU104'\npaths = ['old/**']\nreason = 'why'\n",
        "[[models]]\npaths = ['old/**']\nignore = ['NPU104']\n",
        "[[models]]\npaths = ['old/**']\nseverity = { NPU104 = 'note' }\n",
        "[[models]]\npaths = ['old/**']\ntarget = 'stm32h7'\n",
    ],
)
def test_a_rename_out_of_what_is_let_pass_is_new(request_, config):
    request_.base({"old/net.onnx": bad, "good.onnx": good, "npugate.toml": config})
    assert request_.change({"old/net.onnx": None, "old/there.onnx": bad}).verdict == "pass"
    outcome = request_.change({"old/there.onnx": None, "net.onnx": bad})
    assert (outcome.verdict, outcome.paths) == ("fail", ["net.onnx"])


def test_a_rename_out_of_another_suffix_is_new(request_):
    request_.base({"net.bin": bad, "good.onnx": good})
    assert request_.change({"net.bin": None, "net.onnx": bad}).verdict == "fail"


def test_a_rename_into_the_paths_that_are_checked_is_new(request_):
    request_.base({"x/net.onnx": bad, "m/good.onnx": good})
    outcome = request_.change({"x/net.onnx": None, "m/net.onnx": bad}, INPUT_MODELS="m")
    assert outcome.verdict == "fail"
