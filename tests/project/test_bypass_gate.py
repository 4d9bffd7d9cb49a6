"""Ways by which a change judged itself, or took its models out of the gate.

Each test is a bypass that was green once. The scripts and the program run as on GitHub.
"""

import json

import pytest

from tests.project.test_bypass_models import CONV
from tests.pull_request import (
    GOOD,
    HEAD,
    Link,
    PullRequest,
    advance,
    bad,
    data,
    good,
    needs_git,
    submodule,
    told,
)

pytestmark = needs_git

TOLD = "this change edits what it is checked with"


@pytest.fixture
def request_(tmp_path, monkeypatch):
    return PullRequest(tmp_path, monkeypatch)


# --- 4: what judges is edited without a word ------------------------------------------------------

NESTED = {
    "ci/gate.toml": "baseline = 'known.json'\ntarget = '../chips/own.toml'\n",
    "ci/known.json": '{"schema": "npugate-baseline/1", "models": {}}',
    "chips/own.toml": "[target]\nname = 'own'\ntitle = 'Own'\nextends = 'more.toml'\n",
    "chips/more.toml": "[target]\nname = 'more'\ntitle = 'More'\nextends = 'stm32n6'\n",
    "net.onnx": good,
}


@pytest.mark.parametrize(
    "path", ["ci/gate.toml", "ci/known.json", "chips/own.toml", "chips/more.toml"]
)
def test_what_a_configuration_in_a_folder_names_is_found(request_, path):
    request_.base(NESTED)
    outcome = request_.change({path: NESTED[path] + "\n"}, INPUT_CONFIG="ci/gate.toml")
    assert outcome.verdict == "pass", outcome.log
    for page in (outcome.summary, outcome.comment):
        assert f"{TOLD}: {path}" in told(page)


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ("ci/../ci/gate.toml", "ci/gate.toml"),
        ("./ci/gate.toml", "ci/known.json"),
        ("there/gate.toml", "ci/gate.toml"),
        ("there/gate.toml", "ci/known.json"),
        ("there/gate.toml", "there"),
        ("link.toml", "ci/gate.toml"),
        ("link.toml", "link.toml"),
    ],
)
def test_what_is_named_by_another_way_is_found(request_, config, path):
    files = {
        "ci/gate.toml": "baseline = 'known.json'\n",
        "ci/known.json": NESTED["ci/known.json"],
        "known.json": NESTED["ci/known.json"],
        "link.toml": Link("ci/gate.toml"),
        "there": Link("ci"),
        "net.onnx": good,
    }
    request_.base(files)
    edits = {"there": Link("./ci"), "link.toml": Link("./ci/gate.toml")}
    outcome = request_.change({path: edits.get(path, f"{files.get(path)}\n")}, INPUT_CONFIG=config)
    assert outcome.verdict == "pass", outcome.log
    assert f"{TOLD}: {path}" in told(outcome.summary)


@pytest.mark.parametrize("name", ["npugate.toml", "pyproject.toml"])
@pytest.mark.parametrize("where", ["conf/real.toml", "conf/gate"])
def test_a_configuration_that_is_a_link_is_edited_where_it_lies(request_, name, where):
    table = "" if name == "npugate.toml" else "[tool.npugate]\n"
    text = f"{table}fail-on = 'error'\n"
    request_.base({name: Link(where), where: text, "net.onnx": good})
    outcome = request_.change({where: text.replace("error", "never"), "net.onnx": bad})
    assert f"{TOLD}: {where}" in told(outcome.summary)
    assert outcome.verdict == "fail"


def test_the_profile_of_the_compiler_belongs_to_the_gate(request_):
    pool = {"pools": []}
    profile = {"Globals": {}, "Profiles": {"fast": {"memory_pool": "./pools/mine.mpool"}}}
    files = {"st/neural.json": json.dumps(profile), "st/pools/mine.mpool": json.dumps(pool)}
    request_.base(files | {"net.onnx": good})
    for path, text in files.items():
        inputs = {"INPUT_STEDGEAI_PROFILE": "fast@./st/neural.json"}
        outcome = request_.change({path: text + "\n"}, **inputs)
        assert f"{TOLD}: " in told(outcome.summary)
        assert path in told(outcome.summary)


def test_what_lies_in_a_submodule_is_edited_with_it(request_):
    submodule(request_, "ci", {"gate.toml": "fail-on = 'error'\n"}, commit=False)
    request_.base({"net.onnx": good})
    advance(request_, "ci", {"gate.toml": "fail-on = 'never'\n"})
    assert f"{TOLD}: ci" in told(request_.judge(INPUT_CONFIG="ci/gate.toml").summary)


def test_a_base_whose_configuration_is_one_among_many_is_judged_by_it(request_):
    crowd = {f"a/{number:04}.json": "{}" for number in range(1001)}
    request_.base(crowd | {"npugate.toml": "fail-on = 'warning'\n", "net.onnx": good})
    warned = HEAD + "net (float[1, 4] x) => (float[1, 4] y) { y = Sign (x) }"
    outcome = request_.change({"npugate.toml": "", "net.onnx": data(warned)})
    assert outcome.verdict == "fail"


# --- 10: the settings of a change only tighten ----------------------------------------------------

LOOSER = {
    "fail-on": ("", "fail-on = 'never'\n", "fail-on"),
    "fail-on in a new section": ("fail-on = 'error'\n", "", None),
    "severity": ("", "[severity]\nNPU104 = 'note'\n", "NPU104"),
    "severity off": ("", "[severity]\nNPU104 = 'off'\n", "NPU104"),
    "select": ("", "select = ['NPU3']\n", "→ off"),
    "ignore": ("", "ignore = ['NPU104']\n", "NPU104"),
    "ignores": ("", "[[ignores]]\nrule = 'NPU104'\nreason = 'why'\n", "ignore"),
    "exclude": ("", "exclude = ['*.onnx']\n", "exclude"),
    "models": ("", "[[models]]\npaths = ['**']\nignore = ['NPU104']\n", "models"),
    "target": ("", "target = 'stm32h7'\n", "target"),
    "a target for some": ("", "[[models]]\npaths = ['*']\ntarget = 'stm32h7'\n", "models"),
    "a longer life": (
        "[[ignores]]\nrule = 'NPU104'\nreason = 'why'\nexpires = 2020-01-01\n",
        "[[ignores]]\nrule = 'NPU104'\nreason = 'why'\nexpires = 9999-01-01\n",
        "ignore",
    ),
}


@pytest.mark.parametrize("case", LOOSER)
def test_what_a_change_relaxes_is_not_taken_over_and_told(request_, case):
    before, after, word = LOOSER[case]
    request_.base({"net.onnx": good, "npugate.toml": before})
    outcome = request_.change({"net.onnx": bad, "npugate.toml": after + "# x\n"})
    assert (outcome.verdict, outcome.paths) == ("fail", ["net.onnx"])
    if word is None:
        return
    for page in (outcome.summary, outcome.comment):
        (line,) = (
            line
            for line in told(page).splitlines()
            if "not taken over" in line or (word == "target" and "checked with both" in line)
        )
        assert word in line


def test_the_head_judges_where_the_workflow_says_so(request_):
    request_.base({"net.onnx": good})
    change = {"net.onnx": bad, "npugate.toml": "fail-on = 'never'\n"}
    outcome = request_.change(change, INPUT_CONFIG_FROM="head")
    assert outcome.verdict == "pass"
    assert TOLD in told(outcome.summary)


def test_a_new_baseline_is_not_taken_over(request_):
    request_.base({"net.onnx": bad, "npugate.toml": ""})
    request_.write_baseline("known.json", "net.onnx")
    request_.commit({"net.onnx": good, "known.json": None})
    request_.git("checkout", "-q", "-B", "main")
    request_.git("checkout", "-q", "-B", "topic")
    (request_.folder / "net.onnx").write_bytes(bad)
    request_.write_baseline("known.json", "net.onnx")
    outcome = request_.change({"npugate.toml": "baseline = 'known.json'\n"})
    assert outcome.verdict == "fail"
    assert "entries of the baseline" in told(outcome.summary)


def test_a_baseline_that_grows_is_not_taken_over_and_one_that_shrinks_is(request_):
    config = {"npugate.toml": "baseline = 'known.json'\n"}
    request_.base({"net.onnx": good, **config})
    (request_.folder / "net.onnx").write_bytes(good)
    request_.write_baseline("known.json", "net.onnx")
    request_.commit({})
    request_.git("checkout", "-q", "-B", "main")
    request_.git("checkout", "-q", "-B", "topic")
    (request_.folder / "net.onnx").write_bytes(bad)
    request_.write_baseline("known.json", "net.onnx")
    assert request_.change({}).verdict == "fail"
    request_.git("checkout", "-q", "-B", "main")
    request_.git("checkout", "-q", "-B", "topic")
    empty = json.dumps({"schema": "npugate-baseline/2", "models": {}})
    assert request_.change({"README": "x"}, INPUT_CHANGED_ONLY="false").verdict == "pass"
    assert request_.change({"known.json": empty}, INPUT_NEW_ONLY="false").verdict == "fail"


def test_a_budget_only_tightens(request_):
    model = data(CONV.format(64, 8))
    request_.base({"net.onnx": good, "npugate.toml": "[budget]\nram = '16 KiB'\n"})
    wide = {"npugate.toml": "[budget]\nram = '64 KiB'\n", "net.onnx": model}
    outcome = request_.change(wide)
    assert (outcome.verdict, outcome.live("net.onnx")[0]) == ("fail", "over-budget")
    assert "budget" in told(outcome.summary)
    assert request_.change({"npugate.toml": ""}).verdict == "fail"


TIGHTER = {
    "fail-on": ("fail-on = 'never'\n", "fail-on = 'error'\n"),
    "severity": ("[severity]\nNPU104 = 'note'\n", "[severity]\nNPU104 = 'error'\n"),
    "no severity": ("[severity]\nNPU104 = 'off'\n", ""),
    "ignores": ("[[ignores]]\nrule = 'NPU104'\nreason = 'why'\n", ""),
    "exclude": ("exclude = ['net.onnx']\n", ""),
    "select": ("select = ['NPU3']\n", ""),
    "budget": ("ignore = ['NPU104']\n", "ignore = ['NPU104']\n[budget]\nram = '1 B'\n"),
    "target": ("target = 'stm32h7'\n", "target = 'stm32n6'\n"),
}


@pytest.mark.parametrize("case", TIGHTER)
def test_what_a_change_tightens_holds_at_once(request_, case):
    before, after = TIGHTER[case]
    request_.base({"good.onnx": good, "npugate.toml": before})
    outcome = request_.change({"net.onnx": bad, "npugate.toml": after + "# x\n"})
    assert outcome.verdict == "fail"
    assert "not taken over" not in told(outcome.summary)


OWN = "[target]\nname = 'own'\ntitle = 'Own'\nextends = 'stm32n6'\n"


def test_a_target_file_is_judged_by_as_the_base_has_it_too(request_):
    request_.base({"net.onnx": good, "own.toml": OWN, "npugate.toml": "target = 'own.toml'\n"})
    request_.commit({"own.toml": OWN.replace("stm32n6", "stm32h7"), "net.onnx": bad})
    assert request_.judge().verdict == "fail"
    request_.commit({"npugate.toml": "target = 'other.toml'\n", "other.toml": OWN})
    assert request_.judge().verdict == "fail"


def test_a_target_file_of_an_input_is_judged_by_as_the_base_has_it_too(request_):
    request_.base({"net.onnx": good, "own.toml": OWN})
    request_.commit({"own.toml": OWN.replace("stm32n6", "stm32h7"), "net.onnx": bad})
    assert request_.judge(INPUT_TARGET="own.toml").verdict == "fail"


def test_a_stricter_target_is_judged_by_at_once(request_):
    request_.base({"net.onnx": good, "npugate.toml": "target = 'stm32h7'\n"})
    outcome = request_.change({"net.onnx": bad, "npugate.toml": "target = 'stm32n6'\n"})
    assert (outcome.verdict, outcome.live("net.onnx")[0]) == ("fail", "batched-layer")
    assert "checked with both" in told(outcome.summary)


def test_a_base_without_a_configuration_judges_by_the_defaults(request_):
    request_.base({"net.onnx": good})
    change = {"net.onnx": bad, "ci/gate.toml": "fail-on = 'never'\n"}
    assert request_.change(change, INPUT_CONFIG="ci/gate.toml").verdict == "fail"


def test_a_base_that_is_broken_can_be_mended(request_):
    request_.base({"net.onnx": good, "npugate.toml": "fial-on = 'error'\n"})
    outcome = request_.change({"npugate.toml": "fail-on = 'error'\n"})
    assert outcome.verdict == "pass", outcome.log
    assert "fial-on" in told(outcome.summary)
    assert request_.change({"net.onnx": bad}).verdict == "fail"


def test_a_change_that_leaves_the_settings_alone_is_told_nothing(request_):
    config = "target = 'own.toml'\n[budget]\nram = '1 MiB'\n"
    request_.base({"net.onnx": good, "own.toml": OWN, "npugate.toml": config})
    outcome = request_.change({"net.onnx": data(GOOD.replace("Relu", "Tanh"))})
    assert outcome.verdict == "pass"
    assert ">" not in [line[:1] for line in outcome.summary.splitlines()]


def test_a_configuration_by_its_absolute_path_is_compared_with_the_bases(request_):
    request_.base({"net.onnx": good, "ci/gate.toml": "fail-on = 'error'\n"})
    change = {"net.onnx": bad, "ci/gate.toml": "fail-on = 'never'\n"}
    outcome = request_.change(change, INPUT_CONFIG=str(request_.folder / "ci/gate.toml"))
    assert outcome.verdict == "fail"
    assert f"{TOLD}: ci/gate.toml (fail-on: error → never)" in told(outcome.summary)


def test_a_configuration_that_the_change_does_not_bring_judges_alone(request_):
    """One that the workflow makes, or of a submodule that stays where it is."""
    submodule(request_, "ci", {"gate.toml": "ignore = ['NPU104']\n"}, commit=False)
    request_.base({"net.onnx": good})
    assert request_.change({"net.onnx": bad}, INPUT_CONFIG="ci/gate.toml").verdict == "pass"
    (request_.folder / "made.toml").write_text("ignore = ['NPU104']\n")
    assert request_.judge(INPUT_CONFIG="made.toml").verdict == "pass"
    advance(request_, "ci", {"gate.toml": "ignore = ['NPU104', 'NPU101']\n"})
    assert request_.judge(INPUT_CONFIG="ci/gate.toml").verdict == "fail"


def test_the_baseline_of_the_base_follows_a_rename(request_):
    request_.base({"net.onnx": bad, "npugate.toml": "baseline = 'known.json'\n"})
    request_.write_baseline("known.json", "net.onnx")
    request_.commit({})
    request_.git("checkout", "-q", "-B", "main")
    request_.git("checkout", "-q", "-B", "topic")
    inputs = {"INPUT_NEW_ONLY": "false", "INPUT_CHANGED_ONLY": "false"}
    assert request_.change({"net.onnx": None, "there.onnx": bad}, **inputs).verdict == "pass"


@pytest.mark.parametrize(
    "change", [{"npugate.toml": None}, {"npugate.toml": None, "pyproject.toml": "[tool.npugate]\n"}]
)
def test_a_configuration_that_goes_holds_on(request_, change):
    warned = data(HEAD + "net (float[1, 4] x) => (float[1, 4] y) { y = Sign (x) }")
    request_.base({"net.onnx": good, "npugate.toml": "fail-on = 'warning'\n"})
    outcome = request_.change({"net.onnx": warned, **change})
    assert outcome.verdict == "fail"
    assert "fail-on: warning → error" in told(outcome.summary)


def test_a_configuration_that_goes_before_another_takes_nothing_over(request_):
    request_.base({"net.onnx": good, "pyproject.toml": "[tool.npugate]\nfail-on = 'error'\n"})
    outcome = request_.change({"net.onnx": bad, "npugate.toml": "fail-on = 'never'\n"})
    assert outcome.verdict == "fail"
