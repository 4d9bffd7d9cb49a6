"""Partial evaluation against onnx's reference evaluator: equal where it answers, else silent."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from npugate.facts import Facts, evaluate
from npugate.limits import Limits
from npugate.model.reader import read
from npugate.rules.testing import model_from_text

BOUND = Limits().fold_elements
I = np.int64  # noqa: E741 - shapes are int64, and the tables below are full of them


def ints(*values, shape=None):
    array = np.array(values, I)
    return array if shape is None else array.reshape(shape)


def model(op_type, inputs, opset, **attributes):
    """Make a net of one node whose inputs are initializers."""
    names = ["" if value is None else f"i{n}" for n, value in enumerate(inputs)]
    node = onnx.helper.make_node(op_type, names, ["y"], name="n", **attributes)
    weights = [
        onnx.numpy_helper.from_array(value, name)
        for name, value in zip(names, inputs, strict=True)
        if value is not None
    ]
    output = onnx.helper.make_value_info("y", onnx.TypeProto())
    graph = onnx.helper.make_graph([node], "net", [], [output], weights)
    imports = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=8)


def folded(proto, limits=None):
    limits = limits or Limits()
    facts = Facts(read(proto.SerializeToString(), "net.onnx", limits, Path()), limits)
    return facts.nodes[0].output()


def agree(op_type, inputs, opset, **attributes):
    """Assert that the value, its type and its shape are those of the reference."""
    proto = model(op_type, inputs, opset, **attributes)
    (expected,) = ReferenceEvaluator(proto).run(None, {})
    tensor = folded(proto)
    assert tensor.constant is not None, f"{op_type} was not folded"
    expected = np.asarray(expected)
    np.testing.assert_array_equal(tensor.constant, expected)
    assert tensor.constant.dtype == expected.dtype
    assert tensor.shape == expected.shape
    assert tensor.is_constant


M = ints(*range(24), shape=(2, 3, 4))
V = ints(5, -7, 0, 3)
W = ints(2, -2, 0, -3)
F = np.array([-1.5, -0.0, 2.25, 7.0], np.float32)
B = np.array([True, False, True, False])
TENSOR = onnx.numpy_helper.from_array(ints(3, 1, 2), "t")
CASES = [
    ("Constant", [], 14, {"value": TENSOR}),
    ("Constant", [], 14, {"value_int": 7}),
    ("Constant", [], 14, {"value_ints": [7, 8]}),
    ("Constant", [], 14, {"value_float": 0.5}),
    ("Constant", [], 14, {"value_floats": [0.5, 1.5]}),
    ("Cast", [V], 14, {"to": onnx.TensorProto.FLOAT}),
    ("Cast", [F], 14, {"to": onnx.TensorProto.INT64}),
    ("Cast", [V], 14, {"to": onnx.TensorProto.BOOL}),
    ("Identity", [V], 14, {}),
    ("Gather", [M, ints(1, 0)], 14, {"axis": 1}),
    ("Gather", [V, np.array(-1, I)], 14, {}),
    ("Gather", [M, ints(1, -1, shape=(1, 2))], 14, {"axis": -1}),
    ("Concat", [V, W, V], 14, {"axis": 0}),
    ("Concat", [M, M], 14, {"axis": -1}),
    ("Squeeze", [ints(4, shape=(1, 1)), ints(0)], 14, {}),
    ("Squeeze", [ints(4, shape=(1, 1))], 14, {}),
    ("Squeeze", [ints(4, 5, shape=(1, 2, 1))], 11, {"axes": [2]}),
    ("Squeeze", [ints(4, 5, shape=(1, 2, 1))], 12, {"axes": [2]}),
    ("Squeeze", [ints(4, 5, shape=(1, 2, 1)), ints(2)], 13, {}),
    ("Unsqueeze", [V, ints(0, -1)], 14, {}),
    ("Unsqueeze", [V], 11, {"axes": [1]}),
    ("Slice", [V, ints(1), ints(3)], 14, {}),
    ("Slice", [V, ints(-1), ints(-(2**40)), ints(0), ints(-1)], 14, {}),
    ("Slice", [V, ints(-1), ints(-5), ints(0), ints(-1)], 14, {}),
    ("Slice", [V, ints(-1), ints(-4), ints(0), ints(-2)], 14, {}),
    ("Slice", [M, ints(0, 1), ints(9, 2**62), ints(2, -2), ints(2, 1)], 14, {}),
    ("Slice", [V, ints(3), ints(1)], 14, {}),
    ("Slice", [M], 9, {"starts": [1], "ends": [3], "axes": [2]}),
    ("Reshape", [M, ints(0, -1)], 14, {}),
    ("Reshape", [M, ints(4, 6)], 14, {}),
    ("Reshape", [ints(), ints(0, 3)], 14, {"allowzero": 1}),
    ("Reshape", [ints(shape=(3, 0)), ints(0, 3)], 14, {"allowzero": 1}),
    ("Reshape", [ints(shape=(3, 0)), ints(0, 0)], 14, {}),
    ("Range", [np.array(2, I), np.array(11, I), np.array(3, I)], 14, {}),
    ("Range", [np.array(9, I), np.array(0, I), np.array(-4, I)], 14, {}),
    ("Range", [np.array(9, I), np.array(0, I), np.array(4, I)], 14, {}),
    ("ConstantOfShape", [ints(2, 3)], 14, {}),
    ("ConstantOfShape", [ints(2)], 14, {"value": onnx.numpy_helper.from_array(ints(9), "v")}),
    ("ConstantOfShape", [ints()], 14, {}),
    ("Expand", [ints(1, 2, 3), ints(2, 1)], 14, {}),
    ("Expand", [M, ints(1)], 14, {}),
    ("Tile", [V, ints(3)], 14, {}),
    ("Tile", [M, ints(1, 2, 1)], 14, {}),
    ("Transpose", [M], 14, {}),
    ("Transpose", [M], 14, {"perm": [2, 0, 1]}),
    ("Where", [B, V, W], 14, {}),
    ("Where", [B, V, ints(9)], 14, {}),
    ("ReduceProd", [V], 14, {"keepdims": 0}),
    ("ReduceProd", [M], 14, {"axes": [1]}),
    ("ReduceProd", [M, ints(-1)], 18, {}),
    ("ReduceProd", [M], 17, {"axes": [-1]}),
    ("ReduceProd", [M], 18, {}),
    ("ReduceProd", [M], 18, {"noop_with_empty_axes": 1}),
    ("ReduceSum", [M, ints(0, 2)], 14, {}),
    ("ReduceSum", [M], 14, {}),
    ("ReduceSum", [M], 14, {"noop_with_empty_axes": 1}),
    ("ReduceMax", [M], 14, {"axes": [-1], "keepdims": 0}),
    ("ReduceMin", [M], 14, {"axes": [0]}),
    ("Add", [V, W], 14, {}),
    ("Sub", [V, W], 14, {}),
    ("Mul", [M, ints(2)], 14, {}),
    ("Div", [F, F + 10], 14, {}),
    ("Equal", [V, ints(5)], 14, {}),
    ("Less", [V, W], 14, {}),
    ("Greater", [V, W], 14, {}),
    ("LessOrEqual", [V, W], 14, {}),
    ("GreaterOrEqual", [V, W], 14, {}),
    ("And", [B, ~B], 14, {}),
    ("Or", [B, ~B], 14, {}),
    ("Not", [B], 14, {}),
    ("Neg", [V], 14, {}),
    ("Abs", [V], 14, {}),
    ("Floor", [F], 14, {}),
    ("Ceil", [F], 14, {}),
    ("Sqrt", [np.abs(F)], 14, {}),
    ("Max", [V, W, ints(1)], 14, {}),
    ("Min", [V, W], 14, {}),
    ("Min", [V], 14, {}),
    ("Sum", [F, F, F], 14, {}),
]


@pytest.mark.parametrize(("op_type", "inputs", "opset", "attributes"), CASES)
def test_an_operator_gives_what_the_reference_gives(op_type, inputs, opset, attributes):
    agree(op_type, inputs, opset, **attributes)


def test_every_operator_of_the_table_is_in_these_cases():
    assert {case[0] for case in CASES} | {"Div"} == set(evaluate.EVALUATORS)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ([7, -7, 7, -7, 6, 0], [2, 2, -2, -2, -3, 5], [3, -3, -3, 3, -2, 0]),
        ([2**62, -(2**62)], [3, 3], [1537228672809129301, -1537228672809129301]),
    ],
)
def test_integers_are_divided_towards_zero(left, right, expected):
    tensor = folded(model("Div", [ints(*left), ints(*right)], 14))
    np.testing.assert_array_equal(tensor.constant, ints(*expected))
    assert tensor.constant.dtype == I


small = st.integers(-6, 6)
shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3)


def filled(shape):
    return np.arange(np.prod(shape), dtype=I).reshape(shape) - 3


@given(shapes, st.data())
@settings(max_examples=60, deadline=None)
def test_any_slice_is_that_of_the_reference(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    step = data.draw(small.filter(bool))
    start, end = data.draw(small), data.draw(small)
    agree("Slice", [filled(shape), ints(start), ints(end), ints(axis), ints(step)], 14)


@given(small, small, small.filter(bool))
@settings(max_examples=40, deadline=None)
def test_any_range_is_that_of_the_reference(start, limit, delta):
    agree("Range", [np.array(value, I) for value in (start, limit, delta)], 14)


@given(st.sampled_from(["Add", "Sub", "Mul", "Less", "Equal", "Max", "Min"]), shapes, st.data())
@settings(max_examples=60, deadline=None)
def test_any_pair_is_broadcast_as_the_reference_does(op_type, shape, data):
    other = [dim if data.draw(st.booleans()) else 1 for dim in shape]
    other = other[data.draw(st.integers(0, len(shape) - 1)) :]
    agree(op_type, [filled(shape), filled(other)], 14)


@given(shapes, st.data())
@settings(max_examples=40, deadline=None)
def test_any_reduction_is_that_of_the_reference(shape, data):
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1))
    keep = data.draw(st.integers(0, 1))
    for op_type in ("ReduceSum", "ReduceMax"):
        agree(op_type, [filled(shape), ints(*axes)], 18, keepdims=keep)


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes"),
    [
        ("ConstantOfShape", [ints(9, 9)], {}),
        ("ConstantOfShape", [ints(2**31, 2**31, 2**31)], {}),
        ("Expand", [ints(1), ints(81)], {}),
        ("Expand", [ints(1), ints(2**40)], {}),
        ("Tile", [V, ints(2**40)], {}),
        ("Range", [np.array(0, I), np.array(2**60, I), np.array(1, I)], {}),
        ("Add", [filled((9, 1)), filled((1, 9))], {}),
        ("Max", [filled((9, 1)), filled((1, 9))], {}),
        ("Where", [np.ones((9, 1), bool), filled((1, 9)), filled((1, 1))], {}),
        ("Gather", [filled((2, 8)), np.zeros(9, I)], {}),
        ("Concat", [filled(33), filled(33)], {"axis": 0}),
        ("Constant", [], {"value": onnx.numpy_helper.from_array(filled(81), "c")}),
    ],
)
def test_nothing_above_the_bound_is_computed(op_type, inputs, attributes):
    proto = model(op_type, inputs, 14, **attributes)
    assert folded(proto, Limits(fold_elements=64)).constant is None


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes"),
    [
        ("Div", [V, ints(0)], {}),
        ("Reshape", [V, ints(3, 3)], {}),
        ("Reshape", [V, ints(-1, -1)], {}),
        ("Gather", [V, ints(9)], {}),
        ("Gather", [V, ints(0)], {"axis": 5}),
        ("Concat", [V, M], {"axis": 0}),
        ("Squeeze", [V, ints(0)], {}),
        ("Slice", [V, ints(0), ints(1), ints(7)], {}),
        ("Slice", [V, ints(0, 1), ints(1)], {}),
        ("Slice", [V, ints(0), ints(1), ints(0), ints(0)], {}),
        ("Range", [np.array(0, I), np.array(1, I), np.array(0, I)], {}),
        ("ConstantOfShape", [ints(-1)], {}),
        ("Cast", [V], {"to": 9999}),
        ("Cast", [V], {}),
        ("Tile", [V, ints(-1)], {}),
        ("Add", [V, ints(1, 2)], {}),
        ("Where", [B, V, None], {}),
        ("RandomUniform", [], {"shape": [2]}),
    ],
)
def test_what_an_operator_does_not_accept_stays_unknown(op_type, inputs, attributes):
    assert folded(model(op_type, inputs, 14, **attributes)).constant is None


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes"),
    [
        ("RandomUniform", [], {"shape": [2]}),
        ("RandomNormal", [], {"shape": [2]}),
        ("RandomUniformLike", [F], {}),
        ("RandomNormalLike", [F], {}),
        ("Bernoulli", [np.abs(F)], {}),
        ("Multinomial", [F.reshape(1, 4)], {}),
    ],
)
def test_a_random_operator_is_never_a_constant(op_type, inputs, attributes):
    assert not folded(model(op_type, inputs, 15, **attributes)).is_constant


def tensors_of(line, signature="(float[2, 3] x) => (y)", constants="int64[2] k = {1, 2}"):
    text = f"""<ir_version: 8, opset_import: ["" : 15, "own" : 1]>
        net {signature} <{constants}> {{ {line} }}"""
    data = model_from_text(text).SerializeToString()
    return Facts(read(data, "m", Limits(), Path())).main.tensors


def test_what_a_body_makes_is_not_taken_for_constant():
    branches = (
        "<then_branch = a () => (int64[2] s) { s = Neg (k) },"
        " else_branch = b () => (int64[2] t) { t = Abs (k) }>"
    )
    tensors = tensors_of(f"z = If (c) {branches} y = Abs (z)", constants="int64[2] k, bool c")
    assert not tensors["z"].is_constant


def test_an_operator_of_another_domain_is_not_computed():
    tensors = tensors_of("y = own.Neg (k) s = own.Shape (x)")
    assert tensors["y"].constant is None
    assert tensors["s"].constant is None
    assert tensors["y"].is_constant  # all the same: it reads nothing that changes


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("y = Shape (x)", [2, 3, 4]),
        ("y = Shape <start = 1> (x)", [3, 4]),
        ("y = Shape <start = -2, end = -1> (x)", [3]),
        ("y = Shape <start = 2, end = 1> (x)", []),
        ("y = Shape <start = -9, end = 9> (x)", [2, 3, 4]),
        ("y = Size (x)", 24),
    ],
)
def test_a_shape_and_a_size_are_measured(line, value):
    tensor = tensors_of(line, "(float[2, 3, 4] x) => (y)")["y"]
    assert tensor.constant.tolist() == value
    assert tensor.dtype == onnx.TensorProto.INT64


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("y = Shape (x)", None),
        ("y = Shape <end = 1> (x)", [2]),
        ("y = Size (x)", None),
    ],
)
def test_an_open_axis_is_measured_where_it_is_not_asked_for(line, value):
    constant = tensors_of(line, "(float[2, N] x) => (y)")["y"].constant
    assert (None if constant is None else constant.tolist()) == value


def test_a_slice_without_an_end_is_not_computed():
    assert tensors_of("y = Slice (k, k)")["y"].constant is None
    assert tensors_of("y = Slice (k, , k)")["y"].constant is None


def test_a_weight_whose_data_is_not_held_has_no_value():
    tensor = onnx.numpy_helper.from_array(ints(1, 2), "t")
    assert evaluate.array_of(tensor).tolist() == [1, 2]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    assert evaluate.array_of(tensor) is None
    assert evaluate.array_of(onnx.TensorProto(dims=[2], data_type=7)) is None
    text = onnx.helper.make_tensor("t", onnx.TensorProto.STRING, [1], [b"a"])
    assert evaluate.array_of(text) is None
    short = onnx.TensorProto(dims=[2], data_type=7, raw_data=b"12345678")
    assert evaluate.array_of(short) is None


def test_all_that_is_computed_in_a_graph_is_bounded_together(monkeypatch):
    monkeypatch.setattr(evaluate, "_ALL_ELEMENTS", 5)
    tensors = tensors_of("a = Neg (k) b = Neg (a) y = Neg (b)")
    assert tensors["a"].constant.tolist() == [-1, -2]
    assert tensors["b"].constant.tolist() == [1, 2]
    assert tensors["y"].constant is None


@pytest.mark.parametrize(
    ("opset", "line", "values"),
    [
        (11, "a, b = Split <axis = 0> (k)", ([1, 2], [3, 4])),
        (11, "a, b = Split <split = [1, 3]> (k)", ([1], [2, 3, 4])),
        (13, "a, b = Split (k, s)", ([1, 2, 3], [4])),
        (18, "a, b, c = Split <num_outputs = 3> (k)", ([1, 2], [3, 4], [])),
    ],
)
def test_a_split_gives_every_part(opset, line, values):
    text = f"""<ir_version: 8, opset_import: ["" : {opset}]> net (float[1] x) => (float[1] y)
        <int64[4] k = {{1, 2, 3, 4}}, int64[2] s = {{3, 1}}> {{ {line} y = Relu (x) }}"""
    graph = Facts(read(model_from_text(text).SerializeToString(), "m", Limits())).main
    for name, value in zip("abc", values, strict=False):
        assert graph.tensors[name].constant.tolist() == value
