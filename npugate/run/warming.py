"""Look at one small model of our own before many children are forked.

What a first examination loads (tables of the estimate, onnx's schemas, expressions) and what the
interpreter learns of the code is then shared by all children, instead of being done in each: of the
time that a small model takes it is nine tenths. No file of a user is touched by the parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from npugate.estimate import assemble
from npugate.facts import Facts, neighbours
from npugate.limits import Limits
from npugate.model.reader import read
from npugate.rules import check
from npugate.rules.values import Rule
from npugate.target.values import Target

_TIMES: Final = 10  # the interpreter specialises a function after eight calls


def warm(rules: Mapping[str, Rule], target: Target) -> None:
    """Examine a model of ours by every rule."""
    data = _model().SerializeToString()
    for _ in range(_TIMES):
        facts = Facts(read(data, "warm.onnx", Limits()))
        hits = check.run(facts, rules, rules, target, lambda _: None).hits
        places = ((hit.location.graph, hit.location.node) for _, hit in hits)
        neighbours.sketches(facts.graphs, places)
        assemble.estimate(facts, target)


def _model() -> ModelProto:
    """Make a convolution and a matrix product, each in float and in int8."""
    value = helper.make_tensor_value_info
    weights = {
        "w": np.ones((4, 3, 3, 3), np.float32),
        "q": np.ones((4, 4, 1, 1), np.int8),
        "scale": np.array(0.5, np.float32),
        "zero": np.array(0, np.int8),
        "shape": np.array([1, -1], np.int64),
        "m": np.ones((144, 2), np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("QuantizeLinear", ["b", "scale", "zero"], ["c"]),
        helper.make_node("DequantizeLinear", ["c", "scale", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["e"]),
        helper.make_node("Conv", ["d", "e"], ["f"]),
        helper.make_node("QuantizeLinear", ["f", "scale", "zero"], ["g"]),
        helper.make_node("DequantizeLinear", ["g", "scale", "zero"], ["h"]),
        helper.make_node("Reshape", ["h", "shape"], ["i"]),
        helper.make_node("MatMul", ["i", "m"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "warm",
        [value("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [value("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
