import numpy as np
import pytest
from msgspec.structs import replace
from onnx import TensorProto, checker, helper

from fixers import lower_rank
from npugate.rules.testing import model_from_text
from npugate.surgery.draft import Draft
from npugate.surgery.lowering import LOWERINGS
from npugate.surgery.lowering.form import Lowering
from npugate.surgery.results import Applied, Declined, RepairOptions, Skipped
from npugate.surgery.shapes import infer
from npugate.target import profiles
from tests.rank_cases import CASES, make
from tests.repaired import run

TARGET = profiles.load("stm32n6")
INEXACT = {  # a sum in another order
    *("ReduceMean", "ReduceL2", "ReduceLogSumExp", "ReduceLogSum", "GlobalAveragePool"),
    *("InstanceNormalization", "LayerNormalization", "LpNormalization", "Softmax", "LogSoftmax"),
    "ReduceProd",
    "Sigmoid",  # vector kernels round the tail of a row otherwise
}
HEAD = '<ir_version: 8, opset_import: ["" : 14]> '


def fed(model, seed):
    rng = np.random.default_rng(seed)
    feeds = {}
    for info in model.graph.input:
        dims = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        if info.type.tensor_type.elem_type == TensorProto.BOOL:
            feeds[info.name] = rng.integers(0, 2, dims).astype(bool)
        else:
            feeds[info.name] = rng.integers(1, 5, dims).astype(np.float32)
    return feeds


def lowered(model, rank, judged=TARGET):
    copy = type(model).FromString(model.SerializeToString())
    draft = Draft(copy)
    result = lower_rank.apply(draft, judged, RepairOptions(prefer_rank=rank))
    return result, draft.finish() if isinstance(result, Applied) else None


def assert_within(model, rank):
    shapes = infer(model)
    assert max(len(item.shape) for item in shapes.values()) <= rank
    constants = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type == "Transpose":
            assert attributes["perm"][0] == 0, node
        elif node.op_type in {"Concat", "Gather", "Softmax", "TopK", "ArgMax", "GatherElements"}:
            assert attributes["axis"] != 0, node
        elif node.op_type == "Slice":
            axes = np.frombuffer(constants[node.input[3]].raw_data, np.int64)
            assert 0 not in axes, node
        assert node.op_type != "Split"


def assert_same(model, other, name, seed):
    feeds = fed(model, seed)
    shapes = infer(other)
    given = {key: value.reshape(shapes[key].static) for key, value in feeds.items()}
    for left, right in zip(run(model, feeds), run(other, given), strict=True):
        assert left.dtype == right.dtype
        if name in INEXACT:
            np.testing.assert_allclose(right.reshape(left.shape), left, rtol=2e-6, atol=1e-6)
        else:
            np.testing.assert_array_equal(right.reshape(left.shape), left)


def assert_computes_the_same(name, rank, opset, judged):
    tried = 0
    for seed in range(12):
        model = make(name, seed, opset)
        result, other = lowered(model, rank, judged)
        if isinstance(result, Skipped):
            continue
        assert isinstance(result, Applied), result
        checker.check_model(other, full_check=True)
        assert_within(other, rank)
        assert_same(model, other, name, seed)
        tried += 1
    assert tried >= (4 if "Pool" not in name or rank == 4 else 0)


@pytest.mark.parametrize("opset", [14, 18])
@pytest.mark.parametrize("rank", [4, 5])
@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_the_same_within_the_rank(name, rank, opset):
    assert_computes_the_same(name, rank, opset, TARGET)


def test_every_operator_of_the_table_has_a_case():
    twins = {  # of an operator that has one: the same code with another name
        *("Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil", "Celu"),
        *("Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSwish", "IsInf", "IsNaN"),
        *("LeakyRelu", "Log", "Mish", "Not", "Reciprocal", "Round", "Selu", "Shrink", "Sign"),
        *("Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu"),
        *("And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Greater", "Mean"),
        *("GreaterOrEqual", "Less", "LessOrEqual", "Min", "Mod", "Or", "Pow", "Sum", "Xor"),
        *("GlobalLpPool", "LRN", "Identity", "Reshape", "DequantizeLinear", "QuantizeLinear"),
    }
    tested = {name.partition(" ")[0] for name in CASES}
    assert set(LOWERINGS) - tested == twins - tested


@pytest.mark.parametrize("seed", range(6))
def test_softmax_before_opset_13_works_on_all_axes_from_its_own(seed):
    rng = np.random.default_rng(seed)
    dims = [int(v) for v in rng.choice([1, 2, 3], 6)]
    axis = int(rng.integers(1, 6))
    text = f'<ir_version: 7, opset_import: ["" : 12]> net (float{dims} x) => (float{dims} y) '
    model = model_from_text(text + f"{{ y = Softmax <axis = {axis}> (x) }}")
    model.graph.node[0].name = "s"
    result, other = lowered(model, 4)
    assert isinstance(result, Applied)
    assert_same(model, other, "Softmax", seed)


DECLINED = {
    "a convolution over three axes": (
        """net (float[1, 2, 4, 4, 4] x) => (float[1, 2, 4, 4, 4] y) <float[2, 2, 1, 1, 1] w>
        { y = Conv (x, w) }""",
        "c: Conv on tensors of rank 5",
    ),
    "a computed lookup": (
        """net (float[2, 2, 2, 2, 2] x, int64[3, 2] i) => (float[3, 2, 2, 2] y)
        { y = GatherND (x, i) }""",
        "c: GatherND whose indices are computed at run time",
    ),
    "an open dimension": (
        "net (float[N, 2, 2, 2, 2] x) => (float[N, 2, 2, 2, 2] y) { y = Relu (x) }",
        "c: the shape of 'x' is not known at compile time",
    ),
    "a computed slice": (
        """net (float[1, 2, 2, 2, 2] x, int64[1] s, int64[1] e) => (float[1, a, b, c, d] y)
        { y = Slice (x, s, e) }""",
        "c: ",
    ),
}


@pytest.mark.parametrize("name", DECLINED)
def test_what_has_no_form_is_declined_with_the_node_and_the_reason(name):
    text, reason = DECLINED[name]
    model = model_from_text(HEAD + text)
    model.graph.node[-1].name = "c"
    result, _ = lowered(model, 4)
    assert isinstance(result, Declined)
    assert result.reason.startswith(reason)


def test_an_input_and_an_output_above_the_limit_are_declared_anew():
    model = model_from_text(
        HEAD + "net (float[1, 2, 3, 4, 5, 2] x) => (float[1, 2, 3, 4, 5, 2] y) { y = Relu (x) }"
    )
    model.graph.node[0].name = "r"
    result, other = lowered(model, 4)
    assert [(c.name, c.before, c.after) for c in result.interface] == [
        ("x", "[1, 2, 3, 4, 5, 2]", "[1, 2, 3, 40]"),
        ("y", "[1, 2, 3, 4, 5, 2]", "[1, 2, 3, 40]"),
    ]
    assert_within(other, 4)
    assert_same(model, other, "Relu", 0)


def test_a_tensor_that_a_loop_reads_is_declined():
    body = helper.make_graph(
        [helper.make_node("Identity", ["high"], ["z"])],
        "body",
        [],
        [helper.make_empty_tensor_value_info("z")],
    )
    nodes = [
        helper.make_node("Relu", ["x"], ["high"], name="r"),
        helper.make_node("If", ["c"], ["y"], name="if", then_branch=body, else_branch=body),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [info("x", 1, [1, 1, 1, 1, 1, 2]), info("c", TensorProto.BOOL, [])],
        [helper.make_empty_tensor_value_info("y")],
    )
    imports = [helper.make_opsetid("", 14)]
    model = helper.make_model(graph, ir_version=8, opset_imports=imports)
    result, _ = lowered(model, 5)
    assert isinstance(result, Declined)
    assert "inside a loop or branch" in result.reason


def test_nothing_above_the_limit_is_nothing_to_do():
    model = model_from_text(HEAD + "net (float[1, 2, 3] x) => (float[1, 2, 3] y) { y = Relu (x) }")
    model.graph.node[0].name = "r"
    assert lowered(model, 4)[0] == Skipped("no tensor has more than 4 dimensions")


def narrow(most):
    """Return the target with a small limit on each dimension."""
    limit = replace(TARGET.limit("dimension_max"), value=most)
    return replace(TARGET, limits={**TARGET.limits, "dimension_max": limit})


@pytest.mark.parametrize("rank", [4, 5])
@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_the_same_on_axes_cut_in_two(name, rank):
    assert_computes_the_same(name, rank, 14, narrow(9))


@pytest.mark.parametrize(
    ("sizes", "room", "wanted"),
    [
        ([9, 10], None, [[9], [10]]),
        ([11], None, [[11]]),  # prime
        ([12], None, [[2, 6]]),
        ([50, 12, 8], None, [[5, 10], [12], [8]]),  # room for one more
        ([101], None, [[101]]),  # more than two dimensions can hold
        ([60, 60], None, [[6, 10], [6, 10]]),
        ([60, 60], 2, [[60], [60]]),
    ],
)
def test_sizes_are_cut_in_two_where_there_is_room(sizes, room, wanted):
    assert Lowering(None, 5, 10).spread(sizes, room) == wanted


def test_a_size_of_which_no_divisor_fits_costs_no_long_search():
    assert Lowering(None, 5, 2**31).spread([2**61 - 1]) == [[2**61 - 1]]


@pytest.mark.parametrize(
    ("dims", "axis", "wanted"),
    [
        ([1, 4, 8], 1, ((1, 1, 4, 8), 2)),
        ([1, 4, 6, 8], 1, ((1, 4, 6, 8), 1)),
        ([3, 4, 6, 8], 1, ((1, 3, 4, 6, 8), 2)),
        ([3, 5, 4, 1], 2, ((1, 3, 5, 4), 3)),
        ([3, 5, 4, 6, 8], 2, ((1, 3, 5, 4, 48), 3)),
    ],
)
def test_an_axis_keeps_its_place_among_axes_cut_in_two(dims, axis, wanted):
    along = Lowering(None, 5, 10).around(dims, axis)
    assert (along.dims, along.axis) == wanted


SPLIT, JOINED = "[6] split = {1, 8, 3, 3, 128, 128}", "[4] join = {24, 3, 128, 128}"
LARGE = {  # 1,179,648 elements in all; one operator on six axes, and what it becomes
    "an element alone": ("b = Relu (a)", "Relu [1, 72, 128, 128]"),
    "two of a size": ("b = Add (a, a)", "Add [1, 72, 128, 128]"),
    "behind a permutation": (
        "c = Transpose <perm = [0, 3, 1, 2, 4, 5]> (a) d = Sigmoid (c) b = Mul (c, d)",
        "Transpose [1, 3, 24, 16384]; Sigmoid [1, 3, 24, 16384]; Mul [1, 3, 24, 16384]",
    ),
    "along the first of many": ("b = Softmax <axis = 1> (a)", "Softmax [1, 8, 3, 49152]"),
    "cut and joined": (
        "c, d = Split <axis = 1> (a) b = Concat <axis = 1> (d, c)",
        "Slice [1, 4, 3, 49152]; Slice [1, 4, 3, 49152]; Concat [1, 8, 3, 49152]",
    ),
    "joined without need of an axis of its own": (
        "c, d = Split <axis = 2> (a, thirds) b = Concat <axis = 2> (d, c)",
        "Slice [1, 8, 1, 49152]; Slice [1, 8, 2, 49152]; Concat [1, 8, 3, 49152]",
    ),
    "a mean of nearly all": (
        "c = ReduceMean <axes = [2, 3, 4, 5], keepdims = 1> (a) b = Sub (a, c)",
        "ReduceMean [1, 8, 1, 1]; Sub [1, 8, 3, 49152]",
    ),
}


@pytest.mark.parametrize("case", LARGE)
def test_axes_are_not_merged_to_more_than_the_target_takes(case):
    nodes, wanted = LARGE[case]
    text = f"""net (float[1, 72, 128, 128] x) => (float[24, 3, 128, 128] y)
        <int64{SPLIT}, int64{JOINED}, int64[2] thirds = {{1, 2}}>
        {{ a = Reshape (x, split) {nodes} y = Reshape (b, join) }}"""
    model = model_from_text(HEAD + text)
    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}"
    result, other = lowered(model, 5)
    assert isinstance(result, Applied)
    shapes = infer(other)
    assert max(max(item.shape) for item in shapes.values()) <= TARGET.limit("dimension_max").value
    made = [
        f"{node.op_type} {list(shapes[node.output[0]].shape)}"
        for node in other.graph.node
        if node.op_type != "Reshape"
    ]
    assert "; ".join(made) == wanted
    assert_same(model, other, "Sigmoid", 0)


@pytest.mark.parametrize(
    ("dims", "wanted"),
    [
        ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 30]),
        ([1, 8, 3, 3, 300, 300], [1, 8, 9, 300, 300]),
        ([1, 2, 2, 3, 2, 300, 300], [1, 4, 6, 300, 300]),
    ],
)
def test_an_input_is_merged_where_the_target_takes_the_size(dims, wanted):
    text = f"net (float{dims} x) => (float[1, {np.prod(dims)}] y) {{ y = Flatten (x) }}"
    model = model_from_text(HEAD + text)
    model.graph.node[0].name = "f"
    result, other = lowered(model, 5)
    assert isinstance(result, Applied)
    assert [item.after for item in result.interface] == [str(wanted)]
    assert list(infer(other)["x"].shape) == wanted


def test_a_join_takes_no_axis_that_it_does_not_need():
    text = "net (float[1, 2, 2, 3, 2, 2] x) => (float[1, 2, 2, 6, 2, 2] y)"
    model = model_from_text(HEAD + text + "{ y = Concat <axis = 3> (x, x) }")
    model.graph.node[0].name = "c"
    other = lowered(model, 5)[1]
    joined = next(node for node in other.graph.node if node.op_type == "Concat")
    assert list(infer(other)[joined.output[0]].shape) == [1, 4, 24]
