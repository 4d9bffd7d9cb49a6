from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto

from fixers import fold_batch
from npugate.rules.testing import model_from_text
from npugate.surgery.results import Applied, Declined, RepairOptions
from tests.batched_models import Net
from tests.fixers.test_fold_batch import batched_layers
from tests.repaired import apply, proved

STRATEGIES = ("channels", "spatial", "unroll")
BETWEEN = {
    "one slope for each channel": (14, "PRelu (c, slopes)"),
    "a slope of rank 4": (14, "PRelu (c, factors)"),
    "a constant for each channel": (14, "Mul (c, factors)"),
    "a constant for each sample": (14, "Add (c, samples)"),
    "a constant for everything": (14, "Sub (whole, c)"),
    "a scalar": (14, "Div (c, two)"),
    "several operands": (14, "Max (c, slopes, two, whole)"),
    "a row of the image": (14, "Add (c, row)"),
    "a constant is joined": (14, "Concat <axis = 1> (c, whole)"),
    "rows are joined": (14, "Concat <axis = 2> (c, whole, c)"),
    "sizes": (14, 'Resize <mode = "linear"> (c, , , sizes)'),
    "scales of space alone": (18, "Resize <axes = [2, 3]> (c, , scales)"),
    "sizes of space alone": (18, "Resize <axes = [2, 3]> (c, , , plane)"),
    "scales": (11, "Resize (c, roi, four)"),
    "an old upsample": (9, "Upsample (c, four)"),
    "softmax that flattens": (11, "Softmax <axis = 1> (c)"),
    "softmax along rows": (14, "Softmax <axis = 3> (c)"),
    "cut channels": (14, "Slice (c, first, third, first)"),
    "moved axes": (14, "Transpose <perm = [0, 1, 3, 2]> (c)"),
    "channels are normalised": (14, "LpNormalization <axis = 1> (c)"),
    "pads behind axes": (18, "Pad (c, pair, , third)"),
    "reflection": (14, 'Pad <mode = "reflect"> (c, pads)'),
    "a sum over channels": (14, "ReduceSum <keepdims = 1> (c, first)"),
    "a maximum over rows": (14, "ReduceMax <axes = [2], keepdims = 1> (c)"),
}  # fmt: skip
NOT_STACKED = {
    "rows are joined",
    "sizes",
    "scales of space alone",
    "sizes of space alone",
    "scales",
    "an old upsample",
    "reflection",
    "a maximum over rows",
}
WEIGHTS = """
    <float[4, 2, 1, 1] w, float[4, 1, 1] slopes, float[1, 4, 1, 1] factors,
     float[3, 1, 1, 1] samples, float[3, 4, 6, 6] whole, float two = {2}, float[6] row,
     int64[4] sizes = {3, 4, 12, 9}, int64[2] plane = {12, 9}, float[2] scales = {2, 1.5},
     float[4] four = {1, 1, 2, 2}, float[0] roi, int64[1] first = {1}, int64[1] third = {3},
     int64[2] pair = {1, 2}, int64[8] pads = {0, 0, 1, 0, 0, 0, 0, 2}, int64[4] to = {3, 2, 6, 6}>
"""


def between(name: str) -> ModelProto:
    opset, body = BETWEEN[name]
    return model_from_text(
        f'<ir_version: 8, opset_import: ["" : {opset}]>'
        f" net (float[1, 6, 6, 6] x) => (float[N, C, H, W] y) {WEIGHTS}"
        f" {{ r = Reshape (x, to)  c = Conv (r, w)  b = {body}"
        "   y = MaxPool <kernel_shape = [2, 1]> (b) }"
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", BETWEEN)
def test_what_lies_between_two_layers_keeps_its_numbers(name: str, strategy: str) -> None:
    model = between(name)
    options = RepairOptions(batch_strategy=strategy)
    result, repaired = apply(fold_batch.REPAIR, model, options)
    if strategy == "spatial" and name in NOT_STACKED:
        assert isinstance(result, Declined)
        assert "the stack has 6" in result.reason or "stacking needs opset 11" in result.reason
        return
    assert isinstance(result, Applied), result
    proved(fold_batch.REPAIR, model, options, tolerance=1e-5, integers=False)
    assert batched_layers(repaired) == []


SPACES = {
    1: "(float[3, 2, 9] x) => (float[N, C, A] y) <float[4, 1, 3] w, float[4] b>",
    3: "(float[3, 2, 5, 6, 4] x) => (float[N, C, A, B, D] y) <float[4, 1, 3, 3, 3] w, float[4] b>",
}


@pytest.mark.parametrize("strategy", ["channels", "unroll"])
@pytest.mark.parametrize("axes", SPACES)
def test_layers_over_one_and_three_axes_fold_too(axes: int, strategy: str) -> None:
    pool = f"MaxPool <kernel_shape = {[2] * axes}>"
    model = model_from_text(
        f'<ir_version: 8, opset_import: ["" : 14]> net {SPACES[axes]}'
        f" {{ c = Conv <group = 2> (x, w, b)  r = Relu (c)  p = {pool} (r)"
        "   g = GlobalAveragePool (p)  y = Add (g, p) }"
    )
    options = RepairOptions(batch_strategy=strategy)
    _, repaired = proved(fold_batch.REPAIR, model, options, tolerance=1e-5, integers=False)
    assert batched_layers(repaired) == []


NUMBERS = "float[4, 2, 1, 1] {1, 2, 3, 4, 5, 6, 7, 8}"


@pytest.mark.parametrize("made", ["Identity (w)", f"Constant <value = {NUMBERS}> ()"])
def test_weights_behind_other_nodes_are_read(made: str) -> None:
    model = model_from_text(
        '<ir_version: 8, opset_import: ["" : 14]>'
        " net (float[3, 2, 4, 4] x) => (float[3, 4, 4, 4] y) <float[4, 2, 1, 1] w>"
        f" {{ k = {made}  y = Conv (x, k) }}"
    )
    options = RepairOptions(batch_strategy="channels")
    _, repaired = proved(fold_batch.REPAIR, model, options, integers=False)
    assert batched_layers(repaired) == []


def test_layers_that_share_a_weight_share_its_copies() -> None:
    net = Net(4, 0)
    net.conv(3, pads=[1] * 4)
    weight = net.nodes[-1].input[1]
    net.add("Conv", net.value, weight, pads=[1] * 4)
    _, repaired = proved(
        fold_batch.REPAIR,
        net.model(),
        RepairOptions(batch_strategy="channels"),
        tolerance=1e-5,
        integers=False,
    )
    sizes = [int(np.prod(item.dims)) for item in repaired.graph.initializer]
    assert sizes.count(4 * 3 * 3 * 3 * 3) == 1
