"""What git tracks reaches the check, and the base says what it need not track."""

import pytest

from tests.github.test_action import CLEAN, Step


@pytest.fixture
def step(tmp_path):
    return lambda outcome: Step(tmp_path, outcome)


@pytest.mark.parametrize(
    ("event_name", "config", "kept", "expected"),
    [
        ("push", "", ("npugate.toml",), None),
        ("pull_request", "", ("npugate.toml",), "{kept}/npugate.toml"),
        ("merge_group", "", ("npugate.toml",), "{kept}/npugate.toml"),
        ("pull_request_target", "ci/gate.toml", ("ci/gate.toml",), "{kept}/ci/gate.toml"),
        ("pull_request", "ci/gate.toml", ("npugate.toml",), ""),  # new in this change
        ("pull_request", "", (), ""),
        ("pull_request", "", None, ""),  # the base is not to be had
    ],
)
def test_what_git_need_not_track_is_said_by_the_base(
    step, tmp_path, event_name, config, kept, expected
):
    (tmp_path / "npugate.toml").write_text("allow-untracked-weights = ['**']")
    environment = {"NPUGATE_INDEX": "/state/index", "INPUT_CONFIG": config}
    folder = tmp_path / "settings"
    if kept is not None:
        environment["NPUGATE_SETTINGS"] = str(folder)
        for name in (".none.toml", *kept):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("")
    run = step(CLEAN)
    run.run(event_name, **environment)
    assert "--tracked-from=/state/index" in run.asked
    said = [word for word in run.asked if word.startswith("--untracked-from")]
    wanted = [] if expected is None else [f"--untracked-from={expected.format(kept=folder)}"]
    assert said == wanted


def test_where_the_base_judges_it_says_what_git_need_not_track(step, tmp_path):
    (tmp_path / "settings").mkdir()
    for name in (".none.toml", "npugate.toml"):
        (tmp_path / "settings" / name).write_text("")
    run = step(CLEAN)
    kept = str(tmp_path / "settings")
    run.run("pull_request", NPUGATE_SETTINGS=kept, INPUT_CONFIG_FROM="base")
    assert f"--untracked-from={kept}/npugate.toml" in run.asked


def test_no_value_of_what_a_job_wrote_opens_the_summary(step, tmp_path):
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings/.none.toml").write_text("")
    (tmp_path / "secret.toml").write_text("token = 'c2VjcmV0'")
    (tmp_path / "npugate.toml").symlink_to("secret.toml")
    (tmp_path / "index").write_bytes(b"120000 " + b"0" * 40 + b" 0\tnpugate.toml\0")
    (tmp_path / "changes").write_bytes(b"A\0npugate.toml\0")
    given = {"NPUGATE_SETTINGS": "settings", "NPUGATE_INDEX": "index", "NPUGATE_CHANGES": "changes"}
    run = step(CLEAN)
    code = run.run("pull_request", **{key: str(tmp_path / name) for key, name in given.items()})
    said = run.log.getvalue() + (tmp_path / "summary.md").read_text()
    assert (code, "c2VjcmV0" in said) == (2, False)
    assert "git does not track" in said
