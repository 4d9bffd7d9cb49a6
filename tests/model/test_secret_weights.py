"""What external data may not bring into a report or a copy, by each command that reads it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from npugate.calibration import sidecar
from tests.made_checkout import (
    CONFIG,
    FIX,
    SECRET,
    SIZE,
    enter,
    findings,
    link,
    network,
    put,
    reported,
    run,
    submodule,
    track,
)
from tests.project.test_list_models import git

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="needs git")


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)


def nothing():
    pass


def folder_of_another_case():
    put(".GIT/config", CONFIG)


def tracked_link_to_the_file():
    link("w.bin", ".git/config")
    track("w.bin")


def tracked_link_to_the_folder():
    link("d", ".git")
    track("d")


def hard_link():
    Path("w.bin").hardlink_to(".git/config")


def tracked_file_then_hard_link():
    put("w.bin", "x")
    track("w.bin")
    Path("w.bin").unlink()
    hard_link()


def repository_of_another_name():
    git(Path(), "init", "-q", "--bare", "store")
    put("store/config", CONFIG)


def work_tree_of_another_repository():
    git(Path(), "init", "-q", "--separate-git-dir=../../store", "inner/tree")
    Path("store").mkdir()
    for name in ("HEAD", "commondir", "gitdir"):
        put(f"store/{name}", "../.git")
    put("store/config.worktree", CONFIG)


LOCATIONS = (
    (nothing, ".git/config"),
    (nothing, "./.git/config"),
    (nothing, ".git//config"),
    (nothing, ".git/./config"),
    (nothing, ".git/../.git/config"),
    (folder_of_another_case, ".GIT/config"),
    (folder_of_another_case, ".Git/config"),
    (nothing, ".git./config"),
    (nothing, "git~1/config"),
    (nothing, ".g\u200cit/config"),
    (nothing, ".git::$INDEX_ALLOCATION/config"),
    (tracked_link_to_the_file, "w.bin"),
    (tracked_link_to_the_folder, "d/config"),
    (hard_link, "w.bin"),
    (tracked_file_then_hard_link, "w.bin"),
    (repository_of_another_name, "store/config"),
    (work_tree_of_another_repository, "store/config.worktree"),
)


@pytest.mark.parametrize(
    ("lay", "location"), LOCATIONS, ids=[f"{lay.__name__}-{name}" for lay, name in LOCATIONS]
)
@pytest.mark.parametrize("is_tracked", [True, False], ids=["tracked", "untracked"])
def test_weights_that_are_gits_are_in_no_report_and_no_copy(capfd, lay, location, is_tracked):
    lay()
    put("m.onnx", network(location))
    if is_tracked:
        track("m.onnx")
    for command in (["check", "m.onnx"], [*FIX, "m.onnx"]):
        code, said = reported(capfd, *command)
        assert code == 1
        assert SECRET.encode() not in said
        assert "unsafe-external-data" in findings()
    assert not Path("out/fixed").exists()


def no_weights_read(capfd, *, model="m.onnx"):
    """Assert that no command that reads weights reads those of a model."""
    np.savez("data.npz", x=np.zeros((40, 4), np.float32), u=np.zeros((40, 64), np.float32))
    put("out/.keep", "")
    put("good.onnx", network())
    runs = [
        ["snapshot", model],
        ["quantize", model, "--output=out/q.onnx", "--calibration=data.npz"],
        ["evaluate", model, "good.onnx", "--data=data.npz"],
        ["evaluate", "good.onnx", model, "--data=data.npz"],
        ["verify", model, "--data=data.npz"],
    ]
    for words in runs:
        code, said = run(capfd, *words)
        assert code in {1, 2}, (words, said)
        assert SECRET.encode() not in said
        assert b"external data" in said, (words, said)
    assert not Path(f"{model}.txt").exists()
    assert not Path("out/q.onnx").exists()


@pytest.mark.parametrize("location", [".git/config", "w.bin"])
def test_no_other_command_reads_weights_that_are_gits(capfd, location):
    tracked_link_to_the_file()
    put("m.onnx", network(location))
    no_weights_read(capfd)


def test_no_other_command_reads_weights_that_git_does_not_track(capfd):
    put("key.json")
    put("m.onnx", network("key.json"))
    track("m.onnx")
    no_weights_read(capfd)


@pytest.mark.parametrize("place", ["", "models/"])
def test_a_tracked_model_may_not_name_what_a_job_wrote(capfd, place):
    put(f"{place}key.json")
    put(f"{place}m.onnx", network("key.json"))
    track(f"{place}m.onnx")
    for command in ("check", "fix"):
        words = FIX[1:] if command == "fix" else []
        code, said = reported(capfd, command, f"{place}m.onnx", *words)
        assert code == 1
        assert SECRET.encode() not in said
        finding = findings()["untracked-external-data"]
        assert finding["message"] == (
            "external data of tensor 'w': git does not track 'key.json', so it is not read"
        )
        assert str(SIZE) not in finding["message"]
    assert not Path("out/fixed").exists()


def test_a_link_that_git_tracks_is_a_model_of_the_repository(capfd):
    put("build/m.onnx", network("key.json"))
    put("key.json")
    link("m.onnx", "build/m.onnx")
    track("m.onnx")
    reported(capfd, "check", "m.onnx")
    assert "untracked-external-data" in findings()


def test_a_tracked_model_by_a_link_that_a_job_made_is_one_too(capfd):
    put("m.onnx", network("key.json"))
    track("m.onnx")
    put("build/key.json")
    link("build/n.onnx", "../m.onnx")
    reported(capfd, "check", "build/n.onnx")
    assert "untracked-external-data" in findings()


def test_a_model_of_a_submodule_may_name_only_what_that_tracks(capfd, tmp_path, monkeypatch):
    submodule(tmp_path, monkeypatch, "m.onnx", network("key.json"))
    put("sub/key.json")
    reported(capfd, "check", "sub/m.onnx")
    assert "untracked-external-data" in findings()


def test_missing_weights_stay_missing(capfd):
    put("m.onnx", network("w.bin"))
    track("m.onnx")
    reported(capfd, "check", "m.onnx")
    assert {"missing-external-data"} == {name for name in findings() if "external" in name}


def weights_are_read(capfd, model="m.onnx"):
    code, _ = reported(capfd, *FIX, model)
    assert code == 0
    assert not [name for name in findings() if "external" in name]
    assert SECRET.encode() in Path("out/fixed", model).read_bytes()


@pytest.mark.parametrize("location", ["w.bin", "./w.bin", "sub//w.bin", "sub/./w.bin"])
def test_tracked_weights_of_a_tracked_model_are_read(capfd, location):
    put(f"models/{location}")
    put("models/m.onnx", network(location))
    track("models")
    weights_are_read(capfd, "models/m.onnx")


def test_an_untracked_model_may_name_what_is_beside_it(capfd):
    put("build/sub/w.bin")
    put("build/m.onnx", network("sub/w.bin"))
    weights_are_read(capfd, "build/m.onnx")


def test_a_model_in_a_plain_folder_may_name_what_is_beside_it(capfd):
    shutil.rmtree(".git")
    put("w.bin")
    put("m.onnx", network("w.bin"))
    weights_are_read(capfd)


@pytest.mark.parametrize("glob", ["m.onnx", "models/**", "**/*.onnx"])
def test_a_setting_allows_weights_that_git_does_not_track(capfd, glob):
    put("models/w.bin")
    put("models/m.onnx", network("w.bin"))
    put("npugate.toml", f"allow-untracked-weights = ['{glob}']\n")
    track("models/m.onnx", "npugate.toml")
    weights_are_read(capfd, "models/m.onnx")


def test_the_setting_allows_nothing_of_gits_and_no_link(capfd):
    put("npugate.toml", "allow-untracked-weights = ['**']\n")
    tracked_link_to_the_file()
    for location in (".git/config", "w.bin"):
        put("m.onnx", network(location))
        track("m.onnx", "npugate.toml")
        reported(capfd, *FIX, "m.onnx")
        assert "unsafe-external-data" in findings()
    assert not Path("out/fixed").exists()


def test_the_setting_is_for_the_models_that_it_names(capfd):
    put("w.bin")
    put("m.onnx", network("w.bin"))
    put("npugate.toml", "allow-untracked-weights = ['models/**']\n")
    track("m.onnx", "npugate.toml")
    reported(capfd, "check", "m.onnx")
    assert "untracked-external-data" in findings()


@pytest.mark.parametrize("location", [".git/config", "key.json"])
def test_the_compiler_is_not_asked_about_weights_that_may_not_be_read(capfd, tmp_path, location):
    put("key.json")
    put("m.onnx", network(location))
    track("m.onnx")
    tool = tmp_path / "stedgeai"
    tool.write_text("#!/bin/sh\ntouch asked\nfind . -type f -exec cat {} +\n")
    tool.chmod(0o755)
    before = sorted(tmp_path.rglob("asked"))
    words = [f"--stedgeai={tool}", "--stedgeai-accept-license", "--record=out/record"]
    code, said = reported(capfd, "check", "m.onnx", *words)
    assert code == 1
    assert SECRET.encode() not in said
    assert b"its weights may not or cannot be read" in said
    assert sorted(tmp_path.rglob("asked")) == before


def test_a_repository_that_git_cannot_read_frees_no_model_of_another(capfd):
    put("key.json")
    put("m.onnx", network("key.json"))
    track("m.onnx")
    put("broken/.git", b"this is no link to a repository")
    put("broken/n.onnx", network())
    code, said = reported(capfd, "check", "m.onnx", "broken/n.onnx")
    assert (code, b"is not known" in said) == (1, True)
    report = json.loads(Path("out/report.json").read_text())
    found = {model["path"]: {f["name"] for f in model["findings"]} for model in report["models"]}
    assert "untracked-external-data" in found["m.onnx"]


def test_what_a_model_was_calibrated_with_is_no_link(capfd):
    put("m.onnx", network())
    for make in (Path.symlink_to, Path.hardlink_to):
        make(Path("m.onnx.calibration.json"), ".git/config")
        said = sidecar.read(Path("m.onnx"), "")
        assert said.startswith("m.onnx.calibration.json is a ")
        Path("m.onnx.calibration.json").unlink()
