"""Models whose parameters are wrong or right, as ONNX text or built, for the tests of the rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from npugate.findings.values import Hit
from npugate.rules import registry, testing
from npugate.target import profiles

TARGET = profiles.load("stm32n6", "4.0")


def text(signature: str, constants: str, nodes: str, opset: int = 17) -> ModelProto:
    """Build a model from the parts of its text form; constants without data are filled."""
    return testing.model_from_text(
        f'<ir_version: 8, opset_import: ["" : {opset}]> net {signature} <{constants}> {{ {nodes} }}'
    )


def found(model: ModelProto, rule: str, folder: Path) -> list[Hit]:
    """Return what one rule says of a model."""
    file = folder / "model.onnx"
    file.write_bytes(model.SerializeToString())
    rules = [item for item in registry.rules().values() if item.name == rule]
    return testing.hits(rules, file, TARGET)[rule]


def messages(model: ModelProto, rule: str, folder: Path) -> list[str]:
    """Return the messages of one rule."""
    return [hit.message for hit in found(model, rule, folder)]


def layer(
    kind: str,
    stored: tuple[int, ...],
    axis: int,
    views: tuple[tuple[str, object], ...] = (),
    **attributes: object,
) -> ModelProto:
    """Build a quantised layer whose weight has a scale for each entry of an axis.

    Args:
        kind: Conv, ConvTranspose, Gemm or MatMul; it is named ``layer``.
        stored: shape of the int8 tensor.
        axis: along which its scales run.
        views: operators between the weight and the layer: perm, shape, or None.
        attributes: of the layer.
    """
    given = {
        "w": np.ones(stored, np.int8),
        "ws": np.full(stored[axis], 0.01, np.float32),
        "wz": np.zeros(stored[axis], np.int8),
        "s": np.float32(0.1),
        "z": np.int8(0),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "quantize"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], "dequantize"),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["w0"], "weight", axis=axis),
    ]
    name, shape = _viewed(stored, views, given, nodes)
    nodes.append(helper.make_node(kind, ["d", name], ["y"], "layer", **attributes))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, _reads(kind, shape, attributes))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in given.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _viewed(stored, views, given, nodes) -> tuple[str, tuple[int, ...]]:
    """Add the views to the nodes; return what the last one makes, and its shape."""
    shape, name = stored, "w0"
    for number, (view, how) in enumerate(views, start=1):
        made, inputs = f"w{number}", [name]
        options = {}
        if view == "Transpose":
            options = {"perm": how}
            shape = tuple(shape[at] for at in how)
        else:
            given[f"shape{number}"] = np.array(how, np.int64)
            inputs.append(f"shape{number}")
            shape = tuple(how)
        nodes.append(helper.make_node(view, inputs, [made], f"view{number}", **options))
        name = made
    return name, shape


def _reads(kind: str, weight: tuple[int, ...], attributes: dict[str, object]) -> list[int]:
    if kind == "Conv":
        return [1, weight[1], 8, 8]
    if kind == "ConvTranspose":
        return [1, weight[0], 8, 8]
    turned = kind == "Gemm" and attributes.get("transB")
    return [*weight[:-2], 1, weight[-1] if turned else weight[-2]]
