"""The script that tells a container without git what git tracks, and where git itself is."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from npugate.model.tracked import Entry, Pointer, Tracked, pointers
from tests.github.test_base_models import engine
from tests.made_checkout import CONFIG, KEY, SECRET, link, network, put, submodule, track
from tests.project.test_list_models import PATH, git

ROOT = Path(__file__).resolve().parents[2]
CONTENT = b"weights " * 100
POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    f"oid sha256:{hashlib.sha256(CONTENT).hexdigest()}\nsize {len(CONTENT)}\n"
)

pytestmark = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("git")), reason="needs bash and git"
)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


def listed(workspace):
    """Run the script; return the folder that it wrote."""
    state = workspace.parent / "state"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    environment = PATH | {"GITHUB_WORKSPACE": str(workspace)}
    words = ["bash", str(ROOT / "scripts/list-tracked.sh"), str(state)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return state


def tracked(workspace):
    return Tracked.recorded(workspace, (listed(workspace) / "index").read_bytes())


def names(path):
    return [os.fsdecode(name) for name in path.read_bytes().split(b"\0")[:-1]]


def blob(data):
    data = data if isinstance(data, bytes) else data.encode()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324  # as git does


def repository(place="."):
    Path(place).mkdir(parents=True, exist_ok=True)
    git(Path(place), "init", "-q")


def test_every_tracked_file_is_handed_over_with_its_mode_and_blob(workspace):
    repository()
    for name in ("m.onnx", "sub/w.bin", "run.sh", "tab\tand\nline.bin", "\udcff.onnx"):
        put(name, name.encode("utf-8", "surrogateescape"))
    Path("run.sh").chmod(0o755)
    link("link.bin", "sub/w.bin")
    track(".")
    put("job.bin", "made later")
    found = tracked(workspace)
    assert found.entry(workspace / "m.onnx") == Entry("100644", blob("m.onnx"))
    assert found.entry(workspace / "run.sh") == Entry("100755", blob("run.sh"))
    assert found.entry(workspace / "link.bin") == Entry("120000", blob("sub/w.bin"))
    for name in ("sub/w.bin", "tab\tand\nline.bin", "\udcff.onnx"):
        assert found.is_file(workspace / name)
    for name in ("link.bin", "job.bin", "line.bin", "and\nline.bin", "w.bin", "sub", "../m.onnx"):
        assert not found.is_file(workspace / name)


def test_repositories_below_are_handed_over_with_their_place(workspace, tmp_path, monkeypatch):
    repository()
    submodule(tmp_path, monkeypatch, "a b/m.onnx", b"model")
    repository("other")
    put("other/x.onnx", b"x")
    git(Path("other"), "add", ".")
    found = tracked(workspace)
    assert found.entry(workspace / "sub/a b/m.onnx") == Entry("100644", blob(b"model"))
    assert found.entry(workspace / "other/x.onnx") == Entry("100644", blob(b"x"))
    assert found.entry(workspace / "sub").mode == "160000"
    assert found.holds(workspace / "sub/untracked.onnx")
    assert not found.holds(workspace / "other/untracked.onnx")


def test_a_checkout_in_a_subfolder_is_handed_over(workspace):
    repository("repo")
    put("repo/m.onnx", b"model")
    git(Path("repo"), "add", ".")
    state = listed(workspace)
    assert Tracked.recorded(workspace, (state / "index").read_bytes()).is_file(
        workspace / "repo/m.onnx"
    )
    assert names(state / "masked") == [f"{workspace}/repo/.git"]


def test_without_a_repository_nothing_is_known_and_nothing_masked(workspace):
    put("m.onnx", b"model")
    Path("fake/.git").mkdir(parents=True)
    state = listed(workspace)
    assert sorted(path.name for path in state.iterdir()) == ["masked"]
    assert names(state / "masked") == [f"{workspace}/fake/.git"]


def test_what_a_file_under_git_lfs_stands_for_is_handed_over(workspace):
    repository()
    forged = f"{blob('m')} blob {len(POINTER)}\n{POINTER}\n"
    put(".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n")
    for name, data in (("w.bin", POINTER), ("raw.bin", b"\0raw"), ("forged.bin", forged)):
        put(name, data if isinstance(data, bytes) else data.encode())
    put("plain.txt", POINTER.encode())
    put("m.onnx", b"m")
    put("large.bin", bytes(5000))
    track(".")
    put("w.bin", CONTENT)  # as the smudge filter would
    state = listed(workspace)
    found = pointers((state / "pointers").read_bytes())
    assert found == {blob(POINTER): Pointer(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))}
    assert names(state / "modified") == ["w.bin"]


def test_what_differs_from_the_index_is_handed_over(workspace):
    repository()
    for name in ("a.onnx", "b.onnx", "c.onnx"):
        put(name, name.encode())
    track(".")
    put("a.onnx", b"another length")
    Path("b.onnx").unlink()
    assert names(listed(workspace) / "modified") == ["a.onnx", "b.onnx"]


def test_no_program_of_the_repository_is_started(workspace):
    repository()
    put(".gitattributes", b"*.bin filter=e=vil\n*.onnx filter=lfs\n")
    put("w.bin", b"w")
    put("m.onnx", b"m")
    track(".")
    for key in ("filter.e=vil.clean", "filter.lfs.clean", "filter.lfs.process", "core.fsmonitor"):
        git(Path(), "config", key, "touch ran; cat")
    git(Path(), "config", "filter.lfs.required", "true")
    put("w.bin", b"v")
    put("m.onnx", b"n")
    assert set(names(listed(workspace) / "modified")) == {"w.bin", "m.onnx"}
    assert not Path("ran").exists()


def test_git_is_masked_wherever_it_is(workspace, tmp_path, monkeypatch):
    repository()
    submodule(tmp_path, monkeypatch, "m.onnx", b"model")
    git(Path(), "worktree", "add", "-q", "tree")
    subprocess.run(["git", "init", "-q", "--separate-git-dir=store", "apart"], check=True, env=PATH)
    Path(".GIT").mkdir()
    found = names(listed(workspace) / "masked")
    assert found == [
        f"{workspace}/{name}"
        for name in (".GIT", ".git", "apart/.git", "store", "sub/.git", "tree/.git")
    ]


def test_a_work_tree_of_a_repository_elsewhere_has_its_link_masked(workspace, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "one")
    git(other, "worktree", "add", "-q", str(workspace / "tree"))
    link("linked/.git", other / ".git")
    assert names(listed(workspace) / "masked") == [f"{workspace}/tree/.git"]


def test_what_is_masked_is_named_as_the_container_has_it(workspace, tmp_path):
    repository()
    put("m.onnx", network())
    track("m.onnx")
    (tmp_path / "way").symlink_to(tmp_path)
    way = tmp_path / "way/work"
    _, _, (run,) = checked(way)
    assert f"{way}/.git" in mounts(run)


def checked(workspace, **environment):
    """Run the list step and the check step with a stand-in for the engine; return its run."""
    bin_folder = engine(workspace.parent)
    runner = workspace.parent / "runner"
    runner.mkdir(exist_ok=True)
    output = workspace.parent / "output"
    output.write_text("")
    record = workspace.parent / "record"
    record.unlink(missing_ok=True)
    base = PATH | {
        "PATH": f"{bin_folder}:{PATH['PATH']}",
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_OUTPUT": str(output),
        "GITHUB_STEP_SUMMARY": str(workspace.parent / "summary"),
        "GITHUB_WORKSPACE": str(workspace),
        "INPUT_IMAGE": "npugate:test",
        "INPUT_REPORTS": "json,text,html,markdown,sarif",
        "NPUGATE_CHANGED_ONLY": "auto",
        "RUNNER_TEMP": str(runner),
        "STANDIN_RECORD": str(record),
    }
    script(base | environment, "list-models.sh")
    state = Path(output.read_text().partition("state=")[2].partition("\n")[0])
    log = script(base | environment | {"NPUGATE_STATE": str(state)}, "run-container.sh")
    lines = record.read_text().splitlines() if record.exists() else []
    return state, log, [json.loads(line) for line in lines]


def script(environment, name):
    words = ["bash", str(ROOT / "scripts" / name)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def mounts(run):
    found = {}
    for option, value in run["options"]:
        if option == "--mount":
            parts = dict(part.partition("=")[::2] for part in value.split(","))
            found[parts["target"]] = (parts["source"], "readonly" in parts)
    return found


def test_something_empty_lies_over_git_in_the_container(workspace, tmp_path, monkeypatch):
    repository()
    submodule(tmp_path, monkeypatch, "x.onnx", network())
    put("m.onnx", network())
    track("m.onnx")
    state, _, (run,) = checked(workspace)
    found = mounts(run)
    for name, is_folder in ((".git", True), ("sub/.git", False)):
        source, is_readonly = found[f"{workspace}/{name}"]
        assert is_readonly
        assert Path(source).is_relative_to(state)
        assert list(Path(source).iterdir()) == [] if is_folder else not Path(source).read_bytes()
    options = [value for option, value in run["options"] if option == "--mount"]
    assert f"source={workspace}," in options[0]  # first the workspace, then what lies over it


@pytest.mark.parametrize("name", ["a,source=/,b", 'quo"te', "line\nbreak"])
def test_a_git_that_cannot_be_masked_ends_the_run(workspace, name):
    repository()
    put("m.onnx", network())
    track("m.onnx")
    repository(name)
    _, log, runs = checked(workspace)
    assert runs == []
    assert "cannot be hidden" in log


def test_the_container_goes_by_what_was_handed_over(workspace):
    repository()
    put(".git/config", CONFIG)
    put("key.json", KEY)
    put("x.py", KEY)
    put("m.onnx", network("key.json", trace="x.py"))
    track("m.onnx")
    state, log, _ = checked(workspace)
    texts = [path.read_text() for path in (state / "out").rglob("*") if path.is_file()]
    (report,) = [text for text in texts if text.startswith("{") and '"models"' in text[:2000]][:1]
    found = {finding["name"]: finding for finding in json.loads(report)["models"][0]["findings"]}
    assert "untracked-external-data" in found
    assert "slice-bounds" in found
    assert not any(SECRET in text for text in [log, *texts])
