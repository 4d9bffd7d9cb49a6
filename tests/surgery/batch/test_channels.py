"""Samples among the channels: what is copied for it, and what has no such form."""

import pytest

from npugate.surgery.batch import channels, regions
from npugate.surgery.node import NoFormError
from tests.batched_models import draft_of

CONSTANTS = """
    float[4, 2, 1, 1] w, float[4] b, float[1, 4, 1, 1] factor, float[4, 1, 1] low, float two = {2},
    float[3, 1, 1, 1] samples, float[3, 4, 6, 6] whole, float[1, 4, 6, 6] map, float[6] row,
    float[4] scale, float[4] mean, float s = {0.5}, float[4] ss, int8 z = {0}, int8[4] zz,
    int8[4, 2, 1, 1] q, int64[8] pads = {0, 0, 1, 0, 0, 0, 0, 2},
    int64[8] wide = {0, 1, 0, 0, 0, 0, 0, 0}, int64[8] wide2 = {0, 0, 0, 0, 0, 1, 0, 0}
"""
COPIED = {
    "Relu (c)": 0,
    "Mul (c, factor)": 2 * 4,
    "Mul (c, low)": 2 * 4,
    "Mul (c, two)": 0,
    "Add (c, row)": 0,
    "Add (c, samples)": 3 * 4 - 3,
    "Add (c, whole)": 0,
    "Add (whole, c)": 0,
    "Add (c, map)": 2 * 4 * 36,
    "PRelu (c, low)": 2 * 4,
    "BatchNormalization (c, scale, b, mean, scale)": 2 * 16,
    "InstanceNormalization (c, scale, b)": 2 * 8,
    "QuantizeLinear (c, s, z)": 0,
    "QuantizeLinear (c, ss, zz)": 2 * 8,
    "Pad (c, pads)": 0,
    "Concat <axis = 1> (c, c)": 0,
}
FIRST = 2 * (8 + 4)  # the weights and the bias of the convolution before


@pytest.mark.parametrize("line", COPIED)
def test_the_parameters_that_are_copied_are_counted(line):
    draft = draft_of("(float[3, 2, 6, 6] x) => (y)", CONSTANTS, f"c = Conv (x, w, b) y = {line}")
    (region,) = regions.find(draft)
    plan = channels.plan(draft, region)
    assert plan.added == FIRST + COPIED[line]
    assert len(plan.forms) == 2


@pytest.mark.parametrize(
    "line",
    [
        "Softmax <axis = 1> (c)",
        "Pad (c, wide)",
        "Pad (c, wide2)",
        "ReduceMean <axes = [1]> (c)",
        "DepthToSpace <blocksize = 2> (c)",
        "Flatten (c)",
    ],
)
def test_what_mixes_channels_stays_as_it_is(line):
    draft = draft_of("(float[3, 2, 6, 6] x) => (y)", CONSTANTS, f"c = Conv (x, w, b) y = {line}")
    (region,) = regions.find(draft)
    plan = channels.plan(draft, region)
    assert set(plan.forms) == {id(draft.nodes[0])}
    assert plan.added == FIRST


def test_a_quantized_weight_is_copied_with_what_runs_along_it():
    for parameters, copied in (("s, z", 8), ("ss, zz", 8 + 4 + 4)):
        draft = draft_of(
            "(float[3, 2, 6, 6] x) => (y)",
            CONSTANTS,
            f"d = DequantizeLinear <axis = 0> (q, {parameters}) y = Conv (x, d)",
        )
        (region,) = regions.find(draft)
        assert channels.plan(draft, region).added == 2 * copied


def test_a_layer_with_weights_of_the_run_has_no_such_form():
    draft = draft_of("(float[3, 2, 6, 6] x, float[4, 2, 1, 1] v) => (y)", "", "y = Conv (x, v)")
    (region,) = regions.find(draft)
    with pytest.raises(NoFormError, match="'v' is not constant"):
        channels.plan(draft, region)


@pytest.mark.parametrize(
    ("mode", "folds"), [("", False), ('mode = "DCR", ', False), ('mode = "CRD", ', True)]
)
def test_blocks_of_the_inner_channels_alone_fold(mode, folds):
    line = f"y = DepthToSpace <{mode}blocksize = 2> (c)"
    draft = draft_of("(float[3, 2, 6, 6] x) => (y)", CONSTANTS, f"c = Conv (x, w, b) {line}")
    (region,) = regions.find(draft)
    assert len(channels.plan(draft, region).forms) == 1 + folds


def test_a_folded_shape_has_the_samples_in_its_channels():
    assert channels.folded((3, 4, 5, 6)) == (1, 12, 5, 6)
    assert channels.folded((3, 4, 5)) == (1, 12, 5)


@pytest.mark.parametrize("operand", ["int8[1, 4, 1, 1]", "int8[4, 1, 1]"])
@pytest.mark.parametrize(("parameters", "copied"), [("s, z", 4), ("ss, zz", 4 + 4 + 4)])
def test_a_quantized_operand_for_each_channel_is_copied_too(operand, parameters, copied):
    axis = 1 if operand.startswith("int8[1") else 0
    draft = draft_of(
        "(float[3, 2, 6, 6] x) => (y)",
        f"{CONSTANTS}, {operand} o",
        f"c = Conv (x, w, b) d = DequantizeLinear <axis = {axis}> (o, {parameters}) y = Mul (c, d)",
    )
    (region,) = regions.find(draft)
    plan = channels.plan(draft, region)
    assert plan.added == FIRST + 2 * copied
    channels.apply(draft, plan)
    (factor,) = [node for node in draft.nodes if node.op == "Mul"]
    assert draft.dims(factor.inputs[1]) == ((1, 12, 1, 1) if axis else (12, 1, 1))
