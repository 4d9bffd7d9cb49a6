"""The first node of a network of a line, as facts have it."""

from pathlib import Path

from npugate.facts import Facts
from npugate.facts.graph import Node
from npugate.limits import Limits
from npugate.model.reader import read
from npugate.rules import testing


def first_node(inputs: str, weights: str, line: str, opset: int = 18) -> Node:
    """Return the first node of ``line``; what is among the weights is constant."""
    text = f"""
        <ir_version: 8, opset_import: ["" : {opset}]>
        net ({inputs}) => (y) <{weights}> {{ {line} }}
    """
    data = testing.model_from_text(text).SerializeToString()
    return Facts(read(data, "net.onnx", Limits(), Path())).nodes[0]
