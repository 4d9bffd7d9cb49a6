"""What is written for a stack of samples, node by node."""

import pytest

from fixers import fold_batch
from npugate.surgery.batch import regions, spatial, stacking
from npugate.surgery.results import RepairOptions
from tests.batched_models import draft_of
from tests.repaired import proved

CONSTANTS = """
    float[2, 2, 1, 1] k1, float[2, 2, 3, 3] k3, float[2, 2, 2, 2] k2, float[2] b,
    int64[1] one = {1}
"""
PAD = "pads = [1, 1, 1, 1]"


def stacked(nodes, outputs="y"):
    draft = draft_of(f"(float[3, 2, 8, 8] x) => ({outputs})", CONSTANTS, nodes)
    (region,) = regions.find(draft)
    stacking.apply(draft, spatial.plan(draft, region))
    return [node.op for node in draft.nodes if node.op != "Reshape"], draft


ENTER = ["Transpose"]
FORMS = [
    ("y = Conv (x, k1)", [*ENTER, "Conv", "Transpose"]),
    # rows between that nothing pads are no rows to cut on the way in, but on the way out
    ("y = Conv (x, k3)", [*ENTER, "Conv", "Slice", "Transpose"]),
    (f"y = Conv <{PAD}> (x, k3)", [*ENTER, "Pad", "Conv", "Slice", "Transpose"]),
    # between two layers that pad, what is between the samples becomes zero again
    (f"t = Conv <{PAD}> (x, k3) y = Conv <{PAD}> (t, k3)",
     [*ENTER, "Pad", "Conv", "Mul", "Conv", "Slice", "Transpose"]),
    # once for two readers
    (f"t = Conv <{PAD}> (x, k3) u = Conv <{PAD}> (t, k3) v = Conv <{PAD}> (t, k3) y = Add (u, v)",
     [*ENTER, "Pad", "Conv", "Mul", "Conv", "Conv", "Add", "Slice", "Transpose"]),
    # nothing is between the samples of a map of one row
    ("t = GlobalMaxPool (x) u = Sigmoid (t) y = Conv (u, k1)",
     [*ENTER, "MaxPool", "Sigmoid", "Conv", "Transpose"]),
    ("y = GlobalAveragePool (x)", [*ENTER, "AveragePool", "Transpose"]),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "expected"), FORMS, ids=[item[0] for item in FORMS])
def test_a_stack_takes_no_node_more_than_it_needs(nodes, expected):
    assert stacked(nodes)[0] == expected


def test_a_value_that_is_read_elsewhere_is_made_as_it_was():
    found, draft = stacked("t = Conv (x, k1) y = Relu (t) z = Transpose <perm = [1, 0, 2, 3]> (t)",
                           "y, z")  # fmt: skip
    assert found.count("Transpose") == 4  # in, out twice, and the model's own
    assert draft.dims(draft.graph.outputs[0]) == (3, 2, 8, 8)


def test_the_mask_has_a_one_for_each_row_of_a_sample():
    _, draft = stacked(f"t = Conv <{PAD}> (x, k3) y = Conv <{PAD}> (t, k3)")
    (mask,) = [node for node in draft.nodes if node.op == "Mul"]
    array = draft.array(mask.inputs[1])
    assert array.shape == (1, 1, 27, 1)
    assert array.ravel().tolist() == ([1.0] * 8 + [0.0]) * 3


@pytest.mark.parametrize(
    "nodes",
    [
        f"t = Conv <{PAD}, strides = [2, 2]> (x, k3) y = Conv <{PAD}, strides = [2, 1]> (t, k3, b)",
        "t = MaxPool <kernel_shape = [3, 2], strides = [2, 3]> (x) y = Conv (t, k2)",
        "y = Conv <pads = [1, 2, 0, 1]> (x, k2)",
        'y = Conv <auto_pad = "SAME_LOWER"> (x, k2)',
        'r = Relu (x) y = MaxPool <kernel_shape = [2, 4], auto_pad = "SAME_UPPER"> (r)',
        "t = Conv (x, k3) y = GlobalMaxPool (t)",
        f"t = Conv <{PAD}> (x, k3) u = Sigmoid (t) y = Conv <{PAD}> (u, k3)",
    ],
)
def test_a_stack_computes_the_same(nodes):
    draft = draft_of("(float[3, 2, 8, 8] x) => (float[N, C, H, W] y)", CONSTANTS, nodes)
    options = RepairOptions(batch_strategy="spatial")
    proved(fold_batch.REPAIR, draft.finish(), options, tolerance=1e-5, integers=False)
