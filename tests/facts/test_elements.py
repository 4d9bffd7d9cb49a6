"""A value followed through its views and conversions, and what x * sigmoid(x) is."""

import pytest

from npugate.facts import Facts
from npugate.facts.elements import forms, is_given_out, maker, readers, runs, source, swish_gate
from npugate.limits import Limits
from npugate.model.reader import load
from npugate.rules import testing

HEAD = """<ir_version: 8, opset_import: ["" : 14]>
    net (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y, float[1, 256] flat)
    <float s = {0.1}, int8 z = {0}, int64[2] to = {1, 256}>"""
TEXT = """{
    a = Abs (x)
    aq = QuantizeLinear (a, s, z)  ad = DequantizeLinear (aq, s, z)
    v = Reshape (ad, to)  flat = Exp (v)
    t = Transpose <perm = [0, 1, 3, 2]> (ad)
    g = Sigmoid (ad)  gq = QuantizeLinear (g, s, z)  gd = DequantizeLinear (gq, s, z)
    y = Mul (GATED, gd) }"""


def graph_of(gated, folder):
    file = folder / "net.onnx"
    model = testing.model_from_text(HEAD + TEXT.replace("GATED", gated))
    file.write_bytes(model.SerializeToString())
    return Facts(load(file, file.name, Limits())).main


def test_a_value_is_one_in_all_its_forms(tmp_path):
    graph = graph_of("ad", tmp_path)
    tensors = graph.tensors
    assert {form.name for form in forms(tensors["a"])} == {"a", "aq", "ad", "v"}
    assert source(tensors["v"]) is tensors["a"]
    assert source(tensors["t"]) is tensors["t"]  # another order of the elements
    assert maker(tensors["v"]).label == "a"
    assert sorted(node.op_type for node in readers(tensors["a"])) == [
        "Exp", "Mul", "Sigmoid", "Transpose",
    ]  # fmt: skip
    assert {node.op_type for node in graph.nodes if not runs(node)} == {
        "QuantizeLinear", "DequantizeLinear", "Reshape",
    }  # fmt: skip
    assert is_given_out(tensors["y"])
    assert not is_given_out(tensors["a"])


@pytest.mark.parametrize(("gated", "is_swish"), [("ad", True), ("a", True), ("x", False)])
def test_a_swish_is_a_product_of_a_value_and_its_own_sigmoid(gated, is_swish, tmp_path):
    product = graph_of(gated, tmp_path).nodes[-1]
    gate = swish_gate(product)
    assert (gate is not None) is is_swish
    assert gate is None or gate.op_type == "Sigmoid"
    assert swish_gate(graph_of(gated, tmp_path).nodes[0]) is None
