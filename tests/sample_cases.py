"""Networks on a batch, for the tests of what works on each sample by itself.

Each is a body over ``x``, three samples of two channels of six by six, that ends in ``y``. The
weights come with the text.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, numpy_helper

from npugate.rules.testing import model_from_text

SAMPLES = 3
NUMBERS = ", ".join(str(number % 11 - 5) for number in range(54))
CONV = "y = Conv <pads = [1, 1, 1, 1]> (%s, w)"


def net(body: str, *, opset: int = 13, constants: str = "", dims: str = "3, 3, 6, 6") -> ModelProto:
    """Return a network whose body may use ``w``, weights of a convolution of two channels.

    Args:
        body: nodes; ``y`` is the result.
        opset: version of ai.onnx.
        constants: more initializers, as the text form writes them.
        dims: shape of the result.
    """
    rest = f", {constants}" if constants else ""
    model = model_from_text(
        f'<ir_version: 8, opset_import: ["" : {opset}]> '
        f"net (float[3, 2, 6, 6] x) => (float[{dims}] y) <float[3, 2, 3, 3] w{rest}> {{ {body} }}"
    )
    for index, node in enumerate(model.graph.node):
        node.name = f"n{index}"
    weights = np.random.default_rng(7).standard_normal((3, 2, 3, 3)).astype(np.float32) / 3
    for tensor in model.graph.initializer:
        if tensor.name == "w":
            tensor.CopyFrom(numpy_helper.from_array(weights, "w"))
    return model


def _add(body: str, *, opset: int = 13, constants: str = "") -> ModelProto:
    """Add what a body calls ``m`` to the data in front of a convolution."""
    return net(f"{body} plus = Add (x, m) {CONV % 'plus'}", opset=opset, constants=constants)


def _captured(node: str) -> ModelProto:
    """Add what a body reads from outside itself; no input of the node tells of it."""
    return _add(node, constants="float[1, 1, 1, 1] z = {0}, bool t = {1}, int64 turns = {2}")


MIXING: dict[str, ModelProto] = {
    "a range over the batch": net(
        f"q, s, z = DynamicQuantizeLinear (x) d = DequantizeLinear (q, s, z) {CONV % 'd'}"
    ),
    "an integer convolution behind a range over the batch": net(
        "q, s, z = DynamicQuantizeLinear (x) c = ConvInteger <pads = [1, 1, 1, 1]> (q, k, z) "
        "f = Cast <to = 1> (c) m = Mul (s, k_s) g = Mul (f, m) y = Add (g, b)",
        constants=f"int8[3, 2, 3, 3] k = {{{NUMBERS}}}, float k_s = {{0.02}}, "
        "float[3, 1, 1] b = {1, 2, 3}",
    ),
    "a mean and variance over all axes": net(
        f"m = MeanVarianceNormalization <axes = [0, 1, 2, 3]> (x) {CONV % 'm'}"
    ),
    "a mean and variance over the usual axes": net(
        f"m = MeanVarianceNormalization (x) {CONV % 'm'}"
    ),
    "the samples in reverse": _add(
        "r = ReduceMax <axes = [1, 2, 3], keepdims = 1> (x) m = Slice (r, b, e, a, s)",
        constants="int64[1] b = {-1}, int64[1] e = {-100}, int64[1] a = {0}, int64[1] s = {-1}",
    ),
    "the samples in reverse by Gather": _add(
        "r = ReduceMax <axes = [1, 2, 3], keepdims = 1> (x) m = Gather <axis = 0> (r, i)",
        constants="int64[3] i = {2, 1, 0}",
    ),
    "the samples in reverse by GatherND": _add(
        "r = ReduceMax <axes = [1, 2, 3], keepdims = 1> (x) m = GatherND (r, i)",
        constants="int64[3, 1] i = {2, 1, 0}",
    ),
    "the samples in reverse by ReverseSequence": _add(
        "r = ReduceMax <axes = [1, 2, 3], keepdims = 1> (x) "
        "t = ReverseSequence <batch_axis = 1, time_axis = 0> (r, n) m = Identity (t)",
        constants="int64[1] n = {3}",
    ),
    "a sum that runs over the samples": _add(
        "c = CumSum (x, a) m = ReduceMax <axes = [1, 2, 3], keepdims = 1> (c)",
        constants="int64 a = {0}",
    ),
    "a sum that runs over the samples, counted from behind": _add(
        "c = CumSum (x, a) m = ReduceMax <axes = [1, 2, 3], keepdims = 1> (c)",
        constants="int64 a = {-4}",
    ),
    "an axis in front against one behind": _add(
        "r = ReduceMax <axes = [1, 2, 3], keepdims = 0> (x) f = Unsqueeze (r, front) "
        "b = Unsqueeze (r, behind) d = Sub (f, b) a = ReduceMax <axes = [1], keepdims = 0> (d) "
        "m = Reshape (a, to)",
        constants="int64[1] front = {0}, int64[1] behind = {1}, int64[4] to = {3, 1, 1, 1}",
    ),
    "a trailing axis of the size of the batch": net(
        "r = ReduceMax <axes = [1, 2, 3], keepdims = 0> (x) b = Unsqueeze (r, behind) "
        "d = Sub (b, r) a = ReduceMax <axes = [1], keepdims = 0> (d) m = Reshape (a, to) "
        f"s = Add (x, m) {CONV % 's'}",
        constants="int64[1] behind = {1}, int64[4] to = {3, 1, 1, 1}",
    ),
    "channels of the size of the batch": net(
        "c = Conv <pads = [1, 1, 1, 1]> (x, w) r = ReduceMax <axes = [1, 2, 3], keepdims = 0> (c) "
        "u = Unsqueeze (r, behind) y = Mul (c, u)",
        constants="int64[2] behind = {1, 2}",
    ),
    "a product that sums over the samples": net(
        "r = ReduceMax <axes = [1, 2, 3], keepdims = 0> (x) u = Unsqueeze (r, behind) "
        "a = MatMul (k, u) m = Reshape (a, to) s = Add (x, m) " + CONV % "s",
        constants="int64[1] behind = {1}, int64[4] to = {3, 1, 1, 1}, "
        "float[3, 3] k = {1, 2, 3, 4, 5, 6, 7, 8, 9}",
    ),
    "an axis in front, then flattened by a negative number": net(
        f"f = Flatten <axis = -4> (x) o = Softmax (f) r = Reshape (o, to) {CONV % 'r'}",
        constants="int64[4] to = {3, 2, 6, 6}",
    ),
    "pads in front of the samples": _add(
        "r = ReduceMax <axes = [1, 2, 3], keepdims = 1> (x) p = Pad (r, pads) "
        "m = Slice (p, b, e, a)",
        constants="int64[8] pads = {1, 0, 0, 0, 0, 0, 0, 0}, int64[1] b = {0}, int64[1] e = {3}, "
        "int64[1] a = {0}",
    ),
    "the samples joined and parted": _add(
        "r = ReduceMax <axes = [1, 2, 3], keepdims = 1> (x) c = Concat <axis = 0> (r, r) "
        "m = Slice (c, b, e, a)",
        constants="int64[1] b = {1}, int64[1] e = {4}, int64[1] a = {0}",
    ),
    "the samples parted and joined": _add(
        "r = ReduceMax <axes = [1, 2, 3], keepdims = 1> (x) "
        "p, q = Split <axis = 0> (r, sizes) m = Concat <axis = 0> (q, p)",
        constants="int64[2] sizes = {1, 2}",
    ),
    "the samples moved behind": _add(
        "r = ReduceMax <axes = [2, 3], keepdims = 0> (x) t = Transpose <perm = [1, 0]> (r) "
        "m = Reshape (t, to)",
        constants="int64[4] to = {3, 2, 1, 1}",
    ),
    "rows of a triangle": _add(
        "r = ReduceMax <axes = [2, 3], keepdims = 0> (x) t = Trilu (r) m = Reshape (t, to)",
        constants="int64[4] to = {3, 2, 1, 1}",
        opset=14,
    ),
    "a maximum over all": _add("m = ReduceMax <keepdims = 1> (x)"),
    "a norm over all": _add("m = ReduceL2 <axes = [-4, 1, 2, 3], keepdims = 1> (x)"),
    "a branch that reads all samples": _captured(
        "m = If (t) <then_branch = yes () => (float[1, 1, 1, 1] a) "
        "{ a = ReduceMax <axes = [0, 1, 2, 3], keepdims = 1> (x) }, "
        "else_branch = no () => (float[1, 1, 1, 1] b) { b = Identity (z) }>"
    ),
    "a loop that reads all samples": _captured(
        "m = Loop (turns, t, z) <body = turn (int64 i, bool on, float[1, 1, 1, 1] a) => "
        "(bool go, float[1, 1, 1, 1] b) { go = Identity (on) "
        "r = ReduceMax <axes = [0, 1, 2, 3], keepdims = 1> (x) b = Add (a, r) }>"
    ),
}

PER_SAMPLE: dict[str, ModelProto] = {
    "an axis behind the samples": _add(
        "r = ReduceMax <axes = [1, 2, 3], keepdims = 0> (x) m = Unsqueeze (r, a)",
        constants="int64[3] a = {1, 2, 3}",
    ),
    "every axis of one taken out": _add(
        "r = ReduceMax <axes = [1, 2, 3], keepdims = 1> (x) q = Squeeze (r) m = Unsqueeze (q, a)",
        constants="int64[3] a = {1, 2, 3}",
    ),
    "channels in reverse": _add(
        "m = Slice (x, b, e, a, s)",
        constants="int64[1] b = {-1}, int64[1] e = {-100}, int64[1] a = {1}, int64[1] s = {-1}",
    ),
    "all samples sliced in order": _add(
        "m = Slice (x, b, e)",
        constants="int64[2] b = {0, 0}, int64[2] e = {3, 1}",
    ),
    "channels by Gather": _add("m = Gather <axis = -3> (x, i)", constants="int64[2] i = {1, 0}"),
    "a table that the samples look into": net(
        "c = Conv <pads = [1, 1, 1, 1]> (x, w) i = ArgMax <axis = 1, keepdims = 0> (c) "
        "y = Gather <axis = 0> (table, i)",
        constants="float[3, 2] table = {1, 2, 3, 4, 5, 6}",
        dims="3, 6, 6, 2",
    ),
    "elements within each sample": _add(
        "v, i = TopK <axis = 1> (x, k) m = GatherElements <axis = 1> (x, i)",
        constants="int64[1] k = {2}",
    ),
    "elements of each sample": _add(
        "i = ArgMax <axis = 1, keepdims = 0> (x) j = Unsqueeze (i, a) "
        "t = Transpose <perm = [0, 2, 3, 1]> (x) g = GatherND <batch_dims = 3> (t, j) "
        "m = Unsqueeze (g, c)",
        constants="int64[1] a = {3}, int64[1] c = {1}",
    ),
    "a running sum along the width": _add("m = CumSum (x, a)", constants="int64 a = {-1}"),
    "pads around the image": _add(
        "p = Pad (x, pads) m = MaxPool <kernel_shape = [3, 3]> (p)",
        constants="int64[8] pads = {0, 0, 1, 1, 0, 0, 1, 1}",
    ),
    "channels joined and parted": _add("c = Concat <axis = 1> (x, x) m, n = Split <axis = 1> (c)"),
    "a constant with a row for each sample, all alike": _add(
        "m = Mul (x, k)", constants="float[3, 1, 1, 1] k = {2, 2, 2}"
    ),
    "a constant as long as the batch, on the channels": net(
        "c = Conv <pads = [1, 1, 1, 1]> (x, w) y = Mul (c, k)",
        constants="float[3, 1, 1] k = {1, 2, 3}",
    ),
    "a matrix as high as the batch": net(
        "c = Conv <pads = [1, 1, 1, 1]> (x, w) g = GlobalAveragePool (c) f = Flatten (g) "
        "y = MatMul (f, k)",
        constants="float[3, 3] k = {1, 2, 3, 4, 5, 6, 7, 8, 9}",
        dims="3, 3",
    ),
    "a bias as long as the batch": net(
        "c = Conv <pads = [1, 1, 1, 1]> (x, w) g = GlobalAveragePool (c) "
        "f = Flatten <axis = -3> (g) y = Gemm (f, k, b)",
        constants="float[3, 3] k = {1, 2, 3, 4, 5, 6, 7, 8, 9}, float[3] b = {1, 2, 3}",
        dims="3, 3",
    ),
    "a bias with a row for each sample, all alike": net(
        "c = Conv <pads = [1, 1, 1, 1]> (x, w) g = GlobalAveragePool (c) f = Flatten (g)"
        " y = Gemm (f, k, b)",
        constants="float[3, 3] k = {1, 2, 3, 4, 5, 6, 7, 8, 9}, float[3, 1] b = {1, 1, 1}",
        dims="3, 3",
    ),
    "frames within samples": net(
        "r = Reshape (x, in) m = MeanVarianceNormalization <axes = [1, 2]> (r) "
        f"o = Reshape (m, out) {CONV % 'o'}",
        constants="int64[3] in = {6, 6, 6}, int64[4] out = {3, 2, 6, 6}",
    ),
    "attention between channels": net(
        "r = Reshape (x, in) t = Transpose <perm = [0, 2, 1]> (r) p = MatMul (r, t) "
        f"a = Softmax (p) v = MatMul (a, r) o = Reshape (v, out) {CONV % 'o'}",
        constants="int64[3] in = {3, 2, 36}, int64[4] out = {3, 2, 6, 6}",
    ),
    "an equation with the samples in front": net(
        f'e = Einsum <equation = "nchw,nchw,ck->nkhw"> (x, x, k) {CONV % "e"}',
        constants="float[2, 2] k = {1, 2, 3, 4}",
    ),
    "a number that all samples share, quantised": _add(
        "q = QuantizeLinear (x, s, z) m = DequantizeLinear (q, s, z)",
        constants="float s = {0.5}, int8 z = {3}",
    ),
    "an integer convolution with a scale of the file": net(
        "q = QuantizeLinear (x, s, z) c = ConvInteger <pads = [1, 1, 1, 1]> (q, k, z) "
        "y = Cast <to = 1> (c)",
        constants=f"float s = {{0.5}}, uint8 z = {{3}}, int8[3, 2, 3, 3] k = {{{NUMBERS}}}",
    ),
    "a triangle of each channel": _add("m = Trilu (x)", opset=14),
    "repeated channels": _add(
        "t = Tile (x, k) m, n = Split <axis = 1> (t)", constants="int64[4] k = {1, 2, 1, 1}"
    ),
    "expanded channels": _add(
        "r = ReduceMax <axes = [1], keepdims = 1> (x) m = Expand (r, to)",
        constants="int64[4] to = {3, 2, 6, 6}",
    ),
    "a normalisation of each row": _add(
        "m = LayerNormalization <axis = -1> (x, k)",
        constants="float[6] k = {1, 2, 3, 4, 5, 6}",
        opset=17,
    ),
    "an image made larger": _add(
        "z = Resize (x, , , s) m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (z)",
        constants="int64[4] s = {3, 2, 12, 12}",
    ),
}
