"""Nodes and tensors, linked both ways, bodies included."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from npugate.facts import Facts, graph
from npugate.findings.values import Location, Severity
from npugate.limits import Limits
from npugate.rules import testing
from npugate.surgery import structure


def facts_of(signature, constants, nodes):
    text = f"""
        <ir_version: 8, opset_import: ["" : 18, "own" : 1]>
        net {signature} <{constants}> {{ {nodes} }}
    """
    return Facts(structure.skeleton(testing.model_from_text(text)), Limits())


def one(nodes, signature="(float[2, 3] x) => (y)", constants=""):
    return facts_of(signature, constants, nodes).nodes[0]


def test_a_value_knows_who_makes_and_who_reads_it():
    facts = facts_of(
        "(float[2, 3] x) => (y, z)", "float[3] w", "t = Add (x, w) y = Relu (t) z = Mul (t, t)"
    )
    add, relu, mul = facts.nodes
    made = add.output()
    assert made.producer is add
    assert made.consumers == [relu, mul, mul]
    assert (made.name, made.dtype, made.shape, made.kind) == (
        "t",
        TensorProto.FLOAT,
        (2, 3),
        "node",
    )
    assert (made.is_constant, made.is_output, made.is_graph_input) == (False, False, False)
    fed, weight = add.inputs
    assert (fed.kind, fed.is_constant, fed.is_graph_input, fed.producer) == (
        "input",
        False,
        True,
        None,
    )
    assert (weight.kind, weight.is_constant, weight.is_graph_input) == ("initializer", True, False)
    assert relu.output().is_output
    assert facts.nodes[0].graph.outputs == [relu.output(), mul.output()]
    assert [node.index for node in facts.nodes] == [0, 1, 2]


@pytest.mark.parametrize(
    ("shape", "rank", "static", "elements"),
    [
        ((2, 3, 4), 3, (2, 3, 4), 24),
        ((), 0, (), 1),
        ((0, 3), 2, (0, 3), 0),
        ((2, "N"), 2, None, None),
        ((2, None), 2, None, None),
        (None, None, None, None),
    ],
)
def test_what_a_shape_says(shape, rank, static, elements):
    tensor = graph.Tensor("t", graph.Graph("", None), TensorProto.FLOAT, shape)
    assert (tensor.rank, tensor.static_shape, tensor.elements) == (rank, static, elements)
    assert (tensor.kind, tensor.is_constant, tensor.is_output) == ("undefined", False, False)


def test_an_operand_that_is_left_out_is_none():
    node = one("y = Clip (x, , high)", constants="float high = {6}")
    assert [item and item.name for item in node.inputs] == ["x", None, "high"]
    assert node.input(1) is None
    assert node.input(2).name == "high"
    assert node.input(3) is None
    assert node.constant(1) is None
    assert node.constant(2) == 6
    assert node.constant(0) is None
    assert node.output(0).name == "y"
    assert node.output(1) is None
    assert node.output() is node.output(0)


def test_a_result_that_is_left_out_is_none():
    node = one(", m = MaxPool <kernel_shape = [2]> (x)", "(float[1, 2, 4] x) => (m)")
    assert node.outputs[0] is None
    assert node.output(1).name == "m"
    assert node.label == "m"


def test_whole_numbers_of_any_width_are_integers_and_others_are_none():
    node = one(
        "y = Pad (x, pads, , axes)",
        constants="int64[4] pads = {0, 1, 2, 3}, float[2] axes = {0, 1}",
    )
    assert node.integers(1) == (0, 1, 2, 3)
    assert node.integers(0) is None
    assert node.integers(2) is None
    assert node.integers(3) is None
    assert graph.whole_numbers(np.array([[1, 2], [3, 4]], np.uint8)) == (1, 2, 3, 4)
    assert graph.whole_numbers(np.array(7, np.int32)) == (7,)
    assert graph.whole_numbers(np.array([True])) is None
    assert graph.whole_numbers(None) is None
    four = onnx.numpy_helper.to_array(helper.make_tensor("t", TensorProto.INT4, [2], [1, -2]))
    assert graph.whole_numbers(four) == (1, -2)


ATTRIBUTES = helper.make_node(
    "Thing", ["x"], ["y"], number=3, real=0.5, text="ä", list=[1, 2], reals=[0.5], texts=["a"]
)


def attributes():
    return graph.Node(0, "", "Thing", "", ATTRIBUTES, graph.Graph("", None))


def test_an_attribute_is_plain_python():
    node = attributes()
    assert node.attribute("number") == 3
    assert node.attribute("real") == 0.5
    assert node.attribute("text") == "ä".encode()
    assert node.attribute("list") == (1, 2)
    assert node.attribute("reals") == (0.5,)
    assert node.attribute("texts") == (b"a",)
    assert node.attribute("missing") is None
    assert node.has("number")
    assert not node.has("missing")


def test_an_attribute_of_another_type_is_its_default():
    node = attributes()
    assert node.int_attribute("number", 7) == 3
    assert node.int_attribute("text", 7) == 7
    assert node.int_attribute("missing", 7) == 7
    assert node.ints_attribute("list") == (1, 2)
    assert node.ints_attribute("reals") is None
    assert node.ints_attribute("number") is None
    assert node.ints_attribute("missing") is None
    assert node.text_attribute("text", "b") == "ä"
    assert node.text_attribute("number", "b") == "b"
    assert node.text_attribute("missing", "b") == "b"


def test_a_tensor_attribute_is_the_message():
    node = one("y = Constant <value = float[2] {1, 2}> ()")
    assert list(node.attribute("value").dims) == [2]


def test_a_node_goes_by_its_name_else_by_its_first_result():
    facts = facts_of("(float[2] x) => (y)", "", "t = Relu (x) y = own.Gelu (t)")
    assert [node.label for node in facts.nodes] == ["t", "y"]
    assert [node.full_type for node in facts.nodes] == ["Relu", "own.Gelu"]
    empty = graph.Node(4, "", "Thing", "", helper.make_node("Thing", [], []), graph.Graph("", None))
    assert empty.label == "#4"
    named = graph.Node(4, "it", "Thing", "", helper.make_node("Thing", [], []), empty.graph)
    assert named.label == "it"


def test_a_hit_is_at_the_node_that_makes_the_value():
    node = one("y = Relu (x)")
    hit = node.hit("words", severity=Severity.NOTE, subject="s")
    assert hit.location == Location("", "y", "Relu", "")
    assert (hit.message, hit.severity, hit.subject) == ("words", Severity.NOTE, "s")
    assert node.output().hit("words").location == Location("", "y", "Relu", "y")
    fed = node.input(0).hit("words", Severity.ERROR, subject="s")
    assert fed.location == Location(graph="", value="x")
    assert (fed.severity, fed.subject, fed.frames) == (Severity.ERROR, "s", ())


IF = (
    "y = If (c) <then_branch = a () => (float[2] s) { s = Relu (x) },"
    " else_branch = b () => (float[2] t) { u = Abs (x) t = Abs (u) }>"
)


def test_a_body_sees_what_is_outside_of_it():
    facts = facts_of("(bool c, float[2] x) => (y)", "", IF)
    main, then, other = facts.graphs
    assert list(graph.walk(main)) == [main, then, other]
    assert [body.path for body in (main, then, other)] == ["", "y.then_branch", "y.else_branch"]
    assert then.parent is main
    assert then.owner == (main.nodes[0], "then_branch")
    assert main.owner is None
    assert main.nodes[0].subgraphs == {"then_branch": then, "else_branch": other}
    x = main.tensors["x"]
    assert then.nodes[0].input(0) is x
    assert then.find("x") is x
    assert then.find("u") is None
    assert other.find("u") is other.tensors["u"]
    assert {node.op_type for node in x.consumers} == {"Relu", "Abs"}
    assert then.nodes[0].location() == Location("y.then_branch", "s", "Relu", "")
    assert not other.tensors["u"].is_output
    assert other.tensors["t"].is_output


def test_an_input_of_a_body_is_none_that_the_user_feeds():
    facts = facts_of(
        "(float[4] x) => (y)",
        "int64 n = {2}, bool yes = {1}",
        "y = Loop <body = b (int64 i, bool c, float[4] v) => (bool c2, float[4] v2)"
        " { c2 = Identity (c) v2 = Relu (v) }> (n, yes, x)",
    )
    body = facts.nodes[0].subgraphs["body"]
    assert [item.name for item in body.inputs] == ["i", "c", "v"]
    assert {item.kind for item in body.inputs} == {"input"}
    assert not any(item.is_graph_input or item.is_constant for item in body.inputs)


@pytest.mark.parametrize(
    ("dims", "shape"),
    [
        (["N", 3], ("N", 3)),
        ([-1, 0], (None, 0)),
        ([None, 2], (None, 2)),
        ([], ()),
        (None, None),
    ],
)
def test_a_declared_shape_is_read(dims, shape):
    declared = helper.make_tensor_type_proto(TensorProto.INT8, dims)
    assert graph.shape_of(declared) == (TensorProto.INT8, shape)


def test_what_is_no_tensor_has_no_type():
    inner = helper.make_tensor_type_proto(TensorProto.FLOAT, [1])
    assert graph.shape_of(helper.make_sequence_type_proto(inner)) == (0, None)
    assert graph.data_type(TensorProto.FLOAT) == TensorProto.FLOAT
    assert graph.data_type(12345) == 0


def test_a_value_nobody_defines_is_undefined_and_an_output_of_it_too():
    proto = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "net",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])],
    )
    built = graph.build(proto, frozenset())
    assert built.nodes[0].input(0).kind == "undefined"
    assert built.nodes[0].input(0).consumers == [built.nodes[0]]
    assert built.outputs[0].kind == "undefined"
    assert built.outputs[0].is_output


def test_what_is_declared_and_not_fed_is_a_weight():
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "w")]
    node = helper.make_node("Add", ["x", "w"], ["y"], domain="ai.onnx")
    built = graph.build(helper.make_graph([node], "net", infos, []), frozenset({"x"}))
    x, w = built.nodes[0].inputs
    assert [item.name for item in built.inputs] == ["x"]
    assert (x.kind, x.is_constant) == ("input", False)
    assert (w.kind, w.is_constant, w.shape) == ("initializer", True, (2,))
    assert built.nodes[0].domain == ""
