"""Give a float network its QDQ form, with the scales of a run on random numbers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, TensorProto, helper, numpy_helper

Array = np.ndarray[Any, np.dtype[Any]]
_QUANTIZED: Final = frozenset(
    {"Add", "AveragePool", "Concat", "Conv", "Gemm", "GlobalAveragePool"}
    | {"MatMul", "MaxPool", "Mul", "Relu"}
)
_WEIGHTED: Final = frozenset({"Conv", "Gemm", "MatMul"})
_BIAS: Final = 2  # its position among the inputs
_LARGEST: Final = 1e4  # of a tensor that is worth quantising


def quantized(model: ModelProto, seed: int) -> ModelProto:
    """Return the QDQ form of a model: scales of its own activations, weights by the channel.

    Args:
        model: float, with one input; unchanged.
        seed: of the numbers that it is calibrated on.
    """
    ranges = _ranges(model, seed)
    made = ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    weights = {item.name: item for item in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    twins: dict[str, str] = {}
    steps: dict[str, Array] = {}
    rng = np.random.default_rng(seed)

    def twin(name: str) -> str:
        """Return the quantised form of a value; made where it is first read."""
        if name not in twins:
            low, high = ranges[name]
            step = np.float32(max(high - low, 1e-6) / 255)
            zero = np.uint8(np.clip(round(-low / float(step)), 0, 255))
            twins[name] = _pair(graph, nodes, name, step, zero)
            steps[twins[name]] = np.asarray(step)
        return twins[name]

    for node in list(graph.node):
        if node.op_type in _QUANTIZED and node.name:
            for at, name in enumerate(node.input):
                if name in ranges:
                    node.input[at] = twin(name)
                elif at == 1 and name in weights and node.op_type in _WEIGHTED:
                    node.input[at], step = _weight(graph, nodes, weights[name], node, rng)
                    steps[node.input[at]] = step
                elif at == _BIAS and name in weights and {*node.input[:2]} <= steps.keys():
                    step = steps[node.input[0]] * steps[node.input[1]]
                    node.input[at] = _bias(graph, nodes, weights[name], step)
        nodes.append(node)
    if graph.output[0].name in ranges and rng.random() < 0.6:  # noqa: PLR2004 - a share
        graph.output[0].name = twin(graph.output[0].name)  # it comes out of a quantiser
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(made, full_check=True)
    return made


def _ranges(model: ModelProto, seed: int) -> dict[str, tuple[float, float]]:
    """Return the range of every float value that a run makes; none where it does not run."""
    shown = ModelProto()
    shown.CopyFrom(model)
    have = {info.name for info in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name not in have]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name)
    session = session_of(shown)
    dims = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    data = np.random.default_rng(seed).standard_normal(dims).astype(np.float32)
    try:
        found = session.run(None, {"x": data})
    except Exception:  # noqa: BLE001 - whatever onnxruntime raises
        return {}
    made = dict(zip([item.name for item in session.get_outputs()], found, strict=True))
    made["x"] = data
    return {
        name: (min(float(value.min()), 0.0), max(float(value.max()), 0.0))
        for name, value in made.items()
        if value.dtype == np.float32 and value.size and np.abs(value).max() < _LARGEST
    }


def _pair(
    graph: onnx.GraphProto, nodes: list[onnx.NodeProto], name: str, step: Array, zero: Array
) -> str:
    scale, centre = f"{name}_s", f"{name}_z"
    graph.initializer.append(numpy_helper.from_array(np.asarray(step), scale))
    graph.initializer.append(numpy_helper.from_array(np.asarray(zero), centre))
    parts = [scale, centre]
    nodes.append(
        helper.make_node("QuantizeLinear", [name, *parts], [f"{name}_q"], name=f"{name}_q")
    )
    nodes.append(
        helper.make_node("DequantizeLinear", [f"{name}_q", *parts], [f"{name}_d"], name=f"{name}_d")
    )
    return f"{name}_d"


def _weight(
    graph: onnx.GraphProto,
    nodes: list[onnx.NodeProto],
    tensor: TensorProto,
    node: onnx.NodeProto,
    rng: np.random.Generator,
) -> tuple[str, Array]:
    """Quantise a weight, a convolution's by the channel most times.

    Returns:
        What stands for it, and its scale.
    """
    array, name = numpy_helper.to_array(tensor), f"{tensor.name}_{node.name}"
    by_channel = node.op_type == "Conv" and rng.random() < 0.8  # noqa: PLR2004 - a share
    axes = tuple(range(1, array.ndim)) if by_channel else None
    step = (np.maximum(np.abs(array).max(axis=axes), 1e-6) / 127).astype(np.float32)
    wide = step.reshape(-1, *[1] * (array.ndim - 1)) if by_channel else step
    integers = np.clip(np.round(array / wide), -127, 127).astype(np.int8)
    zero = np.zeros(step.shape, np.int8)
    for value, part in ((integers, "i"), (step, "s"), (zero, "z")):
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"{name}_{part}"))
    axis = {"axis": 0} if by_channel else {}
    inputs = [f"{name}_{part}" for part in "isz"]
    nodes.append(helper.make_node("DequantizeLinear", inputs, [name], name=name, **axis))
    return name, step


def _bias(
    graph: onnx.GraphProto, nodes: list[onnx.NodeProto], tensor: TensorProto, step: Array
) -> str:
    """Quantise a bias to 32 bits, with the scales of data and weight, as kernels want it."""
    name = f"{tensor.name}_b{len(nodes)}"
    ends = np.iinfo(np.int32)
    wide = np.round(numpy_helper.to_array(tensor) / step.astype(np.float64))
    integers = np.clip(wide, ends.min, ends.max).astype(np.int32)
    for value, part in ((integers, "i"), (step.astype(np.float32), "s")):
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"{name}_{part}"))
    axis = {"axis": 0} if step.ndim else {}
    inputs = [f"{name}_i", f"{name}_s"]
    nodes.append(helper.make_node("DequantizeLinear", inputs, [name], name=name, **axis))
    return name


def session_of(model: ModelProto, *, optimised: bool = False) -> ort.InferenceSession:
    """Load a model in onnxruntime, on one thread."""
    options = ort.SessionOptions()
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    )
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    data = model.SerializeToString()
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
