"""Open axes get a value where that is no guess, and the outputs follow."""

import sys

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from npugate.report.values import InterfaceChange
from npugate.rules import registry, testing
from npugate.surgery.results import Applied, Declined, RepairOptions, Skipped
from npugate.target import profiles

TARGET = profiles.load("stm32n6")


def apply(model, **shapes):
    list(registry._modules(registry.bundled("fixers"), "npugate.fixers"))
    edit = sys.modules["npugate.fixers.set_static_shapes"].REPAIR.edit_message
    return edit(model, TARGET, RepairOptions(shapes=shapes))


def text(body):
    return testing.model_from_text(f'<ir_version: 8, opset_import: ["" : 14]> {body}')


def shapes(infos):
    return [
        [dim.dim_value or dim.dim_param for dim in info.type.tensor_type.shape.dim]
        for info in infos
    ]


def test_an_open_batch_becomes_one_and_the_outputs_follow():
    model = text(
        """net (float[N, 3, 8] x) => (float[N, M] y) {
            s = Shape (x) zero = Constant <value = int64 {0}> () n = Gather (s, zero)
            ax = Constant <value = int64[1] {0}> () n1 = Unsqueeze (n, ax)
            m = Constant <value = int64[1] {-1}> () t = Concat <axis = 0> (n1, m)
            y = Reshape (x, t) }"""
    )
    model.graph.value_info.append(helper.make_tensor_value_info("n1", TensorProto.INT64, ["k"]))
    result = apply(model)
    assert result == Applied(
        ("took the open leading axis of input 'x' for the batch and set it to 1",),
        (
            InterfaceChange("x", "[N, 3, 8]", "[1, 3, 8]"),
            InterfaceChange("y", "[N, M]", "[1, 24]"),
        ),
    )
    assert not model.graph.value_info
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.arange(24, dtype=np.float32).reshape(1, 3, 8)
    assert session.run(None, {"x": x})[0].tolist() == x.reshape(1, 24).tolist()
    assert apply(model) == Skipped("every input is static")


def test_a_given_shape_binds_its_symbols_in_every_input():
    model = text(
        """net (float[N, 3, H, W] x, float[N, H] z) => (float[?, ?, ?, ?] y, float[?, ?] q) {
            y = Relu (x) q = Neg (z) }"""
    )
    result = apply(model, x=(2, 3, 6, 5))
    assert isinstance(result, Applied)
    assert shapes(model.graph.input) == [[2, 3, 6, 5], [2, 6]]
    assert shapes(model.graph.output) == [[2, 3, 6, 5], [2, 6]]
    assert len(result.interface) == 4


def test_outputs_that_hang_on_computed_shapes_are_declared_and_no_symbol_is_made_up():
    model = text(
        """net (float[N, 4] x) => (float[N, M] y, float[K] z) {
            s = Shape (x) n = ReduceProd <keepdims = 1> (s)
            a = Reshape (x, n) t = Shape (a) two = Constant <value = int64[1] {2}> ()
            q = Div (t, two) w = Concat <axis = 0> (two, q)
            y = Reshape (a, w)
            i = NonZero (x) f = Cast <to = 1> (i) m = Constant <value = int64[1] {-1}> ()
            z = Reshape (f, m) }"""
    )
    assert isinstance(apply(model), Applied)
    assert shapes(model.graph.output) == [[2, 2], ["K"]]
    onnx.checker.check_model(model, full_check=True)


def test_a_scalar_output_stays_a_scalar():
    model = text("net (float[N, 3] x) => (float y) { y = ReduceMax <keepdims = 0> (x) }")
    assert isinstance(apply(model), Applied)
    assert model.graph.output[0].type.tensor_type.HasField("shape")
    onnx.checker.check_model(model, full_check=True)


def test_an_axis_without_a_symbol_is_a_batch_only_in_front():
    model = text("net (float[N, 3] x) => (float[N, 3] y) { y = Relu (x) }")
    model.graph.input[0].type.tensor_type.shape.dim[0].ClearField("dim_param")
    assert isinstance(apply(model), Applied)
    assert shapes(model.graph.input) == [[1, 3]]


ONES = ", ".join(["1"] * 80)
CONSTANTS = (
    "int64[4] s = {1, 3, 48, 8}, int64[5] t = {1, 4, 3, 16, 11}, "
    f"float[80, 3] v = {{{ONES}, {ONES}, {ONES}}}, float[80, 1] v2 = {{{ONES}}}, "
    "float[2, 3, 1, 1] k = {1, 1, 1, 1, 1, 1}"
)
SQUARE = "axis 1 of input 'x' is symbolic (N): give --shape x=1,SIZE; of the usual sizes none fits"


@pytest.mark.parametrize(
    ("inputs", "given", "reason"),
    [
        ("float[T] x", {}, "axis 0 of input 'x' is symbolic (T): give --shape x=SIZE"),
        ("float[N, N] x", {}, f"{SQUARE}: --shape x=1,16000 gives 'N' another value than 1"),
        ("float[0, 3] x", {}, "axis 0 of input 'x' is of size 0: give --shape x=1,3"),
        ("float[N, 3] x", {"x": (1, 4)}, "--shape x=1,4 contradicts axis 1, which is 3"),
        ("float[N, 3] x", {"x": (1,)}, "--shape x=1 has 1 axes, the input 2"),
        ("float[N, N] x", {"x": (1, 2)}, "--shape x=1,2 gives 'N' another value than 1"),
        ("float[N, 3] x", {"x": (0, 3)}, "--shape x=0,3 has a size that is not positive"),
        ("float[] x", {}, "input 'x' has no shape: give --shape x=1,3,224,224"),
    ],
)  # fmt: skip
def test_what_takes_a_guess_is_declined(inputs, given, reason):
    model = text(f"net ({inputs}) => (float[?] y) {{ y = Relu (x) }}")
    if "no shape" in reason:
        model.graph.input[0].type.tensor_type.ClearField("shape")
    assert apply(model, **given) == Declined(reason)


@pytest.mark.parametrize(
    ("inputs", "line", "shape"),
    [
        ("float[N, 3, H, W] x", "y = Relu (x)", [1, 3, 224, 224]),
        ("float[N, H, W, 3] x", "y = Relu (x)", [1, 224, 224, 3]),
        ("int64[N, T] x", "y = Cast <to = 1> (x)", [1, 128]),
        ("float[N, T, 64] x", "y = Relu (x)", [1, 128, 64]),
        ("float[1, 1, T] x", "y = AveragePool <kernel_shape = [256]> (x)", [1, 1, 256]),
        ("float[1, 12, 16, W] x", "z = Reshape (x, t) y = Relu (z)", [1, 12, 16, 11]),
        ("float[1, 3, H, 8] x", "z = Reshape (x, s) y = Relu (z)", [1, 3, 48, 8]),
        ("float[N, H, W] x", "y = Mul (x, v)", [1, 80, 3]),
        ("float[N, T, W] x", "y = MatMul (x, v2)", [1, 128, 80]),
        ("float[N, C, H, W] x", "y = Conv <group = 2> (x, k)", [1, 6, 128, 128]),
        ("float[N, W] x", "c = Constant <value = float[3] {1, 2, 3}> () y = Add (c, x)", [1, 3]),
    ],
)
def test_an_axis_that_nobody_named_gets_a_usual_size_that_fits_and_says_so(inputs, line, shape):
    model = text(f"net ({inputs}) => (float[?] y) <{CONSTANTS}> {{ {line} }}")
    result = apply(model)
    assert isinstance(result, Applied)
    assert shapes(model.graph.input) == [shape]
    option = f"--shape x={','.join(map(str, shape))}"
    assert result.edits[0] == (
        f"input 'x' was open: {shape} was chosen; give {option} with the sizes that you use"
    )


TIME_FIRST = """net (float[T, C] x) => (float[?] y)
    <float[80] w, int64[1] zero = {0}, int64[1] two = {2}, int64[1] four = {4}> {
    s = Mul (x, w) t = Transpose <perm = [1, 0]> (s) n = Unsqueeze (t, zero)
    p = AveragePool <kernel_shape = [7]> (n) y = Slice (p, zero, four, two) }"""


@pytest.mark.parametrize("axes", ["T, C", "T, 80"])
def test_a_leading_axis_of_which_a_window_leaves_nothing_is_one_of_the_data(axes):
    # onnx's rule for Slice ends the process where an axis is below 0, so nothing may come to it
    model = text(TIME_FIRST.replace("T, C", axes).replace("w,", f"w = {{{ONES}}},"))
    result = apply(model)
    assert result.edits[0].startswith("input 'x' was open: [128, 80] was chosen; give")
    assert shapes(model.graph.output) == [[1, 80, 4]]
    given = apply(text(TIME_FIRST.replace("w,", f"w = {{{ONES}}},")), x=(2, 80))
    assert given.reason == (
        "the network does not work with these shapes: 'p' has nothing left to compute"
    )


def test_shapes_that_do_not_go_together_are_declined():
    model = text("net (float[N, T] x, float[4, 5] z) => (float[?, ?] y) { y = MatMul (x, z) }")
    result = apply(model, x=(1, 3))
    assert isinstance(result, Declined)
    assert result.reason.startswith("the network does not work with these shapes: ")


def test_weights_among_the_inputs_are_left_alone():
    model = text(
        "net (float[N, 3] x) => (float[N, 3] y) <float[3] w = {1, 2, 3}> { y = Add (x, w) }"
    )
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, ["k"]))
    result = apply(model)
    assert [change.name for change in result.interface] == ["x", "y"]
