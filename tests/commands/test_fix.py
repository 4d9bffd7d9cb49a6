import io
import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from npugate import cli
from npugate.rules.testing import model_from_text

HIGH = """
    <ir_version: 8, opset_import: ["" : 14]>
    net (float[1, 64] x) => (float[1, 64] y)
    <int64[6] six = {1, 2, 2, 2, 2, 4}, int64[2] two = {1, 64}>
    {
      a = Reshape (x, six)
      b = Transpose <perm = [0, 3, 1, 2, 5, 4]> (a)
      c = Relu (b)
      y = Reshape (c, two)
    }
"""
WEIGHTED = """
    <ir_version: 8, opset_import: ["" : 14]>
    net (float[1, 64] x) => (float[1, 64] y)
    <int64[6] six = {1, 2, 2, 2, 2, 4}, int64[2] two = {1, 64}, float[1, 400] big>
    {
      a = Reshape (x, six)
      b = Transpose <perm = [0, 3, 1, 2, 5, 4]> (a)
      c = Reshape (b, two)
      z = Softmax (big)
      s = ReduceMax (z)
      y = Add (c, s)
    }
"""


def model(text=HIGH):
    made = model_from_text(text)
    for index, node in enumerate(made.graph.node):
        node.name = f"n{index}"
    return made


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "repo/models").mkdir(parents=True)
    (tmp_path / "repo/models/high.onnx").write_bytes(model().SerializeToString())
    monkeypatch.chdir(tmp_path / "repo")
    return tmp_path / "repo"


def fix(capsys, *arguments):
    code = cli.main(["fix", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def max_rank(path: Path) -> int:
    inferred = onnx.shape_inference.infer_shapes(onnx.load(path))
    infos = (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
    return max(len(info.type.tensor_type.shape.dim) for info in infos)


def test_a_repaired_copy_is_written_and_the_original_is_untouched(folder, capsys):
    before = (folder / "models/high.onnx").read_bytes()
    code, out, _ = fix(capsys, "models")
    assert code == 0
    assert "npugate-fixed/models/high.onnx" in out
    assert (folder / "models/high.onnx").read_bytes() == before
    assert max_rank(folder / "npugate-fixed/models/high.onnx") <= 5


def test_a_dry_run_writes_nothing_and_shows_the_nodes_that_would_differ(folder, capsys):
    code, out, _ = fix(capsys, "--dry-run", "--diff", "models")
    assert code == 0
    assert [path.name for path in folder.iterdir()] == ["models"]
    assert "~ n0" in out or "- n0" in out


def test_in_place_replaces_the_model_and_keeps_a_backup(folder, capsys):
    path = folder / "models/high.onnx"
    before = path.read_bytes()
    code, _, _ = fix(capsys, "--in-place", "--backup", "models/high.onnx")
    assert code == 0
    assert path.with_name("high.onnx.bak").read_bytes() == before
    assert max_rank(path) <= 5
    assert [item.name for item in path.parent.iterdir() if item.name.startswith(".")] == []


def test_a_backup_is_never_overwritten(folder, capsys):
    (folder / "models/high.onnx.bak").write_bytes(b"precious")
    before = (folder / "models/high.onnx").read_bytes()
    code, _, err = fix(capsys, "--in-place", "--backup", "models/high.onnx")
    assert code == 2
    assert "exists already" in err
    assert (folder / "models/high.onnx.bak").read_bytes() == b"precious"
    assert (folder / "models/high.onnx").read_bytes() == before


def test_a_model_outside_of_the_repository_is_written_below_the_folder(folder, capsys, tmp_path):
    outside = tmp_path / "elsewhere/high.onnx"
    outside.parent.mkdir()
    outside.write_bytes(model().SerializeToString())
    before = outside.read_bytes()
    code, _, _ = fix(capsys, "--output-dir", "out/deep", "../elsewhere/high.onnx")
    assert code == 0
    assert outside.read_bytes() == before
    assert (folder / "out/deep/elsewhere/high.onnx").exists()
    code, _, _ = fix(capsys, "--output-dir", "a/b", str(outside))
    assert outside.read_bytes() == before
    assert code == 0


def test_a_folder_that_holds_the_original_is_refused(folder, capsys):
    before = (folder / "models/high.onnx").read_bytes()
    code, _, err = fix(capsys, "--output-dir", ".", "models/high.onnx")
    assert code == 2
    assert "choose another --output-dir, or --in-place" in err
    assert (folder / "models/high.onnx").read_bytes() == before


def test_a_link_in_the_output_folder_leads_nowhere_else(folder, capsys, tmp_path):
    (tmp_path / "secret").mkdir()
    (folder / "out").mkdir()
    (folder / "out/models").symlink_to(tmp_path / "secret")
    code, _, err = fix(capsys, "--output-dir", "out", "models/high.onnx")
    assert code == 2
    assert "outside of out" in err
    assert list((tmp_path / "secret").iterdir()) == []


def test_external_weights_are_written_beside_the_copy(folder, capsys):
    made = model_from_text(WEIGHTED)
    for index, node in enumerate(made.graph.node):
        node.name = f"n{index}"
    original = {item.name: onnx.numpy_helper.to_array(item) for item in made.graph.initializer}
    onnx.save(
        made, "models/high.onnx", save_as_external_data=True, location="w.bin", size_threshold=64
    )
    code, out, _ = fix(capsys, "models/high.onnx")
    assert code == 0, out
    copy = folder / "npugate-fixed/models/high.onnx"
    assert len(list(copy.parent.glob("high.onnx.*.data"))) == 1
    written = onnx.load(copy, load_external_data=False)
    places = [
        item for item in written.graph.initializer if item.data_location == TensorProto.EXTERNAL
    ]
    assert [item.name for item in places] == ["big"]
    values = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load(copy).graph.initializer}
    assert np.array_equal(values["big"], original["big"])


def test_weights_that_are_missing_are_a_finding_and_no_fault_of_ours(folder, capsys):
    onnx.save(
        model_from_text(WEIGHTED),
        "models/high.onnx",
        save_as_external_data=True,
        location="w.bin",
        size_threshold=64,
    )
    (folder / "models/w.bin").unlink()
    code, out, err = fix(capsys, "models/high.onnx")
    assert code == 1
    assert "NPU005" in out or "missing-external-data" in out
    assert "its weights cannot be read" in out
    assert "Traceback" not in err
    assert not (folder / "npugate-fixed").exists()


def test_the_json_report_says_what_was_done_and_what_was_proved(folder, capsys):
    _, out, _ = fix(capsys, "--format", "json", "models")
    repair = json.loads(out)["models"][0]["repair"]
    assert repair["output"] == "npugate-fixed/models/high.onnx"
    assert repair["verdict_after"] == "pass"
    states = {item["repair"]: item["state"] for item in repair["outcomes"]}
    assert states["lower-rank"] == "applied"
    assert repair["verification"]["equal"] is True
    assert repair["verification"]["max_abs_error"] == 0
    assert repair["before"]["max_rank"] == 6


def test_a_clean_model_is_left_alone(folder, capsys):
    clean = HIGH.partition("net")[0] + "net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }"
    (folder / "models/high.onnx").write_bytes(model(clean).SerializeToString())
    code, out, _ = fix(capsys, "models")
    assert code == 0
    assert "no finding has a repair" in out
    assert not (folder / "npugate-fixed").exists()


def test_a_note_says_how_to_have_it_repaired(folder, capsys):
    head = HIGH.partition("net")[0]
    noted = model(head + "net (float[1, 4] x) => (float[1, 4] y) { a = Relu (x) y = Neg (a) }")
    for node in noted.graph.node:
        node.name = "same"
    (folder / "models/high.onnx").write_bytes(noted.SerializeToString())
    code, out, _ = fix(capsys, "models")
    assert code == 0
    assert "REPAIR: notes call for no repair; --select make-legal repairs them" in out
    code, out, _ = fix(capsys, "models", "--select", "make-legal")
    assert "renamed the second node 'same' to" in out


def test_shapes_come_from_the_configuration_and_the_command_line_wins(folder, capsys):
    text = HIGH.partition("net")[0] + "net (float[1, 3, H, 8] x) => (float[?] y) { y = Relu (x) }"
    (folder / "models/high.onnx").write_bytes(model(text).SerializeToString())
    (folder / "npugate.toml").write_text(
        "[shapes]\nx = [1, 3, 5, 8]\n"
        '[[models]]\npaths = ["models/**"]\nshapes = { x = [1, 3, 6, 8] }'
    )

    def shape(*options):
        _, out, _ = fix(capsys, "--format", "json", "--dry-run", *options, "models")
        outcomes = json.loads(out)["models"][0]["repair"]["outcomes"]
        item = next(item for item in outcomes if item["repair"] == "set-static-shapes")
        return item["interface"][0]["after"]

    assert shape() == "[1, 3, 6, 8]"
    assert shape("--shape", "x=1,3,7,8") == "[1, 3, 7, 8]"


def test_a_users_data_takes_part_in_the_proof(folder, capsys):
    np.savez("real.npz", x=np.ones((3, 1, 64), np.float32))
    _, out, _ = fix(capsys, "--inputs", "real.npz", "--format", "json", "models")
    assert json.loads(out)["models"][0]["repair"]["verification"]["samples"] == 15


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--backup"], "--backup goes with --in-place"),
        (["--shape", "x"], "--shape x: write NAME=1,3,224,224"),
        (["--shape", "x=1,a"], "--shape x=1,a: write NAME=1,3,224,224"),
        (["--shape", "x=0,3"], "--shape x=0,3: write NAME=1,3,224,224"),
        (["--prefer-rank", "2"], "--prefer-rank must be at least 4"),
        (["--select", "lower-rang"], "no repair 'lower-rang'; did you mean 'lower-rank'?"),
        (["--weight-budget", "-1"], "--weight-budget must not be negative"),
        (["--inputs", "nothing.npz"], "--inputs nothing.npz: no .npz file of arrays"),
    ],
)
def test_a_wrong_option_is_told_with_what_would_be_right(folder, capsys, arguments, text):
    code, _, err = fix(capsys, *arguments, "models")
    assert code == 2
    assert text in err


def test_pickled_inputs_are_refused(folder, capsys):
    np.savez("evil.npz", x=np.array([io.StringIO], dtype=object))
    code, _, err = fix(capsys, "--inputs", "evil.npz", "models")
    assert code == 2
    assert "no .npz file of arrays" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_folder_that_cannot_be_written_is_told(folder, capsys):
    (folder / "out").mkdir(mode=0o500)
    code, _, err = fix(capsys, "--output-dir", "out", "models")
    assert code == 2
    assert "cannot write" in err
