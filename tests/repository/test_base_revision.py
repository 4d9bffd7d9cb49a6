"""What a pull request adds, against the models of its base."""

import html
import json
import subprocess

import onnx
import pytest

from npugate import cli
from npugate.rules.testing import model_from_text

HEAD = '<ir_version: 8, opset_import: ["" : 14]> '
CLEAN = HEAD + "net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }"
BATCHED = (
    HEAD
    + """net (float[1, 24, 8, 8] x) => (float[8, 4, 8, 8] y)
    <int64[4] fold = {8, 3, 8, 8}, float[4, 3, 1, 1] w>
    { h = Reshape (x, fold)  y = Conv (h, w) }"""
)
WORSE = (
    HEAD
    + """net (float[1, 24, 8, 8] x) => (float[8, 4, 4, 4] y)
    <int64[4] fold = {8, 3, 8, 8}, float[4, 3, 1, 1] w>
    { h = Reshape (x, fold)  c = Conv (h, w)
      y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c) }"""
)


def data(text):
    model = model_from_text(text)
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}{index}"
    return model.SerializeToString()


class Repository:
    def __init__(self, folder):
        self.folder = folder
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "t")
        self.git("config", "user.email", "t@example.org")

    def git(self, *arguments):
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, **files):
        for name, content in files.items():
            path = self.folder / f"{name}.onnx"
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "c", "--allow-empty")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    made = Repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    made.commit(old=data(BATCHED), clean=data(CLEAN))
    made.git("checkout", "-q", "-b", "topic")
    return made


def check(capsys, *arguments):
    code = cli.main(["check", "--format", "json", "--select", "NPU104", *arguments])
    out, err = capsys.readouterr()
    report = json.loads(out)
    return code, {model["path"]: model for model in report["models"]}, report["notices"], err


def test_what_the_base_has_already_is_listed_and_does_not_fail(repository, capsys):
    repository.commit(clean=data(CLEAN.replace("Relu", "Tanh")))
    code, models, _, _ = check(capsys, "--base", "main")
    assert code == 0
    found = models["old.onnx"]["findings"]
    assert [f["suppression"]["by"] for f in found] == ["base"]
    assert len(models["old.onnx"]["base"]["unchanged"]) == 1
    code, _, _, _ = check(capsys, "--base", "main", "--all-findings")
    assert code == 1


def test_what_is_added_fails_and_is_told_from_what_was_there(repository, capsys):
    repository.commit(old=data(WORSE))
    code, models, _, _ = check(capsys, "--base", "main")
    assert code == 1
    live = [f for f in models["old.onnx"]["findings"] if not f["suppressed"]]
    assert [f["location"]["op_type"] for f in live] == ["MaxPool"]
    against = models["old.onnx"]["base"]
    assert (len(against["new"]), len(against["unchanged"]), against["fixed"]) == (1, 1, [])


def test_what_is_gone_is_told(repository, capsys):
    repository.commit(old=data(CLEAN))
    code, models, _, _ = check(capsys, "--base", "main")
    assert code == 0
    assert [f["rule"] for f in models["old.onnx"]["base"]["fixed"]] == ["NPU104"]


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_the_reports_say_what_is_new_and_what_is_fixed(repository, capsys, form):
    repository.commit(old=data(CLEAN), clean=data(WORSE))
    cli.main(["check", "--base", "main", "--select", "NPU104", "--format", form])
    out = html.unescape(capsys.readouterr().out)
    assert "against the base: 0 new, 0 unchanged, 1 fixed (NPU104 batched-layer)" in out
    assert "against the base: 2 new, 0 unchanged, 0 fixed" in out


def whole(model):
    """What the report says of a model that the base does not have."""
    marks = sorted(found["fingerprint"] for found in model["findings"])
    return {"new": marks, "unchanged": [], "fixed": [], "added": True}


def test_a_new_model_has_no_base_and_counts_whole(repository, capsys):
    repository.commit(added=data(BATCHED))
    code, models, _, _ = check(capsys, "--base", "main")
    assert code == 1
    assert models["added.onnx"]["base"] == whole(models["added.onnx"])
    assert "added" not in models["old.onnx"]["base"]


def test_a_renamed_model_keeps_its_base(repository, capsys):
    repository.git("mv", "old.onnx", "moved.onnx")
    repository.commit()
    code, models, _, _ = check(capsys, "--base", "main")
    assert code == 0
    assert len(models["moved.onnx"]["base"]["unchanged"]) == 1


def test_compared_is_with_where_the_branches_parted(repository, capsys):
    repository.commit(clean=data(CLEAN.replace("Relu", "Abs")))
    repository.git("checkout", "-q", "main")
    repository.commit(old=data(CLEAN))  # mended on main meanwhile; not on the topic
    repository.git("checkout", "-q", "topic")
    code, models, _, _ = check(capsys, "--base", "main")
    assert code == 0
    assert len(models["old.onnx"]["base"]["unchanged"]) == 1


def test_a_base_that_does_not_exist_is_an_error_not_a_pass(repository, capsys):
    code = cli.main(["check", "--base", "nowhere"])
    assert code == 2
    assert "nowhere" in capsys.readouterr().err


def test_a_shallow_clone_without_the_base_is_an_error_not_a_pass(repository, capsys, tmp_path):
    repository.commit(old=data(WORSE))
    clone = tmp_path / "clone"
    subprocess.run(
        ["git", "clone", "-q", "--depth", "1", f"file://{tmp_path}", str(clone)], check=True
    )
    commit = repository.git("rev-parse", "main")
    assert cli.main(["check", str(clone), "--base", commit]) in {1, 2}


def test_a_base_version_that_cannot_be_read_makes_every_finding_new(repository, capsys):
    repository.git("checkout", "-q", "main")
    repository.commit(old=b"no model")
    repository.git("checkout", "-q", "-B", "topic")
    repository.commit(old=data(BATCHED))
    code, models, notices, _ = check(capsys, "--base", "main")
    assert code == 1
    assert "base" not in models["old.onnx"]
    assert any("cannot be examined: 1" in notice for notice in notices)


def test_a_base_version_that_is_an_lfs_pointer_makes_every_finding_new(repository, capsys):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"
    repository.git("checkout", "-q", "main")
    repository.commit(old=pointer)
    repository.git("checkout", "-q", "-B", "topic")
    repository.commit(old=data(BATCHED))
    code, _, notices, _ = check(capsys, "--base", "main")
    assert code == 1
    assert any("cannot be examined: 1" in notice for notice in notices)


def test_weights_beside_the_base_version_are_there_as_far_as_a_check_looks(repository, capsys):
    repository.git("checkout", "-q", "main")
    big = BATCHED.replace("float[4, 3, 1, 1] w", "float[64, 3, 1, 1] w").replace(
        "float[8, 4, 8, 8] y", "float[8, 64, 8, 8] y"
    )
    onnx.save(
        onnx.ModelProto.FromString(data(big)),
        "old.onnx",
        save_as_external_data=True,
        location="old.bin",
        size_threshold=64,
    )
    repository.commit()
    repository.git("checkout", "-q", "-B", "topic")
    repository.commit(clean=data(CLEAN.replace("Relu", "Abs")))
    code, models, notices, _ = check(capsys, "--base", "main")
    assert (code, notices) == (0, [])
    assert len(models["old.onnx"]["base"]["unchanged"]) == 1


def test_the_old_models_may_come_from_a_folder(repository, capsys, tmp_path):
    old = tmp_path.parent / f"{tmp_path.name}-base"
    old.mkdir()
    (old / "old.onnx").write_bytes(data(BATCHED))
    repository.commit(old=data(WORSE))
    code, models, _, _ = check(capsys, "--base-folder", str(old))
    assert code == 1
    assert len(models["old.onnx"]["base"]["new"]) == 1
    assert cli.main(["check", "--base-folder", str(old), "--base", "main"]) == 2
    assert cli.main(["check", "--base-folder", str(old / "none")]) == 2


def test_a_model_that_is_not_among_the_changes_is_its_own_base(repository, capsys, tmp_path):
    old = tmp_path.parent / f"{tmp_path.name}-base"
    old.mkdir()
    (old / ".changes").write_bytes(b"M\0clean.onnx\0A\0added.onnx\0")
    (old / "clean.onnx").write_bytes(data(CLEAN))
    repository.commit(added=data(BATCHED))
    code, models, _, _ = check(capsys, "--base-folder", str(old))
    assert code == 1
    assert len(models["old.onnx"]["base"]["unchanged"]) == 1
    assert models["added.onnx"]["base"] == whole(models["added.onnx"])
    (old / ".changes").write_bytes(b"nonsense")
    assert cli.main(["check", "--base-folder", str(old)]) == 2


def external(path):
    """Write a model whose weights lie beside it, in old.bin."""
    big = BATCHED.replace("float[4, 3, 1, 1] w", "float[64, 3, 1, 1] w").replace(
        "float[8, 4, 8, 8] y", "float[8, 64, 8, 8] y"
    )
    place = {"location": "old.bin", "size_threshold": 64}
    onnx.save(onnx.ModelProto.FromString(data(big)), path, save_as_external_data=True, **place)


@pytest.mark.parametrize("mode", ["git", "folder"])
def test_weights_that_a_change_damages_are_new_whatever_the_model_had(
    repository, capsys, tmp_path, mode
):
    repository.git("checkout", "-q", "main")
    external("old.onnx")
    repository.commit()
    repository.git("checkout", "-q", "-B", "topic")
    base = tmp_path.parent / f"{tmp_path.name}-base"
    base.mkdir()
    (base / ".changes").write_bytes(b"M\0old.bin\0")
    for name in ("old.onnx", "old.bin"):
        (base / name).write_bytes((tmp_path / name).read_bytes())
    whole = (tmp_path / "old.bin").read_bytes()
    (tmp_path / "old.bin").write_bytes(whole[: len(whole) // 2])
    repository.commit()
    asked = ("--base", "main") if mode == "git" else ("--base-folder", str(base))
    code, models, _, _ = check(capsys, *asked, "--select", "missing-external-data")
    assert code == 1
    new = models["old.onnx"]["base"]["new"]
    named = {f["fingerprint"]: f["name"] for f in models["old.onnx"]["findings"]}
    assert [named[mark] for mark in new] == ["missing-external-data"]


def test_a_model_that_is_checked_no_more_is_told_and_may_fail(repository, capsys):
    repository.git("rm", "-q", "old.onnx")
    repository.commit()
    code = cli.main(["check", "--base", "main", "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    assert (code, report["departed"]) == (0, [{"path": "old.onnx", "reason": "deleted"}])
    assert cli.main(["check", "--base", "main", "--may-not-leave"]) == 1
    assert "MODELS LEFT THE GATE" in capsys.readouterr().out


def test_a_part_of_the_models_is_no_departure_of_the_others(repository, capsys, tmp_path):
    (tmp_path / "list").write_text("clean.onnx\n")
    for some in (["clean.onnx"], ["--files-from", "list"]):
        cli.main(["check", "--base", "main", "--format", "json", *some])
        assert "departed" not in json.loads(capsys.readouterr().out)
    (tmp_path / "old.onnx").unlink()  # git tracks it still
    cli.main(["check", "--base", "main", "--format", "json"])
    assert "departed" not in json.loads(capsys.readouterr().out)
