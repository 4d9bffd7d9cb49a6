"""Shapes that are computed anew in every layer, as exporters of transformers write them."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from npugate.facts import Facts
from npugate.limits import Limits
from npugate.model import reader


def layers(count):
    """Reshape each layer's result to a shape read from it: known only once the layer's input is."""
    nodes = []
    for i in range(count):
        nodes += [
            helper.make_node("Shape", [f"x{i}"], [f"s{i}"]),
            helper.make_node("Gather", [f"s{i}", "one"], [f"g{i}"]),
            helper.make_node("Concat", ["batch", f"g{i}"], [f"c{i}"], axis=0),
            helper.make_node("Reshape", [f"x{i}", f"c{i}"], [f"x{i + 1}"]),
        ]
    held = [
        numpy_helper.from_array(np.array([1], np.int64), "one"),
        numpy_helper.from_array(np.array([1], np.int64), "batch"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "layers",
        [value("x0", TensorProto.FLOAT, [1, 8])],
        [value(f"x{count}", TensorProto.FLOAT, None)],
        held,
    )
    opsets = [helper.make_opsetid("", 14)]
    data = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return reader.read(data, "layers.onnx", Limits())


@pytest.mark.parametrize("count", [1, 3, 100])
def test_a_shape_that_every_layer_computes_is_known_however_many_layers_there_are(count):
    facts = Facts(layers(count))
    shapes = {facts.main.tensors[f"x{i}"].static_shape for i in range(count + 1)}
    assert shapes == {(1, 8)}


def test_layers_are_inferred_in_rounds_that_do_not_grow_with_their_number():
    stages = []
    counted = Facts(layers(100), stage=stages.append)
    assert counted.main.tensors["x100"].static_shape == (1, 8)
    assert "shape inference with value propagation" not in stages
