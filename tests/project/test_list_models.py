"""The script that runs where there is git, on real repositories."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "list-models.sh"
PATH = {"PATH": os.defpath + ":/usr/local/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")

pytestmark = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("git")), reason="needs bash and git"
)


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *IDENTITY, *arguments],
        cwd=root, env=PATH, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def commit(root: Path, message: str, **files: str) -> str:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_onnx", ".onnx")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    git(root, "add", "-A")
    git(root, "commit", "-qm", message)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path):
    """A repository with a topic branch that changes b.onnx, and its merge as GitHub makes it."""
    root = tmp_path / "origin"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    commit(root, "one", a_onnx="a", b_onnx="b", sub__c_onnx="c", notes="n")
    git(root, "checkout", "-q", "-b", "topic")
    commit(root, "two", b_onnx="changed")
    git(root, "checkout", "-q", "main")
    commit(root, "three", a_onnx="changed on main")
    git(root, "checkout", "-q", "-b", "merge")
    git(root, "merge", "-q", "--no-ff", "-m", "merge", "topic")
    git(root, "config", "uploadpack.allowAnySHA1InWant", "true")
    return root


def clone(origin: Path, branch: str, *options: str) -> Path:
    work = origin.parent / "work"
    git(origin.parent, "clone", "-q", "-b", branch, *options, origin.as_uri(), str(work))
    return work


def listed(work: Path, event: str, base: str = "", changed_only: str = "auto", sha: str = ""):
    """Run the script; return the tracked models, the changed paths or None, and the log."""
    temporary = work.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    output = work.parent / "output"
    output.unlink(missing_ok=True)
    environment = {
        "GITHUB_EVENT_NAME": event,
        "GITHUB_OUTPUT": str(output),
        "GITHUB_SHA": sha or (git(work, "rev-parse", "HEAD") if (work / ".git").exists() else ""),
        "GITHUB_WORKSPACE": str(work),
        "NPUGATE_BASE": base,
        "NPUGATE_CHANGED_ONLY": changed_only,
        "RUNNER_TEMP": str(temporary),
    }
    done = subprocess.run(
        ["bash", str(SCRIPT)], env=PATH | environment, check=True, capture_output=True, text=True
    )
    state = Path(said(work)["state"])
    return _names(state / "tracked"), _names(state / "changes"), done.stdout + done.stderr


def said(work: Path) -> dict[str, str]:
    """Return the outputs of the script's last run."""
    lines = (work.parent / "output").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def _names(path: Path) -> list[str] | None:
    return path.read_text().split("\0")[:-1] if path.exists() else None


@pytest.mark.parametrize("depth", [(), ("--depth=2",), ("--depth=1",)], ids=["all", "2", "1"])
def test_a_pull_request_is_compared_with_the_base_it_was_merged_with(origin, depth):
    stale = git(origin, "rev-parse", "main~1")
    work = clone(origin, "merge", *depth)
    tracked, changes, _ = listed(work, "pull_request", base=stale)
    assert tracked == ["a.onnx", "b.onnx", "sub/c.onnx"]
    assert changes == ["M", "b.onnx"]


def test_a_checkout_of_the_topic_itself_is_compared_with_where_it_began(origin):
    work = clone(origin, "topic")
    _, changes, _ = listed(work, "pull_request", git(origin, "rev-parse", "main"), sha="f" * 40)
    assert changes == ["M", "b.onnx"]


def test_a_merge_group_is_compared_with_its_base(origin):
    base = git(origin, "rev-parse", "main")
    assert listed(clone(origin, "merge"), "merge_group", base)[1] == ["M", "b.onnx"]


def test_a_push_is_compared_only_when_asked(origin):
    work = clone(origin, "merge")
    base = git(origin, "rev-parse", "main")
    assert listed(work, "push", base)[1] is None
    assert listed(work, "push", base, changed_only="true")[1] == ["M", "b.onnx"]


def test_a_pull_request_is_compared_with_its_base_whatever_is_checked_of_it(origin):
    work = clone(origin, "merge")
    assert listed(work, "pull_request", changed_only="false")[1] == ["M", "b.onnx"]


def test_what_may_judge_is_kept_as_the_base_has_it(origin):
    git(origin, "checkout", "-q", "main")
    files = {
        "npugate.toml": "baseline = 'gate/known.json'",
        "gate/known.json": "{}",
        "big.json": "x" * 2**23 + "x",
    }
    commit(origin, "gate", **files)
    git(origin, "checkout", "-q", "-b", "turn")
    (origin / "link.toml").symlink_to("npugate.toml")
    commit(origin, "turn", **{"npugate.toml": "fail-on = 'never'", "new.toml": ""})
    work = clone(origin, "turn")
    listed(work, "pull_request", git(origin, "rev-parse", "main"), sha="f" * 40)
    (kept,) = work.parent.glob("temporary/*/settings")
    found = {path.relative_to(kept).as_posix(): path for path in kept.rglob("*") if path.is_file()}
    assert sorted(found) == [".none.toml", "gate/known.json", "npugate.toml"]
    assert found["npugate.toml"].read_text() == "baseline = 'gate/known.json'"
    assert not found[".none.toml"].read_bytes()


@pytest.mark.parametrize("base", ["", "0" * 40, "e" * 40, "--upload-pack=touch x", "main"])
def test_a_base_that_is_not_to_be_had_is_said_so_and_not_taken_for_no_change(origin, base):
    work = clone(origin, "merge")
    _, changes, _ = listed(work, "push", base, changed_only="true")
    assert changes is None
    assert said(work)["base"] == "missing"  # the next step asks GitHub's API, or says so


def test_a_base_that_is_the_checkout_itself_is_not_taken_for_no_change(origin):
    work = clone(origin, "main")
    head = git(work, "rev-parse", "HEAD")
    assert listed(work, "pull_request_target", head)[1] is None
    assert said(work)["base"] == "missing"


def test_a_model_that_the_workflow_made_or_changed_counts_as_changed(origin):
    work = clone(origin, "merge")
    (work / "built.onnx").write_text("x")
    (work / "sub" / "c.onnx").write_text("quantised")
    (work / ".git" / "info" / "exclude").write_text("built.onnx\n")
    _, changes, _ = listed(work, "pull_request")
    assert changes == ["M", "b.onnx", "M", "sub/c.onnx", "A", "built.onnx"]


def test_names_are_taken_as_they_are(origin):
    base = git(origin, "rev-parse", "merge")
    git(origin, "checkout", "-q", "merge")
    name = "x $(touch owned)\n::error::y\u202e.onnx"
    commit(origin, "odd", **{name: "x"})
    work = clone(origin, "merge")
    tracked, changes, log = listed(work, "push", base, changed_only="true")
    assert name in tracked
    assert changes == ["A", name]
    assert "owned" not in log
    assert not (work / "owned").exists()


def test_without_a_checkout_nothing_is_listed(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    tracked, changes, log = listed(work, "push")
    assert (tracked, changes) == (None, None)
    assert "no git checkout" in log
    assert "base" not in said(work)
    listed(work, "pull_request")
    assert "base" not in said(work)  # nothing is there to compare
    (work / "net.onnx").touch()  # as actions/checkout leaves it where there is no git
    listed(work, "pull_request")
    assert said(work)["base"] == "missing"


def test_programs_that_the_checkout_configures_are_not_started(origin):
    work = clone(origin, "merge")
    git(work, "config", "core.fsmonitor", f"touch {work.parent}/owned; false")
    git(work, "config", "diff.external", f"touch {work.parent}/owned; false")
    listed(work, "pull_request")
    assert not (work.parent / "owned").exists()


def kept(work: Path, base: str, sha: str) -> dict[str, str]:
    """Return the text of every file below the folder of base versions."""
    listed(work, "pull_request", base, sha=sha)
    state = Path(said(work)["state"])
    folder = state / "base"
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in {".changes", ".tree", ".links"}
    }


def test_changed_models_are_kept_as_the_base_has_them(origin):
    git(origin, "checkout", "-q", "topic")
    git(origin, "mv", "sub/c.onnx", "sub/moved c.onnx")
    commit(origin, "four", sub__new_onnx="n", b_onnx="again")
    work = clone(origin, "topic")
    found = kept(work, git(origin, "rev-parse", "main"), "f" * 40)
    assert found == {"b.onnx": "b", "sub/c.onnx": "c"}


@pytest.mark.parametrize("touched", ["net.onnx", "w/part.bin", "w/large.bin"])
def test_a_model_is_kept_with_its_weights_as_long_as_they_are(origin, touched):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4096\n"
    git(origin, "checkout", "-q", "main")
    files = {"m/net.onnx": "..w/part.bin..w/large.bin..", "m/w/other.bin": "o", "a.onnx": "a"}
    base = commit(origin, "net", **files, **{"m/w/part.bin": "12345", "m/w/large.bin": pointer})
    git(origin, "checkout", "-q", "-b", "weights")
    commit(origin, "weights", **{f"m/{touched}": "changed"})
    found = kept(clone(origin, "weights"), base, "f" * 40)
    lengths = {name: len(text) for name, text in found.items() if name.startswith("m/")}
    assert lengths == {"m/net.onnx": 27, "m/w/part.bin": 5, "m/w/large.bin": 4096}


def test_a_rewritten_history_is_compared_with_the_base_itself(origin):
    git(origin, "checkout", "-q", "--orphan", "rewritten")
    commit(origin, "all anew", a_onnx="new", b_onnx="changed")
    base = git(origin, "rev-parse", "topic")
    work = clone(origin, "rewritten")
    _, changes, _ = listed(work, "pull_request", base, sha="f" * 40)
    assert changes == ["M", "a.onnx"]
    assert kept(work, base, "f" * 40) == {"a.onnx": "a"}


def test_a_deleted_model_is_no_change_to_check(origin):
    git(origin, "checkout", "-q", "topic")
    git(origin, "rm", "-q", "a.onnx")
    git(origin, "commit", "-qm", "gone")
    work = clone(origin, "topic")
    tracked, changes, _ = listed(work, "pull_request", git(origin, "rev-parse", "main"), sha="f")
    assert tracked == ["b.onnx", "sub/c.onnx"]
    assert changes == ["D", "a.onnx", "M", "b.onnx"]


def test_the_base_versions_hold_what_git_holds_whatever_a_filter_makes_of_it(origin):
    git(origin, "checkout", "-q", "topic")
    (origin / ".gitattributes").write_text("*.onnx filter=evil\n")
    commit(origin, "five", b_onnx="again")
    work = clone(origin, "topic")
    git(work, "config", "filter.evil.smudge", f"touch {origin.parent}/ran; cat")
    found = kept(work, git(origin, "rev-parse", "main"), "f" * 40)
    assert found["b.onnx"] == "b"
    assert not (origin.parent / "ran").exists()
