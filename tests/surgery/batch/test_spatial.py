"""Samples stacked along the height: the rows that each needs, and what cannot be stacked."""

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from npugate.surgery.batch import regions, spatial
from npugate.surgery.batch.spatial import Layout, Window
from npugate.surgery.node import NoFormError
from tests.batched_models import draft_of

CONSTANTS = """
    float[2, 2, 3, 3] k3, float[2, 2, 1, 1] k1, float[2, 2, 5, 5] k5, float[2, 2, 3, 3] k,
    float[1, 2, 1, 1] factor, float[2, 1, 1] low, float[8] row, float[1, 1, 8, 8] plane,
    float[8, 1] column, float two = {2}, float zero = {0}, float minus = {-1}, float six = {6},
    float[3, 2, 8, 8] whole, float[3, 2, 1, 1] samples, float[2] a, float[2] b, float[2] m,
    float[2] v, float s = {0.5}, float[1] s1 = {0.5}, float[2] ss, int8 z = {0}, int8[1] z1 = {0},
    int8[2] zz, int64[4] sizes = {3, 2, 8, 8}
"""


def plan_of(nodes, opset=14, more=""):
    draft = draft_of(f"(float[3, 2, 8, 8] x{more}) => (y)", CONSTANTS, nodes, opset)
    (region,) = regions.find(draft)
    return draft, spatial.plan(draft, region)


PAD = "pads = [1, 1, 1, 1]"
LAYOUTS = [
    # a window that neither pads nor steps needs no rows between, and leaves rows that mix samples
    ("y = Conv (x, k3)", {"x": (8, 8, True), "y": (8, 6, False)}),
    ("y = Conv (x, k1)", {"x": (8, 8, True), "y": (8, 8, False)}),
    (f"y = Conv <{PAD}> (x, k3)", {"x": (9, 8, True), "y": (9, 8, False)}),
    # two strides: the pitch is a multiple of both, with a row to pad at each
    (
        f"t = Conv <{PAD}, strides = [2, 2]> (x, k3) y = Conv <{PAD}, strides = [2, 2]> (t, k3)",
        {"x": (12, 8, True), "t": (6, 4, False), "y": (3, 2, False)},
    ),
    ("y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)",
     {"x": (8, 8, True), "y": (4, 4, False)}),
    ("y = AveragePool <kernel_shape = [3, 3], strides = [2, 2]> (x)",
     {"x": (8, 8, True), "y": (4, 3, False)}),
    ("y = Conv <dilations = [2, 2], pads = [2, 2, 2, 2]> (x, k3)",
     {"x": (10, 8, True), "y": (10, 8, False)}),
    ("y = Conv <pads = [0, 1, 2, 1]> (x, k3)", {"x": (10, 8, True), "y": (10, 8, False)}),
    ("g = GlobalAveragePool (x) y = Relu (g)",
     {"x": (8, 8, True), "g": (1, 1, True), "y": (1, 1, True)}),
    # what is made of zeros
    ("t = GlobalMaxPool (x) y = Sigmoid (t)",
     {"x": (8, 8, True), "t": (1, 1, True), "y": (1, 1, False)}),
    ("t = Conv (x, k1) y = Relu (t)",
     {"x": (8, 8, True), "t": (8, 8, False), "y": (8, 8, False)}),
    ("t = Conv (x, k1) y = BatchNormalization (t, a, b, m, v)",
     {"x": (8, 8, True), "t": (8, 8, False), "y": (8, 8, False)}),
    ("t = Conv (x, k1) y = Add (t, x)",
     {"x": (8, 8, True), "t": (8, 8, False), "y": (8, 8, False)}),
    ("t = GlobalMaxPool (x) u = GlobalAveragePool (x) y = Add (t, u)",
     {"x": (8, 8, True), "t": (1, 1, True), "u": (1, 1, True), "y": (1, 1, True)}),
    ("t = GlobalMaxPool (x) y = Mul (t, factor)",
     {"x": (8, 8, True), "t": (1, 1, True), "y": (1, 1, True)}),
    ("t = GlobalMaxPool (x) y = PRelu (t, low)",
     {"x": (8, 8, True), "t": (1, 1, True), "y": (1, 1, True)}),
    ("t = GlobalMaxPool (x) y = Add (t, factor)",
     {"x": (8, 8, True), "t": (1, 1, True), "y": (1, 1, False)}),
    ("t = Conv (x, k1) y = Sub (t, row)",
     {"x": (8, 8, True), "t": (8, 8, False), "y": (8, 8, False)}),
    ("t = GlobalMaxPool (x) y = Concat <axis = -3> (t, t)",
     {"x": (8, 8, True), "t": (1, 1, True), "y": (1, 1, True)}),
    ("t = Conv (x, k1) y = QuantizeLinear (t, s, z)",
     {"x": (8, 8, True), "t": (8, 8, False), "y": (8, 8, False)}),
    ("t = GlobalMaxPool (x) y = QuantizeLinear (t, s1, z1)",
     {"x": (8, 8, True), "t": (1, 1, True), "y": (1, 1, False)}),
    # what has no form behind the layers is left out
    ("t = Conv (x, k1) y = Exp (t)", {"x": (8, 8, True), "t": (8, 8, False)}),
    ("t = Conv (x, k1) y = QuantizeLinear (t, ss, zz)", {"x": (8, 8, True), "t": (8, 8, False)}),
    ("t = Conv (x, k1) y = Concat <axis = 2> (t, t)", {"x": (8, 8, True), "t": (8, 8, False)}),
    ("t = Conv (x, k1) y = Add (t, plane)", {"x": (8, 8, True), "t": (8, 8, False)}),
    ("t = Conv (x, k1) y = Add (t, column)", {"x": (8, 8, True), "t": (8, 8, False)}),
    ("t = Conv (x, k1) y = Add (t, whole)", {"x": (8, 8, True), "t": (8, 8, False)}),
    ("t = Conv (x, k1) y = Mul (t, samples)", {"x": (8, 8, True), "t": (8, 8, False)}),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "layouts"), LAYOUTS, ids=[item[0] for item in LAYOUTS])
def test_each_value_has_its_rows(nodes, layouts):
    _, plan = plan_of(nodes)
    found = {name: (item.pitch, item.rows, item.clean) for name, item in plan.layouts.items()}
    assert found == layouts
    assert (plan.pitch, plan.height) == layouts["x"][:2]
    assert len(plan.nodes) == len(layouts) - 1


def test_the_table_of_functions_that_keep_zero_is_true():
    """At zero, by the reference of the standard: what is kept is zero, all of it is finite."""
    for name in spatial._TOTAL:
        signature = "(float[1] x) => (float[1] y)"
        model = draft_of(signature, "", f"y = {name} (x)", 22).finish()
        (made,) = ReferenceEvaluator(model).run(None, {"x": np.zeros(1, np.float32)})
        assert (name, bool(made[0] == 0)) == (name, name in spatial._KEEPS_ZERO | ALSO_ZERO)
    assert spatial._KEEPS_ZERO <= spatial._TOTAL


ALSO_ZERO = {"Clip", "ThresholdedRelu"}  # by their attributes and bounds not always


REFUSED = [
    ("y = Conv (x, w)", 14, "weights of 'n0' are not constant"),
    ("i = Identity (x) y = Conv (i, w)", 14, "weights of 'n1' are not constant"),
    ("y = ConvTranspose (x, k3)", 14, "cannot work on stacked samples"),
    ("y = LpPool <kernel_shape = [2, 2]> (x)", 14, "cannot work on stacked samples"),
    ("y = Conv (x, k3)", 10, "needs opset 11, the model has 10"),
    ("y = Conv <strides = [7, 1]> (x, k3) ", 14, None),
    ("y = MaxPool <kernel_shape = [3, 3], ceil_mode = 1> (x)", 14, "rounds up or is dilated"),
    ("y = MaxPool <kernel_shape = [3, 3], dilations = [2, 1]> (x)", 14, "rounds up or is dilated"),
    ("y = MaxPool <kernel_shape = [3, 3], dilations = [1, 1]> (x)", 14, None),
    (f"y = MaxPool <kernel_shape = [3, 3], {PAD}> (x)", 14, "pads what may be negative"),
    (f"r = Relu (x) y = MaxPool <kernel_shape = [3, 3], {PAD}> (r)", 14, None),
    (f"r = Sigmoid (x) y = MaxPool <kernel_shape = [3, 3], {PAD}> (r)", 14, None),
    (f"r = Neg (x) y = MaxPool <kernel_shape = [3, 3], {PAD}> (r)", 14, "may be negative"),
    (f"r = Clip (x, zero, six) y = MaxPool <kernel_shape = [3, 3], {PAD}> (r)", 14, None),
    (f"r = Clip (x, minus) y = MaxPool <kernel_shape = [3, 3], {PAD}> (r)", 14, "may be negative"),
    (f"r = Clip (x, , six) y = MaxPool <kernel_shape = [3, 3], {PAD}> (r)", 14, "may be negative"),
    (f"y = AveragePool <kernel_shape = [3, 3], {PAD}> (x)", 14, "does not count its padding"),
    (f"y = AveragePool <kernel_shape = [3, 3], count_include_pad = 1, {PAD}> (x)", 14, None),
    ("y = Conv <pads = [65, 0, 0, 0]> (x, k3)", 14, "no pitch up to 72 rows"),
    ("y = Conv <pads = [64, 0, 0, 0]> (x, k3)", 14, None),
]


@pytest.mark.parametrize(("nodes", "opset", "why"), REFUSED, ids=[item[0] for item in REFUSED])
def test_a_layer_that_cannot_be_stacked_says_why(nodes, opset, why):
    if why is None:
        plan_of(nodes, opset)
        return
    with pytest.raises(NoFormError, match=why):
        plan_of(nodes, opset, ", float[2, 2, 3, 3] w")


WINDOWS = [
    ("y = Conv (x, k3)", Window(3, 1, 0, 0, 0, 0)),
    ("y = Conv <kernel_shape = [5, 5]> (x, k5)", Window(5, 1, 0, 0)),
    ("y = Conv <dilations = [2, 1]> (x, k3)", Window(5, 1, 0, 0)),
    ("y = Conv <strides = [2, 1], pads = [1, 2, 3, 4]> (x, k3)", Window(3, 2, 1, 3, 2, 4)),
    ('y = Conv <auto_pad = "VALID", strides = [2, 2]> (x, k3)', Window(3, 2, 0, 0)),
    ('y = Conv <auto_pad = "SAME_UPPER", strides = [2, 1]> (x, k3)', Window(3, 2, 0, 1, 1, 1)),
    ('y = Conv <auto_pad = "SAME_LOWER", strides = [2, 1]> (x, k3)', Window(3, 2, 1, 0, 1, 1)),
    ('y = Conv <auto_pad = "SAME_UPPER", strides = [3, 4]> (x, k1)', Window(1, 3, 0, 0, 0, 0)),
    ('y = MaxPool <kernel_shape = [2, 4], auto_pad = "SAME_UPPER"> (x)',
     Window(2, 1, 0, 1, 1, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "window"), WINDOWS, ids=[item[0] for item in WINDOWS])
def test_the_geometry_of_a_layer(nodes, window):
    draft = draft_of("(float[3, 2, 8, 8] x) => (y)", CONSTANTS, nodes)
    assert spatial.window_of(draft, draft.nodes[0]) == window


def test_a_padding_that_cuts_is_no_window():
    line = "y = Conv <pads = [-1, 0, 0, 0]> (x, k3)"
    draft = draft_of("(float[3, 2, 8, 8] x) => (y)", CONSTANTS, line)
    with pytest.raises(NoFormError, match="Conv 'n0' pads by a negative number"):
        spatial.window_of(draft, draft.nodes[0])


@pytest.mark.parametrize(
    ("window", "surplus", "rows"),
    [
        (Window(3, 1, 0, 0), 2, 30),
        (Window(3, 1, 1, 1), 1, 30),
        (Window(3, 2, 1, 0), 0, 15),
        (Window(1, 2, 0, 0), 0, 15),
        (Window(5, 1, 0, 2), 4, 30),
    ],
)
def test_every_pitch_of_the_stack_is_complete(window, surplus, rows):
    assert window.surplus == surplus
    assert spatial.total_rows(Layout(10, 8, clean=True), window, 3) == rows
