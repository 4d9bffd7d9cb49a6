"""What the ONNX checker says, node by node, and whether declared outputs are what is computed."""

from __future__ import annotations

from typing import Final

import onnx
from onnx import AttributeProto, ModelProto, TensorProto
from onnx.checker import ValidationError

from npugate.facts.graph import UNKNOWN_DOMAIN, Graph, Shape, Tensor, walk
from npugate.facts.skeleton import Skeleton, graphs_below, nodes_below
from npugate.facts.structure import declared_shapes
from npugate.findings import rule_names
from npugate.findings.values import Location, Problem
from npugate.model.reader import holds_data

_RULE: Final = rule_names.INVALID_MODEL
_NAMED: Final = frozenset(
    {rule_names.UNDEFINED_VALUE, _RULE}
)  # faults the checker would only repeat
_MAX_PROBLEMS: Final = 50
_MAX_TEXT: Final = 400


def check(skeleton: Skeleton, graph: Graph) -> None:
    """Run the checker on the legal copy of the model; name each node that it refuses."""
    model = _complete(skeleton.proto, graph)
    try:
        onnx.checker.check_model(model)
    except ValidationError as error:
        found = _refused_nodes(skeleton, graph)
        if found:
            skeleton.problems.extend(found)
        elif not any(problem.rule in _NAMED for problem in skeleton.problems):
            skeleton.fault(_RULE, _clean(str(error)))


def _complete(proto: ModelProto, graph: Graph) -> ModelProto:
    """Return a copy in which nothing is missing that was reported or only not loaded."""
    model = ModelProto()
    model.CopyFrom(proto)
    for node in nodes_below(model.graph):
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR and not holds_data(attribute.t):
                attribute.t.CopyFrom(_empty(attribute.t))
    for body in graphs_below(model.graph):
        for index, item in enumerate(body.initializer):
            if not holds_data(item):
                body.initializer[index].CopyFrom(_empty(item))
    for info in model.graph.output:
        kind = info.type.WhichOneof("value")
        if kind is None or (kind == "tensor_type" and not info.type.tensor_type.HasField("shape")):
            tensor = graph.tensors.get(info.name)
            dtype = (tensor.dtype if tensor else 0) or TensorProto.FLOAT
            info.CopyFrom(onnx.helper.make_tensor_value_info(info.name, dtype, []))
    return model


def _empty(tensor: TensorProto) -> TensorProto:
    return TensorProto(name=tensor.name, data_type=tensor.data_type, dims=[0])


def _refused_nodes(skeleton: Skeleton, graph: Graph) -> list[Problem]:
    context = onnx.checker.C.CheckerContext()
    context.ir_version = skeleton.proto.ir_version
    context.opset_imports = dict(skeleton.opsets) | {UNKNOWN_DOMAIN: 1}
    found: list[Problem] = []
    for body in walk(graph):
        for node in body.nodes:
            if node.subgraphs or len(found) >= _MAX_PROBLEMS:
                continue
            proto = onnx.NodeProto()
            proto.CopyFrom(node.proto)
            for attribute in proto.attribute:
                if attribute.type == AttributeProto.TENSOR and not holds_data(attribute.t):
                    attribute.t.CopyFrom(_empty(attribute.t))
            try:
                onnx.checker.check_node(proto, context)
            except ValidationError as error:
                message = f"{node.full_type}: {_clean(str(error))}"
                found.append(Problem(_RULE, node.location(), message, node.frames))
    return found


def compare_outputs(skeleton: Skeleton, proto: ModelProto, graph: Graph) -> None:
    """Report outputs whose declared shape differs from the computed one."""
    frozen = bool(skeleton.symbolic_batches)
    for name, declared in declared_shapes(proto).items():
        tensor = graph.tensors.get(name)
        if tensor is None or tensor.producer is None or tensor.shape is None:
            continue
        if _contradict(declared, tensor.shape, frozen_batch=frozen):
            skeleton.problems.append(_mismatch(tensor, declared))


def _contradict(declared: Shape, computed: Shape, *, frozen_batch: bool) -> bool:
    if len(declared) != len(computed):
        return True
    pairs = list(zip(declared, computed, strict=True))
    if frozen_batch and pairs:
        pairs = pairs[1:]  # the leading axis was read as 1, whatever an output declares
    return any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in pairs)


def _mismatch(tensor: Tensor, declared: Shape) -> Problem:
    shapes = [
        ", ".join("?" if d is None else str(d) for d in s) for s in (declared, tensor.shape or ())
    ]
    message = (
        f"output {tensor.name!r} is declared as [{shapes[0]}], but its node makes [{shapes[1]}]"
    )
    node = tensor.producer
    place = node.location(tensor.name) if node else Location(value=tensor.name)
    return Problem(rule_names.SHAPE_INFERENCE_FAILED, place, message, node.frames if node else ())


def _clean(text: str) -> str:
    return " ".join(text.partition("==> Context:")[0].split())[:_MAX_TEXT]
