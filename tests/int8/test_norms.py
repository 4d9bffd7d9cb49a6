"""One small network for each kind of layer: quantised in the scheme, close to the float one."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from npugate.evaluation.run import evaluate
from npugate.evaluation.values import EvaluateJob, Grade
from npugate.int8.norms import fold_gemm_factors
from npugate.int8.run import quantize
from npugate.int8.values import QuantizeJob
from npugate.proof.sessions import Session

IMAGE = "float[1, 4, 8, 8] x"
# name: ((input, output), body, shapes of weights)
LAYERS = {
    "transposed convolution": (
        (IMAGE, "float[1, 6, 16, 16] y"),
        "y = ConvTranspose <strides = [2, 2], kernel_shape = [2, 2]> (x, w)",
        {"w": (4, 6, 2, 2)},
    ),
    "depthwise convolution": (
        (IMAGE, "float[1, 4, 8, 8] y"),
        "y = Conv <pads = [1, 1, 1, 1], kernel_shape = [3, 3], group = 4> (x, w)",
        {"w": (4, 1, 3, 3)},
    ),
    "one output channel": (
        (IMAGE, "float[1, 1, 8, 8] y"),
        "y = Conv <kernel_shape = [1, 1]> (x, w)",
        {"w": (1, 4, 1, 1)},
    ),
    "1-D convolution": (
        ("float[1, 4, 32] x", "float[1, 5, 32] y"),
        "c = Conv <pads = [1, 1], kernel_shape = [3]> (x, w, b)\n y = Relu (c)",
        {"w": (5, 4, 3), "b": (5,)},
    ),
    "matrix": (
        ("float[1, 6, 8] x", "float[1, 6, 5] y"),
        "m = MatMul (x, w)\n y = Add (m, b)",
        {"w": (8, 5), "b": (5,)},
    ),
    "stack of matrices": (
        ("float[2, 6, 8] x", "float[2, 6, 5] y"),
        "y = MatMul (x, w)",
        {"w": (2, 8, 5)},
    ),
    "constant on the left": (
        ("float[1, 8, 5] x", "float[1, 6, 5] y"),
        "y = MatMul (w, x)",
        {"w": (6, 8)},
    ),
    "Gemm with factors": (
        ("float[1, 8] x", "float[1, 5] y"),
        "y = Gemm <alpha = 0.5, beta = 2.0> (x, w, b)",
        {"w": (8, 5), "b": (5,)},
    ),
    "open batch": (
        ("float[N, 4, 8, 8] x", "float[N, 3, 8, 8] y"),
        "y = Conv <kernel_shape = [1, 1]> (x, w)",
        {"w": (3, 4, 1, 1)},
    ),
    "pool that reads the input": (
        (IMAGE, "float[1, 3, 4, 4] y"),
        (
            "p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)\n"
            "y = Conv <kernel_shape = [1, 1]> (p, w)"
        ),
        {"w": (3, 4, 1, 1)},
    ),
    "swish": (
        (IMAGE, "float[1, 3, 8, 8] y"),
        "c = Conv <kernel_shape = [1, 1]> (x, w)\n s = Sigmoid (c)\n y = Mul (c, s)",
        {"w": (3, 4, 1, 1)},
    ),
    "attention": (
        ("float[1, 6, 8] x", "float[1, 6, 8] y"),
        (
            "q = MatMul (x, w)\n k = MatMul (x, v)\n t = Transpose <perm = [0, 2, 1]> (k)\n"
            "s = MatMul (q, t)\n p = Softmax <axis = -1> (s)\n y = MatMul (p, x)"
        ),
        {"w": (8, 8), "v": (8, 8)},
    ),
}


def built(name):
    (given, made), body, weights = LAYERS[name]
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 14]> net ({given}) => ({made}) {{ {body} }}'
    )
    rng = np.random.default_rng(0)
    for key, shape in weights.items():
        value = rng.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(value, key))
    dims = model.graph.input[0].type.tensor_type.shape.dim
    return model, [dim.dim_value or 1 for dim in dims]


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_quantised_and_stays_close(name, tmp_path):
    model, shape = built(name)
    onnx.save(model, tmp_path / "m.onnx")
    rng = np.random.default_rng(1)
    for file, count in (("cal", 60), ("test", 40)):
        rows = rng.uniform(-2, 2, size=[count, *shape]).astype(np.float32)
        np.savez(tmp_path / f"{file}.npz", x=rows)
    made, data = tmp_path / "q.onnx", tmp_path / "cal.npz"
    report = quantize(QuantizeJob(tmp_path / "m.onnx", made, data))
    assert [check for check in report.checks if not check.passed] == []
    assert report.islands == ()
    found = evaluate(EvaluateJob(tmp_path / "m.onnx", made, tmp_path / "test.npz"))
    assert found.grade is not None
    assert found.grade >= Grade.GOOD, found.graded_by
    assert found.disjoint is True


def test_the_factors_of_a_gemm_move_without_changing_it():
    model, _ = built("Gemm with factors")
    feeds = {"x": np.random.default_rng(2).normal(size=(1, 8)).astype(np.float32)}
    before = Session(model).run(feeds)["y"]
    assert fold_gemm_factors(model) == ["y"]
    assert np.allclose(Session(model).run(feeds)["y"], before, rtol=1e-6)
    assert not model.graph.node[0].attribute
    assert fold_gemm_factors(model) == []
