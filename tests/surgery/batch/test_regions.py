"""Which inputs of a node hold one row a sample, and what makes a region."""

import onnx
import pytest

from npugate.operators import VIEWS
from npugate.surgery.batch import regions
from tests.batched_models import draft_of

CONSTANTS = """
    float[3, 2, 4, 4] whole, float[1, 2, 1, 1] factor, float[2, 1, 1] low, float two = {2},
    float[3, 2, 1, 1] samples, float[4, 2, 1, 1] w, int64[2] pair = {3, 32}, float[32, 8] m,
    float[3, 32, 8] m3, float[8, 32] t, float[8] bias, float[1, 8] row, float[3, 8] rows,
    int64[8] pads = {0, 0, 1, 0, 0, 0, 0, 2}, int64[8] grow = {1, 0, 0, 0, 0, 0, 0, 0},
    int64[8] below = {0, 0, 0, 0, 1, 0, 0, 0}, int64[2] two_pads = {1, 2}, int64[1] last = {-1},
    int64[1] zero = {0}, int64[1] one = {1}, int64[1] first = {-4}, float zp = {0},
    float[4] keep = {1, 1, 2, 2}, float[4] shrink = {1, 0.5, 2, 2}, float[4] more = {2, 1, 1, 1},
    float[2] plane = {2, 2}, int64[4] sizes = {3, 2, 8, 8}, int64[4] other = {3, 4, 8, 8},
    float s = {0.5}, float[2] ss = {0.5, 1}, float[3] sss = {0.5, 1, 2}, float[1] s1 = {0.5},
    int8 z = {0}, int8[2] zz = {0, 0}, int8[3] zzz = {0, 0, 0}, int8[1] z1 = {0},
    float[2] a, float[2] b, float[2] c, float[2] d
"""
X = "(float[3, 2, 4, 4] x, float[3, 2, 4, 4] x2, float[3, 32] f, float[1, 2, 4, 4] single) => (y)"
ROW_BY_ROW = [
    (14, "Relu (x)", (0,)),
    (14, "Conv (x, w)", (0,)),
    (14, "MaxPool <kernel_shape = [2, 2]> (x)", (0,)),
    (14, "Add (x, x2)", (0, 1)),
    (14, "Add (x, samples)", (0, 1)),
    (14, "Sub (samples, x)", (0, 1)),
    (14, "Mul (x, factor)", (0,)),
    (14, "Mul (low, x)", (1,)),
    (14, "Div (x, two)", (0,)),
    (14, "Add (x, single)", (0,)),
    (14, "Add (single, factor)", None),  # one sample
    (14, "Add (whole, samples)", None),  # nothing that moves
    (14, "Relu (whole)", None),
    (14, "Concat <axis = 1> (x, x2)", (0, 1)),
    (14, "Concat <axis = -1> (x, whole)", (0, 1)),
    (14, "Concat <axis = 0> (x, x2)", None),
    (14, "Concat <axis = -4> (x, x2)", None),
    (14, "Reshape (x, pair)", (0,)),
    (14, "Flatten (x)", (0,)),
    (14, "Flatten <axis = 0> (x)", None),
    (14, "Softmax (x)", (0,)),
    (14, "Softmax <axis = 1> (x)", (0,)),
    (14, "Softmax <axis = 0> (x)", None),
    (14, "Softmax <axis = -4> (x)", None),
    (11, "Softmax (x)", (0,)),
    (11, "Softmax (f)", (0,)),
    (14, "Softmax (f)", (0,)),
    (14, "LogSoftmax (f)", (0,)),
    (14, "Hardmax (f)", (0,)),
    (14, "LpNormalization (f)", (0,)),
    (11, "Softmax <axis = 0> (x)", None),
    (14, "LpNormalization (x)", (0,)),
    (14, "LpNormalization <axis = 0> (x)", None),
    (14, "ReduceMean <axes = [2, 3]> (x)", (0,)),
    (14, "ReduceMean <axes = [0, 3]> (x)", None),
    (14, "ReduceMean <axes = [-4]> (x)", None),
    (14, "ReduceMean (x)", None),
    (14, "ReduceSum (x, one)", (0,)),
    (14, "ReduceSum (x, zero)", None),
    (14, "Pad (x, pads)", (0,)),
    (14, "Pad (x, grow)", None),
    (14, "Pad (x, below)", None),
    (18, "Pad (x, two_pads, , last)", (0,)),
    (18, "Pad (x, two_pads, , first)", None),
    (14, "BatchNormalization (x, a, b, c, d)", (0,)),
    (14, "BatchNormalization <training_mode = 1> (x, a, b, c, d)", None),
    (14, "InstanceNormalization (x, a, b)", (0,)),
    (14, "LRN <size = 1> (x)", (0,)),
    (14, "DepthToSpace <blocksize = 1> (x)", (0,)),
    (14, "SpaceToDepth <blocksize = 2> (x)", (0,)),
    (14, "Resize (x, , keep)", (0,)),
    (14, "Resize (x, , shrink)", None),
    (14, "Resize (x, , more)", None),
    (14, "Resize (x, , , sizes)", (0,)),
    (14, "Resize (x, , , other)", None),
    (18, "Resize <axes = [2, 3]> (x, , plane)", (0,)),
    (18, "Resize <axes = [1, 2]> (x, , plane)", None),
    (18, "Resize <axes = [-1, -4]> (x, , plane)", None),
    (10, "Resize (x, keep)", (0,)),
    (10, "Resize (x, shrink)", None),
    (9, "Upsample (x, keep)", (0,)),
    (7, "Upsample <scales = [1.0, 1.0, 2.0, 2.0]> (x)", (0,)),
    (7, "Upsample <scales = [1.0, 2.0, 2.0, 2.0]> (x)", None),
    (14, "Gemm (f, m, bias)", (0,)),
    (14, "Gemm (f, m)", (0,)),
    (14, "Gemm (f, m, row)", (0,)),
    (14, "Gemm (f, m, rows)", None),
    (14, "Gemm <transB = 1> (f, t)", (0,)),
    (14, "MatMul (f, m)", (0,)),
    (14, "MatMul (f, m3)", None),
    (14, "Transpose <perm = [0, 2, 3, 1]> (x)", (0,)),
    (14, "Transpose <perm = [1, 0, 2, 3]> (x)", None),
    (14, "Transpose (x)", None),
    (14, "Slice (x, zero, one, one)", (0,)),
    (14, "Slice (x, zero, one, last)", (0,)),
    (14, "Slice (x, one, two_i, zero)", None),
    (14, "Slice (x, zero, one)", None),  # of the leading axis
    (9, "Slice <axes = [1], starts = [0], ends = [1]> (x)", (0,)),
    (9, "Slice <axes = [0], starts = [0], ends = [2]> (x)", None),
    (14, "QuantizeLinear (x, s, z)", (0,)),
    (14, "QuantizeLinear (x, ss, zz)", (0,)),
    (14, "QuantizeLinear <axis = 0> (x, sss, zzz)", None),
    (14, "QuantizeLinear <axis = -4> (x, sss, zzz)", None),
    (14, "QuantizeLinear <axis = 0> (x, s1, z1)", (0,)),
    (14, "QuantizeLinear <axis = 0> (x, s, z)", (0,)),
    (14, "CumSum (x, zp_i)", None),
]  # fmt: skip
MORE = ", int64[1] two_i = {3}, int64 zp_i = {0}"


@pytest.mark.parametrize(("opset", "line", "expected"), ROW_BY_ROW, ids=str)
def test_the_inputs_that_hold_one_row_a_sample(opset, line, expected):
    draft = draft_of(X, CONSTANTS + MORE, f"y = {line}", opset)
    assert regions.batched_inputs(draft, draft.nodes[0]) == expected


def test_the_names_in_the_tables_are_operators():
    known = {item.name for item in onnx.defs.get_all_schemas_with_history()}
    known |= {"QLinearAveragePool", "QLinearGlobalAveragePool"}  # onnxruntime's own
    named = regions.LAYERS | regions.UNARY | regions.ELEMENTWISE | regions._NO_FORM | VIEWS
    assert named | set(regions._TESTS) | set(regions._BY_AXIS) | regions._TWO <= known


def test_a_function_of_one_element_has_one_input_that_moves():
    """By the standard: one input, or others that are bounds, as Clip's."""
    for name in regions.UNARY - {"Clip"}:
        assert (onnx.defs.get_schema(name).max_input, name) == (1, name)


CHAIN = "t = Relu (x) u = Conv (t, w) g = GlobalAveragePool (u) y = Flatten (g)"


def test_a_region_is_what_connects_the_layers():
    draft = draft_of("(float[3, 2, 4, 4] x) => (y)", "float[4, 2, 1, 1] w", CHAIN)
    (region,) = regions.find(draft)
    assert region.samples == 3
    assert [node.op for node in region.nodes] == ["Relu", "Conv", "GlobalAveragePool", "Flatten"]
    assert [node.op for node in region.layers] == ["Conv", "GlobalAveragePool"]
    assert region.label == "n1"
    assert {region.batched[id(node)] for node in region.nodes} == {(0,)}


def test_regions_that_share_nothing_are_two_in_the_order_of_their_first_nodes():
    draft = draft_of(
        "(float[3, 2, 4, 4] x, float[5, 2, 4, 4] x2) => (y, z)",
        "float[4, 2, 1, 1] w",
        "a = Relu (x2) b = Relu (x) y = Conv (b, w) z = Conv (a, w)",
    )
    assert [(item.samples, item.label) for item in regions.find(draft)] == [(5, "n3"), (3, "n2")]


def test_two_branches_that_meet_are_one_region():
    draft = draft_of(
        "(float[3, 2, 4, 4] x, float[3, 2, 4, 4] x2) => (y)",
        "float[4, 2, 1, 1] w",
        "a = Relu (x) b = Relu (x2) c = Conv (a, w) d = Conv (b, w) e = Abs (d) y = Add (c, e)",
    )
    (region,) = regions.find(draft)
    assert [node.name for node in region.nodes] == [f"n{number}" for number in range(6)]


def test_nothing_without_a_layer_is_a_region():
    draft = draft_of("(float[3, 2, 4, 4] x) => (y)", "", "y = Relu (x)")
    assert regions.find(draft) == []


@pytest.mark.parametrize(("samples", "found"), [(1, None), (3, "n1")])
def test_the_first_layer_without_a_form_is_named(samples, found):
    draft = draft_of(
        f"(uint8[{samples}, 2, 4, 4] x) => (y)",
        "uint8[4, 2, 1, 1] w",
        "a = Identity (x) y = ConvInteger (a, w)",
    )
    node = regions.without_form(draft)
    assert (None if node is None else node.name) == found
    assert regions.samples_of(draft, draft.nodes[0]) == 1


def test_what_a_pad_adds_is_told_by_axis():
    def pads(line, opset=14):
        draft = draft_of(X, CONSTANTS, f"y = {line}", opset)
        return regions.pads_by_axis(draft, draft.nodes[0], 4)

    assert pads("Pad (x, pads)") == {0: (0, 0), 1: (0, 0), 2: (1, 0), 3: (0, 2)}
    assert pads("Pad (x, two_pads, , last)", 18) == {3: (1, 2)}
    assert pads("Pad <pads = [0, 0, 1, 2, 0, 0, 3, 4]> (x)", 2) == {
        0: (0, 0),
        1: (0, 0),
        2: (1, 3),
        3: (2, 4),
    }
