"""Whether shapes leave every layer something to compute.

onnx's inference takes a window larger than its map without a word and gives the result an axis
below 0; its rule for Slice then ends the process on an assertion. So this is asked first, in steps
that end where a Slice begins.
"""

from __future__ import annotations

from typing import Final

from onnx import ModelProto
from onnx.shape_inference import InferenceError, infer_shapes

from npugate.model.node_label import node_label
from npugate.surgery.shapes import InferenceRefusedError, light

STARVED: Final = "has nothing left to compute"
"""The end of the sentence about such a node."""
_MOST_INFERRED: Final = 100_000  # nodes, each counted once for every step that infers it


def starved(model: ModelProto) -> str:
    """Return what is wrong with the first node that gets too little; empty when none does.

    Nodes that no bounded number of steps reaches are not looked at.

    Args:
        model: sorted, its inputs static; it is left as it is.

    Raises:
        InferenceRefusedError: inference refuses the model.
    """
    whole = light(model)
    del whole.graph.value_info[:]
    depths = _depths(whole)
    for step in range(min(max(depths, default=0) + 1, 1 + _MOST_INFERRED // (len(depths) + 1))):
        part = ModelProto()
        part.CopyFrom(whole)
        del part.graph.output[:], part.graph.node[:]
        nodes = [
            node for node, depth in zip(whole.graph.node, depths, strict=True) if depth <= step
        ]
        part.graph.node.extend(nodes)
        below = {
            info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim]
            for info in _inferred(part).graph.value_info
            if any(dim.dim_value < 0 for dim in info.type.tensor_type.shape.dim)
        }
        for node in nodes:
            if node.output and node.output[0] in below:
                return f"{node_label(node)!r} {STARVED}"
    return ""


def _inferred(model: ModelProto) -> ModelProto:
    try:
        return infer_shapes(model, data_prop=True)
    except InferenceError as error:
        raise InferenceRefusedError(f"shapes cannot be inferred: {str(error).strip()}") from error


def _depths(model: ModelProto) -> list[int]:
    """Return for each node how many Slices lie on the longest way to its result."""
    made: dict[str, int] = {}
    depths: list[int] = []
    for node in model.graph.node:
        depth = max((made.get(name, 0) for name in node.input), default=0)
        depth += node.op_type == "Slice"
        made.update(dict.fromkeys(node.output, depth))
        depths.append(depth)
    return depths
