"""What a repair does not touch is in the result as it was: field by field of the message."""

import numpy as np
import onnx
import pytest
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from npugate.rules import registry
from npugate.rules.testing import model_from_text
from npugate.surgery.draft import Draft
from npugate.surgery.node import MADE_BY
from npugate.surgery.results import Applied, RepairOptions
from npugate.target import profiles

TARGET = profiles.load("stm32n6")
REPAIR = registry.repairs()["lower-rank"]
TEXT = """
    <ir_version: 10, opset_import: ["" : 18, "ai.onnx.ml" : 3]>
    net (float[1, 64] x) => (float[1, 64] y)
    <int64[6] six = {1, 2, 2, 2, 2, 4}, int64[2] two = {1, 64}, float[64] w>
    { h = Add (x, w)  a = Reshape (h, six)
      b = Transpose <perm = [0, 3, 1, 2, 5, 4]> (a)  c = Reshape (b, two)  y = Tanh (c) }
"""
UNKNOWN = b"\xfa\x7f\x05hello"  # field 2047, which no schema has


def model() -> ModelProto:
    made = model_from_text(TEXT)
    for index, node in enumerate(made.graph.node):
        node.name = f"n{index}_{node.op_type}"
        node.doc_string = f"note {index}"
        node.overload = ""
        node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=f"line {index}")
    made.producer_name, made.producer_version = "exporter", "1.2"
    made.domain, made.model_version, made.doc_string = "org.example", 7, "a model"
    made.metadata_props.add(key="who", value="us")
    graph = made.graph
    graph.doc_string = "a graph"
    graph.metadata_props.add(key="licence", value="ours")
    graph.input[0].doc_string = "pixels"
    graph.input[0].type.denotation = "IMAGE"
    graph.input[0].metadata_props.add(key="range", value="0..1")
    graph.output[0].doc_string = "a rate"
    graph.value_info.append(helper.make_tensor_value_info("h", 1, [1, 64], "the first sum"))
    graph.initializer[-1].doc_string = "the offsets"
    graph.initializer[-1].metadata_props.add(key="trained", value="yes")
    note = graph.quantization_annotation.add(tensor_name="h")
    note.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="w")
    graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "unread"))
    return ModelProto.FromString(made.SerializeToString() + UNKNOWN)


@pytest.fixture(scope="module")
def pair():
    before = model()
    draft = Draft(ModelProto.FromString(before.SerializeToString()))
    draft.repair = REPAIR.name
    result = REPAIR.edit(draft, TARGET, RepairOptions())
    assert isinstance(result, Applied)
    return before, draft.finish()


def test_every_field_of_the_model_is_as_it_was(pair):
    before, after = pair
    seen = {field.name for field in ModelProto.DESCRIPTOR.fields}
    assert seen == {
        *("ir_version", "opset_import", "producer_name", "producer_version", "domain"),
        *("model_version", "doc_string", "graph", "metadata_props", "training_info"),
        *("functions", "configuration"),
    }, "a field is new: say whether a repair keeps it"
    for name in seen - {"graph"}:
        assert getattr(before, name) == getattr(after, name), name
    assert UNKNOWN[3:] in after.SerializeToString()


def test_every_field_of_the_graph_is_as_it_was(pair):
    before, after = (item.graph for item in pair)
    seen = {field.name for field in GraphProto.DESCRIPTOR.fields}
    assert seen == {
        *("node", "name", "initializer", "sparse_initializer", "doc_string", "input", "output"),
        *("value_info", "quantization_annotation", "metadata_props"),
    }, "a field is new: say whether a repair keeps it"
    for name in seen - {"node", "initializer"}:
        assert list(getattr(before, name)) == list(getattr(after, name)), name


def test_a_node_that_was_not_touched_is_the_very_same(pair):
    before, after = pair
    old = {node.name: node.SerializeToString() for node in before.graph.node}
    for node in after.graph.node:
        if node.name in {"n0_Add", "n4_Tanh"}:
            assert node.SerializeToString() == old[node.name]
    fields = {field.name for field in NodeProto.DESCRIPTOR.fields}
    assert fields == {
        *("input", "output", "name", "op_type", "domain", "overload", "attribute"),
        *("doc_string", "metadata_props", "device_configurations"),
    }, "a field is new: say whether a new node inherits it"


def test_a_new_node_has_the_notes_of_the_one_it_replaces(pair):
    _, after = pair
    made = [
        node
        for node in after.graph.node
        if any(entry.key == MADE_BY and entry.value == REPAIR.name for entry in node.metadata_props)
    ]
    assert "Transpose" in {node.op_type for node in made}
    for node in made:
        if node.op_type == "Transpose":
            assert node.doc_string == "note 2"
            entries = {entry.key: entry.value for entry in node.metadata_props}
            assert entries["pkg.torch.onnx.stack_trace"] == "line 2"


def test_a_weight_that_was_not_touched_is_the_very_same(pair):
    before, after = ({i.name: i for i in item.graph.initializer} for item in pair)
    for name in ("w", "unread"):
        assert after[name].SerializeToString() == before[name].SerializeToString()
    fields = {field.name for field in TensorProto.DESCRIPTOR.fields}
    assert {"metadata_props", "doc_string", "external_data"} <= fields


def test_kinds_of_attributes_pass_the_editing_layer(pair):
    """A node of every attribute type, in a graph that is edited elsewhere."""
    made = model()
    body = helper.make_graph(
        [helper.make_node("Identity", ["h"], ["z"])], "b", [], [ValueInfoProto(name="z")]
    )
    node = helper.make_node(
        "Everything",
        ["h"],
        ["e"],
        name="every",
        domain="ai.onnx.ml",
        i=1,
        f=2.5,
        s="text",
        ints=[1, 2],
        floats=[0.5],
        strings=["a", "b"],
        t=numpy_helper.from_array(np.ones(2), "t"),
        g=body,
    )
    made.graph.node.insert(1, node)
    text = node.SerializeToString()
    draft = Draft(ModelProto.FromString(made.SerializeToString()))
    draft.repair = REPAIR.name
    assert isinstance(REPAIR.edit(draft, TARGET, RepairOptions()), Applied)
    kept = {n.name: n for n in draft.finish().graph.node}
    assert "every" not in kept or kept["every"].SerializeToString() == text
    kinds = {item.type for item in node.attribute}
    assert {AttributeProto.GRAPH, AttributeProto.TENSOR, AttributeProto.STRINGS} <= kinds


def test_graphsurgeon_folds_a_part_of_a_shape_wrongly_and_we_do_not():
    """The reason why its folding is never called: the ends of Shape are ignored there."""
    import onnx_graphsurgeon as gs  # noqa: PLC0415 - this test only

    text = """
        <ir_version: 8, opset_import: ["" : 15]>
        net (float[1, 7, 5] x) => (int64[1] y) { y = Shape <start = 1, end = 2> (x) }
    """
    theirs = gs.export_onnx(gs.import_onnx(model_from_text(text)).fold_constants())
    folded = list(theirs.graph.initializer) + [
        a.t for n in theirs.graph.node for a in n.attribute if a.name == "value"
    ]
    assert any(list(numpy_helper.to_array(item)) == [1, 7, 5] for item in folded)
    ours = model_from_text(text.replace("=> (int64[1] y)", "=> (int64[1] z)").replace(
        "(x) }", "(x)  z = Identity (y) }"))  # fmt: skip
    ours.graph.node[0].name, ours.graph.node[1].name = "s", "i"
    fold = registry.repairs()["fold-constants"]
    fold.edit_message(ours, TARGET, RepairOptions())
    onnx.checker.check_model(ours)
    values = [list(numpy_helper.to_array(i)) for i in ours.graph.initializer]
    assert [7] in values or ours.graph.node[0].op_type == "Shape"
    assert [1, 7, 5] not in values
