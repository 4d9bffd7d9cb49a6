"""How a model is quantised, and which of its operators are not."""

import pytest

from npugate.facts import Facts, quantization
from npugate.facts.quantization import Quantization
from npugate.limits import Limits
from npugate.rules import testing
from npugate.surgery import structure

SCALES = "float s = {0.5}, int8 z = {0}, uint8 u = {0}, int16 v = {0}"


def facts_of(signature, constants, nodes, opset=21):
    text = f"""
        <ir_version: 10, opset_import: ["" : {opset}, "own" : 1]>
        net {signature} <{constants}> {{ {nodes} }}
    """
    return Facts(structure.skeleton(testing.model_from_text(text)), Limits())


def census_of(constants, nodes, signature="(float[1, 4] x) => (y)"):
    return quantization.census(facts_of(signature, constants, nodes).nodes)


QUANTIZED = "q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z)"
VIEWS = {
    "Reshape": "v1 = Reshape (d, shape)",
    "Transpose": "v1 = Transpose (d)",
    "Squeeze": "v1 = Squeeze (d)",
    "Unsqueeze": "v1 = Unsqueeze (d, axes)",
    "Flatten": "v1 = Flatten (d)",
    "Identity": "v1 = Identity (d)",
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_value_is_dequantized_behind_a_view(view):
    constants = f"{SCALES}, int64[2] shape = {{4, 1}}, int64[1] axes = {{0}}"
    nodes = facts_of(
        "(float[1, 4] x) => (y)", constants, f"{QUANTIZED} {VIEWS[view]} y = Relu (v1)"
    ).nodes
    assert nodes[-1].op_type == "Relu"
    found = quantization.dequantize(nodes[-1].input(0))
    assert found is nodes[1]
    assert found.op_type == "DequantizeLinear"


def test_a_value_is_dequantized_behind_seven_views_and_no_more():
    for count, found in ((7, True), (8, False)):
        chain = " ".join(f"v{i + 1} = Identity ({f'v{i}' if i else 'd'})" for i in range(count))
        nodes = facts_of(
            "(float[1, 4] x) => (y)", SCALES, f"{QUANTIZED} {chain} y = Relu (v{count})"
        ).nodes
        assert (quantization.dequantize(nodes[-1].input(0)) is not None) == found


def test_a_value_behind_another_operator_is_not_dequantized():
    nodes = facts_of(
        "(float[1, 4] x) => (y)", SCALES, f"{QUANTIZED} r = Relu (d) y = Neg (r)"
    ).nodes
    assert quantization.dequantize(nodes[-1].input(0)) is None
    assert quantization.dequantize(nodes[0].input(0)) is None
    assert quantization.dequantize(None) is None


WEIGHT = "int8[4, 4] w, float[4, 4] f"
LAYER = f"{QUANTIZED} e = DequantizeLinear (w, s, z) y = MatMul (d, e)"


def test_a_layer_counts_as_quantized_when_data_and_weights_are():
    found = census_of(f"{SCALES}, {WEIGHT}", LAYER)
    assert found == Quantization("qdq", 1, 1, {8: 1}, {3: 1})
    assert found.label == "int8 QDQ"
    nodes = f"{QUANTIZED} e = DequantizeLinear (w, s, z) y = MatMul (x, e)"
    found = census_of(f"{SCALES}, {WEIGHT}", nodes)
    assert found == Quantization("qdq", 1, 0, {8: 1}, {3: 1})
    found = census_of(f"{SCALES}, {WEIGHT}", f"{QUANTIZED} y = MatMul (d, f)")
    assert found == Quantization("qdq", 1, 0, {}, {3: 1})
    assert found.label == "QDQ"


def test_a_product_of_two_values_is_no_layer_with_weights():
    found = census_of("", "y = MatMul (x, x)", "(float[4, 4] x) => (y)")
    assert found == Quantization("float", 0, 0, {}, {})
    assert found.label == "float"


@pytest.mark.parametrize(
    ("stored", "zero", "bits", "label"),
    [
        ("int8", "int8", 8, "int8 QDQ"),
        ("uint8", "uint8", 8, "int8 QDQ"),
        ("int16", "int16", 16, "int16 QDQ"),
        ("int4", "int4", 4, "int4 QDQ"),
        ("uint4", "uint4", 4, "int4 QDQ"),
        ("int32", "int32", 32, "int32 QDQ"),
    ],
)
def test_weights_are_counted_by_their_width(stored, zero, bits, label):
    constants = f"{SCALES}, {stored}[4, 4] w, {zero} n"
    found = census_of(constants, "e = DequantizeLinear (w, s, n) y = MatMul (x, e)")
    assert dict(found.weight_bits) == {bits: 1}
    assert found.label == label


def test_two_widths_are_named_from_the_narrow_to_the_wide():
    constants = f"{SCALES}, int8[4, 4] w, int16[4, 4] k"
    nodes = """
        e = DequantizeLinear (w, s, z) t = MatMul (x, e)
        g = DequantizeLinear (k, s, v) y = MatMul (t, g)
    """
    found = census_of(constants, nodes)
    assert dict(found.weight_bits) == {8: 1, 16: 1}
    assert found.label == "int8/int16 QDQ"


def test_activations_are_counted_by_the_type_they_get():
    nodes = "a = QuantizeLinear (x, s, u) b = QuantizeLinear (x, s, u) y = QuantizeLinear (x, s, z)"
    assert dict(census_of(SCALES, nodes).activation_types) == {2: 2, 3: 1}


@pytest.mark.parametrize(
    ("nodes", "form"),
    [
        ("y = QLinearMatMul (q, s, z, w, s, z, s, z)", "qoperator"),
        ("y = MatMulInteger (q, w)", "dynamic"),
        ("m, n, o = DynamicQuantizeLinear (x) y = Identity (m)", "dynamic"),
        ("y = DequantizeLinear (q, s, z)", "qdq"),
        ("y = Relu (x)", "float"),
    ],
)
def test_the_form_is_that_of_the_most_telling_operator(nodes, form):
    constants = f"{SCALES}, int8[4, 4] w"
    found = census_of(constants, f"q = QuantizeLinear (x, s, z) {nodes}")
    assert found.form == form
    words = {"qoperator": "QOperator", "dynamic": "dynamic", "qdq": "QDQ", "float": "float"}
    assert found.label == words[form]


def test_a_model_without_layers_is_float():
    assert Quantization() == Quantization("float", 0, 0, {}, {})
    assert Quantization().label == "float"


def test_weights_of_a_type_without_a_width_are_not_counted():
    found = census_of(
        "float s, float8e4m3fn[4, 4] w", "e = DequantizeLinear (w, s) y = MatMul (x, e)"
    )
    assert found == Quantization("qdq", 1, 0, {}, {})
