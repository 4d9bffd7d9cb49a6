"""The base of a change through GitHub's API: what git would have found, on its bad days, too."""

import base64
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from npugate.github import base_models, trees
from npugate.github.client import ApiError
from tests.github.test_client import Time, no_proxy
from tests.github_api import PATH as HERE
from tests.github_api import Api, Fault, Token, serving
from tests.project.test_list_models import PATH, clone, commit, git, listed, said

__all__ = ["no_proxy"]

ROOT = Path(__file__).resolve().parents[2]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 1234567\n"

pytestmark = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("git")), reason="needs bash and git"
)


@pytest.fixture
def origin(tmp_path):
    """A repository in which a topic branch did everything to a file that can be done."""
    root = tmp_path / "origin"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    commit(
        root,
        "one",
        same_onnx="same",
        edited_onnx="old",
        gone_onnx="gone",
        moved_onnx="moved, and long enough to be found again",
        heavy__net_onnx="names w/part.bin and large.bin, not other.bin",
        light__net_onnx="nothing beside it",
    )
    files = {
        "heavy/w/part.bin": "12345",
        "heavy/large.bin": POINTER,
        "heavy/other.bin": "o",
        "npugate.toml": "fail-on = 'error'",
        "gate/known.json": "{}",
        "gate/same.json": "[]",
        "notes.txt": "n",
        "ünïcode/nét.onnx": "u",
    }
    commit(root, "two", **files)
    (root / "link.toml").symlink_to("npugate.toml")
    commit(root, "three")
    git(root, "checkout", "-q", "-b", "topic")
    for path in ("gone.onnx", "gate/known.json"):
        git(root, "rm", "-q", path)
    git(root, "mv", "moved.onnx", "there.onnx")
    changed = {"npugate.toml": "fail-on = 'never'", "heavy/w/part.bin": "changed"}
    commit(root, "topic", edited_onnx="new", added_onnx="a", **changed, **{"ünïcode/nét.onnx": "v"})
    git(root, "checkout", "-q", "main")
    commit(root, "later", light__net_onnx="changed on main")
    git(root, "checkout", "-q", "-b", "merge")
    git(root, "merge", "-q", "--no-ff", "-m", "merge", "topic")
    git(root, "config", "uploadpack.allowAnySHA1InWant", "true")
    return root


@pytest.fixture
def api(origin):
    with serving(Api(repository=origin)) as found:
        yield found


def event(folder, head):
    """Write what GitHub tells of the pull request; return the path."""
    path = folder / "event.json"
    repo = {"full_name": "o/r"}
    request = {"number": 7, "head": {"sha": head, "repo": repo}, "base": {"repo": repo}}
    path.write_text(json.dumps({"pull_request": request}))
    return str(path)


def engine(folder):
    """Return a folder with a docker that runs the program without a container."""
    place = folder / "bin"
    place.mkdir(exist_ok=True)
    stand_in = ROOT / "tools/standin_engine.py"
    (place / "docker").write_text(f"#!/bin/sh\nexec '{sys.executable}' '{stand_in}' \"$@\"\n")
    (place / "docker").chmod(0o755)
    return place


def fetched(work, api, name="pull_request", base_sha="", **more):
    """List, and where git cannot, fetch; return the folder of both and the step's log."""
    listed(work, name, base_sha, sha=more.get("GITHUB_SHA", ""))
    state = Path(said(work)["state"])
    assert said(work)["base"] == "missing"
    head = git(api.repository, "rev-parse", "topic")
    place = engine(work.parent)
    environment = {
        "PATH": f"{place}:{PATH['PATH']}",
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_API_URL": api.url,
        "GITHUB_EVENT_NAME": name,
        "GITHUB_EVENT_PATH": event(work.parent, head),
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_SHA": git(api.repository, "rev-parse", "merge"),
        "GITHUB_TOKEN": "ghs_good",
        "GITHUB_WORKSPACE": str(work),
        "INPUT_IMAGE": "npugate:test",
        "NPUGATE_BASE": base_sha,
        "NPUGATE_STATE": str(state),
        "STANDIN_RECORD": str(work.parent / "record"),
    }
    done = subprocess.run(
        ["bash", str(ROOT / "scripts/fetch-base.sh")],
        env=environment | more, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return state, done.stdout + done.stderr


def cut_off(origin, branch="merge"):
    """Return a shallow checkout whose remote git cannot reach."""
    work = clone(origin, branch, "--depth=1")
    git(work, "remote", "set-url", "origin", (origin.parent / "nowhere").as_uri())
    return work


def contents(state):
    """Return every file of the base with its content, and the changes as a set."""
    files = {
        str(path.relative_to(state)): path.read_bytes()
        for top in ("base", "settings")
        for path in (state / top).rglob("*")
        if path.is_file() and path.name != ".changes"
    }
    assert (state / "base/.changes").read_bytes() == (state / "changes").read_bytes()
    fields = (state / "changes").read_text().split("\0")[:-1]
    rows = set()
    while fields:
        count = 3 if fields[0][0] in "RC" else 2
        rows.add(tuple(fields[:count]))
        fields = fields[count:]
    return files, rows


def edit(work):
    """Leave the checkout as a workflow may that makes models."""
    (work / "same.onnx").write_text("made anew")
    (work / "made.onnx").write_text("made")
    (work / "light/net.onnx").unlink()


@pytest.mark.parametrize("is_edited", [False, True])
def test_the_api_tells_what_git_would_have(origin, api, tmp_path, is_edited):
    (tmp_path / "one").mkdir()
    whole = clone(origin, "merge")
    if is_edited:
        edit(whole)
    listed(whole, "pull_request")
    by_git = contents(Path(said(whole)["state"]))
    shutil.rmtree(whole)
    work = cut_off(origin)
    if is_edited:
        edit(work)
    state, log = fetched(work, api)
    by_api = contents(state)
    assert by_api[1] == by_git[1]
    assert by_api[0] == by_git[0]
    assert ("R100", "moved.onnx", "there.onnx") in by_api[1]
    assert by_api[0]["base/heavy/large.bin"] == bytes(1234567)
    assert by_api[0]["settings/link.toml"] == by_api[0]["settings/npugate.toml"]
    assert "settings/.none.toml" in by_api[0]
    assert f"compared with {git(origin, 'rev-parse', 'merge^1')}, through the API" in log


def test_what_was_not_changed_is_not_asked_for(origin, api):
    fetched(cut_off(origin), api)
    blobs = [path.rpartition("/")[2] for _, path in api.requests if "/git/blobs/" in path]
    names = {
        git(origin, "rev-parse", f"merge^1:{path}"): path
        for path in ("light/net.onnx", "gate/same.json", "notes.txt")
    }
    assert blobs
    assert not {names[blob] for blob in blobs if blob in names}
    assert len(blobs) == len(set(blobs))


def test_the_token_is_on_no_command_line_and_the_models_are_not_shown(origin, api, tmp_path):
    work = cut_off(origin)
    _, log = fetched(work, api)
    (call,) = map(json.loads, (tmp_path / "record").read_text().splitlines())
    assert call["command"] == ["base"]
    assert "ghs_good" not in str(call) + log
    assert str(work) not in str(call)
    assert set(api.secrets) == {"Bearer ghs_good"}


@pytest.mark.parametrize("name", ["merge_group", "push"])
def test_other_events_are_compared_with_where_they_parted(origin, api, name):
    parted = git(origin, "rev-parse", "main~1")
    head = git(origin, "rev-parse", "topic")
    work = cut_off(origin, "topic")
    folder = work.parent / "state"
    folder.mkdir()
    git_says = {"NPUGATE_LISTED": str(listing(work, folder)), "NPUGATE_HEAD": head}
    log = run(api, folder, name, NPUGATE_BASE=git(origin, "rev-parse", "main"), **git_says)
    assert f"compared with {parted}, through the API" in log
    assert ("M", "edited.onnx") in contents(folder)[1]


def listing(work, folder):
    """Leave what git says of a checkout below a folder, as the script does."""
    place = folder / "listed"
    place.mkdir()
    output = subprocess.run(
        ["git", "ls-tree", "-r", "-l", "-z", "HEAD"], cwd=work, check=True, capture_output=True
    ).stdout
    (place / "head").write_bytes(output)
    for name in ("touched", "deleted"):
        (place / name).touch()
    return place


def run(api, folder, name="push", **more):
    """Fetch into a folder; return the log."""
    environment = {
        "GITHUB_API_URL": api.url,
        "GITHUB_EVENT_NAME": name,
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_SHA": git(api.repository, "rev-parse", "merge"),
        "GITHUB_TOKEN": "ghs_good",
        "NPUGATE_BASE": git(api.repository, "rev-parse", "main"),
        "NPUGATE_FETCHED": str(folder),
        "NPUGATE_LISTED": str(folder / "listed"),
    }
    stdout = io.StringIO()
    assert base_models.main(environment | more, stdout, Time().clock()) == 0
    return stdout.getvalue()


def test_without_git_both_sides_come_from_the_api(origin, api, tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    assert "through the API" in run(api, folder)
    files, rows = contents(folder)
    assert ("M", "edited.onnx") in rows
    assert files["settings/gate/same.json"] == b"[]"
    assert (folder / "same").read_bytes() == b""


def test_a_history_that_was_rewritten_is_compared_with_the_base_itself(origin, api, tmp_path):
    git(origin, "checkout", "-q", "--orphan", "other")
    head = commit(origin, "other", edited_onnx="from nowhere")
    (tmp_path / "state").mkdir()
    log = run(api, tmp_path / "state", NPUGATE_HEAD=head)
    assert f"compared with {git(origin, 'rev-parse', 'main')}" in log


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("GET", ".*/trees/.*", 403, times=9), "permissions: contents: read"),
        (Fault("GET", ".*/trees/.*", 404, times=9), "may not see it"),
        (Fault("GET", ".*/trees/.*", 502, times=9), "a fault of its own"),
        (Fault("GET", ".*/blobs/.*", 429, {"Retry-After": "9999"}, times=9), "rate limit"),
        (Fault("GET", ".*/blobs/.*", cut=40, times=9), "cut off"),
        (
            Fault("GET", ".*/blobs/.*", 200, body={"content": "eA==", "encoding": "base64"}),
            "bytes of",
        ),
        (
            Fault("GET", ".*/blobs/.*", 200, body={"content": "?", "encoding": "base64"}),
            "no content",
        ),
        (Fault("GET", ".*/blobs/.*", 200, body=[]), "no content"),
        (
            Fault("GET", ".*/blobs/.*", 200, body={"content": "x", "encoding": "utf-8"}),
            "another form",
        ),
        (Fault("GET", ".*/trees/.*", 200, body={"tree": [], "truncated": True}), "more files"),
        (Fault("GET", ".*/trees/.*", 200, body={"tree": [7], "truncated": False}), "no tree"),
        (
            Fault("GET", ".*/compare/.*", 200, body={"merge_base_commit": {"sha": "../x"}}),
            "is none",
        ),
    ],
)
def test_on_a_bad_day_there_is_no_base_and_a_notice_says_why(api, tmp_path, fault, said):
    api.faults = [fault]
    log = run(api, tmp_path)
    assert log.startswith("::notice title=npugate::the commit to compare with is not available")
    assert said in log.replace("%3A", ":")
    assert "fetch-depth: 2" in log.replace("%3A", ":")
    assert not (tmp_path / "changes").exists()


def test_a_short_bad_day_is_waited_for(api, tmp_path):
    api.faults = [
        Fault("GET", ".*/blobs/.*", 503),
        Fault("GET", ".*/trees/.*", 429, {"Retry-After": "3"}),
        Fault("GET", ".*/compare/.*", drop=True),
    ]
    assert "through the API" in run(api, tmp_path)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"GITHUB_TOKEN": ""}, "no usable token"),
        ({"GITHUB_REPOSITORY": "o"}, "names no repository"),
        ({"NPUGATE_BASE": "0" * 40}, "names no commit"),
        ({"NPUGATE_BASE": "../../users"}, "names no commit"),
        ({"GITHUB_SHA": "main"}, "is not known"),
        ({"NPUGATE_BASE": "e" * 40}, "may not see it"),
    ],
)
def test_what_is_not_named_is_not_asked_for(api, tmp_path, more, said):
    assert said in run(api, tmp_path, **more)
    assert not (tmp_path / "changes").exists()


def test_the_checkout_is_not_its_own_base(api, tmp_path):
    head = git(api.repository, "rev-parse", "merge")
    assert "is the commit that is checked out" in run(api, tmp_path, NPUGATE_BASE=head)


def test_a_token_that_may_not_read_leaves_a_notice_and_the_run(origin, api):
    api.tokens = {"ghs_good": Token(may_read=False)}
    state, log = fetched(cut_off(origin), api)
    assert "::notice" in log
    assert not (state / "changes").exists()
    assert not (state / "base").exists()


@pytest.mark.parametrize(
    "path", ["../x.onnx", "/etc/x.onnx", "a//x.onnx", "a/./x.onnx", "a\0b", ""]
)
def test_a_path_that_leads_elsewhere_is_refused(api, tmp_path, path):
    row = {"path": path, "mode": "100644", "type": "blob", "sha": "a" * 40, "size": 1}
    api.faults = [
        Fault("GET", ".*/trees/.*", 200, body={"tree": [row], "truncated": False}, times=2)
    ]
    assert "no tree can hold" in run(api, tmp_path / "state")
    assert [path.name for path in tmp_path.rglob("*") if path.name.startswith("x")] == []


def test_a_content_that_its_name_does_not_fit_is_refused(origin, api, tmp_path):
    size = int(git(origin, "cat-file", "-s", "main:edited.onnx"))
    content = base64.b64encode(b"x" * size).decode()
    swapped = {"content": content, "encoding": "base64"}
    sha = git(origin, "rev-parse", "main:edited.onnx")
    api.faults = [Fault("GET", f".*/blobs/{sha}", 200, body=swapped)]
    assert "another content than the tree names" in run(api, tmp_path)


def test_a_list_that_is_none_is_refused():
    with pytest.raises(ApiError, match="ls-tree"):
        trees.listed(b"nothing of the kind\0")


def test_there_is_an_end_to_what_is_fetched(api, tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "_MOST_REQUESTS", 2)
    assert "more changed models than are fetched through the API" in run(api, tmp_path)
    assert HERE in api.requests[0][1]
