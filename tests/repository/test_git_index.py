"""git's index, read without git, is what git says of it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from npugate.repository import git as repository_git
from npugate.repository import git_index
from npugate.repository.git_index import IndexFileError
from tests.made_checkout import link, put, submodule, track
from tests.project.test_list_models import PATH, git

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="needs git")
NAMES = ("a", "a/b" * 30, "a.b", "long/" + "x" * 200, "tab\tnew\nline", "\udcff.onnx", "é/ü.onnx")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    place = tmp_path / "tree"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


def filled(*options):
    git(Path(), "init", "-q", *options)
    for name in NAMES:
        put(f"d{len(name)}/{name}", name.encode("utf-8", "surrogateescape"))
    for number in range(300):
        put(f"many/file-{number:04}.bin", b"")
    put("run.sh", b"x")
    Path("run.sh").chmod(0o755)
    link("l", "run.sh")
    track(".")


def said(tree):
    words = ["git", "ls-files", "--stage", "-z"]
    return subprocess.run(words, cwd=tree, env=PATH, check=True, capture_output=True).stdout


@pytest.mark.parametrize("options", [(), ("--object-format=sha256",)], ids=["sha1", "sha256"])
@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_each_version_and_hash_is_read(tree, version, options):
    filled(*options)
    if version == "3":
        put("meant", b"x")
        git(tree, "add", "--intent-to-add", "meant")
    else:
        git(tree, "update-index", "--index-version", version)
    assert (tree / ".git/index").read_bytes()[4:8] == bytes((0, 0, 0, int(version)))
    assert git_index.rows(tree) == said(tree)


def test_an_index_without_its_digest_is_read(tree):
    filled()
    data = (tree / ".git/index").read_bytes()
    (tree / ".git/index").write_bytes(data[:-20] + bytes(20))
    assert git_index.rows(tree) == said(tree)


def test_both_sides_of_a_conflict_are_read(tree):
    filled()
    blob = git(tree, "rev-parse", "HEAD:run.sh")
    lines = "".join(f"100644 {blob} {stage}\tboth\n" for stage in (1, 2, 3))
    words = ["git", "update-index", "--index-info"]
    subprocess.run(words, cwd=tree, env=PATH, check=True, input=lines, text=True)
    assert git_index.rows(tree) == said(tree)
    assert git_index.rows(tree).count(b"\tboth\0") == 3


def test_a_second_work_tree_and_a_submodule_are_read(tree, tmp_path, monkeypatch):
    filled()
    submodule(tmp_path, monkeypatch, "m.onnx", b"model")
    git(tree, "worktree", "add", "-q", str(tmp_path / "second"))
    for place in (tree, tree / "sub", tmp_path / "second"):
        assert git_index.rows(place) == said(place)


def test_a_split_index_and_one_of_folders_are_refused(tree):
    filled()
    git(tree, "update-index", "--split-index")
    with pytest.raises(IndexFileError):  # the names are in the other file
        git_index.rows(tree)
    git(tree, "update-index", "--no-split-index")
    assert git_index.rows(tree) == said(tree)
    git(tree, "sparse-checkout", "set", "--cone", "--sparse-index", "many")
    with pytest.raises(IndexFileError, match="extension"):
        git_index.rows(tree)


def test_what_is_damaged_is_refused(tree):
    filled()
    file = tree / ".git/index"
    data = file.read_bytes()
    cuts = [data[:length] for length in (0, 3, 11, 40, 100, len(data) // 2, len(data) - 1)]
    flips = [data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :] for at in range(0, 400, 7)]
    for broken in (*cuts, *flips):
        file.write_bytes(broken)
        with pytest.raises(IndexFileError):
            git_index.rows(tree)
    file.unlink()
    with pytest.raises(IndexFileError):
        git_index.rows(tree)


def test_without_the_program_the_index_is_read(tree):
    filled()
    assert repository_git.tops([tree, tree / "many"]) == [tree.resolve()]
    assert (
        repository_git.index(tree, {"PATH": "/nowhere"})
        == repository_git.index(tree, PATH)
        == said(tree)
    )
