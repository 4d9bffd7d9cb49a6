"""Every predicate: a node that breaks it, with the figures it gives, and nodes that keep it."""

from pathlib import Path

import pytest

from npugate.facts import Facts
from npugate.limits import Limits
from npugate.model.reader import read
from npugate.rules import testing
from npugate.target import profiles
from npugate.target.constraints import PREDICATES, acts_on_batch, broken
from tests.one_node import first_node

MAP = "float[1, 8, 16, 16] x"
CONV3 = "float[8, 8, 3, 3] w"
CONV7 = "float[8, 8, 7, 7] w"
DEPTH3 = "float[8, 1, 3, 3] w"
KERNEL = {"height": 3, "width": 6, "strided_width": 12}
POOL = "y = MaxPool <kernel_shape = [3, 3], strides = [3, 3]> (x)"


# A case names the predicate, its arguments, inputs, weights, the node and the figures (or None).
CASES = [
    ("attribute_in", {"attribute": "mode", "values": ["cubic"]}, MAP, "float[4] s = {1, 1, 2, 2}",
     'y = Resize <mode = "cubic"> (x, , s)', {"attribute": "mode", "value": "cubic"}),
    ("attribute_in", {"attribute": "mode", "values": ["cubic"]}, MAP, "float[4] s = {1, 1, 2, 2}",
     'y = Resize <mode = "linear"> (x, , s)', None),
    ("attribute_in", {"attribute": "storage_order", "values": [1]}, MAP, "", POOL, None),
    ("attribute_not_in", {"attribute": "p", "values": [1, 2]}, MAP, "",
     "y = LpNormalization <p = 3> (x)", {"attribute": "p", "value": 3, "allowed": "1, 2"}),
    ("attribute_not_in", {"attribute": "p", "values": [1, 2]}, MAP, "",
     "y = LpNormalization (x)", None),
    ("attribute_set", {"attribute": "perm"}, MAP, "",
     "y = Transpose <perm = [0, 1, 2, 3]> (x)", {"attribute": "perm"}),
    ("attribute_set", {"attribute": "perm"}, MAP, "", "y = Transpose (x)", None),
    ("attribute_unset_above", {"attribute": "axis", "rank": 2}, MAP, "", "y = Softmax (x)",
     {"attribute": "axis", "rank": 4}),
    ("attribute_unset_above", {"attribute": "axis", "rank": 2}, "float[1, 8] x", "",
     "y = Softmax (x)", None),
    ("attribute_unset_above", {"attribute": "axis", "rank": 2}, MAP, "",
     "y = Softmax <axis = 1> (x)", None),
    ("kernel_above", KERNEL, MAP, CONV7, "y = Conv (x, w)",
     {"kernel": "7x7", "limit": "3x6", "stride": 1}),
    ("kernel_above", KERNEL, MAP, "float[8, 8, 3, 7] w", "y = Conv <strides = [2, 2]> (x, w)",
     None),
    ("kernel_above", KERNEL, MAP, CONV3, "y = Conv (x, w)", None),
    ("kernel_above", KERNEL, MAP, "float[8, 8, 1, 9] w", "y = Conv (x, w)", None),
    ("kernel_above", {"height": 3, "width": 3}, "float[1, 8, 16] x", "",
     "y = MaxPool <kernel_shape = [4]> (x)", {"kernel": "4", "limit": "3", "stride": 1}),
    ("kernel_above_input", {}, "float[1, 8, 4, 4] x", CONV7,
     "y = Conv <pads = [1, 1, 1, 1]> (x, w)",
     {"kernel": "7x7", "map": "4x4"}),
    ("kernel_above_input", {}, "float[1, 8, 4, 4] x", CONV7,
     "y = Conv <pads = [2, 2, 2, 2]> (x, w)",
     None),
    ("kernel_above_input", {}, "float[1, 8, H, 4] x", CONV7, "y = Conv (x, w)", None),
    ("stride_outside", {"values": [1, 2, 4]}, MAP, CONV3, "y = Conv <strides = [3, 1]> (x, w)",
     {"stride": "3x1", "allowed": "1, 2, 4"}),
    ("stride_outside", {"values": [1, 2, 4]}, MAP, CONV3, "y = Conv <strides = [2, 4]> (x, w)",
     None),
    ("stride_above", {"limit": 2}, MAP, "", POOL, {"stride": "3x3", "limit": 2}),
    ("stride_above", {"limit": 3}, MAP, "", POOL, None),
    ("stride_above", {"limit": 2}, "float[1, 8, 3, 3] x", "", POOL, None),
    ("stride_above_kernel", {}, MAP, CONV3, "y = Conv <strides = [4, 4]> (x, w)",
     {"stride": "4x4", "kernel": "3x3"}),
    ("stride_above_kernel", {}, MAP, CONV3, "y = Conv <strides = [3, 3]> (x, w)", None),
    ("pads_above", {"limit": 2}, MAP, CONV7, "y = Conv <pads = [3, 0, 0, 0]> (x, w)",
     {"pads": "3, 0, 0, 0", "limit": 2}),
    ("pads_above", {"limit": 2}, MAP, CONV7, "y = Conv <pads = [2, 2, 2, 2]> (x, w)", None),
    ("dilation_above", {"limit": 2}, MAP, CONV3, "y = Conv <dilations = [1, 4]> (x, w)",
     {"dilation": "1x4", "limit": 2}),
    ("dilation_above", {"limit": 2}, MAP, CONV3, "y = Conv <dilations = [2, 2]> (x, w)", None),
    ("line_buffer", {"limit": 2048}, "float[1, 8, 16, 4096] x", CONV3, "y = Conv (x, w)",
     {"width": 4096, "limit": 2048}),
    ("line_buffer", {"limit": 2048}, "float[1, 8, 16, 2048] x", CONV3, "y = Conv (x, w)", None),
    ("global_window_unfriendly", {"limit": 5}, "float[1, 8, 7, 10] x", "",
     "y = GlobalAveragePool (x)", {"window": "7x10", "prime": 7, "limit": 5}),
    ("global_window_unfriendly", {"limit": 5}, "float[1, 8, 80, 5] x", "",
     "y = GlobalAveragePool (x)", None),
    ("global_window_unfriendly", {"limit": 5}, "float[1, 8, 7, 7] x", "int64[2] axes = {-2, -1}",
     "y = ReduceMean (x, axes)", {"window": "7x7", "prime": 7, "limit": 5}),
    ("global_window_unfriendly", {"limit": 5}, "float[1, 8, 7, 7] x", "int64[1] axes = {1}",
     "y = ReduceMean (x, axes)", None),
    ("depthwise_1d", {}, "float[1, 8, 64] x", "float[8, 1, 3] w", "y = Conv <group = 8> (x, w)",
     {"groups": 8, "shape": "1x8x64"}),
    ("depthwise_1d", {}, "float[1, 8, 64] x", "float[8, 8, 3] w", "y = Conv (x, w)", None),
    ("depthwise_1d", {}, MAP, DEPTH3, "y = Conv <group = 8> (x, w)", None),
    ("depthwise_covers_map", {}, "float[1, 8, 3, 3] x", DEPTH3, "y = Conv <group = 8> (x, w)",
     {"groups": 8, "kernel": "3x3"}),
    ("depthwise_covers_map", {}, "float[1, 8, 3, 3] x", DEPTH3,
     "y = Conv <group = 8, pads = [1, 1, 1, 1]> (x, w)", None),
    ("depthwise_covers_map", {}, "float[1, 8, 3, 3] x", CONV3, "y = Conv (x, w)", None),
    ("strided_depthwise", {}, MAP, DEPTH3, "y = Conv <group = 8, strides = [2, 2]> (x, w)",
     {"groups": 8, "stride": "2x2"}),
    ("strided_depthwise", {}, MAP, CONV3, "y = Conv <strides = [2, 2]> (x, w)", None),
    ("input_not_constant", {"position": 1}, "float[4, 4] a, float[4, 4] b", "", "y = MatMul (a, b)",
     {"position": 1}),
    ("input_not_constant", {"position": 1}, "float[4, 4] a", "float[4, 4] b", "y = MatMul (a, b)",
     None),
    ("input_present", {"position": 3}, MAP,
     "int64[2] p = {1, 1}, float v = {0}, int64[1] axes = {2}",
     "y = Pad (x, p, v, axes)", {"position": 3}),
    ("input_present", {"position": 3}, MAP, "int64[8] p = {0, 0, 1, 1, 0, 0, 1, 1}",
     "y = Pad (x, p)", None),
    ("outputs_above", {"limit": 1}, MAP, "", "y, i = MaxPool <kernel_shape = [2, 2]> (x)",
     {"count": 2}),
    ("outputs_above", {"limit": 1}, MAP, "", "y = MaxPool <kernel_shape = [2, 2]> (x)", None),
    ("input_rank_above", {"limit": 3}, MAP, "", "y = Relu (x)", {"rank": 4, "limit": 3}),
    ("input_rank_above", {"limit": 4}, MAP, "", "y = Relu (x)", None),
    ("input_rank_above", {"limit": 1, "position": 1}, MAP, "int64[1, 2] i = {0, 1}",
     "y = Gather <axis = 1> (x, i)", {"rank": 2, "limit": 1}),
    ("axis_above", {"limit": 2}, MAP, "int64[2] i = {0, 1}", "y = Gather <axis = -1> (x, i)",
     {"axis": 3, "limit": 2}),
    ("axis_above", {"limit": 3}, MAP, "int64[2] i = {0, 1}", "y = Gather <axis = -1> (x, i)", None),
    ("axis_not_in", {"values": [1]}, MAP, "", "y = Concat <axis = -1> (x, x)",
     {"axis": 3, "rank": 4}),
    ("axis_not_in", {"values": [1]}, MAP, "", "y = Concat <axis = -3> (x, x)", None),
    ("axis_not_in", {"values": [1]}, MAP, "", "y = Concat <axis = 0> (x, x)", None),
    ("axis_on_batch", {}, MAP, "", "y = Concat <axis = -4> (x, x)", {"axis": 0}),
    ("axis_on_batch", {}, MAP, "", "y = Concat <axis = 1> (x, x)", None),
    ("axis_on_batch", {}, "float[8] x", "", "y = Concat <axis = 0> (x, x)", None),
    ("axis_on_batch", {"default": 0}, MAP, "int64 i = {0}", "y = Gather (x, i)", {"axis": 0}),
    ("transposes_batch", {}, "float[2, 8] x", "", "y = Transpose (x)", {"perm": "1, 0", "size": 2}),
    ("transposes_batch", {}, "float[1, 8] x", "", "y = Transpose (x)", {"perm": "1, 0", "size": 1}),
    ("transposes_batch", {}, MAP, "", "y = Transpose <perm = [0, 2, 3, 1]> (x)", None),
    ("transposes_batch", {}, "float[1, 1, 8] x", "", "y = Transpose <perm = [1, 0, 2]> (x)", None),
    ("grows_batch", {}, "float[1, 8] x", "int64[2] r = {3, 1}", "y = Tile (x, r)",
     {"size": 1, "result": 3}),
    ("grows_batch", {}, "float[1, 8] x", "int64[2] r = {1, 3}", "y = Tile (x, r)", None),
    ("slices_batch", {}, "float[4, 8] x", ("int64[1] s = {1}, int64[1] e = {9223372036854775807},"
     " int64[1] a = {-2}"), "y = Slice (x, s, e, a)", {"start": 1, "end": "end", "size": 4}),
    ("slices_batch", {}, "float[4, 8] x", "int64[1] s = {0}, int64[1] e = {4}, int64[1] a = {0}",
     "y = Slice (x, s, e, a)", None),
    ("slices_batch", {}, "float[4, 8] x", "int64[1] s = {1}, int64[1] e = {4}, int64[1] a = {1}",
     "y = Slice (x, s, e, a)", None),
    ("sliced_axes_above", {"limit": 1}, "float[4, 8] x", "int64[2] s = {1, 1}, int64[2] e = {3, 3}",
     "y = Slice (x, s, e)", {"count": 2, "limit": 1}),
    ("sliced_axes_above", {"limit": 1}, "float[4, 8] x", "int64[2] s = {0, 1}, int64[2] e = {4, 3}",
     "y = Slice (x, s, e)", None),
    ("two_way_broadcast", {}, "float[1, 30, 1] a, float[1, 1, 8] b", "", "y = Mul (a, b)",
     {"left": "1x30x1", "right": "1x1x8"}),
    ("two_way_broadcast", {}, "float[1, 30, 8] a, float[8] b", "", "y = Mul (a, b)", None),
    ("two_way_broadcast", {}, "float[N, 30, 8] a, float[1, 1, M] b", "", "y = Mul (a, b)", None),
    ("reduce_axes_not_trailing", {}, MAP, "int64[1] axes = {1}", "y = ReduceMean (x, axes)",
     {"axes": "1", "rank": 4}),
    ("reduce_axes_not_trailing", {}, MAP, "int64[2] axes = {-1, 2}", "y = ReduceMean (x, axes)",
     None),
    ("reduce_axes_not_trailing", {}, f"{MAP}, int64[1] axes", "", "y = ReduceMean (x, axes)", None),
    ("resize_mode", {}, MAP, "float[4] s = {1, 1, 2, 2}", "y = Resize (x, , s)",
     {"mode": "nearest", "coordinates": "half_pixel", "rounding": "round_prefer_floor"}),
    ("resize_mode", {}, MAP, "float[4] s = {1, 1, 2, 2}", ('y = Resize <nearest_mode = "floor",'
     ' coordinate_transformation_mode = "asymmetric"> (x, , s)'), None),
    ("split_count", {}, MAP, "int64[2] s = {4, 4}", "y, z = Split <axis = 1> (x, s)",
     {"count": 2, "size": 8}),
    ("split_count", {}, "float[1, 2] x", "int64[2] s = {1, 1}", "y, z = Split <axis = 1> (x, s)",
     None),
    ("not_behind", {"op_types": ["Conv"]}, MAP, "float[8] a, float[8] b, float[8] c, float[8] d",
     "y = BatchNormalization (x, a, b, c, d)", {"before": "an input of the graph"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "args", "inputs", "weights", "line", "expected"),
    CASES,
    ids=[f"{case[0]}-{number}" for number, case in enumerate(CASES)],
)
def test_a_predicate_gives_the_figures_of_a_breach_and_nothing_else(
    name, args, inputs, weights, line, expected
):
    assert PREDICATES[name].test(first_node(inputs, weights, line), args) == expected


@pytest.mark.parametrize("name", PREDICATES)
def test_every_predicate_is_broken_once_and_kept_once_with_its_declared_fields(name):
    results = [case[-1] for case in CASES if case[0] == name]
    assert any(result is not None for result in results)
    assert name == "not_behind" or None in results
    for result in results:
        assert result is None or tuple(result) == PREDICATES[name].fields


def test_batch_norm_is_not_behind_only_what_the_row_lists():
    text = """
        <ir_version: 8, opset_import: ["" : 14]> net (float[1, 8, 4, 4] x) => (y)
        <float[8, 8, 1, 1] w, float[8] a, float[8] b, float[8] c, float[8] d>
        { t = Conv (x, w) y = BatchNormalization (t, a, b, c, d) }
    """
    data = testing.model_from_text(text).SerializeToString()
    node = Facts(read(data, "net.onnx", Limits(), Path())).nodes[1]
    test = PREDICATES["not_behind"].test
    assert test(node, {"op_types": ["Conv"]}) is None
    assert test(node, {"op_types": ["Gemm"]}) == {"before": "Conv"}


def test_a_message_holds_the_row_the_figures_the_fix_and_the_compilers_words():
    node = first_node("float[4, 8] x", "int64[1] s = {1}, int64[1] e = {3}, int64[1] a = {0}",
                      "y = Slice (x, s, e, a)")  # fmt: skip
    ((row, message),) = broken(node, profiles.load("stm32n6", "4.0"))
    assert acts_on_batch(row)
    assert message == (
        "slice-batch: it cuts the leading axis of 4 from 1 to 3, which the compiler takes as the"
        " batch; move the samples to another axis (the compiler prints: NOT IMPLEMENTED: Slice on"
        " batch dimension)"
    )


def test_a_node_that_is_computed_at_compile_time_breaks_nothing():
    node = first_node(MAP, "float[4, 8] c, int64 i = {0}", "g = Gather (c, i) y = Add (x, g)")
    assert list(broken(node, profiles.load("stm32n6"))) == []


@pytest.mark.parametrize(
    ("name", "args", "inputs", "weights", "line"),
    [
        ("kernel_above_input", {}, MAP, CONV3, "y = Conv <pads = [1]> (x, w)"),
        ("kernel_above", KERNEL, MAP, CONV3,
         "y = Conv <kernel_shape = [9], strides = [1, 1, 1]> (x, w)"),
        ("stride_above_kernel", {}, MAP, CONV3, "y = Conv <strides = [9]> (x, w)"),
        ("transposes_batch", {}, MAP, "", "y = Transpose <perm = [-9, 9]> (x)"),
        ("transposes_batch", {}, MAP, "", "y = Transpose <perm = 1> (x)"),
        ("global_window_unfriendly", {"limit": 5}, "float[1, 1, 2305843009213693951, 1] x", "",
         "y = GlobalAveragePool (x)"),
        ("reduce_axes_not_trailing", {}, "float x", "int64[1] a = {7}", "y = ReduceMean (x, a)"),
        ("split_count", {}, MAP, "", "y, z = Split <axis = 99> (x)"),
        ("axis_not_in", {"values": [1]}, MAP, "", 'y = Concat <axis = "one"> (x, x)'),
    ],
)  # fmt: skip
def test_an_invalid_node_breaks_no_predicate(name, args, inputs, weights, line):
    found = PREDICATES[name].test(first_node(inputs, weights, line), args)
    assert found is None or set(found) == set(PREDICATES[name].fields)
