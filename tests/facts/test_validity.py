"""What the ONNX checker refuses, node by node, and outputs that are not what they are declared."""

import pytest
from onnx import TensorProto, helper

from npugate.facts import Facts
from npugate.findings.values import Location
from npugate.limits import Limits
from npugate.rules import testing
from npugate.surgery import structure


def problems(proto, rule="invalid-model"):
    facts = Facts(structure.skeleton(proto), Limits())
    return [(item.message, item.location) for item in facts.problems(rule)]


def model(nodes, signature="(float[1, 8] x) => (float[1, 8] y)", constants="", opset=14):
    return testing.model_from_text(
        f'<ir_version: 8, opset_import: ["" : {opset}]> net {signature} <{constants}> {{ {nodes} }}'
    )


def odd(proto, *indices):
    for index in indices:
        proto.graph.node[index].attribute.append(helper.make_attribute("odd", 1))
    return proto


def test_each_node_that_is_refused_is_named():
    found = problems(odd(model("a = Abs (x) b = Neg (a) y = Relu (b)"), 0, 2))
    assert [place for _, place in found] == [
        Location("", "a", "Abs", ""),
        Location("", "y", "Relu", ""),
    ]
    assert found[0][0].startswith("Abs: Unrecognized attribute: odd")
    assert "Context" not in found[0][0]


def test_a_node_of_a_body_is_named_with_its_place():
    branches = (
        "<then_branch = a () => (float[1, 8] p) { p = Relu (x) },"
        " else_branch = b () => (float[1, 8] q) { q = Abs (x) }>"
    )
    proto = model(f"y = If (t) {branches}", "(float[1, 8] x, bool t) => (float[1, 8] y)")
    for attribute in proto.graph.node[0].attribute:
        if attribute.name == "else_branch":
            attribute.g.node[0].attribute.append(helper.make_attribute("odd", 1))
    ((message, place),) = problems(proto)
    assert place == Location("y.else_branch", "q", "Abs", "")
    assert message.startswith("Abs: ")


def test_at_most_fifty_nodes_are_named():
    chain = " ".join(f"v{i + 1} = Abs (v{i})" for i in range(60))
    proto = model(f"v0 = Neg (x) {chain} y = Relu (v60)")
    assert len(problems(odd(proto, *range(60)))) == 50


def test_a_long_word_of_the_checker_is_cut():
    proto = model("y = Relu (x)")
    proto.graph.node[0].attribute.append(helper.make_attribute("o" * 1000, 1))
    ((message, _),) = problems(proto)
    assert len(message) == len("Relu: ") + 400


def test_a_weight_whose_data_is_elsewhere_is_no_fault():
    proto = model("c = Constant <value = float[4] {1, 2, 3, 4}> () t = Add (x, w) y = Relu (t)",
                  constants="float[1, 8] w")  # fmt: skip
    proto.graph.initializer[0].ClearField("raw_data")
    proto.graph.initializer[0].ClearField("float_data")
    for attribute in proto.graph.node[0].attribute:
        attribute.t.ClearField("raw_data")
        attribute.t.ClearField("float_data")
    assert problems(proto) == []


def test_what_is_no_nodes_fault_is_told_of_the_model():
    proto = model("y = Relu (x)")
    proto.graph.input[0].ClearField("type")
    ((message, place),) = problems(proto)
    assert message.startswith("Field 'type' of 'value_info' is required but missing")
    assert place == Location()


OUTPUTS = [
    ([1, 8], "y = Relu (x)", None),
    ([1, 9], "y = Relu (x)", "output 'y' is declared as [1, 9], but its node makes [1, 8]"),
    ([1, 8, 1], "y = Relu (x)", "output 'y' is declared as [1, 8, 1], but its node makes [1, 8]"),
    (["N", 8], "y = Relu (x)", None),
    ([None, 9], "y = Relu (x)", "output 'y' is declared as [?, 9], but its node makes [1, 8]"),
    (["N", "M"], "y = Relu (x)", None),
    ([2, 8], "y = Relu (x)", "output 'y' is declared as [2, 8], but its node makes [1, 8]"),
]


@pytest.mark.parametrize(("declared", "nodes", "message"), OUTPUTS)
def test_an_output_is_what_it_is_declared(declared, nodes, message):
    proto = model(nodes)
    info = helper.make_tensor_value_info("y", TensorProto.FLOAT, declared)
    proto.graph.output[0].CopyFrom(info)
    expected = [] if message is None else [(message, Location("", "y", "Relu", "y"))]
    assert problems(proto, "shape-inference-failed") == expected


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ([7, 8], None),  # the leading axis was read as 1, whatever an output declares
        (["N", 8], None),
        ([1, 9], "output 'y' is declared as [1, 9], but its node makes [1, 8]"),
        ([8], "output 'y' is declared as [8], but its node makes [1, 8]"),
        ([], "output 'y' is declared as [], but its node makes [1, 8]"),
    ],
)
def test_the_batch_of_an_open_model_is_not_compared(declared, message):
    proto = model("y = Relu (x)", "(float[N, 8] x) => (float[N, 8] y)")
    info = helper.make_tensor_value_info("y", TensorProto.FLOAT, declared)
    proto.graph.output[0].CopyFrom(info)
    found = [text for text, _ in problems(proto, "shape-inference-failed")]
    assert found == ([] if message is None else [message])


def test_an_input_that_is_handed_out_is_not_compared():
    proto = model("z = Relu (x)", "(float[1, 8] x) => (float[1, 9] x)")
    assert problems(proto, "shape-inference-failed") == []
