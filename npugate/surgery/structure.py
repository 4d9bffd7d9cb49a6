"""Whether a repaired model is sound: the ONNX checker, strict inference, the same interface."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import onnx
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, helper
from onnx.shape_inference import InferenceError, infer_shapes

from npugate.facts.graph import DATA_TYPES
from npugate.model.reader import Model
from npugate.report.values import InterfaceChange
from npugate.surgery.shapes import Dim, Known, is_small, known_of


def fault(before: ModelProto, after: ModelProto, declared: Sequence[InterfaceChange]) -> str:
    """Return why a repaired model is not sound; empty when it is.

    Args:
        before: the model that was repaired.
        after: the result.
        declared: the changes of the interface that the repair answers for.
    """
    skeleton = _without_weights(after)
    refused = _unchecked(skeleton)
    if refused:
        return f"the ONNX checker refuses the result: {refused}"
    reason = _refusal(skeleton)
    if reason and not _refusal(_without_weights(before)):
        return f"strict inference refuses the result: {reason}"
    return _other_interface(before, after, {change.name for change in declared})


def refusal(model: ModelProto) -> str:
    """Return why the ONNX checker refuses a model; empty when it does not."""
    refused = _unchecked(_without_weights(model))
    return f"the ONNX checker refuses the model: {refused}" if refused else _typeless(model)


def _typeless(model: ModelProto) -> str:
    """Name an input or output of a data type that does not exist: the checker takes some."""
    for info in (*model.graph.input, *model.graph.output):
        number = info.type.tensor_type.elem_type
        if number not in DATA_TYPES:
            return f"{info.name!r} has the data type {number}, which does not exist"
    return ""


def _unchecked(skeleton: ModelProto) -> str:
    try:
        onnx.checker.check_model(skeleton)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        return _line(error)
    return ""


def skeleton(model: ModelProto) -> Model:
    """Return a model as the loader would: large weights dropped, everything else as it is.

    It has no size: computing that serialises the message, with all weights.
    """
    return Model("", None, "", 0, _without_weights(model, declare=False))


def same_parts(before: ModelProto, after: ModelProto) -> bool:
    """Tell whether two models have the same nodes, attributes and weights.

    Names, order and declarations may differ: this is the proof for a repair that makes a refused
    file legal, where no numbers can be compared with the original's.
    """
    return _parts(before.graph) == _parts(after.graph)


def shapes_text(known: Known | None) -> str:
    """Write a shape for a report, for example ``[N, 3, 8, 8]``."""
    if known is None or known.shape is None:
        return "?"
    return f"[{', '.join('?' if dim is None else str(dim) for dim in known.shape)}]"


def _without_weights(model: ModelProto, *, declare: bool = True) -> ModelProto:
    """Copy a model without its large payloads.

    Args:
        model: as it is.
        declare: make inputs of the initializers that lose their payload, as the checker wants it;
            else they stay initializers without values, as the loader leaves them.
    """
    copy = ModelProto(
        ir_version=model.ir_version,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
        domain=model.domain,
        model_version=model.model_version,
        doc_string=model.doc_string,
    )
    for name in ("opset_import", "metadata_props", "functions"):
        getattr(copy, name).extend(getattr(model, name))
    graph = copy.graph
    graph.name, graph.doc_string = model.graph.name, model.graph.doc_string
    for name in ("node", "input", "output", "value_info", "sparse_initializer"):
        getattr(graph, name).extend(getattr(model.graph, name))
    graph.quantization_annotation.extend(model.graph.quantization_annotation)
    inputs = {info.name for info in graph.input}
    for tensor in model.graph.initializer:
        if is_small(tensor):
            graph.initializer.add().CopyFrom(tensor)
        elif not declare:
            graph.initializer.append(
                TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
            )
        elif tensor.name not in inputs:
            graph.input.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    return copy


def _refusal(model: ModelProto) -> str:
    try:
        infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (InferenceError, RuntimeError, ValueError) as error:
        return _line(error)
    return ""


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]


def _other_interface(before: ModelProto, after: ModelProto, declared: set[str]) -> str:
    for kind in ("input", "output"):
        old, new = _interface(before, kind), _interface(after, kind)
        if list(old) != list(new):
            return f"the {kind}s are {', '.join(new) or 'none'}, not {', '.join(old) or 'none'}"
        for name, item in new.items():
            if item.dtype != old[name].dtype and old[name].dtype:
                return f"{kind} {name!r} has another type"
            if name not in declared and not _refines(old[name].shape, item.shape):
                shapes = f"{shapes_text(item)}, not {shapes_text(old[name])}"
                return f"{kind} {name!r} is {shapes}, which the repair did not declare"
    return ""


def _interface(model: ModelProto, kind: str) -> Mapping[str, Known]:
    weights = {item.name for item in model.graph.initializer}
    infos: Sequence[ValueInfoProto] = getattr(model.graph, kind)
    return known_of(info for info in infos if kind == "output" or info.name not in weights)


def _refines(old: Sequence[Dim] | None, new: Sequence[Dim] | None) -> bool:
    """Tell whether a shape says the same as another, or more where that was unknown."""
    if old is None:
        return True
    if new is None or len(old) != len(new):
        return False
    return all(a is None or a == b for a, b in zip(old, new, strict=True))


def _parts(graph: GraphProto) -> Counter[bytes]:
    return Counter(_digests(graph))


def _digests(graph: GraphProto) -> Iterator[bytes]:
    for node in graph.node:
        plain = onnx.NodeProto()
        plain.CopyFrom(node)
        plain.ClearField("name")
        yield b"node" + _digest(plain)
    for tensor in graph.initializer:
        yield b"weight" + _digest(tensor)


def _digest(part: onnx.NodeProto | TensorProto) -> bytes:
    return hashlib.sha256(part.SerializeToString(deterministic=True)).digest()
