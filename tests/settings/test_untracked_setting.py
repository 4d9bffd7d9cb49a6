"""Whose word goes for weights that git does not track: the base's, never the change's own."""

import shutil
from pathlib import Path

import pytest

from tests.made_checkout import KEY, SECRET, enter, findings, network, put, reported, run, track

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="needs git")
ALLOWED = b"allow-untracked-weights = ['m.onnx']\n"
TOLD = b"taken from the base"


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    """A branch that adds a model, whose weights a job has fetched."""
    enter(tmp_path, monkeypatch)


def propose(base, head):
    """Commit a base and a change of it, each a mapping of names to bytes."""
    put("README", b"first")
    track("README")
    for files in (base, head):
        for name, data in files.items():
            put(name, data)
            track(name)
    put("w.bin", KEY)


def rules(capfd, *words):
    _, said = reported(capfd, "check", "m.onnx", *words)
    return "untracked-external-data" in findings(), TOLD in said


MODEL = {"m.onnx": network("w.bin")}


def test_the_change_may_not_allow_it_to_itself(capfd):
    propose({}, MODEL | {"npugate.toml": ALLOWED})
    assert rules(capfd, "--base=HEAD~2") == (True, True)


def test_the_base_may(capfd):
    propose({"npugate.toml": ALLOWED}, MODEL)
    assert rules(capfd, "--base=HEAD~1") == (False, False)


def test_what_the_change_takes_back_is_the_bases_still(capfd):
    propose({"npugate.toml": ALLOWED}, MODEL | {"npugate.toml": b""})
    assert rules(capfd, "--base=HEAD~2") == (False, True)


def test_without_a_base_the_configuration_says_it(capfd):
    propose({}, MODEL | {"npugate.toml": ALLOWED})
    assert rules(capfd) == (False, False)


def test_a_configuration_outside_of_the_repository_is_no_part_of_a_change(capfd, tmp_path):
    propose({}, MODEL)
    (tmp_path / "gate.toml").write_bytes(ALLOWED)
    assert rules(capfd, "--base=HEAD~1", f"--config={tmp_path}/gate.toml") == (False, False)


@pytest.mark.parametrize("name", ["pyproject.toml", "ci/gate.toml"])
def test_each_configuration_is_taken_from_the_base(capfd, name):
    text = b"[tool.npugate]\n" + ALLOWED if name == "pyproject.toml" else ALLOWED
    propose({name: text}, MODEL)
    words = [f"--config={name}"]
    assert rules(capfd, *words, "--base=HEAD~1") == (False, False)
    assert rules(capfd, *words, "--base=HEAD~2") == (True, True)


def test_what_was_kept_of_the_base_says_it_where_there_is_no_git(capfd, tmp_path):
    propose({}, MODEL | {"npugate.toml": ALLOWED})
    (tmp_path / "index").write_bytes(b"100644 " + b"0" * 40 + b" 0\tm.onnx\0")
    handed = f"--tracked-from={tmp_path}/index"
    (tmp_path / "npugate.toml").write_bytes(b"")
    shutil.rmtree(".git")
    assert rules(capfd, handed) == (False, False)
    assert rules(capfd, handed, f"--untracked-from={tmp_path}/npugate.toml") == (True, True)
    assert rules(capfd, handed, "--untracked-from=") == (True, True)
    (tmp_path / "npugate.toml").write_bytes(ALLOWED)
    assert rules(capfd, handed, f"--untracked-from={tmp_path}/npugate.toml") == (False, False)


def test_a_list_of_something_else_is_refused(capfd, tmp_path):
    put("m.onnx", network("w.bin"))
    (tmp_path / "index").write_bytes(b"m.onnx\0")
    code, said = reported(capfd, "check", "m.onnx", f"--tracked-from={tmp_path}/index")
    assert code == 2
    assert b"--tracked-from" in said


@pytest.mark.parametrize("value", ["true", "'m.onnx'", "[1]"])
def test_a_wrong_value_is_refused(capfd, value):
    put("m.onnx", network())
    put("npugate.toml", f"allow-untracked-weights = {value}\n".encode())
    code, said = reported(capfd, "check", "m.onnx")
    assert code == 2
    assert b"allow-untracked-weights" in said


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("baseline = '.git/config'", b"git's own folder"),
        ("target = '.git/x.toml'", b"git's own folder"),
        ("target = 'sly/x.toml'", b"git's own folder"),
        ("board = '.git/x.mpool'", b"git's own folder"),
    ],
)
def test_a_configuration_names_nothing_of_gits(capfd, text, told):
    put(".git/x.toml", KEY)
    put(".git/x.mpool", KEY)
    Path("sly").symlink_to(".git")
    put("m.onnx", network())
    put("npugate.toml", text.encode())
    code, said = reported(capfd, "check", "m.onnx")
    assert code == 2
    assert told in said


def test_a_configuration_and_the_inputs_of_a_proof_are_nothing_of_gits(capfd):
    put("m.onnx", network())
    Path("gate.toml").symlink_to(".git/config")
    code, said = reported(capfd, "check", "m.onnx", "--config=gate.toml")
    assert (code, b"git's own folder" in said) == (2, True)
    put(".git/x.npz", b"PK")
    code, said = reported(capfd, "fix", "m.onnx", "--dry-run", "--inputs=.git/x.npz")
    assert (code, b"git's own folder" in said) == (2, True)


def test_a_model_is_nothing_of_gits(capfd):
    put(".git/m.onnx", network())
    Path("l.onnx").symlink_to(".git/m.onnx")
    for name in (".git/m.onnx", "l.onnx"):
        code, _ = reported(capfd, "check", name)
        assert code == 1
        assert "git's own folder" in findings()["unreadable-model"]["message"]


def test_a_stale_twin_that_is_no_twin_is_not_told(capfd):
    put("m.onnx", network())
    put("m.onnx.txt", KEY)
    code, said = run(capfd, "snapshot", "--check", "m.onnx")
    assert (code, SECRET.encode() in said) == (1, False)
    assert b"is no text twin" in said
    Path("m.onnx.txt").unlink()
    Path("m.onnx.txt").symlink_to(".git/config")
    code, said = run(capfd, "snapshot", "--check", "m.onnx")
    assert (code, SECRET.encode() in said) == (1, False)


@pytest.mark.parametrize("name", ["npugate.toml", "pyproject.toml", "base.json", "mine.toml"])
@pytest.mark.parametrize("behind", [False, True], ids=["file", "folder"])
def test_what_judges_is_no_link_to_what_a_job_wrote(capfd, name, behind):
    put("secret/file.toml", f"[tool.npugate]\ntarget = ['{SECRET}']\n")
    put("secret/base.json", f'{{"schema": "{SECRET}"}}'.encode())
    put("m.onnx", network())
    if behind:
        Path("secret", name).write_bytes(Path("secret/file.toml").read_bytes())
        Path("d").symlink_to("secret")
        place = f"d/{name}"
    else:
        place = name
        Path(name).symlink_to("secret/base.json" if name == "base.json" else "secret/file.toml")
    words = [f"--config={place}"]
    if name in {"base.json", "mine.toml"}:
        key = "baseline" if name == "base.json" else "target"
        put("gate.toml", f"{key} = '{place}'\n".encode())
        words = ["--config=gate.toml"]
    track("m.onnx", "d" if behind else name)
    code, said = reported(capfd, "check", "m.onnx", *words)
    assert (code, SECRET.encode() in said) == (2, False)
    assert b"is a link to a file that git does not track" in said


def test_what_judges_may_be_a_link_to_what_git_tracks_or_made_by_a_job(capfd):
    put("m.onnx", network())
    put("shared/gate.toml", b"fail-on = 'never'\n")
    Path("npugate.toml").symlink_to("shared/gate.toml")
    track("m.onnx", "npugate.toml", "shared")
    assert reported(capfd, "check", "m.onnx")[0] == 0
    Path("npugate.toml").unlink()
    put("npugate.toml", b"fail-on = 'never'\n")
    assert reported(capfd, "check", "m.onnx")[0] == 0


def test_a_link_above_the_repository_is_the_runners(capfd, tmp_path):
    put("m.onnx", network())
    put("job.toml", b"fail-on = 'never'\n")
    track("m.onnx")
    (tmp_path / "way").symlink_to(tmp_path)
    assert reported(capfd, "check", "m.onnx", f"--config={tmp_path}/way/checkout/job.toml")[0] == 0


@pytest.mark.parametrize("is_folder", [False, True], ids=["file", "folder"])
def test_a_change_may_not_take_another_file_of_the_base_for_its_configuration(capfd, is_folder):
    name = "ci/gate.toml" if is_folder else "gate.toml"
    propose({name: b"", "docs/gate.toml": ALLOWED}, MODEL)
    Path(name).unlink()
    if is_folder:
        Path("ci").rmdir()
        Path("ci").symlink_to("docs")
    else:
        Path(name).symlink_to("docs/gate.toml")
    track("ci" if is_folder else name)
    assert rules(capfd, f"--config={name}", "--base=HEAD~2") == (True, True)


def test_a_link_that_the_base_has_is_followed_there(capfd):
    put("shared/gate.toml", b"")
    Path("npugate.toml").symlink_to("shared/gate.toml")
    track("npugate.toml", "shared")
    put("shared/gate.toml", ALLOWED)
    track("shared")
    put("m.onnx", network("w.bin"))
    track("m.onnx")
    put("w.bin", KEY)
    assert rules(capfd, "--base=HEAD~1") == (False, False)
    assert rules(capfd, "--base=HEAD~2") == (True, True)
