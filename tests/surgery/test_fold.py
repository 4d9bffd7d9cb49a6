"""Folding: what is constant is computed, everything else keeps its numbers and its names."""

import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from npugate.rules import testing
from npugate.surgery.fold import fold
from tests.repaired import run

F = TensorProto.FLOAT


def copy_of(model):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def ops(graph):
    return [node.op_type for node in graph.node]


def folded(text, x=(1, 4, 6), opset=15):
    """Fold a model with one float input x; return it after comparing the numbers."""
    model = testing.model_from_text(f'<ir_version: 8, opset_import: ["" : {opset}]> {text}')
    before = copy_of(model)
    done = fold(model)
    onnx.checker.check_model(model, full_check=True)
    feeds = {"x": np.arange(np.prod(x), dtype=np.float32).reshape(x)} if x is not None else {}
    for left, right in zip(run(before, feeds), run(model, feeds), strict=True):
        np.testing.assert_array_equal(left, right)
        assert left.dtype == right.dtype
    assert fold(copy_of(model)) == {}
    return model, done


CASES = [
    (
        "a part of a shape is not the whole shape",
        """net (float[1, 4, 6] x) => (float[?] y) {
            c = Shape <start = 1, end = -1> (x)
            f = Cast <to = 1> (c)
            y = Neg (f) }""",
        [],
    ),
    (
        "a reshape that hangs on the result of another",
        """net (float[1, 4, 6] x) => (float[?, ?] y) {
            s = Shape (x)
            p = ReduceProd <keepdims = 1> (s)
            a = Reshape (x, p)
            n = Size (a)
            two = Constant <value = int64 {2}> ()
            h = Div (n, two)
            ax = Constant <value = int64[1] {0}> ()
            h1 = Unsqueeze (h, ax)
            m = Constant <value = int64[1] {-1}> ()
            t = Concat <axis = 0> (h1, m)
            r = Reshape (a, t)
            y = Relu (r) }""",
        ["Reshape", "Reshape", "Relu"],
    ),
    (
        "a slice that keeps everything, but not one that turns round",
        """net (float[1, 4, 6] x) => (float[1, 4, 6] y) <
            int64[1] s = {0}, int64[1] e = {99}, int64[1] a = {2}, int64[1] b = {-1},
            int64[1] z = {-99} > {
            k = Slice (x, s, e, a)
            r = Slice (k, b, z, a, b)
            y = Relu (r) }""",
        ["Slice", "Relu"],
    ),
    (
        "an expand to the shape it has, and one that grows",
        """net (float[1, 4, 6] x) => (float[2, 4, 6] y) <
            int64[3] s = {1, 4, 6}, int64[3] g = {2, 1, 1} > {
            k = Expand (x, s)
            l = Expand (k, g)
            y = Relu (l) }""",
        ["Expand", "Relu"],
    ),
    (
        "a cast to its own type, and one to another",
        """net (float[1, 4, 6] x) => (float16[1, 4, 6] y) {
            k = Cast <to = 1> (x)
            l = Cast <to = 10> (k)
            y = Relu (l) }""",
        ["Cast", "Relu"],
    ),
    (
        "a where with a constant choice, and one that must broadcast",
        """net (float[1, 4, 6] x) => (float[2, 4, 6] y) <
            bool[1] t = {1}, bool[2, 1, 1] u = {0, 0}, float[1] o = {1} > {
            k = Where (t, x, o)
            l = Where (u, o, k)
            y = Relu (l) }""",
        ["Where", "Relu"],
    ),
    (
        "an identity that is an output stays",
        "net (float[1, 4, 6] x) => (float[1, 4, 6] y) { i = Identity (x) y = Identity (i) }",
        ["Identity"],
    ),
    (
        "a computed output stays",
        """net (float[1, 4, 6] x) => (float[1, 4, 6] y, float[2] z) <float[2] c = {1, 2}> {
            y = Relu (x)
            z = Neg (c) }""",
        ["Relu", "Neg"],
    ),
    (
        "random numbers stay random",
        """net (float[1, 4, 6] x) => (float[1, 4, 6] y) {
            n = RandomNormal <shape = [1, 4, 6], seed = 1.0> ()
            z = Sub (n, n)
            y = Add (x, z) }""",
        ["RandomNormal", "Sub", "Add"],
    ),
    (
        "quantised weights stay quantised",
        """net (float[1, 4, 6] x) => (float[1, 4, 2] y) <
            int8[6, 2] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, float s = {0.5} > {
            d = DequantizeLinear (w, s)
            y = MatMul (x, d) }""",
        ["DequantizeLinear", "MatMul"],
    ),
    (
        "a node that nothing reads goes",
        "net (float[1, 4, 6] x) => (float[1, 4, 6] y) { d = Exp (x) e = Neg (d) y = Relu (x) }",
        ["Relu"],
    ),
    (
        "integers divide towards zero",
        """net (float[1, 4, 6] x) => (float[1, 4, 6] y) <int64[2] a = {-7, 7}, int64 b = {2}> {
            q = Div (a, b)
            f = Cast <to = 1> (q)
            s = ReduceSum <keepdims = 0> (f)
            y = Add (x, s) }""",
        ["Add"],
    ),
]


@pytest.mark.parametrize(("text", "left"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_only_what_is_constant_is_computed(text, left):
    model, _ = folded(text)
    assert ops(model.graph) == left or not left


def test_a_part_of_a_shape_is_an_initializer_of_that_part():
    model, done = folded(CASES[0][1])
    assert ops(model.graph) == ["Neg"]
    held = {item.name: numpy_helper.to_array(item).tolist() for item in model.graph.initializer}
    assert held == {"f": [4.0]}
    assert done["computed Shape"] == ["c"]


BRANCHES = """net (float[1, 4, 6] x) => (float[1, 4, 6] y) <float[1] k = {3}> {
    s = Shape (x)
    one = Constant <value = int64 {1}> ()
    d = Gather (s, one)
    four = Constant <value = int64 {4}> ()
    test = Equal (d, four)
    y = If (test) <
        then_branch = big () => (float[1, 4, 6] out) {
            two = Constant <value = float {2}> ()
            t = Mul (x, two)
            inner = Constant <value = bool {0}> ()
            out = If (inner) <
                then_branch = a () => (float[1, 4, 6] o) { o = Neg (t) },
                else_branch = b () => (float[1, 4, 6] o) { o = Add (t, k) }
            > },
        else_branch = small () => (float[1, 4, 6] out) { t = Abs (x) out = Neg (t) }
    > }"""


def test_a_branch_that_is_always_taken_is_inlined_with_names_of_its_own():
    model, done = folded(BRANCHES)
    assert ops(model.graph) == ["Mul", "Add"]
    assert len(done["inlined the branch of If"]) == 2
    assert model.graph.output[0].name == "y"
    assert [name for node in model.graph.node for name in node.output][-1] == "y"


def test_a_branch_that_hands_on_an_outer_value_or_a_weight_is_inlined():
    model, _ = folded(
        """net (float[1, 4, 6] x) => (float[1, 4, 6] y, float[2] z) <bool t = {1}> {
            r = Relu (x)
            a, b = If (t) <
                then_branch = p () => (float[1, 4, 6] o, float[2] w) {
                    o = Identity (r)
                    w = Constant <value = float[2] {1, 2}> () },
                else_branch = q () => (float[1, 4, 6] o, float[2] w) {
                    o = Neg (r)
                    w = Constant <value = float[2] {3, 4}> () } >
            y = Sqrt (a)
            z = Neg (b) }"""
    )
    assert ops(model.graph) == ["Relu", "Sqrt", "Neg"]


def loop(count, keeps_on, stacked="", condition="go"):
    extra = {"": "", "all": ", float[1, 4, 6] q"}[stacked]
    more = "q = Identity (v2)" if stacked else ""
    return f"""net (float[1, 4, 6] x) => (float[?, ?, ?] y) <
        int64 n = {{{count}}}, bool go = {{1}}, bool stop = {{0}}> {{
        {"y, unread" if stacked else "y"} = Loop (n, {condition}, x) <
            body = step (int64 i, bool c, float[1, 4, 6] v) =>
                (bool c2, float[1, 4, 6] v2{extra}) {{
                f = Cast <to = 1> (i)
                v2 = Add (v, f)
                {more}
                {keeps_on} }} > }}"""


def test_a_loop_of_known_length_is_unrolled():
    model, done = folded(loop(5, "c2 = Identity (c)"))
    assert ops(model.graph) == ["Add"] * 5
    assert done["unrolled Loop"] == ["y"]


STAYING = {
    "too long": loop(65, "c2 = Identity (c)"),
    "never": loop(0, "c2 = Identity (c)"),
    "may stop": loop(
        5,
        "t = ReduceMax <keepdims = 0> (v2) h = Constant <value = float {30}> () c2 = Less (t, h)",
    ),
    "stops": loop(5, "c2 = Constant <value = bool {0}> ()"),
    "does not start": loop(5, "c2 = Identity (c)", condition="stop"),
    "stacks": loop(5, "c2 = Identity (c)", stacked="all"),
}


@pytest.mark.parametrize("case", STAYING)
def test_other_loops_stay(case):
    model, _ = folded(STAYING[case])
    assert "Loop" in ops(model.graph)


def test_constants_in_the_body_of_a_loop_that_stays_are_computed():
    text = loop(65, "c2 = Identity (c)").replace(
        "v2 = Add (v, f)",
        "k = Constant <value = float {2}> () k2 = Mul (k, k) g = Add (f, k2) v2 = Add (v, g)",
    )
    model, done = folded(text)
    body = model.graph.node[0].attribute[0].g
    assert "Mul" not in ops(body)
    assert done["computed Mul"] == ["k2"]


def test_what_grows_in_a_loop_is_not_taken_for_its_first_shape():
    text = """net (float[1, 4, 6] x) => (float[?, ?, ?] y) <int64 n = {70}, bool go = {1}> {
        y = Loop (n, go, x) <
            body = step (int64 i, bool c, float[?, 4, 6] v) => (bool c2, float[?, 4, 6] v2) {
                s = Shape <start = 0, end = 1> (v)
                f = Cast <to = 1> (s)
                w = Add (v, f)
                one = Constant <value = float[1, 4, 6] {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                    1, 1, 1, 1, 1, 1, 1, 1, 1}> ()
                v2 = Concat <axis = 0> (w, one)
                c2 = Identity (c) } > }"""
    model, _ = folded(text)
    assert "Shape" in ops(model.graph.node[0].attribute[0].g)


def test_an_initializer_that_a_caller_may_override_is_no_constant():
    model = testing.model_from_text(
        """<ir_version: 8, opset_import: ["" : 14]>
        net (float[2] x, float[2] w) => (float[2] y) <float[2] w = {1, 2}> {
            n = Neg (w)
            y = Add (x, n) }"""
    )
    if not any(info.name == "w" for info in model.graph.input):
        model.graph.input.append(helper.make_tensor_value_info("w", F, [2]))
    assert fold(model) == {}


def test_folding_an_old_file_keeps_its_weights_among_the_inputs():
    model = testing.model_from_text(
        """<ir_version: 3, opset_import: ["" : 8]>
        net (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { n = Neg (w) y = Add (x, n) }"""
    )
    model.graph.input.append(helper.make_tensor_value_info("w", F, [2]))
    assert fold(model)
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_array_equal(run(model, {"x": np.ones(2, np.float32)})[0], np.float32([0, -1]))


def test_a_value_that_would_grow_the_file_stays_computed_but_is_known():
    model, _ = folded(
        """net (float[1, 4, 6] x) => (float[1, 4, 6] y, float[?, ?] z) {
            s = Constant <value = int64[2] {300, 300}> ()
            big = ConstantOfShape <value = float[1] {2}> (s)
            z = Sqrt (big)
            h = ReduceMax <keepdims = 0> (big)
            y = Mul (x, h) }"""
    )
    assert ops(model.graph) == ["ConstantOfShape", "Sqrt", "Mul"]
    assert model.ByteSize() < 1000


def test_nodes_that_stay_keep_their_metadata_and_declarations():
    model = testing.model_from_text(f'<ir_version: 10, opset_import: ["" : 15]> {CASES[1][1]}')
    for node in model.graph.node:
        node.name = f"n_{node.output[0]}"
        node.doc_string = f"made {node.output[0]}"
        node.metadata_props.add(key="where", value=node.output[0])
    model.metadata_props.add(key="model", value="kept")
    model.graph.value_info.append(helper.make_tensor_value_info("r", F, [12, 2]))
    model.graph.value_info.append(helper.make_tensor_value_info("a", F, ["stale"]))
    fold(model)
    for node in model.graph.node:
        assert node.doc_string == f"made {node.output[0]}"
        assert [item.value for item in node.metadata_props] == [node.output[0]]
    assert model.metadata_props[0].value == "kept"
    assert [info.name for info in model.graph.value_info] == ["r"]


def test_a_long_chain_costs_time_in_proportion():
    def seconds(count):
        nodes = [helper.make_node("Shape", ["x"], ["s"])]
        nodes += [helper.make_node("Identity", ["x"], ["v0"], name="first")]
        for i in range(count):
            op = ("Relu", "Identity")[i % 2]
            nodes.append(helper.make_node(op, [f"v{i}"], [f"v{i + 1}"], name=f"n{i}"))
        graph = helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info("x", F, [2])],
            [helper.make_tensor_value_info(f"v{count}", F, [2])],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
        start = time.process_time()
        fold(model)
        return time.process_time() - start

    seconds(100)
    small, large = seconds(2000), seconds(20000)
    assert large < 40 * max(small, 0.02)
