"""The samples one after another: what is repeated, cut and joined."""

import pytest

from npugate.surgery.batch import regions, unroll
from npugate.surgery.node import NoFormError
from tests.batched_models import draft_of

CONSTANTS = """
    float[4, 2, 1, 1] w, float[4, 4, 1, 1] k, float[6, 2, 1, 1] samples, int64[2] to = {6, 256}
"""


def planned(nodes, parts, opset=14, outputs="y"):
    draft = draft_of(f"(float[6, 2, 8, 8] x) => ({outputs})", CONSTANTS, nodes, opset)
    (region,) = regions.find(draft)
    return draft, unroll.plan(draft, region, parts)


def ops(draft):
    return [node.op for node in draft.nodes if node.op != "Reshape"]


def test_only_what_lies_between_layers_is_repeated():
    nodes = "a = Relu (x) b = Conv (a, w) c = Abs (b) d = Conv (c, k) y = Neg (d)"
    draft, plan = planned(nodes, 3)
    assert [node.op for node in plan.nodes] == ["Conv", "Abs", "Conv"]
    assert (plan.parts, plan.count) == (3, 9)
    unroll.apply(draft, plan)
    part = ["Slice", "Conv", "Abs", "Conv"]
    assert ops(draft) == ["Relu", *part, *part, *part, "Concat", "Neg"]


def test_parts_are_equal():
    with pytest.raises(NoFormError, match="6 samples do not make 4 equal parts"):
        planned("y = Conv (x, w)", 4)


@pytest.mark.parametrize("opset", [9, 14])
def test_a_part_is_cut_along_the_second_axis(opset):
    draft, plan = planned("y = Conv (x, w)", 3, opset)
    unroll.apply(draft, plan)
    cuts = [node for node in draft.nodes if node.op == "Slice"]
    assert [draft.dims(node.outputs[0]) for node in cuts] == [(1, 4, 8, 8)] * 3
    if opset == 9:
        bounds = [[node.integers(name)[0] for name in ("starts", "ends", "axes")] for node in cuts]
    else:
        bounds = [[draft.ints(value)[0] for value in node.inputs[1:]] for node in cuts]
    assert bounds == [[0, 4, 1], [4, 8, 1], [8, 12, 1]]
    (joined,) = [node for node in draft.nodes if node.op == "Concat"]
    assert joined.integer("axis", 0) == 1
    assert draft.dims(joined.outputs[0]) == (1, 24, 8, 8)


def test_a_constant_for_each_sample_is_cut_at_once():
    nodes = "a = Conv (x, w) b = Concat <axis = 1> (a, samples8) y = Conv (b, v)"
    draft = draft_of(
        "(float[6, 2, 8, 8] x) => (y)",
        "float[4, 2, 1, 1] w, float[4, 6, 1, 1] v, float[6, 2, 8, 8] samples8",
        nodes,
    )
    (region,) = regions.find(draft)
    before = draft.array(next(n for n in draft.nodes if n.op == "Concat").inputs[1])
    unroll.apply(draft, unroll.plan(draft, region, 3))
    joins = [node for node in draft.nodes if node.op == "Concat"][:3]
    assert ops(draft).count("Slice") == 3  # of x alone
    for part, node in enumerate(joins):
        assert (draft.array(node.inputs[1]) == before[2 * part : 2 * part + 2]).all()


def test_a_value_that_is_read_elsewhere_is_joined_too():
    nodes = "a = Conv (x, w) y = Conv (a, k) z = Transpose <perm = [1, 0, 2, 3]> (a)"
    draft, plan = planned(nodes, 2, outputs="y, z")
    unroll.apply(draft, plan)
    assert ops(draft).count("Concat") == 2
    assert draft.dims(next(n for n in draft.nodes if n.op == "Transpose").inputs[0]) == (6, 4, 8, 8)


def test_a_view_between_two_layers_becomes_that_of_a_part():
    nodes = "a = Conv (x, w) b = Reshape (a, four) y = Conv (b, k)"
    draft = draft_of(
        "(float[6, 2, 8, 8] x) => (y)",
        "float[4, 2, 1, 1] w, float[4, 4, 1, 1] k, int64[4] four = {6, 4, 4, 16}",
        nodes,
    )
    (region,) = regions.find(draft)
    unroll.apply(draft, unroll.plan(draft, region, 2))
    convs = [node for node in draft.nodes if node.op == "Conv"]
    assert [draft.dims(node.inputs[0]) for node in convs] == [(3, 2, 8, 8), (3, 4, 4, 16)] * 2
