"""Scales that no scale can be are named; ordinary ones, however small, are not."""

import numpy as np
import pytest
from onnx import numpy_helper

from npugate.findings.values import Severity
from tests.parameter_models import found, layer, messages, text

RULE = "invalid-scale"


def scaled(**values):
    """Return a quantised Conv with other values for some of its constants."""
    model = layer("Conv", (8, 3, 3, 3), 0)
    for item in model.graph.initializer:
        if item.name in values:
            item.CopyFrom(numpy_helper.from_array(np.asarray(values[item.name]), item.name))
    return model


def channel(value):
    scales = np.full(8, 0.002, np.float32)
    scales[3] = value
    return scaled(ws=scales)


def test_scale_zero_of_the_field_is_named_at_the_weight(tmp_path):
    hits = found(channel(0), RULE, tmp_path)
    assert [hit.message for hit in hits] == ["scale 3 of 8 is 0 ('ws')"]
    assert hits[0].location.node == "weight"
    assert hits[0].severity is Severity.WARNING


def test_scale_nan_of_the_field_is_an_error_at_the_quantizer(tmp_path):
    hits = found(scaled(s=np.float32("nan")), RULE, tmp_path)
    assert [(hit.location.node, hit.message) for hit in hits] == [
        ("quantize", "its scale is NaN ('s')"),
        ("dequantize", "its scale is NaN ('s')"),
    ]
    assert {hit.severity for hit in hits} == {Severity.ERROR}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-0.5, "scale 3 of 8 is negative (-0.5) ('ws')"),
        (np.inf, "scale 3 of 8 is infinite ('ws')"),
        (-np.inf, "scale 3 of 8 is infinite ('ws')"),
        (1e-40, "scale 3 of 8 is subnormal (1e-40) ('ws')"),
    ],
)
def test_other_faults_are_named_with_their_value(value, message, tmp_path):
    assert messages(channel(value), RULE, tmp_path) == [message]


def test_faults_of_one_kind_are_counted(tmp_path):
    said = messages(scaled(ws=np.zeros(8, np.float32)), RULE, tmp_path)
    assert said == ["scale 0 of 8 is 0, and so are 7 more ('ws')"]


@pytest.mark.parametrize("value", [1e-7, 1e-37, 1.0, 3e38])
def test_small_and_large_scales_are_clean(value, tmp_path):
    assert messages(channel(value), RULE, tmp_path) == []


def test_a_scale_of_half_precision_is_judged_as_the_number_that_it_is(tmp_path):
    small = 0x0200  # 3e-5, subnormal as float16
    model = text(
        "(float16[1, 4] x) => (float16[1, 4] y)",
        f"float16 s = {{{small}}}, int8 z = {{0}}",
        "q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, z)",
        opset=19,
    )
    assert messages(model, RULE, tmp_path) == []


def test_scales_of_other_spellings_are_read(tmp_path):
    model = text(
        "(uint8[1, 3, 8, 8] x) => (uint8[1, 4, 8, 8] y)",
        "float s = {0.1}, float bad = {0}, uint8 z = {0}, uint8[4, 3, 1, 1] w",
        "y = QLinearConv (x, s, z, w, s, z, bad, z)",
    )
    assert messages(model, RULE, tmp_path) == ["its scale is 0 ('bad')"]


def test_a_scale_computed_at_run_time_is_an_error(tmp_path):
    model = text(
        "(float[1, 4] x) => (float[1, 4] y)",
        "int8 z = {0}",
        "m = ReduceMax <keepdims = 0> (x) q = QuantizeLinear (x, m, z)"
        " y = DequantizeLinear (q, m, z)",
    )
    hits = found(model, RULE, tmp_path)
    assert len(hits) == 2
    assert "is computed by ReduceMax 'm', a constant is wanted" in hits[0].message
    assert hits[0].severity is None  # the rule's own: an error


def test_a_scale_that_is_an_input_is_an_error(tmp_path):
    model = text(
        "(float[1, 4] x, float s) => (float[1, 4] y)",
        "int8 z = {0}",
        "q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, z)",
    )
    said = messages(model, RULE, tmp_path)
    assert said == ["its scale 's' is an input of its graph, a constant is wanted"] * 2


def test_a_scale_computed_from_constants_is_a_warning_and_its_value_is_judged(tmp_path):
    model = text(
        "(float[1, 4] x) => (float[1, 4] y)",
        "int8 z = {0}, float a = {0.5}, float b = {0.0}",
        "s = Mul (a, b) q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, a, z)",
    )
    hits = found(model, RULE, tmp_path)
    assert [(hit.severity, hit.message) for hit in hits] == [
        (
            Severity.WARNING,
            "its scale 's' is computed by Mul 's' from constants, a constant is wanted",
        ),
        (Severity.ERROR, "its scale is 0 ('s')"),
    ]


def test_a_scale_in_a_constant_node_is_clean(tmp_path):
    model = text(
        "(float[1, 4] x) => (float[1, 4] y)",
        "int8 z = {0}",
        "s = Constant <value_float = 0.5> () q = QuantizeLinear (x, s, z)"
        " y = DequantizeLinear (q, s, z)",
    )
    assert messages(model, RULE, tmp_path) == []


def test_the_last_of_many_scales_is_read(tmp_path):
    scales = np.full(4096, 0.01, np.float32)
    scales[4095] = 0
    model = layer("Conv", (4096, 1, 1, 1), 0)
    for item in model.graph.initializer:
        if item.name == "ws":
            item.CopyFrom(numpy_helper.from_array(scales, "ws"))
    assert messages(model, RULE, tmp_path) == ["scale 4095 of 4096 is 0 ('ws')"]
