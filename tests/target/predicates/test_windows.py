"""The borders of the conditions on windows, beside the cases of every predicate."""

import pytest

from npugate.target.constraints import PREDICATES
from npugate.target.predicates import windows
from tests.one_node import first_node

MAP = "float[1, 8, 16, 16] x"


def figures(name, args, inputs, weights, line, opset=18):
    return PREDICATES[name].test(first_node(inputs, weights, line, opset), args)


@pytest.mark.parametrize(
    ("groups", "weights", "depthwise"),
    [(8, "float[8, 1, 3] w", True), (8, "float[16, 1, 3] w", True), (4, "float[8, 2, 3] w", False)],
)
def test_a_convolution_of_some_groups_is_not_depthwise(groups, weights, depthwise):
    """Groups of two channels share no filter either, but each reads two channels."""
    line = f"y = Conv <group = {groups}, strides = [2]> (x, w)"
    expected = {"groups": groups, "shape": "1x8x64"} if depthwise else None
    assert figures("depthwise_1d", {}, "float[1, 8, 64] x", weights, line) == expected
    expected = {"groups": groups, "stride": "2"} if depthwise else None
    assert figures("strided_depthwise", {}, "float[1, 8, 64] x", weights, line) == expected


def test_what_has_no_channels_is_not_depthwise():
    line = "y = Conv <group = 8, strides = [2]> (x, w)"
    assert figures("strided_depthwise", {}, "float[8] x", "float[8, 1, 3] w", line) is None


def test_one_stride_above_the_limit_is_enough():
    line = "y = MaxPool <kernel_shape = [3, 3], strides = [3, 1]> (x)"
    assert figures("stride_above", {"limit": 2}, MAP, "", line) == {"stride": "3x1", "limit": 2}


def test_a_window_wider_than_its_map_is_enough_and_needs_no_padding():
    weights, line = "float[8, 8, 7, 7] w", "y = Conv (x, w)"
    assert figures("kernel_above_input", {}, "float[1, 8, 8, 4] x", weights, line) == {
        "kernel": "7x7",
        "map": "8x4",
    }


def test_a_written_kernel_is_that_of_weights_nobody_knows():
    line = "y = Conv <kernel_shape = [7, 7]> (x, w)"
    found = figures(
        "kernel_above", {"height": 3, "width": 6}, f"{MAP}, float[8, 8, H, W] w", "", line
    )
    assert found == {"kernel": "7x7", "limit": "3x6", "stride": 1}


def test_no_strides_are_no_stride():
    line = "y = Conv <group = 8, strides: ints = []> (x, w)"
    assert figures("strided_depthwise", {}, MAP, "float[8, 1, 3, 3] w", line) is None


@pytest.mark.parametrize(
    ("side", "prime"), [(1, 1), (2, 2), (9, 3), (80, 5), (98, 7), (97, 97), (65_521, 65_521)]
)
def test_the_largest_prime_of_a_side(side, prime):
    assert windows._largest_prime(side) == prime
