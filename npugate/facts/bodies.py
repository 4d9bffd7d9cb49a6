"""Do the bodies of Loop, Scan and If fit the nodes that hold them?

Inference as ``inference`` uses it swallows what goes wrong in a body. Here onnx infers the whole
model once more and strictly, as onnxruntime does when it loads it; only models with control flow
pay for that.
"""

from __future__ import annotations

import re
from typing import Final

import onnx
from onnx import ModelProto
from onnx.shape_inference import InferenceError

from npugate.facts.graph import Graph, Node, walk
from npugate.facts.skeleton import Skeleton, graphs_below
from npugate.findings import rule_names
from npugate.findings.values import Location, Problem

_RULE: Final = rule_names.SHAPE_INFERENCE_FAILED
_SEEN: Final = frozenset(
    {_RULE, rule_names.INVALID_MODEL, rule_names.UNDEFINED_VALUE, rule_names.DUPLICATE_NAME}
)
_PLAIN_SCAN: Final = 9  # the Scan of opset 8 has an input that inference does not know
_PLACE: Final = re.compile(r"\(op_type:(?P<kind>[\w.]+)(?:, node name: (?P<name>.*?))?\): ")
_MAX_TEXT: Final = 400


def report_bodies(graph: Graph, skeleton: Skeleton) -> None:
    """Name the first node whose body contradicts what the node gives it or takes from it.

    Args:
        graph: linked, bodies included.
        skeleton: the fault is added to its problems; nothing is done when it has some already.
    """
    held = [node for body in walk(graph) for node in body.nodes if node.subgraphs]
    if not held or any(problem.rule in _SEEN for problem in skeleton.problems):
        return
    if any(node.op_type == "Scan" for node in held) and skeleton.opsets.get("", 0) < _PLAIN_SCAN:
        return
    try:
        onnx.shape_inference.infer_shapes(_plain(skeleton.proto), strict_mode=True, check_type=True)
    except InferenceError as error:
        text = " ".join(str(error).split())
        place, kind = _place(text, graph)
        reason = _PLACE.sub("", text.rpartition("Inference error(s): ")[2])[:_MAX_TEXT]
        skeleton.problems.append(Problem(_RULE, place, f"{kind}: {reason}"))
    except (RuntimeError, ValueError, IndexError):
        return  # onnx cannot infer the model as a whole: its nodes were checked one by one


def _plain(proto: ModelProto) -> ModelProto:
    """Return a copy without the shapes that bodies declare of what they compute.

    onnxruntime takes no notice of them when they are wrong.
    """
    model = ModelProto()
    model.CopyFrom(proto)
    for body in graphs_below(model.graph):
        if body is not model.graph:
            del body.value_info[:]
            for info in body.output:
                if info.type.WhichOneof("value") == "tensor_type":
                    info.type.tensor_type.ClearField("shape")
    return model


def _place(text: str, graph: Graph) -> tuple[Location, str]:
    """Return the node that a message of onnx is about, and its operator."""
    found = _PLACE.search(text)
    kind = found["kind"] if found else "the model"
    nodes = [node for body in walk(graph) for node in body.nodes if node.op_type == kind]
    named: list[Node] = [node for node in nodes if found and node.name == found["name"]]
    chosen = named[0] if named else nodes[0] if len(nodes) == 1 else None
    return (Location(op_type=kind) if chosen is None else chosen.location()), kind
