"""Who judges a pull request: its own configuration or the base's, and what is told of it."""

import html
import io
import json

import pytest

from npugate.github import action
from tests.sample_report import CLEAN

OLD = 'fail-on = "error"\nbaseline = "known.json"\ntarget = "chip.toml"\nboard = "own.mpool"\n'
NEW = (
    'fail-on = "never"\n[[ignores]]\nrule = "NPU101"\nreason = "a"\n'
    '[[ignores]]\nrule = "NPU102"\nreason = "b"\n'
)


@pytest.fixture
def place(tmp_path):
    """A checkout, and what was kept of its base."""
    for name, text in (("head", NEW), ("base", OLD)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "npugate.toml").write_text(text)
    (tmp_path / "base/.none.toml").touch()
    return tmp_path


def run(place, *changed, event="pull_request", kept=True, **inputs):
    """Run the action; return its log, its summary, and what it asked the check for."""
    (place / "event.json").write_text(json.dumps({"pull_request": {"number": 1}}))
    (place / "changes").write_bytes(b"".join(b"M\0" + name.encode() + b"\0" for name in changed))
    environment = {
        "GITHUB_EVENT_NAME": event,
        "GITHUB_EVENT_PATH": str(place / "event.json"),
        "GITHUB_WORKSPACE": str(place / "head"),
        "GITHUB_STEP_SUMMARY": str(place / "summary.md"),
        "NPUGATE_FOLDER": str(place / "out"),
        "NPUGATE_CHANGES": str(place / "changes"),
        **({"NPUGATE_SETTINGS": str(place / "base")} if kept else {}),
        **inputs,
    }
    asked, log = [], io.StringIO()

    def check(arguments):
        asked.extend(arguments)
        return CLEAN

    status = action.main(environment, log, check)
    return status, log.getvalue(), (place / "summary.md").read_text(), asked


def test_the_summary_opens_with_what_changed_in_the_gate(place):
    _, _, summary, _ = run(place, "npugate.toml")
    (line,) = (line for line in summary.splitlines() if "edits what it is checked with" in line)
    assert "npugate.toml" in line
    for phrase in ("fail-on: error → never", "ignores: nothing → 2 entries", "→ nothing"):
        assert phrase in html.unescape(line), line
    assert summary.index("edits what it is checked with") < summary.index("npugate: PASS")


@pytest.mark.parametrize(
    "path", ["known.json", "chip.toml", "own.mpool", "npugate.toml", "action.yml"]
)
def test_a_file_that_the_bases_configuration_names_belongs_to_the_gate(place, path):
    assert "edits what it is checked with" in run(place, path)[2]


def test_other_files_do_not(place):
    assert "edits what it is checked with" not in run(place, "model.onnx", "docs/known.json")[2]


@pytest.mark.parametrize("wanted", ["", "auto", "base"])
def test_the_base_judges_too_where_it_is_known(place, wanted):
    asked = run(place, INPUT_CONFIG_FROM=wanted, INPUT_TARGET="chip.toml")[3]
    assert f"--base-settings={place}/base" in asked
    assert "--target=chip.toml" in asked


def test_its_own_settings_judge_alone_where_the_workflow_says_so(place):
    asked = run(place, INPUT_CONFIG_FROM="head")[3]
    assert not [word for word in asked if word.startswith("--base-settings")]


def test_a_base_that_is_not_known_is_told_of(place):
    _, _, summary, asked = run(place, kept=False)
    assert "is checked with its own" in html.unescape(summary)
    assert not [word for word in asked if word.startswith("--base-settings")]
    (place / "summary.md").unlink()
    assert "is checked with its own" not in run(place, kept=False, INPUT_CONFIG_FROM="head")[2]


@pytest.mark.parametrize("wanted", ["auto", "base"])
def test_a_push_has_no_base_that_could_judge(place, wanted):
    _, _, summary, asked = run(place, event="push", kept=False, INPUT_CONFIG_FROM=wanted)
    assert not [word for word in asked if word.startswith("--base-settings")]
    assert "is checked with its own" not in summary


@pytest.mark.parametrize(
    ("kept", "inputs", "reason"),
    [
        (False, {}, "settings are not available"),
        (True, {"INPUT_CONFIG": "ci/gate.toml"}, "the base branch has no ci/gate.toml"),
    ],
)
def test_its_own_settings_never_stand_in_for_the_bases(place, kept, inputs, reason):
    status, log, _, asked = run(place, kept=kept, INPUT_CONFIG_FROM="base", **inputs)
    assert status == 2
    assert reason in log
    assert not asked
