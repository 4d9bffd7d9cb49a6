"""Small float networks with weights from a seed, for the tests of quantisation."""

import numpy as np
from onnx import ModelProto, numpy_helper, parser

HEADS = {
    "plain": "y = Gemm <transB = 1> (flat, dense, bias2)",
    "island": "g = Gemm <transB = 1> (flat, dense, bias2)\n y = Softplus (g)",
}


def network(opset=14, head="plain", *, norm=False, seed=0) -> ModelProto:
    """Conv, ReLU, average, Gemm: 2 channels of 8x8 in, 3 numbers out; half of the nodes unnamed."""
    conv = "c0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, kernel, bias1)"
    if norm:
        conv += "\n c = BatchNormalization (c0, gain, shift, mean, variance)"
    else:
        conv = conv.replace("c0 =", "c =")
    model = parser.parse_model(f"""
        <ir_version: 7, opset_import: ["" : {opset}]>
        net (float[1, 2, 8, 8] x) => (float[1, 3] y) {{
            {conv}
            r = Relu (c)
            p = GlobalAveragePool (r)
            flat = Flatten (p)
            {HEADS[head]}
        }}
    """)
    rng = np.random.default_rng(seed)
    shapes = {"kernel": (4, 2, 3, 3), "bias1": (4,), "dense": (3, 4), "bias2": (3,)}
    if norm:
        shapes |= dict.fromkeys(("gain", "shift", "mean", "variance"), (4,))
    for name, shape in shapes.items():
        value = rng.normal(size=shape).astype(np.float32)
        value = np.abs(value) + 0.5 if name in {"variance", "gain"} else value
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    model.graph.node[0].name = "first"
    return model


def samples(count, seed=1):
    """Return float32[count, 2, 8, 8]: noise of a strength that differs, so that outputs vary."""
    rng = np.random.default_rng(seed)
    strength = rng.uniform(0.2, 2.0, (count, 1, 1, 1))
    return (strength * rng.normal(size=(count, 2, 8, 8))).astype(np.float32)
