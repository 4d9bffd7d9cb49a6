"""What a trace may not bring into a report: a line of anything but a tracked Python file."""

import os
import shutil
from pathlib import Path

import pytest

from tests.made_checkout import (
    FIX,
    KEY,
    SECRET,
    enter,
    findings,
    link,
    network,
    put,
    reported,
    submodule,
    track,
)

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="needs git")


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)


def tracked_link():
    link("x.py", ".git/config")
    track("x.py")


def tracked_link_to_a_link():
    link("y.py", ".git/config")
    link("sub/x.py", "../y.py")
    track("y.py", "sub/x.py")


def tracked_link_to_what_a_job_wrote():
    put("key.txt")
    link("x.py", "key.txt")
    track("x.py")


def tracked_file_that_became_a_link():
    put("x.py", "pass")
    track("x.py")
    Path("x.py").unlink()
    link("x.py", ".git/config")


def tracked_file_that_became_a_hard_link():
    put("x.py", "pass")
    track("x.py")
    Path("x.py").unlink()
    Path("x.py").hardlink_to(".git/config")


def tracked_folder_that_became_a_link():
    put("lib/x.py", "pass")
    track("lib/x.py")
    shutil.rmtree("lib")
    put("keys/x.py")
    link("lib", "keys")


def tracked_file_that_became_a_pipe():
    put("x.py", "pass")
    track("x.py")
    Path("x.py").unlink()
    os.mkfifo("x.py")


def file_that_a_job_wrote():
    put("x.py")


def file_below_git():
    put(".git/x.py")


def link_in_a_plain_folder():
    shutil.rmtree(".git")
    put("key.txt")
    link("x.py", "key.txt")


def folder_behind_a_link_in_a_plain_folder():
    shutil.rmtree(".git")
    put(".store/x.py")
    link("lib", ".store")


SOURCES = (
    tracked_link, tracked_link_to_a_link, tracked_link_to_what_a_job_wrote,
    tracked_file_that_became_a_link, tracked_file_that_became_a_hard_link,
    tracked_folder_that_became_a_link, tracked_file_that_became_a_pipe, file_that_a_job_wrote,
    file_below_git, link_in_a_plain_folder, folder_behind_a_link_in_a_plain_folder,
)  # fmt: skip


@pytest.mark.parametrize("lay", SOURCES, ids=lambda lay: lay.__name__)
@pytest.mark.parametrize("has_git", [True, False], ids=["git", "no-git-program"])
def test_no_line_of_a_secret_is_in_a_report(capfd, monkeypatch, lay, has_git):
    lay()
    put("m.onnx", network(trace="x.py"))
    if Path(".git").exists():
        track("m.onnx")
    if not has_git:
        monkeypatch.setenv("PATH", "/nowhere")
    for command in (["check", "m.onnx"], [*FIX, "m.onnx"]):
        code, said = reported(capfd, *command)
        assert code in {0, 1}, said
        assert SECRET.encode() not in said
        assert findings()["slice-bounds"].get("source") is None


@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_the_line_of_a_tracked_file_is_shown(capfd, mode):
    put("pkg/x.py")
    Path("pkg/x.py").chmod(mode)
    put("m.onnx", network(trace="pkg/x.py"))
    track(".")
    reported(capfd, "check", "m.onnx")
    assert findings()["slice-bounds"]["source"]["file"] == "pkg/x.py"


def test_the_line_of_a_file_in_a_submodule_is_shown(capfd, tmp_path, monkeypatch):
    submodule(tmp_path, monkeypatch, "x.py", KEY)
    put("m.onnx", network(trace="x.py"))
    track("m.onnx")
    reported(capfd, "check", "m.onnx")
    assert findings()["slice-bounds"]["source"]["file"] == "sub/x.py"


def test_the_line_of_a_file_in_a_plain_folder_is_shown(capfd):
    shutil.rmtree(".git")
    put("pkg/x.py")
    put("m.onnx", network(trace="x.py"))
    reported(capfd, "check", "m.onnx")
    assert findings()["slice-bounds"]["source"]["file"] == "pkg/x.py"
