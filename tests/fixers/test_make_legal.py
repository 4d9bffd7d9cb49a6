"""Files that loaders refuse become legal, and keep every node, attribute and weight."""

import sys
from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from npugate.rules import registry, testing
from npugate.surgery.results import Applied, Declined, RepairOptions, Skipped
from npugate.target import profiles

F = TensorProto.FLOAT
TARGET = profiles.load("stm32n6")


def repair(name):
    list(registry._modules(registry.bundled("fixers"), "npugate.fixers"))
    return sys.modules[f"npugate.fixers.{name}"].REPAIR


def apply(name, model):
    return repair(name).edit_message(model, TARGET, RepairOptions())


def text(body, head='<ir_version: 8, opset_import: ["" : 14]>'):
    return testing.model_from_text(f"{head} {body}")


def parts(model):
    nodes = Counter()
    for node in model.graph.node:
        plain = onnx.NodeProto()
        plain.CopyFrom(node)
        plain.ClearField("name")
        nodes[plain.SerializeToString(deterministic=True)] += 1
    return nodes, [item.SerializeToString() for item in model.graph.initializer]


def chain():
    return text("net (float[1, 4] x) => (float[1, 4] y) { a = Relu (x) b = Exp (a) y = Neg (b) }")


def nameless_graph(model):
    model.graph.name = ""


def unsorted(model):
    nodes = [model.graph.node[i] for i in (2, 0, 1)]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def same_names(model):
    for node in model.graph.node:
        node.name = "same"


def no_import(model):
    del model.opset_import[:]


def no_output_shape(model):
    model.graph.output[0].type.tensor_type.ClearField("shape")


def no_output_type(model):
    model.graph.output[0].ClearField("type")


def doubled_declaration(model):
    for _ in range(2):
        model.graph.value_info.append(helper.make_tensor_value_info("a", F, [1, 4]))


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (nameless_graph, "named the graph 'main'"),
        (unsorted, "put the nodes in order: 3 have another place"),
        (same_names, "renamed the second node 'same' to 'same_2'"),
        (no_import, "imported version 14 of ai.onnx"),
        (no_output_shape, "declared the shape of 'y'"),
        (no_output_type, "declared the shape of 'y'"),
        (doubled_declaration, "dropped the second declaration of 'a'"),
    ],
)
def test_a_fault_is_mended_and_nothing_else_changes(fault, word):
    model = chain()
    assert isinstance(apply("make_legal", model), Applied)
    fault(model)
    before = parts(model)
    result = apply("make_legal", model)
    assert isinstance(result, Applied)
    assert word in result.edits
    assert parts(model) == before
    onnx.checker.check_model(model, full_check=True)
    assert len({node.name for node in model.graph.node}) == 3
    assert isinstance(apply("make_legal", model), Skipped)


def test_unnamed_nodes_are_named_after_their_first_output():
    model = chain()
    model.graph.node[1].name = "a"
    result = apply("make_legal", model)
    assert result.edits == ("named 2 nodes after their first outputs",)
    assert [node.name for node in model.graph.node] == ["a_2", "a", "y"]


def test_the_weights_of_an_old_file_are_declared_among_its_inputs():
    model = text(
        "net (float[1, 4] x) => (float[1, 4] y) <float[4] w = {1, 2, 3, 4}> { y = Add (x, w) }",
        '<ir_version: 3, opset_import: ["" : 8]>',
    )
    with pytest.raises(onnx.checker.ValidationError):
        onnx.checker.check_model(model)
    assert isinstance(apply("make_legal", model), Applied)
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    got = session.run(None, {"x": np.ones((1, 4), np.float32)})[0]
    assert got.tolist() == [[2, 3, 4, 5]]


def two_makers(model):
    model.graph.node[1].output[0] = "a"


def no_maker(model):
    model.graph.node[0].input[0] = "nowhere"


def cycle(model):
    model.graph.node[0].input[0] = "b"


def two_meanings(model):
    del model.opset_import[:]
    model.graph.node[1].op_type = "Softmax"


def unknown_domain(model):
    model.graph.node[1].domain = "com.acme"


def doubled_weight(model):
    for _ in range(2):
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "w"))


def unknown_shape(model):
    model.opset_import.append(helper.make_opsetid("com.acme", 1))
    model.graph.node[2].domain = "com.acme"
    no_output_shape(model)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (two_makers, "value 'a' is made twice"),
        (no_maker, "node 'a' reads 'nowhere', which nothing makes"),
        (cycle, "the graph has a cycle through node 'a'"),
        (
            two_meanings,
            (
                "it names no version of ai.onnx, and Softmax means one thing before opset 13 and"
                " another from there on"
            ),
        ),
        (unknown_domain, "the version of domain 'com.acme' is not known"),
        (doubled_weight, "initializer 'w' is declared twice"),
        (unknown_shape, "the shape of output 'y' cannot be inferred"),
    ],
)
def test_what_takes_a_guess_is_declined(fault, reason):
    model = chain()
    fault(model)
    assert apply("make_legal", model) == Declined(reason)


def test_functions_are_put_where_they_are_called():
    model = testing.model_from_text(repair("inline_functions").example)
    result = apply("inline_functions", model)
    assert isinstance(result, Applied)
    assert [node.op_type for node in model.graph.node] == ["Add"]
    assert all(node.name for node in model.graph.node)
    assert apply("inline_functions", model) == Skipped("it has no local functions")


def test_functions_that_make_too_many_nodes_or_call_themselves_are_declined():
    model = testing.model_from_text(repair("inline_functions").example)
    body = model.functions[0]
    for depth in range(20):
        outer = model.functions.add()
        outer.CopyFrom(body)
        outer.name = f"f{depth}"
        inner = f"f{depth - 1}" if depth else "twice"
        outer.ClearField("node")
        outer.node.append(helper.make_node(inner, ["a"], ["c"], domain="local"))
        outer.node.append(helper.make_node(inner, ["c"], ["b"], domain="local"))
    model.graph.node[0].op_type = "f19"
    assert isinstance(apply("inline_functions", model), Declined)
    body.node[0].op_type, body.node[0].domain = "twice", "local"
    del body.node[0].input[1]
    assert isinstance(apply("inline_functions", model), Declined)


def test_what_nothing_reads_is_removed():
    model = text(
        """net (float[1, 1, 4, 4] x, float[1] spare) => (float[1, 1, 2, 2] y)
            <float[2] w = {1, 2}> {
            unread = Exp (x)
            y, indices = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x) }""",
        '<ir_version: 8, opset_import: ["" : 14, "com.acme" : 1]>',
    )
    result = apply("remove_unused", model)
    assert len(result.edits) == 4
    assert [list(node.output) for node in model.graph.node] == [["y"]]
    assert [item.domain for item in model.opset_import] == [""]
    assert [info.name for info in model.graph.input] == ["x", "spare"]
    assert not model.graph.initializer
    onnx.checker.check_model(model, full_check=True)
    assert apply("remove_unused", model) == Skipped("everything in it is read")


def test_outputs_that_say_how_a_layer_works_stay():
    model = text(
        """net (float[1, 2, 4] x, float[2] a) => (float[1, 2, 4] y) {
            y, m, v = BatchNormalization <training_mode = 1> (x, a, a, a, a) }"""
    )
    assert isinstance(apply("remove_unused", model), Skipped)


def test_a_node_is_put_behind_what_its_bodies_read():
    model = text(
        """net (float[1, 4] x, bool t) => (float[1, 4] y) {
            a = Relu (x)
            y = If (t) <
                then_branch = p () => (float[1, 4] o) { o = Neg (a) },
                else_branch = q () => (float[1, 4] o) { o = Exp (a) } > }"""
    )
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    assert "put the nodes in order: 2 have another place" in apply("make_legal", model).edits
    assert [node.op_type for node in model.graph.node] == ["Relu", "If"]
    onnx.checker.check_model(model, full_check=True)


EXAMPLES = ["make_legal", "inline_functions", "remove_unused", "set_static_shapes",
            "fold_constants", "convert_opset"]  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_repair_is_changed_by_it_once(name):
    model = testing.model_from_text(repair(name).example)
    assert isinstance(apply(name, model), Applied)
    onnx.checker.check_model(model, full_check=True)
    assert isinstance(apply(name, model), Skipped)
    assert repair(name).summary.endswith(".")
