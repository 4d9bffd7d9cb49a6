"""The text twin: what changes it, what does not, and the command that writes and compares it."""

import hashlib
import json

import numpy as np
import pytest
from onnx import helper, numpy_helper, parser, save_model

from npugate.cli import main
from npugate.facts import Facts
from npugate.findings.values import Source
from npugate.github.summary import annotation_lines
from npugate.limits import Limits
from npugate.model import weight_digests
from npugate.model.reader import load
from npugate.reporters import sarif
from npugate.snapshot import text_twin
from tests import sample_report

NET = """
    <ir_version: 8, opset_import: ["" : 14]>
    net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] z)
    { [conv] y = Conv <pads = [1, 1, 1, 1]> (x, w) [act] z = LeakyRelu <alpha = 0.1> (y) }
"""
BRANCH = """
    <ir_version: 8, opset_import: ["" : 14]>
    net (bool c, float[2] x) => (float[2] y)
    {
        [pick] y = If (c) <
            then_branch = yes () => (float[2] a) { [left] a = Relu (x) },
            else_branch = no () => (float[2] b) { [right] b = Neg (x) }
        >
    }
"""


def net(fill=1.0):
    model = parser.parse_model(NET)
    for name, value in (("w", fill), ("b", 2.0)):
        array = np.full((4, 3, 30, 30) if name == "b" else (4, 3, 3, 3), value, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


def made(model, folder, **options):
    path = folder / "net.onnx"
    save_model(model, str(path), **options)
    return twin(path)


def twin(path):
    loaded = load(path, "net.onnx", Limits())
    return text_twin.render(Facts(loaded), weight_digests.digests(loaded, Limits()))


def differing(left, right):
    pairs = zip(left.text.splitlines(), right.text.splitlines(), strict=True)
    return [new for old, new in pairs if old != new]


def test_a_node_is_one_line_with_its_types_and_attributes(tmp_path):
    found = made(net(), tmp_path)
    line = 'LeakyRelu "act" (y) -> (z float[1,4,8,8]) {alpha=0.1}'
    assert line in found.text.splitlines()
    assert found.text.splitlines()[found.lines["", "act"] - 1] == line


def test_a_changed_attribute_changes_one_line(tmp_path):
    model = net()
    before = made(model, tmp_path)
    model.graph.node[1].attribute[0].f = 0.2
    (line,) = differing(before, made(model, tmp_path))
    assert line.startswith('LeakyRelu "act"')


def test_a_changed_weight_changes_one_line_and_the_digest_is_that_of_its_values(tmp_path):
    (line,) = differing(made(net(), tmp_path), made(net(3.0), tmp_path))
    digest = hashlib.sha256(np.full((4, 3, 3, 3), 3.0, np.float32).tobytes()).hexdigest()
    assert line == f"weight w float[4,3,3,3] {digest[:12]}"


def test_a_renamed_tensor_changes_only_its_lines(tmp_path):
    model = net()
    before = made(model, tmp_path)
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "other"
    assert len(differing(before, made(model, tmp_path))) == 2


def test_what_an_exporter_changes_by_the_way_changes_nothing(tmp_path):
    model = net()
    before = made(model, tmp_path)
    model.producer_version, model.doc_string = "9.9", "text"
    model.graph.node[0].doc_string = "text"
    entry = model.graph.node[0].metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.stack_trace", "line 1"
    first = model.graph.initializer[0]
    first.float_data[:] = numpy_helper.to_array(first).ravel().tolist()
    first.ClearField("raw_data")
    kept = list(model.graph.initializer)[::-1]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    assert made(model, tmp_path) == before


def test_external_data_gives_the_same_twin(tmp_path):
    inline = made(net(), tmp_path)
    (tmp_path / "e").mkdir()
    options = {"save_as_external_data": True, "location": "w.bin", "size_threshold": 0}
    assert made(net(), tmp_path / "e", **options) == inline
    assert (tmp_path / "e" / "w.bin").stat().st_size > 0


def test_bodies_are_indented_below_their_node(tmp_path):
    found = made(parser.parse_model(BRANCH), tmp_path)
    rows = found.text.splitlines()
    at = next(n for n, row in enumerate(rows) if row.startswith('If "pick"'))
    assert '    Relu "left" (x) -> (a float[2])' in rows[at:]
    assert [graph for graph, node in found.lines if node == "left"] != [""]


@pytest.mark.parametrize("name", ["a\nRelu", "\x1b[31m", "\u202eevil", 'q"', "n" * 100_000])
def test_a_hostile_name_stays_in_its_line(name, tmp_path):
    model = net()
    before = made(net(), tmp_path)
    model.graph.node[1].name = name
    found = made(model, tmp_path)
    assert len(differing(before, found)) == 1
    assert all(row.isprintable() and len(row) < 5_000 for row in found.text.splitlines())


def test_two_long_names_that_differ_in_the_middle_differ_in_the_twin(tmp_path):
    model = net()
    rows = []
    for middle in "ab":
        model.graph.node[1].name = "n" * 500 + middle + "n" * 500
        rows.append(made(model, tmp_path).text)
    assert rows[0] != rows[1]


def test_the_command_writes_a_twin_that_its_check_accepts_until_the_model_changes(tmp_path, capsys):
    path = tmp_path / "net.onnx"
    save_model(net(), str(path))
    assert main(["snapshot", str(tmp_path), "--check"]) == 1
    assert "is missing" in capsys.readouterr().out
    assert not (tmp_path / "net.onnx.txt").exists()
    assert main(["snapshot", str(tmp_path)]) == 0
    assert (tmp_path / "net.onnx.txt").read_text("utf-8") == twin(path).text
    assert main(["snapshot", str(tmp_path), "--check"]) == 0
    save_model(net(5.0), str(path))
    capsys.readouterr()
    assert main(["snapshot", str(tmp_path), "--check"]) == 1
    told = capsys.readouterr().out
    assert "is stale" in told
    assert "+ weight w" in told


def test_an_unreadable_model_fails_and_gets_no_twin(tmp_path, capsys):
    (tmp_path / "net.onnx").write_bytes(b"no model")
    assert main(["snapshot", str(tmp_path)]) == 1
    assert "net.onnx" in capsys.readouterr().err
    assert not (tmp_path / "net.onnx.txt").exists()


def test_missing_external_data_fails(tmp_path):
    made(net(), tmp_path, save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "w.bin").unlink()
    assert main(["snapshot", str(tmp_path)]) == 1


def test_a_file_that_is_no_twin_is_not_written_over(tmp_path):
    save_model(net(), str(tmp_path / "net.onnx"))
    (tmp_path / "net.onnx.txt").write_text("my notes")
    assert main(["snapshot", str(tmp_path)]) == 2
    assert (tmp_path / "net.onnx.txt").read_text() == "my notes"


def test_a_local_function_has_its_lines(tmp_path):
    model = net()
    node = helper.make_node("Relu", ["a"], ["b"], name="inner")
    opsets = [helper.make_opsetid("", 14)]
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], [node], opsets))
    rows = made(model, tmp_path).text.splitlines()
    assert rows[rows.index("function own.F (a) -> (b) ()") + 2] == '  Relu "inner" (a) -> (b)'


def test_a_finding_has_its_line_in_a_fresh_twin_and_none_in_a_stale_one(tmp_path, capsys):
    path = tmp_path / "net.onnx"
    model = net()
    model.graph.node[1].op_type = "Sin"
    del model.graph.node[1].attribute[:]
    model.graph.node[0].attribute[0].ints[:] = [1, 1, 1, 1]
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 2
    save_model(model, str(path))
    assert main(["snapshot", str(path)]) == 0
    capsys.readouterr()

    def told(form):
        main(["check", str(path), "--format", form, "--fail-on", "never"])
        return json.loads(capsys.readouterr().out)

    findings = [f for f in told("json")["models"][0]["findings"] if f["location"]["node"]]
    lines = twin(path).lines
    assert findings
    for finding in findings:
        assert finding["twin"]["line"] == lines["", finding["location"]["node"]]
    places = [
        place["physicalLocation"]
        for result in told("sarif")["runs"][0]["results"]
        for place in result["locations"]
    ]
    assert any(p["artifactLocation"]["uri"].endswith("net.onnx.txt") for p in places)
    with (tmp_path / "net.onnx.txt").open("a") as file:
        file.write("stale")
    assert {str(f["twin"]) for f in told("json")["models"][0]["findings"]} == {"None"}


TWIN = Source("net.onnx.txt", 7, "Conv")


@pytest.mark.parametrize(
    ("source", "place", "related"),
    [
        (None, ("net.onnx.txt", 7), 1),
        (sample_report.VIEW, (sample_report.VIEW.file, sample_report.VIEW.line), 2),
    ],
)
def test_the_line_of_python_comes_before_that_of_the_twin(source, place, related):
    report = sample_report.of(sample_report.conv(1, source=source, twin=TWIN))
    (result,) = json.loads(sarif.render(report))["runs"][0]["results"]
    found = result["locations"][0]["physicalLocation"]
    assert (found["artifactLocation"]["uri"], found["region"]["startLine"]) == place
    assert len(result["relatedLocations"]) == related
    (line,) = annotation_lines(report)
    assert f"file={place[0]},line={place[1]}," in line


def test_no_twin_is_written_of_weights_that_are_a_git_lfs_pointer(tmp_path, monkeypatch, capsys):
    """It would say the digest of the pointer's text where the weights' should stand."""
    monkeypatch.chdir(tmp_path)
    save_model(net(), "net.onnx", save_as_external_data=True, location="net.bin", size_threshold=0)
    digest = hashlib.sha256(b"weights").hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 1000000\n"
    (tmp_path / "net.bin").write_text(pointer)
    assert main(["snapshot", "net.onnx"]) == 1
    assert "Git LFS" in capsys.readouterr().err
    assert not (tmp_path / "net.onnx.txt").exists()
