"""Scales along the axis that a layer sums over are named, behind views too; others are not."""

import onnx
import pytest
from onnx import helper
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime

from npugate.facts import Facts, graph, scales
from npugate.operators import CONVERSIONS
from npugate.surgery import structure
from tests.parameter_models import found, layer, messages

RULE = "quantization-axis"
FIELD = {
    "gemm_axis_inputs": (
        layer("Gemm", (32, 64), 1, transB=1),
        "the scales of the weight run along axis 1 (inputs), 0 is wanted",
    ),
    "conv_transposed_axis": (
        layer("Conv", (3, 3, 3, 16), 2, (("Transpose", (3, 2, 0, 1)),)),
        (
            "the scales of the weight run along axis 2 of 'w', which is axis 1 (input channels), "
            "0 is wanted"
        ),
    ),
}


@pytest.mark.parametrize("case", FIELD)
def test_cases_of_the_field_name_the_layer_and_the_axis(case, tmp_path):
    model, message = FIELD[case]
    hits = found(model, RULE, tmp_path)
    assert [hit.message for hit in hits] == [message]
    assert hits[0].location.node == "layer"


WRONG = {
    "Gemm without transB, along the rows": (layer("Gemm", (64, 32), 0), "axis 0 (inputs), 1 is"),
    "MatMul along the rows": (layer("MatMul", (64, 32), 0), "axis 0 (inputs), 1 is wanted"),
    "MatMul of a batch, along the batch": (
        layer("MatMul", (3, 64, 32), 0),
        "axis 0 (batch), 2 is wanted",
    ),
    "ConvTranspose along its input": (
        layer("ConvTranspose", (8, 4, 3, 3), 0),
        "axis 0 (input channels), 1 is wanted",
    ),
    "Conv along the window": (layer("Conv", (8, 4, 3, 3), 3), "axis 3 (kernel), 0 is wanted"),
    "Conv, a negative axis": (layer("Conv", (8, 4, 3, 5), -1), "axis 3 (kernel), 0 is wanted"),
    "MatMul behind a Transpose": (
        layer("MatMul", (32, 64), 1, (("Transpose", (1, 0)),)),
        "axis 1 of 'w', which is axis 0 (inputs), 1 is wanted",
    ),
    "Gemm behind a Reshape that keeps the axis": (
        layer("Gemm", (32, 16, 2, 2), 1, (("Reshape", (32, 16, 4)), ("Reshape", (512, 4)))),
        "which a view joins with another axis; axis 1 of the weight is wanted",
    ),
    "Conv behind Reshape and Transpose": (
        layer("Conv", (27, 16), 0, (("Transpose", (1, 0)), ("Reshape", (16, 3, 3, 3)))),
        "which a view joins with another axis; axis 0 of the weight is wanted",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_other_wrong_axes_are_named(case, tmp_path):
    model, words = WRONG[case]
    said = messages(model, RULE, tmp_path)
    assert len(said) == 1
    assert words in said[0]


RIGHT = {
    "Gemm with transB": layer("Gemm", (32, 64), 0, transB=1),
    "Gemm without": layer("Gemm", (64, 32), 1),
    "MatMul": layer("MatMul", (64, 32), 1),
    "MatMul of a batch": layer("MatMul", (3, 64, 32), 2),
    "Conv": layer("Conv", (8, 4, 3, 3), 0),
    "ConvTranspose": layer("ConvTranspose", (8, 4, 3, 3), 1),
    "depthwise ConvTranspose": layer("ConvTranspose", (8, 1, 3, 3), 0, group=8),
    "HWIO along O": layer("Conv", (3, 3, 3, 16), 3, (("Transpose", (3, 2, 0, 1)),)),
    "a Reshape that keeps O": layer("Conv", (16, 27), 0, (("Reshape", (16, 3, 3, 3)),)),
    "a MatMul behind a Transpose": layer("MatMul", (32, 64), 0, (("Transpose", (1, 0)),)),
}


@pytest.mark.parametrize("case", RIGHT)
def test_scales_of_the_output_channels_are_clean(case, tmp_path):
    assert messages(RIGHT[case], RULE, tmp_path) == []


def test_a_weight_behind_an_unknown_shape_is_not_judged(tmp_path):
    model = layer("MatMul", (64, 32), 0, (("Reshape", (64, 32)),))
    kept = [item for item in model.graph.initializer if item.name != "shape1"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.graph.input.append(model.graph.input[0])
    model.graph.input[1].name = "shape1"
    model.graph.input[1].type.tensor_type.elem_type = 7
    del model.graph.input[1].type.tensor_type.shape.dim[1:]
    model.graph.input[1].type.tensor_type.shape.dim[0].dim_value = 2
    assert messages(model, RULE, tmp_path) == []


def test_the_places_of_scales_are_those_of_the_operators():
    """By the names of the inputs in the standard's and onnxruntime's own schemas."""
    schemas = {
        item.name: item
        for item in (
            *onnx.defs.get_all_schemas(),
            *onnxruntime.get_all_operator_schema(),
        )
        if item.domain in {"", "com.microsoft"}
        and (item.name.startswith(("QLinear", "QGemm")) or item.name in CONVERSIONS)
    }
    places = {
        name: tuple(at for at, given in enumerate(item.inputs) if "scale" in given.name.lower())
        for name, item in schemas.items()
        if name != "QLinearConcat"
    }
    assert places == scales._SCALES


@pytest.mark.parametrize(("count", "places"), [(5, (0, 3)), (8, (0, 3, 6)), (11, (0, 3, 6, 9))])
def test_a_joining_operator_has_a_scale_for_each_operand(count, places):
    proto = helper.make_node("QLinearConcat", [f"i{at}" for at in range(count)], ["y"])
    main = graph.build(helper.make_graph([proto], "net", [], []), frozenset())
    assert scales.scale_positions(main.nodes[0]) == places


VIEWED = {
    "no view": ((), (32, 64), 0, (0, 0)),
    "transposed": ((("Transpose", (1, 0)),), (32, 64), 0, (0, 1)),
    "turned round": ((("Transpose", (2, 0, 1)),), (4, 8, 16), 0, (0, 1)),
    "kept by a reshape": ((("Reshape", (2, 2, 8, 16)),), (4, 8, 16), 2, (2, 3)),
    "joined": ((("Reshape", (32, 16)),), (4, 8, 16), 1, (1, None)),
    "split": ((("Reshape", (4, 2, 4, 16)),), (4, 8, 16), 1, (1, None)),
}


@pytest.mark.parametrize("case", VIEWED)
def test_an_axis_is_followed_through_views(case):
    views, stored, axis, expected = VIEWED[case]
    facts = Facts(structure.skeleton(layer("MatMul", stored, axis, views)))
    (node,) = facts.nodes_of("MatMul")
    found = scales.scale_axis(node.input(1))
    assert (found.stored, found.axis) == expected
    assert scales.scale_axis(node.input(0)) is None  # one scale
    assert scales.scale_axis(node.output()) is None
    assert scales.scale_axis(None) is None
