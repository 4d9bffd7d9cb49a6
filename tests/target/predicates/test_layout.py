"""The borders of the conditions on axes, beside the cases of every predicate."""

import pytest

from npugate.target.constraints import PREDICATES
from tests.one_node import first_node


def figures(name, inputs, weights, line, opset=18):
    return PREDICATES[name].test(first_node(inputs, weights, line, opset), {})


def test_the_conditions_about_the_leading_axis_say_so():
    assert {name for name, item in PREDICATES.items() if item.on_batch} == {
        "axis_on_batch",
        "grows_batch",
        "slices_batch",
        "transposes_batch",
    }


@pytest.mark.parametrize(
    ("end", "word"), [(2**31 - 2, 2**31 - 2), (2**31 - 1, "end"), (2**63 - 1, "end"), (70, 70)]
)
def test_the_end_of_a_slice_is_its_number_or_the_end(end, word):
    weights = f"int64[1] s = {{1}}, int64[1] e = {{{end}}}, int64[1] a = {{0}}"
    found = figures("slices_batch", "float[100, 8] x", weights, "y = Slice (x, s, e, a)")
    assert found == {"start": 1, "end": word, "size": 100}


def test_an_old_slice_has_its_bounds_as_attributes():
    line = "y = Slice <axes = [0, 1], starts = [1, 2], ends = [3, 8]> (x)"
    found = figures("slices_batch", "float[4, 8] x", "", line, opset=9)
    assert found == {"start": 1, "end": 3, "size": 4}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("transposes_batch", "y = Transpose <perm = [1, 0]> (x)"),
        ("split_count", "y, z = Split <axis = 1> (x)"),
        ("slices_batch", "y = Slice <axes = [0], starts = [1], ends = [3]> (x)"),
        ("grows_batch", "y = Tile (x, r)"),
    ],
)
def test_a_shape_nobody_knows_breaks_nothing(name, line):
    opset = 9 if "Slice" in line else 18
    assert figures(name, "float[4, N] x, int64[2] r", "", line, opset) is None


def test_one_operand_that_is_stretched_breaks_nothing_on_either_side():
    for line in ("y = Mul (a, b)", "y = Mul (b, a)"):
        assert figures("two_way_broadcast", "float[1, 30, 8] a, float[8] b", "", line) is None


def test_an_axis_below_the_first_breaks_nothing():
    line = "y, z = Split <axis = -3> (x)"
    assert figures("split_count", "float[4, 8] x", "", line) is None
