"""Types and shapes of every value of a model, inferred without its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

import onnx
from msgspec import Struct
from onnx import ModelProto, TensorProto, ValueInfoProto, helper
from onnx.shape_inference import InferenceError, infer_shapes

from npugate.model.payload import holds_data
from npugate.model.wire import KEEP_BYTES

Dim = int | str | None


class InferenceRefusedError(Exception):
    """Inference refused the model; the text is its reason."""


class Known(Struct, frozen=True):
    """What is known of a value.

    Attributes:
        dtype: ``TensorProto`` data type; 0 when unknown or no tensor.
        shape: None when even the rank is unknown; an unknown dimension is None or a symbol.
    """

    dtype: int
    shape: tuple[Dim, ...] | None

    @property
    def static(self) -> tuple[int, ...] | None:
        """The shape when every dimension is a number."""
        if self.shape is None:
            return None
        dims = tuple(dim for dim in self.shape if isinstance(dim, int))
        return dims if len(dims) == len(self.shape) else None


def infer(model: ModelProto) -> Mapping[str, Known]:
    """Return what is known of every value of the main graph.

    What the file declares for inner values is not believed: stale symbols stop inference from
    learning better.

    Raises:
        InferenceRefusedError: inference refuses the model.
    """
    known = known_of(model.graph.input)
    declared = known_of(model.graph.output)
    try:
        inferred = infer_shapes(light(model), check_type=False, strict_mode=False, data_prop=True)
    except InferenceError as error:
        raise InferenceRefusedError(f"shapes cannot be inferred: {str(error).strip()}") from error
    known |= known_of((*inferred.graph.value_info, *inferred.graph.output))
    for name, item in declared.items():
        if known.get(name, item).shape is None:
            known[name] = item
    for tensor in model.graph.initializer:
        known[tensor.name] = Known(int(tensor.data_type), tuple(int(dim) for dim in tensor.dims))
    return known


def light(model: ModelProto) -> ModelProto:
    """Return a copy whose large weights are declared as inputs instead of held."""
    copy = ModelProto(ir_version=model.ir_version)
    copy.opset_import.extend(model.opset_import)
    copy.functions.extend(model.functions)
    graph = copy.graph
    graph.name = model.graph.name or "graph"
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    graph.sparse_initializer.extend(model.graph.sparse_initializer)
    declared = {info.name for info in graph.input}
    for tensor in model.graph.initializer:
        if is_small(tensor) and holds_data(tensor):
            graph.initializer.add().CopyFrom(tensor)
        elif tensor.name not in declared:
            graph.input.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    for info in graph.output:  # a stale output shape stops inference, too
        if info.type.HasField("tensor_type"):
            info.type.tensor_type.ClearField("shape")
    return copy


def is_small(tensor: TensorProto) -> bool:
    """Tell whether a tensor's payload is worth copying.

    The elements are counted first: computing the size of a message serialises it.
    """
    return prod(tensor.dims) <= KEEP_BYTES and bool(tensor.ByteSize() <= KEEP_BYTES)


def known_of(infos: Iterable[ValueInfoProto]) -> dict[str, Known]:
    """Return what declarations say."""
    return {info.name: _known(info.type) for info in infos if info.HasField("type")}


def _known(kind: onnx.TypeProto) -> Known:
    tensor = kind.tensor_type
    if not kind.HasField("tensor_type"):
        return Known(0, None)
    if not tensor.HasField("shape"):
        return Known(int(tensor.elem_type), None)
    return Known(int(tensor.elem_type), tuple(_dim(dim) for dim in tensor.shape.dim))


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value"):
        return int(dim.dim_value) if dim.dim_value >= 0 else None
    return dim.dim_param or None
