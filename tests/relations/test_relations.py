"""Parameters that contradict an operator are named at their node, with both sizes.

onnxruntime is the judge of the table: it refuses each of the wrong models and runs each of the
right ones.
"""

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.parameter_models import found, messages, text
from tools import differential

RULE = "contradicting-parameter"
MORE = ("shape-inference-failed", "invalid-model")

IMAGE = "(float[1, 4, 8, 8] x) => (float[N, C, H, W] y)"
MATRIX = "(float[1, 8] x) => (float[M, N] y)"
STEPS = "(float[5, 1, 3] x) => (float[5, D, 1, H] y)"
LOOP = """
    y = Loop (n, c, x) <
        body = b (int64 i, bool k, float[1, 4] s) => (bool k2, double[1, 4] t)
        { k2 = Identity (k) t = Cast <to = 11> (s) }
    >
"""
BRANCHES = """
    y = If (c) <
        then_branch = a () => (float[N, M] t) { t = Reshape (x, s) },
        else_branch = b () => (float[N, M] e) { e = Neg (x) }
    >
"""

FIELD = {
    "conv_bias_length": (
        text(
            "(float[1, 8, 14, 14] x) => (float[1, 16, 14, 14] y)",
            "float[16, 8, 3, 3] w, float[1] b",
            "y = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w, b)",
        ),
        "bias 'b' has 1 element, the weight makes 16 output channels",
    ),
    "gemm_bias_shape": (
        text(MATRIX, "float[8, 4] w, float[3] c", "y = Gemm (x, w, c)"),
        "C 'c' of shape [3] does not broadcast to [1, 4]",
    ),
    "conv_in_channels": (
        text(
            "(float[1, 4, 16, 16] x) => (float[1, 8, 16, 16] y)",
            "float[8, 3, 3, 3] w",
            "y = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w)",
        ),
        "the weight 'w' reads 3 channels, the input 'x' has 4",
    ),
}


@pytest.mark.parametrize("case", FIELD)
def test_cases_of_the_field_are_named_at_their_node(case, tmp_path):
    model, message = FIELD[case]
    hits = found(model, RULE, tmp_path)
    assert [hit.message for hit in hits] == [message]
    assert hits[0].location.node == "y"
    assert not runs(model)


# What is wrong: signature, constants, nodes, words of the message.
WRONG = {
    "Conv groups": (
        *(IMAGE, "float[6, 2, 3, 3] w", "y = Conv <group = 4> (x, w)"),
        ("reads 8 channels in 4 groups", "has 4"),
    ),
    "Conv outputs and groups": (
        *(IMAGE, "float[3, 2, 3, 3] w", "y = Conv <group = 2> (x, w)"),
        ("3 output channels do not divide into 2 groups",),
    ),
    "Conv kernel_shape": (
        *(IMAGE, "float[2, 4, 3, 3] w", "y = Conv <kernel_shape = [3, 5]> (x, w)"),
        ("kernel_shape is [3, 5]", "is [3, 3]"),
    ),
    "Conv with a window that is too large": (
        *("(float[1, 3, 2, 8] x) => (float[N, C, H, W] y)", "float[3, 3, 5, 3] w"),
        *("y = Conv <pads = [1, 0, 1, 0]> (x, w)", ("axis 2 has 2 elements", "reaches over 5")),
    ),
    "Conv weight of another rank": (
        *(IMAGE, "float[2, 4, 3] w", "y = Conv (x, w)"),
        ("has 3 axes", "has 4"),
    ),
    "ConvTranspose channels": (
        *(IMAGE, "float[3, 2, 3, 3] w", "y = ConvTranspose (x, w)"),
        ("reads 3 channels", "has 4"),
    ),
    "ConvTranspose bias": (
        *(IMAGE, "float[4, 2, 3, 3] w, float[4] b", "y = ConvTranspose (x, w, b)"),
        ("bias 'b' has 4 elements", "makes 2 output channels"),
    ),
    "BatchNormalization": (
        IMAGE,
        "float[4] a, float[4] b, float[3] m, float[4] v",
        "y = BatchNormalization (x, a, b, m, v)",
        ("mean 'm' has 3 elements", "4 channels"),
    ),
    "InstanceNormalization": (
        *(IMAGE, "float[4] a, float[2] b", "y = InstanceNormalization (x, a, b)"),
        ("bias 'b' has 2 elements", "4 channels"),
    ),
    "LayerNormalization": (
        *(IMAGE, "float[4] a", "y = LayerNormalization (x, a)"),
        ("scale 'a' of shape [4] does not broadcast to [1, 4, 8, 8]",),
    ),
    "PRelu": (
        *(IMAGE, "float[3, 1, 1] s", "y = PRelu (x, s)"),
        ("'s' of shape [3, 1, 1]", "[1, 4, 8, 8]"),
    ),
    "a Resize by 0": (
        *(IMAGE, "float[4] s = {1, 1, 0, 2}", "y = Resize (x, , s)"),
        ("scale 2 of 's' is 0", "above 0"),
    ),
    "a Resize of three axes": (
        *(IMAGE, "float[3] s = {1, 2, 2}", "y = Resize (x, , s)"),
        ("'s' has 3 elements, 4 are wanted",),
    ),
    "a Resize by two measures": (
        *(IMAGE, "float[4] s = {1, 1, 2, 2}, int64[4] n = {1, 4, 16, 16}"),
        *("y = Resize (x, , s, n)", ("both scales and sizes",)),
    ),
    "a Reshape to another size": (
        *("(float[1, 4, 8, 8] x) => (float[M, N] y)", "int64[2] s = {1, 100}"),
        "y = Reshape (x, s)",
        ("asks for 100 elements", "has 256"),
    ),
    "a Pad of two axes": (
        *(IMAGE, "int64[4] p = {1, 1, 1, 1}", "y = Pad (x, p)"),
        ("pads has 4 entries", "4 axes want 8"),
    ),
    "a Gather beyond the axis": (
        *(IMAGE, "int64[2] i = {0, 4}", "y = Gather <axis = 1> (x, i)"),
        ("index 4 of 'i' is beyond axis 1, which has 4",),
    ),
    "a Gather of an axis that is not there": (
        *(IMAGE, "int64[2] i = {0, 1}", "y = Gather <axis = 4> (x, i)"),
        ("4",),
    ),
    "Split sums": (
        "(float[1, 4, 8, 8] x) => (float[N, C, H, W] y, float[N, D, H, W] z)",
        "int64[2] s = {1, 2}",
        "y, z = Split <axis = 1> (x, s)",
        ("3", "4"),
    ),
    "Gemm inner sizes": (
        *(MATRIX, "float[7, 4] w", "y = Gemm (x, w)"),
        ("8", "7"),
    ),
    "Gemm C of another rank": (
        *(MATRIX, "float[8, 4] w, float[1, 1, 4] c", "y = Gemm (x, w, c)"),
        ("C 'c' of shape [1, 1, 4] does not broadcast to [1, 4]",),
    ),
    "Gemm C along the rows": (
        *(MATRIX, "float[8, 4] w, float[4, 1] c", "y = Gemm (x, w, c)"),
        ("C 'c' of shape [4, 1] does not broadcast to [1, 4]",),
    ),
    "two types": (
        *(MATRIX, "double[8, 4] w", "y = MatMul (x, w)"),
        ("'x' is float and 'w' is double",),
    ),
    "a type that is not taken": (
        *("(int32[1, 8] x) => (int32[1, 8] y)", "float u", "y = Sigmoid (x)"),
        ("Sigmoid takes", "which is int32"),
    ),
    "an output of another type": (
        *("(float[1, 8] x) => (int32[1, 8] y)", "float u", "y = Relu (x)"),
        ("'y' is declared as int32", "makes float"),
    ),
    "the scales of a QLinearConv": (
        "(uint8[1, 4, 8, 8] x) => (uint8[1, 2, 8, 8] y)",
        "float s = {0.1}, float[3] ws, uint8[3] wz, uint8 z = {0}, uint8[2, 4, 1, 1] w",
        "y = QLinearConv (x, s, z, w, ws, wz, s, z)",
        ("scale 'ws' has 3 elements", "2 output channels"),
    ),
    "the body of a loop with another type": (
        "(float[1, 4] x) => (float[1, 4] y)",
        "int64 n = {2}, bool c = {1}",
        LOOP,
        ("Loop",),
    ),
    "the number of scales": (
        *("(int8[1, 4, 2] x) => (float[1, 4, 2] y)", "float[3] s, int8[3] z"),
        *("y = DequantizeLinear <axis = 1> (x, s, z)", ("'s' has 3 elements", "has 4")),
    ),
    "the type of a zero point": (
        *("(int8[1, 4, 2] x) => (float[1, 4, 2] y)", "float s, uint8 z"),
        *("y = DequantizeLinear (x, s, z)", ("'x' is int8 and 'z' is uint8",)),
    ),
    "a zero point for each channel of one scale": (
        *("(int8[1, 4, 2] x) => (float[1, 4, 2] y)", "float s, int8[4] z"),
        *("y = DequantizeLinear <axis = 1> (x, s, z)", ("scale is [] and", "is [4]")),
    ),
    "the bias of a QLinearConv": (
        "(uint8[1, 4, 8, 8] x) => (uint8[1, 2, 8, 8] y)",
        "float s = {0.1}, uint8 z = {0}, uint8[2, 4, 1, 1] w, int32[3] b",
        "y = QLinearConv (x, s, z, w, s, z, s, z, b)",
        ("bias 'b' has 3 elements", "2 output channels"),
    ),
    "LSTM weights": (
        STEPS,
        "float[1, 16, 3] w, float[1, 12, 4] r",
        "y = LSTM <hidden_size = 4> (x, w, r)",
        ("R 'r' is [1, 12, 4], [1, 16, 4] is wanted",),
    ),
    "GRU weights of another input": (
        STEPS,
        "float[1, 12, 2] w, float[1, 12, 4] r",
        "y = GRU <hidden_size = 4> (x, w, r)",
        ("W 'w' is [1, 12, 2], [1, 12, 3] is wanted",),
    ),
    "RNN bias": (
        STEPS,
        "float[1, 4, 3] w, float[1, 4, 4] r, float[1, 4] b",
        "y = RNN <hidden_size = 4> (x, w, r, b)",
        ("B 'b' is [1, 4], [1, 8] is wanted",),
    ),
    "TopK of more than there is": (
        "(float[1, 8] x) => (float[1, K] y, int64[1, K] i)",
        "int64[1] k = {9}",
        "y, i = TopK (x, k)",
        ("9", "8"),
    ),
    "DepthToSpace": (
        *(IMAGE, "float u", "y = DepthToSpace <blocksize = 3> (x)"),
        ("4 channels do not divide by 9",),
    ),
    "a pool with pads as large as its window": (
        *(IMAGE, "float u", "y = MaxPool <kernel_shape = [2, 2], pads = [2, 2, 0, 0]> (x)"),
        ("pads [2, 2, 0, 0] are not smaller than the window [2, 2]",),
    ),
    "ScatterND": (
        *(MATRIX, "int64[2, 1] i = {0, 0}, float[2, 7] u", "y = ScatterND (x, i, u)"),
        ("is [2, 7]", "[2, 8]"),
    ),
}
WRONG["ScatterND"] = (*WRONG["ScatterND"][:3], ("are [2, 7], the indices leave [2, 8]",))


@pytest.mark.parametrize("case", WRONG)
def test_a_contradiction_is_named_with_both_sizes(case, tmp_path):
    signature, constants, nodes, words = WRONG[case]
    model = text(signature, constants, nodes)
    said = [message for rule in (RULE, *MORE) for message in messages(model, rule, tmp_path)]
    assert said
    assert [word for word in words if word not in " ".join(said)] == [], said
    assert not runs(model)


RIGHT = {
    "a branch for other sizes": (
        "(bool c, float[1, 4] x) => (float[N, M] y)",
        "int64[2] s = {1, 5}",
        BRANCHES,
    ),
    "Conv of groups": (IMAGE, "float[6, 2, 3, 3] w, float[6] b", "y = Conv <group = 2> (x, w, b)"),
    "Conv with a window as large as the image": (
        *("(float[1, 3, 2, 8] x) => (float[N, C, H, W] y)", "float[3, 3, 4, 3] w"),
        "y = Conv <pads = [1, 0, 1, 0]> (x, w)",
    ),
    "depthwise ConvTranspose": (
        *(IMAGE, "float[4, 1, 3, 3] w, float[4] b", "y = ConvTranspose <group = 4> (x, w, b)"),
    ),
    "Gemm with one C for all": (MATRIX, "float[8, 4] w, float c", "y = Gemm (x, w, c)"),
    "Gemm with a C for each row": (MATRIX, "float[8, 4] w, float[1, 1] c", "y = Gemm (x, w, c)"),
    "Gemm turned": (MATRIX, "float[4, 8] w, float[4] c", "y = Gemm <transB = 1> (x, w, c)"),
    "PRelu with one slope": (IMAGE, "float s", "y = PRelu (x, s)"),
    "PRelu with a slope for each channel": (IMAGE, "float[4, 1, 1] s", "y = PRelu (x, s)"),
    "LayerNormalization of the last axis": (
        *(IMAGE, "float[8] a, float[8] b", "y = LayerNormalization (x, a, b)"),
    ),
    "a Resize by scales with an empty roi": (
        *(IMAGE, "float[0] r, float[4] s = {1, 1, 2, 2}", "y = Resize (x, r, s)"),
    ),
    "a Resize to sizes with empty scales": (
        IMAGE,
        "float[0] r, float[0] s, int64[4] n = {1, 4, 3, 3}",
        "y = Resize (x, r, s, n)",
    ),
    "a Reshape with 0 and -1": (
        "(float[1, 4, 8, 8] x) => (float[A, B, C] y)",
        "int64[3] s = {0, -1, 8}",
        "y = Reshape (x, s)",
    ),
    "a Pad that cuts": (*(IMAGE, "int64[8] p = {0, 0, -1, -1, 0, 0, -1, -1}", "y = Pad (x, p)"),),
    "a Gather from the end": (IMAGE, "int64[1] i = {-4}", "y = Gather <axis = -3> (x, i)"),
    "a pool that rounds up": (
        *(IMAGE, "float u", "y = MaxPool <kernel_shape = [3, 3], ceil_mode = 1> (x)"),
    ),
    "an LSTM of both directions": (
        STEPS,
        "float[2, 16, 3] w, float[2, 16, 4] r, float[2, 32] b",
        'y = LSTM <hidden_size = 4, direction = "bidirectional"> (x, w, r, b)',
    ),
    "a scale for each channel": (
        "(int8[1, 4, 2] x) => (float[1, 4, 2] y)",
        "float[4] s, int8[4] z",
        "y = DequantizeLinear <axis = -2> (x, s, z)",
    ),
    "one scale in a vector": (
        "(int8[1, 4, 2] x) => (float[1, 4, 2] y)",
        "float[1] s, int8[1] z",
        "y = DequantizeLinear (x, s, z)",
    ),
    "a MatMul of a vector": ("(float[3, 8] x) => (float[3] y)", "float[8] w", "y = MatMul (x, w)"),
    "a MatMul of batches": (
        *("(float[3, 2, 8] x) => (float[3, 2, 4] y)", "float[1, 8, 4] w", "y = MatMul (x, w)"),
    ),
    "a Split into unequal parts": (
        "(float[1, 4, 8, 8] x) => (float[N, C, H, W] y, float[N, D, H, W] z)",
        "int64[2] s = {1, 3}",
        "y, z = Split <axis = 1> (x, s)",
    ),
    "a Conv of unknown size": (
        "(float[1, 4, H, W] x) => (float[1, 2, H, W] y)",
        "float[2, 4, 1, 1] w, float[2] b",
        "y = Conv (x, w, b)",
    ),
}


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.INT64])
def test_a_value_within_the_graph_is_of_the_type_that_is_declared(dtype, tmp_path):
    model = text("(float[1, 4] x) => (float[1, 4] y)", "float u", "r = Relu (x) y = Sigmoid (r)")
    model.graph.value_info.append(helper.make_tensor_value_info("r", dtype, [1, 4]))
    wrong = dtype != TensorProto.FLOAT
    message = "value 'r' is declared as int64, and its node makes float"
    assert messages(model, RULE, tmp_path) == ([message] if wrong else [])
    assert runs(model) is not wrong


@pytest.mark.parametrize(
    ("dtype", "shape", "message"),
    [
        (TensorProto.FLOAT, [3], "initializer 'w' is declared as [3] and has [4]"),
        (TensorProto.DOUBLE, [4], "initializer 'w' is declared as double and is float"),
        (TensorProto.FLOAT, [4], ""),
        (TensorProto.FLOAT, ["n"], ""),
    ],
)
def test_a_default_value_is_what_its_input_is_declared_as(dtype, shape, message, tmp_path):
    model = text("(float[1, 4] x) => (float[1, 4] y)", "float[4] w", "y = Add (x, w)")
    model.graph.input.append(helper.make_tensor_value_info("w", dtype, shape))
    assert messages(model, RULE, tmp_path) == ([message] if message else [])
    assert runs(model) is not bool(message)


def test_the_branch_that_is_always_taken_is_judged(tmp_path):
    _, constants, nodes = RIGHT["a branch for other sizes"]
    model = text("(float[1, 4] x) => (float[N, M] y)", f"bool c = {{1}}, {constants}", nodes)
    said = messages(model, RULE, tmp_path)
    assert said == ["shape [1, 5] asks for 5 elements, the input 'x' [1, 4] has 4"]
    assert not runs(model)


@pytest.mark.parametrize("case", RIGHT)
def test_what_onnxruntime_runs_is_clean(case, tmp_path):
    model = text(*RIGHT[case])
    said = [message for rule in (RULE, *MORE) for message in messages(model, rule, tmp_path)]
    assert said == []
    assert runs(model)


def runs(model) -> bool:
    """Tell whether onnxruntime loads a model and runs it once; open sizes are 8."""

    rng = np.random.default_rng(0)
    weights = {item.name for item in model.graph.initializer}
    feeds = {}
    for info in model.graph.input:
        if info.name in weights:
            continue
        shape = [dim.dim_value or 8 for dim in info.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        if dtype.kind == "b":
            feeds[info.name] = np.zeros(shape, bool)
            continue
        feeds[info.name] = (rng.random(shape) * 4).astype(dtype)
    answer, reason = differential.run(model, feeds)
    assert answer in {"runs", "refuses"}, reason
    return answer == "runs"
