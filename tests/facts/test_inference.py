"""Shapes and structure: what the four ways of inference know, and faults that are named at once."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime

from npugate.facts import Facts, inference
from npugate.facts.inference import PROPAGATION
from npugate.limits import Limits
from npugate.model.reader import read
from npugate.rules import registry, testing

HEAD = '<ir_version: 8, opset_import: ["" : {}]> net '
WAYS = ("full", "careful", "traced", "off")
STRUCTURE = (
    "unnamed-graph",
    "duplicate-name",
    "duplicate-node-name",
    "unsorted-nodes",
    "missing-opset-import",
    "initializer-not-input",
    "output-without-shape",
    "undefined-value",
    "operator-not-in-opset",
    "invalid-model",
    "shape-inference-failed",
)


def facts_of(source, inference="full", stages=None, limits=None):
    proto = testing.model_from_text(source) if isinstance(source, str) else source
    told = (lambda _: None) if stages is None else stages.append
    limits = limits or Limits()
    return Facts(
        read(proto.SerializeToString(), "net.onnx", limits, Path()), limits, told, inference
    )


def shape(facts, name):
    return facts.main.tensors[name].shape


def faults(facts):
    return {
        rule: found for rule in STRUCTURE if (found := [p.message for p in facts.problems(rule)])
    }


# Shape -> Gather -> Concat -> Reshape, as exporters write it: static only to who folds it.
COMPUTED = (
    HEAD.format(14)
    + """(float[1, 8, 4, 4] x) => (y)
<int64 one = {1}, int64[1] zero = {0}, int64[1] rest = {-1}, int64[1] first = {1}> {
    s = Shape (x)
    c = Gather (s, one)
    u = Unsqueeze (c, zero)
    w = Concat <axis = 0> (first, u, rest)
    r = Reshape (x, w)
    y = Relu (r)
}"""
)


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("full", (1, 8, 16)),
        ("careful", (1, 8, 16)),
        ("traced", (1, 8, 16)),
        ("off", None),
    ],
)
def test_a_computed_shape_is_known_in_every_way_but_without_inference(way, expected):
    assert shape(facts_of(COMPUTED, way), "y") == expected


def test_without_inference_the_nodes_and_inputs_are_still_there():
    facts = facts_of(COMPUTED, "off")
    assert [node.op_type for node in facts.nodes][-2:] == ["Reshape", "Relu"]
    assert shape(facts, "x") == (1, 8, 4, 4)
    assert facts.census.nodes == 6


def test_a_chain_of_reshapes_takes_a_round_for_each():
    steps = "".join(
        f"s{i} = Shape (r{i}) p{i} = ReduceProd <keepdims = 1> (s{i}) "
        f"q{i} = Concat <axis = 0> (one, p{i}) r{i + 1} = Reshape (r{i}, q{i}) "
        for i in range(8)
    )
    text = HEAD.format(14) + "(float[1, 8, 4] r0) => (y) <int64[1] one = {1}> "
    assert shape(facts_of(text + "{ " + steps + "y = Relu (r8) }"), "y") == (1, 32)


def test_a_value_above_the_bound_is_not_folded_and_its_reader_stays_open():
    small = Limits(fold_elements=2)
    tensor = facts_of(COMPUTED, "careful", limits=small).main.tensors["y"]
    assert tensor.static_shape is None


@pytest.mark.parametrize(
    ("way", "present", "absent"),
    [
        ("full", {"structure", "shape inference", "ONNX checker", PROPAGATION}, set()),
        ("careful", {"structure", "shape inference", "ONNX checker"}, {PROPAGATION}),
        ("traced", {"shape inference of NonZero 'n'"}, {"shape inference", PROPAGATION}),
        ("off", {"structure", "ONNX checker"}, {"shape inference", PROPAGATION}),
    ],
)
def test_each_way_says_what_it_is_at_so_that_a_crash_can_be_placed(way, present, absent):
    text = HEAD.format(14) + "(float[1, 8] x) => (y) { n = NonZero (x) y = Cast <to = 1> (n) }"
    stages = []
    facts_of(text, way, stages)
    assert present <= set(stages)
    assert not absent & set(stages)


def test_a_model_of_known_shapes_never_pays_for_propagation():
    stages = []
    facts_of(COMPUTED, "full", stages)
    assert PROPAGATION not in stages


def test_the_branch_of_an_if_that_is_constant_gives_the_shape():
    text = (
        HEAD.format(14)
        + """(float[1, 8] x) => (y) <bool t = {1}> {
        s = Constant <value_ints = [0]> ()
        e = Constant <value_ints = [4]> ()
        d = Constant <value_ints = [1]> ()
        z = If (t) <
            then_branch = a () => (float[1, 8] p) { p = Relu (x) },
            else_branch = b () => (float[1, 4] q) { q = Slice (x, s, e, d) }
        >
        y = Relu (z)
    }"""
    )
    assert shape(facts_of(text), "y") == (1, 8)


def test_an_operator_of_another_domain_keeps_the_shape_of_its_input():
    text = '<ir_version: 8, opset_import: ["" : 14, "com.microsoft" : 1]> net '
    text += "(float[1, 8] x) => (y) { g = com.microsoft.Gelu (x) y = Relu (g) }"
    assert shape(facts_of(text), "y") == (1, 8)


def test_a_symbolic_leading_batch_is_read_as_one_and_remembered():
    text = HEAD.format(14) + "(float[N, 8, C] x) => (float[N, 8, C] y) { y = Relu (x) }"
    facts = facts_of(text)
    assert facts.symbolic_batches == {"x": "N"}
    assert shape(facts, "y") == (1, 8, "C")
    assert facts.declared_inputs["x"] == ("N", 8, "C")


@pytest.mark.parametrize("way", ["full", "careful", "traced"])
def test_a_node_that_cannot_take_its_inputs_is_named_once_and_the_rest_is_known(way):
    text = (
        HEAD.format(14)
        + """(float[1, 8] x, float[3, 5] w) => (y, z) {
        [bad] m = MatMul (x, w)
        y = Relu (m)
        z = Abs (x)
    }"""
    )
    facts = facts_of(text, way)
    (problem,) = facts.problems("shape-inference-failed")
    assert problem.location.node == "bad"
    assert problem.message.startswith("MatMul: ")
    assert shape(facts, "z") == (1, 8)


@pytest.mark.parametrize("way", WAYS)
def test_a_malformed_node_is_the_matter_of_the_checker_alone(way):
    proto = testing.model_from_text(HEAD.format(14) + "(float[1, 8] x) => (y) { y = Relu (x) }")
    proto.graph.node[0].attribute.append(helper.make_attribute("odd", 1))
    facts = facts_of(proto, way)
    assert set(faults(facts)) - {"output-without-shape"} == {"invalid-model"}
    assert len(list(facts.problems("invalid-model"))) == 1


# --- faults that the checker stops at, all in one file -------------------------------------------


def value(name, *dims):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)


def faulty():
    """Make a model with a fault of each kind that can be mended."""
    nodes = [
        helper.make_node("Relu", ["late"], ["a"], name="twice"),  # unsorted
        helper.make_node("Abs", ["x"], ["late"], name="twice"),  # one name for two nodes
        helper.make_node("Neg", ["x"], ["a"], name="again"),  # a value made twice
        helper.make_node("Add", ["a", "ghost"], ["b"], name="reads"),  # undefined
        helper.make_node("Thing", ["x"], ["c"], name="odd", domain="own"),  # domain not imported
        helper.make_node("Add", ["x", "w"], ["d"], name="sum"),
        helper.make_node("Concat", ["d", "d"], ["y"], name="join", axis=0),
    ]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1, 8], [1.0] * 8)
    untyped = helper.make_value_info("y", onnx.TypeProto())
    outputs = [untyped, value("b", 1, 8), helper.make_value_info("c", onnx.TypeProto())]
    graph = helper.make_graph(nodes, "net", [value("x", 1, 8)], outputs, [weight])
    graph.ClearField("name")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 8)], ir_version=3)


EXPECTED = {
    "unnamed-graph": 1,
    "unsorted-nodes": 1,
    "duplicate-node-name": 1,
    "duplicate-name": 1,
    "undefined-value": 1,
    "missing-opset-import": 1,
    "initializer-not-input": 1,
    "output-without-shape": 2,
}


@pytest.mark.parametrize("way", WAYS)
def test_every_fault_is_named_at_once_and_each_by_one_rule(way):
    found = faults(facts_of(faulty(), way))
    assert {rule: len(messages) for rule, messages in found.items()} == EXPECTED


def test_the_model_behind_the_faults_is_known_all_the_same():
    facts = facts_of(faulty())
    assert shape(facts, "d") == (1, 8)
    assert shape(facts, "y") == (2, 8)
    assert facts.main.tensors["w"].kind == "initializer"


def test_the_rules_beyond_structure_judge_it_too():
    from npugate.target import profiles  # noqa: PLC0415 - for this test only

    rules = {rule.name: rule for rule in registry.rules().values()}
    found = list(rules["batch-axis"].check(facts_of(faulty()), profiles.load("stm32n6", None)))
    assert [hit.location.node for hit in found] == ["join"]


def change_cycle(model):
    model.graph.node[0].input[0] = "b"
    model.graph.node[1].input[0] = "a"


def change_twice_imported(model):
    model.opset_import.append(helper.make_opsetid("ai.onnx", 12))


def change_no_import(model):
    del model.opset_import[:]


def change_no_version(model):
    model.ir_version = 0


def change_ahead(model):
    model.opset_import[0].version = 8
    model.graph.node[1].op_type = "Mish"


def change_unnamed_input(model):
    model.graph.input.append(value("", 1))


def change_doubled_input(model):
    model.graph.input.append(value("x", 1))


def change_output(model):
    model.graph.output.append(value("nowhere", 1))


def change_nothing(model):
    """Leave the model as it is."""


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (change_nothing, {}),
        (change_cycle, {"invalid-model": "cycle"}),
        (change_twice_imported, {"invalid-model": "versions 14 and 12"}),
        (change_no_import, {"missing-opset-import": "'ai.onnx'"}),
        (change_no_version, {"invalid-model": "states no IR version"}),
        (change_ahead, {"operator-not-in-opset": "came with opset 18"}),
        (change_unnamed_input, {"duplicate-name": "input 1 has no name"}),
        (change_doubled_input, {"duplicate-name": "input 'x' is declared twice"}),
        (change_output, {"undefined-value": "graph output 'nowhere' is made by no node"}),
    ],
)
def test_a_fault_of_one_kind_is_named_by_its_own_rule_alone(change, expected):
    text = HEAD.format(14) + "(float[1, 8] x) => (float[1, 8] b) { a = Abs (x) b = Relu (a) }"
    proto = testing.model_from_text(text)
    change(proto)
    found = faults(facts_of(proto))
    assert set(found) == set(expected)
    for rule, words in expected.items():
        (message,) = found[rule]
        assert words in message


def test_a_body_is_mended_like_the_graph_around_it():
    text = (
        HEAD.format(14)
        + """(float[1, 8] x, bool t) => (float[1, 8] y) {
        [cond] y = If (t) <
            then_branch = a () => (float[1, 8] p) { p = Relu (ghost) },
            else_branch = b () => (float[1, 8] q) { q = Abs (m) m = Neg (x) }
        >
    }"""
    )
    facts = facts_of(text)
    (undefined,) = facts.problems("undefined-value")
    (unsorted,) = facts.problems("unsorted-nodes")
    assert undefined.location.graph == "cond.then_branch"
    assert unsorted.location.graph == "cond.else_branch"
    assert [node.op_type for node in facts.nodes] == ["If", "Relu", "Neg", "Abs"]


# --- what inference is helped with ---------------------------------------------------------------

OWN = '<ir_version: 8, opset_import: ["" : 14, "com.microsoft" : 1]> net '


@pytest.mark.parametrize("op_type", sorted(inference._SAME_SHAPE))
def test_the_operators_of_a_shape_that_stays_are_known(op_type):
    nodes = f"g = com.microsoft.{op_type} (x, s) y = Relu (g)"
    text = f"{OWN}(float[2, 8] x, float[3] s) => (y) {{ {nodes} }}"
    assert shape(facts_of(text), "y") == (2, 8)


def test_the_operators_of_a_shape_that_stays_are_named_as_onnxruntime_does():
    known = {item.name for item in onnxruntime.get_all_operator_schema()}
    assert known | {"Swish"} >= inference._SAME_SHAPE  # Swish came after this onnxruntime


def test_a_declared_shape_of_such_an_operator_is_believed():
    text = f"{OWN}(float[2, 8] x) => (y) {{ g = com.microsoft.Gelu (x) y = Relu (g) }}"
    proto = testing.model_from_text(text)
    proto.graph.value_info.append(value("g", 2, 9))
    assert shape(facts_of(proto), "y") == (2, 9)


def test_another_operator_of_another_domain_is_open():
    text = f"{OWN}(float[2, 8] x) => (y) {{ g = com.microsoft.Thing (x) y = Relu (g) }}"
    facts = facts_of(text)
    assert shape(facts, "y") is None
    assert not faults(facts).get("shape-inference-failed")


def test_each_branch_of_an_if_has_weights_of_its_own():
    text = (
        HEAD.format(14)
        + """(float[1, 8] x, bool t) => (y) {
        y = If (t) <
            then_branch = a () => (p) <int64[2] s = {2, 4}> { p = Reshape (x, s) },
            else_branch = b () => (q) <int64[2] s = {4, 2}> { q = Reshape (x, s) }
        >
    }"""
    )
    proto = onnx.parser.parse_model(text)
    facts = facts_of(proto)
    _, then, other = facts.graphs
    assert then.tensors["s"].constant.tolist() == [2, 4]
    assert other.tensors["s"].constant.tolist() == [4, 2]
    assert then.tensors["p"].shape == (2, 4)
    assert other.tensors["q"].shape == (4, 2)


@pytest.mark.parametrize(("test", "expected"), [("{1}", (1, 8)), ("{0}", (1, 4))])
def test_the_branch_that_runs_gives_the_shape(test, expected):
    text = (
        HEAD.format(14)
        + f"""(float[1, 8] x) => (y, z) <bool t = {test}, int64[1] s = {{0}}, int64[1] e = {{4}},
          int64[1] d = {{1}}> {{
        k, m = If (t) <
            then_branch = a () => (float[1, 8] p, float[1, 8] u) {{ p = Relu (x) u = Abs (x) }},
            else_branch = b () => (float[1, 4] q, float[1, 8] v)
              {{ q = Slice (x, s, e, d) v = Neg (x) }}
        >
        y = Relu (k) z = Relu (m)
    }}"""
    )
    facts = facts_of(text)
    assert shape(facts, "y") == expected
    assert shape(facts, "z") == (1, 8)
