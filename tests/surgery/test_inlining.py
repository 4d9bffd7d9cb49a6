"""Folding in and around the bodies of branches and loops."""

import tracemalloc

import numpy as np
import onnx
from onnx import helper, numpy_helper

from npugate.rules import testing
from npugate.surgery.fold import fold
from npugate.surgery.inlining import inline
from npugate.surgery.scope import Names, rename_reads
from tests.repaired import run
from tests.surgery.test_fold import F, folded, ops

CAPTURES = """net (float[1, 4, 6] x) => (float[1, 4, 6] y) <float h = {1e6}> {
    same = Identity (x)
    deep = Identity (same)
    used = Exp (deep)
    top = ReduceMax <keepdims = 0> (x)
    test = Greater (top, h)
    y = If (test) <
        then_branch = p () => (float[1, 4, 6] o) { o = Neg (same) },
        else_branch = q () => (float[1, 4, 6] o) {
            o = If (test) <
                then_branch = r () => (float[1, 4, 6] i) { i = Neg (deep) },
                else_branch = s () => (float[1, 4, 6] i) { i = Sub (used, deep) }
            > }
    > }"""


def test_bodies_read_what_stands_for_a_removed_node_and_keep_what_they_read_alive():
    model, done = folded(CAPTURES)
    assert ops(model.graph) == ["Exp", "ReduceMax", "Greater", "If"]
    assert done == {"removed Identity without effect": ["same", "deep"]}


def test_a_name_that_a_body_makes_itself_is_not_renamed_in_it():
    body = helper.make_graph(
        [helper.make_node("Neg", ["a"], ["b"]), helper.make_node("Exp", ["c"], ["d"])],
        "body", [], [onnx.ValueInfoProto(name="d")],
        [numpy_helper.from_array(np.zeros(1, np.float32), "a")],
    )  # fmt: skip
    node = helper.make_node("If", ["c"], ["y"], then_branch=body)
    rename_reads(node, {"a": "other", "c": "new"})
    inner = node.attribute[0].g.node
    assert [list(node.input), list(inner[0].input), list(inner[1].input)] == [
        ["new"],
        ["a"],
        ["new"],
    ]


def test_a_branch_whose_output_is_its_own_weight_is_inlined():
    model = testing.model_from_text(
        """<ir_version: 8, opset_import: ["" : 15]>
        net (float[2] x) => (float[2] y) <bool t = {1}> {
            w = If (t) <
                then_branch = p () => (float[2] o) { unread = Neg (x) },
                else_branch = q () => (float[2] o) { o = Neg (x) } >
            y = Add (x, w) }"""
    )
    branch = model.graph.node[0].attribute[0].g
    branch.initializer.append(numpy_helper.from_array(np.float32([3, 4]), "o"))
    fold(model)
    onnx.checker.check_model(model, full_check=True)
    assert ops(model.graph) == ["Add"]
    assert run(model, {"x": np.ones(2, np.float32)})[0].tolist() == [4, 5]


def test_what_the_body_of_a_loop_declares_is_not_believed_for_every_turn():
    text = """net (float[1, 4, 6] x) => (float[?, ?, ?] y) <int64 n = {70}, bool go = {1}> {
        y = Loop (n, go, x) <
            body = step (int64 i, bool c, float[1, 4, 6] v) => (bool c2, float[?, 4, 6] v2) {
                s = Shape <start = 0, end = 1> (v)
                f = Cast <to = 1> (s)
                w = Add (v, f)
                v2 = Concat <axis = 0> (w, x)
                c2 = Identity (c) } > }"""
    model, _ = folded(text)
    assert "Shape" in ops(model.graph.node[0].attribute[0].g)


def test_a_branch_that_returns_one_value_twice_or_an_outer_one_is_inlined():
    outputs = [onnx.ValueInfoProto(name=name) for name in ("o", "o", "outer")]
    body = helper.make_graph([helper.make_node("Neg", ["x"], ["o"])], "body", [], outputs)
    owner = helper.make_node("If", ["t"], ["a", "b", "c"], name="if", then_branch=body)
    model = helper.make_model(helper.make_graph([owner], "g", [], []))
    nodes, held = inline(owner, body, {}, ["a", "b", "c"], Names(model))
    assert [(node.op_type, list(node.input), list(node.output)) for node in nodes] == [
        ("Neg", ["x"], ["a"]),
        ("Identity", ["a"], ["b"]),
        ("Identity", ["outer"], ["c"]),
    ]
    assert held == []


def test_large_weights_are_not_decoded_to_no_purpose():
    weights = np.zeros((1200, 1200), np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["w"], ["t"], name="turn"),
            helper.make_node("MatMul", ["x", "t"], ["y"], name="multiply"),
        ],
        "g",
        [helper.make_tensor_value_info("x", F, [1, 1200])],
        [helper.make_tensor_value_info("y", F, [1, 1200])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    tracemalloc.start()
    assert fold(model) == {}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < weights.nbytes / 2
