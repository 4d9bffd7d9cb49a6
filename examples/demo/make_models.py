"""Write the two models of the demo: one that the gate stops, one that it lets through.

    python examples/demo/make_models.py     (needs onnx and numpy only)

``bad.onnx`` folds four frames into the batch through six axes, leaves the width open, and squeezes
along axes that are computed at run time. ``clean.onnx`` is a small int8 network in QDQ form.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto

FOLDER = Path(__file__).resolve().parent

BAD = """
<ir_version: 8, opset_import: ["" : 14], producer_name: "npugate demo">
bad (float[1, 12, 16, width] frames, int64[1] axes) => (float[m, n] scores)
<int64[6] six = {1, 4, 3, 1, 16, 16}, int64[4] four = {4, 3, 16, 16}, int64[4] last = {1, 4, 8, 1}>
{
  [split_frames] views = Reshape (frames, six)
  [fold_frames] batch = Reshape (views, four)
  [features] conv = Conv <pads = [1, 1, 1, 1]> (batch, weight, bias)
  [activation] relu = Relu (conv)
  [pool] pooled = GlobalAveragePool (relu)
  [join_frames] joined = Reshape (pooled, last)
  [drop_axes] scores = Squeeze (joined, axes)
}
"""

CLEAN = """
<ir_version: 8, opset_import: ["" : 14], producer_name: "npugate demo">
clean (float[1, 3, 16, 16] image) => (float[1, 8, 8, 8] features)
<float in_scale = {0.0078125}, int8 in_zero = {0}, float out_scale = {0.03125}, int8 out_zero = {-128}>
{
  [image_q] image_q = QuantizeLinear (image, in_scale, in_zero)
  [image_dq] image_dq = DequantizeLinear (image_q, in_scale, in_zero)
  [weight_dq] weight_dq = DequantizeLinear <axis = 0> (weight, weight_scale, weight_zero)
  [bias_dq] bias_dq = DequantizeLinear <axis = 0> (bias, bias_scale, bias_zero)
  [conv] conv = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (image_dq, weight_dq, bias_dq)
  [relu] relu = Relu (conv)
  [out_q] out_q = QuantizeLinear (relu, out_scale, out_zero)
  [out_dq] features = DequantizeLinear (out_q, out_scale, out_zero)
}
"""


def bad() -> ModelProto:
    """Return the model that the gate stops."""
    rng = np.random.default_rng(1)
    model = onnx.parser.parse_model(BAD)
    _add(model, "weight", rng.standard_normal((8, 3, 3, 3)).astype(np.float32) * 0.2)
    _add(model, "bias", np.zeros(8, np.float32))
    return model


def clean() -> ModelProto:
    """Return the model that passes: int8 symmetric weights per channel, int8 activations."""
    rng = np.random.default_rng(2)
    model = onnx.parser.parse_model(CLEAN)
    scale = np.full(8, 0.015625, np.float32)
    _add(model, "weight", rng.integers(-127, 128, (8, 3, 3, 3)).astype(np.int8))
    _add(model, "weight_scale", scale)
    _add(model, "weight_zero", np.zeros(8, np.int8))
    _add(model, "bias", rng.integers(-500, 500, 8).astype(np.int32))
    _add(model, "bias_scale", scale * np.float32(0.0078125))
    _add(model, "bias_zero", np.zeros(8, np.int32))
    return model


def _add(model: ModelProto, name: str, value: np.ndarray) -> None:
    tensor: TensorProto = onnx.numpy_helper.from_array(value, name)
    model.graph.initializer.append(tensor)


if __name__ == "__main__":
    for name, model in (("bad", bad()), ("clean", clean())):
        onnx.checker.check_model(model, full_check=True)
        data = model.SerializeToString(deterministic=True)
        (FOLDER / f"{name}.onnx").write_bytes(data)
