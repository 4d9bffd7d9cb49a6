import io
import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from npugate import cli
from npugate.errors import UsageError
from npugate.repository.discover import Search, discover
from tests.hostile import cases

PATH = {"PATH": os.defpath + ":/usr/local/bin", "HOME": "/nonexistent"}


def put(root: Path, *names: str, data: bytes = b"x") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=root, env=PATH, check=True, capture_output=True
    )
    return done.stdout.decode()


@pytest.fixture
def checkout(tmp_path):
    root = tmp_path / "repo"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    put(root, "a.onnx", "sub/b.ONNX", "sub/c.onnx", ".hidden/d.onnx", "notes.txt")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    put(root, "untracked.onnx")
    return root


def paths(cwd, *patterns, **options):
    found = discover(Search(cwd, patterns, environment=PATH, **options))
    return [candidate.path for candidate in found]


def test_the_default_is_what_git_tracks_below_the_working_directory(checkout):
    assert paths(checkout) == [".hidden/d.onnx", "a.onnx", "sub/b.ONNX", "sub/c.onnx"]
    assert paths(checkout / "sub") == ["sub/b.ONNX", "sub/c.onnx"]


def test_a_tracked_model_that_is_not_checked_out_is_left_out_and_said_so(checkout):
    (checkout / "a.onnx").unlink()
    notices = []
    assert "a.onnx" not in paths(checkout, notify=notices.append)
    assert notices == ["1 models that git tracks are not in the work tree and are left out"]


def test_without_a_repository_the_folder_is_walked(tmp_path):
    put(tmp_path, "b.onnx", "x/a.onnx", ".venv/n.onnx", "node_modules/n.onnx", "x/.h.onnx", "y.txt")
    assert paths(tmp_path) == ["b.onnx", "x/a.onnx"]


def test_without_git_the_repository_is_walked(checkout):
    notices = []
    found = discover(Search(checkout, environment={"PATH": "/nowhere"}, notify=notices.append))
    assert [c.path for c in found] == ["a.onnx", "sub/b.ONNX", "sub/c.onnx", "untracked.onnx"]
    assert "git cannot be started" in notices[0]


NAMED = {
    "a file": (["a.onnx"], ["a.onnx"]),
    "a file of another name": (["notes.txt"], ["notes.txt"]),
    "a folder": (["sub"], ["sub/b.ONNX", "sub/c.onnx"]),
    "twice the same": (["a.onnx", "./sub/../a.onnx"], ["a.onnx"]),
    "a glob": (["s*/c.*"], ["sub/c.onnx"]),
    "a question mark is no slash": (["sub?c.onnx", "a.onnx"], ["a.onnx"]),
    "any depth": (["**/*.onnx"], ["a.onnx", "sub/c.onnx", "untracked.onnx"]),
    "any depth below": (["sub/**"], ["sub/b.ONNX", "sub/c.onnx"]),
    "a hidden folder by name": ([".h*/*.onnx"], [".hidden/d.onnx"]),
    "a file whose name is a glob": (["[x].onnx"], ["[x].onnx"]),
}


@pytest.mark.parametrize(("patterns", "expected"), NAMED.values(), ids=NAMED)
def test_paths_folders_and_globs(checkout, patterns, expected):
    if patterns == ["[x].onnx"]:
        put(checkout, "[x].onnx", "x.onnx")
    assert paths(checkout, *patterns) == expected


def test_a_path_is_reported_from_the_repository_root_wherever_one_stands(checkout):
    assert paths(checkout / "sub", "../a.onnx", "c.onnx") == ["a.onnx", "sub/c.onnx"]
    assert paths(checkout, str(checkout / "a.onnx")) == ["a.onnx"]


ERRORS = {
    "a path that does not exist": (["gone.onnx"], "gone.onnx does not exist"),
    "a glob without a match": (["*.ort"], "no ONNX model found in *.ort"),
    "a NUL": (["a\0.onnx"], "does not exist"),
}


@pytest.mark.parametrize(("patterns", "message"), ERRORS.values(), ids=ERRORS)
def test_what_cannot_be_meant_is_a_usage_error(checkout, patterns, message):
    with pytest.raises(UsageError) as error:
        paths(checkout, *patterns)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["link.onnx", "out", "out/o.onnx", "sub", "."])
def test_a_link_that_leaves_is_a_fault_of_that_path_alone(checkout, name):
    put(checkout.parent, "outside/o.onnx")
    (checkout / "link.onnx").symlink_to("../outside/o.onnx")
    (checkout / "sub/link.onnx").symlink_to("../../outside/o.onnx")
    (checkout / "out").symlink_to("../outside")
    found = discover(Search(checkout, (name, "a.onnx")))
    faults = {c.path: c.fault for c in found if c.fault}
    assert faults
    assert set(faults.values()) == {"it is a symbolic link that leaves the repository"}
    assert "a.onnx" in {c.path for c in found if not c.fault}


def test_a_link_that_leaves_is_a_finding_and_the_others_are_judged(checkout, monkeypatch, capsys):
    secret = checkout.parent / "secret.onnx"
    secret.write_bytes(cases.good().SerializeToString())
    (checkout / "link.onnx").symlink_to(secret)
    (checkout / "a.onnx").write_bytes(cases.good().SerializeToString())
    monkeypatch.chdir(checkout)
    assert cli.main(["check", "--format", "json", "link.onnx", "a.onnx"]) == 1
    models = {m["path"]: m for m in json.loads(capsys.readouterr().out)["models"]}
    (finding,) = models["link.onnx"]["findings"]
    assert finding["name"] == "unreadable-model"
    assert "leaves the repository" in finding["message"]
    assert models["link.onnx"]["verdict"] == "unreadable"
    assert models["link.onnx"]["census"]["nodes"] == 0
    assert models["a.onnx"]["verdict"] == "pass"


def test_a_link_inside_is_a_model_of_its_own(checkout):
    (checkout / "sub/0.onnx").symlink_to("c.onnx")
    (checkout / "sub/loop").symlink_to(".")
    assert paths(checkout, "sub") == ["sub/0.onnx", "sub/b.ONNX", "sub/c.onnx"]
    assert paths(checkout, "sub/0.onnx") == ["sub/0.onnx"]


def test_finding_nothing_is_an_error_unless_it_is_allowed(tmp_path):
    with pytest.raises(UsageError, match="no ONNX model found in the working directory"):
        paths(tmp_path)
    assert paths(tmp_path, allow_empty=True) == []


LISTS = {
    "lines": b"a.onnx\nsub/c.onnx\n",
    "lines of Windows": b"a.onnx\r\nsub/c.onnx\r\n",
    "NUL": b"a.onnx\0sub/c.onnx\0",
}


@pytest.mark.parametrize("data", LISTS.values(), ids=LISTS)
def test_a_list_is_read_from_a_file_or_standard_input(checkout, data):
    put(checkout, "list", data=data)
    expected = ["a.onnx", "sub/c.onnx"]
    assert paths(checkout, files_from="list") == expected
    assert paths(checkout, files_from="-", stdin=io.BytesIO(data)) == expected


def test_an_empty_list_is_not_the_default(checkout):
    with pytest.raises(UsageError, match="--files-from -"):
        paths(checkout, files_from="-", stdin=io.BytesIO(b""))
    assert paths(checkout, files_from="-", stdin=io.BytesIO(b""), allow_empty=True) == []


def test_a_list_that_is_not_there_is_a_usage_error(checkout):
    with pytest.raises(UsageError, match="--files-from gone"):
        paths(checkout, files_from="gone")


def test_a_name_that_is_no_utf8_is_found_and_reported_escaped(checkout):
    name = os.fsdecode(b"\xff.onnx")
    put(checkout, name)
    git(checkout, "add", "-A")
    found = discover(Search(checkout, [name], environment=PATH))
    assert [(c.file.name, c.path) for c in found] == [(name, "\\xff.onnx")]
    assert "\\xff.onnx" in paths(checkout)


def test_only_models_changed_since_a_revision_are_kept(checkout):
    git(checkout, "checkout", "-qb", "work")
    put(checkout, "new.onnx", data=b"new")
    put(checkout, "sub/c.onnx", data=b"changed, not staged")
    (checkout / "a.onnx").unlink()
    git(checkout, "add", "new.onnx", "a.onnx")
    assert paths(checkout, changed_since="main") == ["new.onnx", "sub/c.onnx"]
    git(checkout, "commit", "-qam", "two")
    assert paths(checkout, changed_since="main") == ["new.onnx", "sub/c.onnx"]
    assert paths(checkout, "sub", changed_since="main") == ["sub/c.onnx"]
    assert paths(checkout, changed_since="HEAD") == []


def test_changes_recorded_elsewhere_are_used_where_there_is_no_git(checkout, tmp_path):
    git(checkout, "checkout", "-q", "-b", "topic")
    put(checkout, "new.onnx", "sub/c.onnx.data", data=b"new")
    git(checkout, "mv", "a.onnx", "moved.onnx")
    git(checkout, "add", "-A")
    git(checkout, "commit", "-qm", "two")
    said = git(checkout, "diff", "--name-status", "-M", "-z", "main", "HEAD")
    (tmp_path / "changes").write_bytes(said.encode())
    bare = {"PATH": "/nonexistent"}
    recorded = discover(
        Search(checkout, ["."], changes_from=str(tmp_path / "changes"), environment=bare)
    )
    found = {candidate.path: candidate.previous for candidate in recorded}
    assert found == {
        "moved.onnx": "a.onnx",
        "new.onnx": "",
        "sub/c.onnx": "",
        "untracked.onnx": "",
    }


@pytest.mark.parametrize("data", [b"M\0", b"a.onnx\0", b"R100\0a\0", b"M\0a\0whatever\0b\0"])
def test_a_damaged_list_of_changes_is_refused(checkout, data):
    (checkout / "changes").write_bytes(data)
    with pytest.raises(UsageError, match="--changes-from"):
        paths(checkout, changes_from="changes")


def test_what_others_changed_since_the_branch_began_does_not_count(checkout):
    git(checkout, "checkout", "-qb", "work")
    put(checkout, "mine.onnx")
    git(checkout, "add", "mine.onnx")
    git(checkout, "commit", "-qm", "mine")
    git(checkout, "checkout", "-q", "main")
    put(checkout, "a.onnx", data=b"theirs")
    git(checkout, "commit", "-qam", "theirs")
    git(checkout, "checkout", "-q", "work")
    assert paths(checkout, changed_since="main") == ["mine.onnx"]


def test_a_rename_keeps_the_name_it_had(checkout):
    git(checkout, "mv", "a.onnx", "z.onnx")
    found = discover(Search(checkout, changed_since="HEAD", environment=PATH))
    assert [(c.path, c.previous) for c in found] == [("z.onnx", "a.onnx")]


SIDES = {"net.onnx.data": b"plain", "net.bin": b"plain", "w/part1": b"\x0a\x07w/part1\x12"}


@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.parametrize("side", SIDES)
def test_a_changed_side_file_touches_its_model_and_no_other(checkout, side, delete):
    put(checkout, "d/net.onnx", data=SIDES[side])
    put(checkout, f"d/{side}", "d/other.onnx")
    git(checkout, "add", "-A")
    git(checkout, "commit", "-qm", "two")
    if delete:
        (checkout / "d" / side).unlink()
    else:
        put(checkout, f"d/{side}", data=b"other weights")
    assert paths(checkout, changed_since="HEAD") == ["d/net.onnx"]


def test_a_side_file_name_is_found_across_blocks(checkout):
    for before in ((1 << 20) - 9, (1 << 20) - 1, 1 << 20):
        put(checkout, "d/net.onnx", data=b"." * before + b"weights-1" + b".")
        put(checkout, "d/weights-1")
        git(checkout, "add", "-A")
        git(checkout, "commit", "-qm", "more")
        put(checkout, "d/weights-1", data=str(before).encode())
        assert paths(checkout, changed_since="HEAD") == ["d/net.onnx"]


@pytest.mark.parametrize("revision", ["nowhere", "--output=x", "", "HEAD:a.onnx", "a..b"])
def test_an_unknown_revision_is_a_usage_error(checkout, revision):
    with pytest.raises(UsageError, match="fetch-depth: 0"):
        paths(checkout, changed_since=revision)
    assert not (checkout / "x").exists()


def test_changed_since_needs_a_repository(tmp_path):
    put(tmp_path, "a.onnx")
    with pytest.raises(UsageError, match="no git repository"):
        paths(tmp_path, changed_since="HEAD")


def test_the_repository_cannot_make_git_run_its_programs(checkout):
    marker = checkout.parent / "ran"
    evil = checkout.parent / "evil.sh"
    evil.write_text(f"#!/bin/sh\necho $0 $@ >> {marker}\ncat\n")
    evil.chmod(evil.stat().st_mode | stat.S_IXUSR)
    put(checkout, ".gitattributes", data=b"* filter=evil diff=evil\nsub/* filter=a=b.c\n")
    put(checkout, "a.onnx", data=b"y")
    for hook in ("post-index-change", "fsmonitor-watchman", "reference-transaction"):
        (checkout / ".git/hooks" / hook).symlink_to(evil)
    for key in (
        "core.fsmonitor", "core.pager", "core.sshCommand", "core.alternateRefsCommand",
        "diff.external", "diff.evil.textconv", "diff.evil.command",
        "filter.evil.clean", "filter.evil.process", "filter.a=b.c.clean",
    ):  # fmt: skip
        git(checkout, "config", key, str(evil))
    marker.unlink(missing_ok=True)
    environment = PATH | {"GIT_EXTERNAL_DIFF": str(evil), "GIT_DIR": "/nowhere", "GIT_PAGER": "x"}
    found = discover(Search(checkout, changed_since="HEAD", environment=environment))
    assert [c.path for c in found] == ["a.onnx"]
    discover(Search(checkout, environment=environment))
    assert not marker.exists(), marker.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give the checkout to another user")
def test_a_checkout_of_another_user_is_read(checkout):
    for path in (checkout, *checkout.rglob("*")):
        os.chown(path, 12345, 12345)
    assert paths(checkout)[0] == ".hidden/d.onnx"
    assert paths(checkout, changed_since="HEAD") == []
