"""What is around a node, from the model to the drawing."""

import json
import shutil
from pathlib import Path

import onnx
import pytest
from msgspec.structs import replace

from npugate import cli
from npugate.facts import Facts
from npugate.facts.neighbours import MAX_SKETCHES, sketches
from npugate.findings.sketch import Link, Sketch, Spot
from npugate.findings.values import Location, Suppression
from npugate.limits import Limits
from npugate.model.reader import Model, load
from npugate.reporters import mermaid, reading
from npugate.run import surroundings
from tests.sample_report import RANK, finding

ROOT = Path(__file__).resolve().parents[2]
RPPG = ROOT / "tests/fixtures/models/rppg_4d_fp32_dynamo.onnx"
CHAIN = """<ir_version: 8, opset_import: ["" : 14]>
g (float[1, 4] x) => (float[1, 4] y, float[1, 4] n)
<float[1, 4] w = {1, 2, 3, 4}> {
  [first] a = Relu (x)
  [held] k = Constant <value = float[1] {2}> ()
  [between] m = Mul (a, w)
  [second] b = Mul (m, k)
  [third] c = Sigmoid (b)
  [wide] n = Neg (c)
  [last] y = Add (c, n)
}"""


def facts_of(tmp_path, text=CHAIN) -> Facts:
    path = tmp_path / "m.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    model: Model = load(path, "m.onnx", Limits())
    return Facts(model)


def edges(sketch):
    return {(sketch.spots[e.start].name, sketch.spots[e.end].name, e.shape) for e in sketch.links}


def test_a_sketch_goes_two_steps_up_and_down_and_leaves_out_constants(tmp_path):
    found = sketches(facts_of(tmp_path).graphs, [("", "second")])[("", "second")]
    assert found.spots[0] == Spot("Mul", "second")
    assert found.hidden == 0
    assert edges(found) == {
        ("first", "between", "1x4"),
        ("between", "second", "1x4"),
        ("second", "third", "1x4"),
        ("third", "wide", "1x4"),
        ("third", "last", "1x4"),
    }


def test_the_first_findings_that_count_get_a_sketch_each_node_once():
    around = Sketch((Spot("Conv", "c"),), ())
    places = ["old", "a", "a", "b", "c", "d"]
    findings = [finding(RANK, "rank 6", Location("", name), n) for n, name in enumerate(places)]
    findings[0] = replace(findings[0], suppression=Suppression("base", "on the base branch"))
    shown = surroundings.attach(findings, {("", name): around for name in places})
    assert [f.sketch is not None for f in shown] == [False, True, False, True, True, False]


def test_inputs_and_outputs_of_the_graph_are_ends(tmp_path):
    found = sketches(facts_of(tmp_path).graphs, [("", "wide")])[("", "wide")]
    assert Spot("", "n") in found.spots
    assert ("wide", "last", "1x4") in edges(found)


def test_a_node_with_many_readers_is_drawn_with_three_and_says_so(tmp_path):
    readers = "".join(f"  [r{n}] y{n} = Relu (a)\n" for n in range(40))
    outputs = ", ".join(f"float[1, 4] y{n}" for n in range(40))
    text = f"""<ir_version: 8, opset_import: ["" : 14]>
g (float[1, 4] x) => ({outputs}) {{
  [hub] a = Neg (x)
{readers}}}"""
    found = sketches(facts_of(tmp_path, text).graphs, [("", "hub")])[("", "hub")]
    assert found.hidden == 37
    assert len(found.spots) <= 12


def test_only_so_many_nodes_are_sketched_and_unknown_ones_not_at_all(tmp_path):
    nodes = "".join(f"  [n{n}] v{n + 1} = Relu (v{n})\n" for n in range(300))
    text = f"""<ir_version: 8, opset_import: ["" : 14]>
g (float[1] v0) => (float[1] v300) {{
{nodes}}}"""
    wanted = [("", "gone"), ("", ""), *(("", f"n{n}") for n in range(300))]
    found = sketches(facts_of(tmp_path, text).graphs, wanted)
    assert len(found) == MAX_SKETCHES - 1
    assert ("", "gone") not in found


def test_a_check_draws_the_surroundings_of_the_worst_finding(tmp_path, monkeypatch):
    shutil.copyfile(RPPG, tmp_path / "m.onnx")
    monkeypatch.chdir(tmp_path)
    reports = ["--report", "json=out.json", "--report", "markdown=out.md"]
    assert cli.main(["check", "m.onnx", "--quiet", *reports]) == 1
    findings = json.loads((tmp_path / "out.json").read_bytes())["models"][0]["findings"]
    drawn = [finding for finding in findings if "neighbours" in finding]
    assert 1 <= len(drawn) <= 3
    assert drawn[0] is findings[0]
    near = drawn[0]["neighbours"]
    assert near["nodes"][0]["name"] == drawn[0]["location"]["node"]
    assert "1x8x3x3x36x36" in {edge["shape"] for edge in near["edges"]}
    page = (tmp_path / "out.md").read_text("utf-8")
    sketch = reading.read((tmp_path / "out.json").read_bytes()).models[0].findings[0].sketch
    assert sketch is not None
    assert mermaid.drawing(sketch) in page


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ('a"]\n```\n<b>', "a#34;#93;#92;n#96;#96;#96;#92;n#60;b#62;"),
        ("https://x.example", "http#115;#58;//x.example"),
        ("www.x.example", "www#46;x.example"),
        ("x" * 50, "x" * 27 + "...(10 more characters)..." + "x" * 13),
        ("", "?"),
    ],
)
def test_no_name_leaves_its_box(name, label):
    drawing = mermaid.drawing(Sketch((Spot("", name),), (Link(0, 0),)))
    assert drawing.splitlines()[2] == f'  n0(["{label}"])'
    assert drawing.splitlines()[3] == "  n0 --> n0"
