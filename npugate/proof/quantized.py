"""What a proof may allow a quantised model: nothing, except a step at a tie behind other sums.

A convolution of folded samples adds the same products in another order, so its result may round
the other way; where the number lies between two steps of the quantiser behind it, the integer is
then another one, and everything behind that integer differs, too. So the integers of the original
are put in the place of the repaired model's own: each stretch between two quantisers is compared by
itself, and only with equal inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Final

import numpy as np
from msgspec import Struct
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from npugate.facts.graph import Array
from npugate.surgery.node import DEFAULT_DOMAINS
from npugate.surgery.scope import Names, captured_in
from npugate.surgery.shapes import Known

MOST_STEPS: Final = 0.01  # share of the elements of a tensor, at least one element
_QUANTIZERS: Final = frozenset({"QuantizeLinear", "DynamicQuantizeLinear"})
_INTEGER_FORMS: Final = _QUANTIZERS | {"DequantizeLinear", "ConvInteger", "MatMulInteger"}
_STEPPED: Final = frozenset(
    {TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16}
)
INTEGERS: Final = _STEPPED | {TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL}
_EXACT: Final = frozenset(
    {
        "Abs", "Add", "And", "ArgMax", "ArgMin", "BitShift", "Cast", "Ceil", "Clip", "Compress",
        "Concat", "Constant", "ConstantOfShape", "ConvInteger", "DepthToSpace", "DequantizeLinear",
        "Div", "Dropout", "Equal", "Expand", "Flatten", "Floor", "Gather", "GatherElements",
        "GatherND", "GlobalMaxPool", "Greater", "GreaterOrEqual", "Identity", "LeakyRelu", "Less",
        "LessOrEqual", "MatMulInteger", "Max", "MaxPool", "Min", "Mul", "Neg", "Not", "OneHot",
        "Or", "PRelu", "Pad", "QLinearConv", "QLinearMatMul", "QuantizeLinear", "ReduceMax",
        "ReduceMin", "Relu", "Reshape", "Round", "ScatterElements", "ScatterND", "Shape", "Sign",
        "Size", "Slice", "SpaceToDepth", "Split", "Squeeze", "Sub", "Tile", "TopK", "Transpose",
        "Trilu", "Unsqueeze", "Where", "Xor",
    }
)  # fmt: skip
"""Operators whose elements come out the same whatever the order they are computed in."""
_PASSING: Final = frozenset(
    {
        "Clip", "Flatten", "GlobalMaxPool", "Identity", "MaxPool", "Relu", "Reshape", "Slice",
        "Squeeze", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Operators whose result holds numbers of their first input, and no others."""
_NEAR: Final = 4  # rounding units of a quotient


class Cut(Struct, frozen=True):
    """A quantised tensor that both models have.

    Attributes:
        repaired, original: its names.
        dims, dtype: of the repaired model.
        source: float tensor of the original that is quantised; "" when it is not plain.
        scale: constant, broadcast over the source; None when it is computed.
    """

    repaired: str
    original: str
    dims: tuple[int, ...]
    dtype: int
    source: str = ""
    scale: Array | None = None


def cuts(
    original: ModelProto,
    repaired: ModelProto,
    known: tuple[Mapping[str, Known], Mapping[str, Known]],
    links: Mapping[str, str],
) -> dict[str, Cut]:
    """Return the quantised tensors of a repaired model whose integers the original has, too.

    Args:
        original: the reference.
        repaired: the model to be proved.
        known: types and shapes of both.
        links: name in the repaired model -> name in the original, where they are not the same.
    """
    makers = {name: node for node in original.graph.node for name in node.output if name}
    outputs = {info.name for info in (*original.graph.output, *repaired.graph.output)}
    arrays = {item.name: item for item in original.graph.initializer}
    found: dict[str, Cut] = {}
    for node in repaired.graph.node:
        name = node.output[0] if node.output else ""
        maker = makers.get(links.get(name, name))
        if (
            not _is_quantizer(node)
            or maker is None
            or not _is_quantizer(maker)
            or {
                name,
                links.get(name, name),
            }
            & outputs
        ):
            continue
        item = known[1].get(name)
        if item is not None and item.static is not None and item.dtype in _STEPPED:
            cut = Cut(name, links.get(name, name), item.static, item.dtype)
            found[name] = _with_source(cut, maker, arrays, known[0])
    return found


def computes_in_integers(model: ModelProto) -> bool:
    """Tell whether a node of the main graph quantises, or computes on quantised numbers."""
    return any(
        node.op_type in _INTEGER_FORMS or node.op_type.startswith("QLinear")
        for node in model.graph.node
    )


def _is_quantizer(node: NodeProto) -> bool:
    return node.domain in DEFAULT_DOMAINS and node.op_type in _QUANTIZERS


def _with_source(
    cut: Cut, maker: NodeProto, arrays: Mapping[str, TensorProto], known: Mapping[str, Known]
) -> Cut:
    item = known.get(maker.input[0])
    scale = arrays.get(maker.input[1]) if maker.op_type == "QuantizeLinear" else None
    if scale is None or item is None or item.static is None or maker.input[0] in arrays:
        return cut
    step = numpy_helper.to_array(scale).astype(np.float64)
    axis = next((field.i for field in maker.attribute if field.name == "axis"), 1)
    if step.ndim == 1 and step.size > 1:
        rank = len(item.static)
        step = step.reshape([-1 if at == axis % rank else 1 for at in range(rank)])
    elif step.size != 1:
        return cut
    wide = np.broadcast_to(step.reshape(()) if step.size == 1 else step, item.static)
    return Cut(cut.repaired, cut.original, cut.dims, cut.dtype, maker.input[0], wide)


def with_inputs(model: ModelProto, names: Mapping[str, Known]) -> tuple[ModelProto, dict[str, str]]:
    """Return a copy in which some tensors are inputs, and the names of what it computed for them.

    Args:
        model: unchanged.
        names: tensors to feed, with their types and shapes.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    fresh = Names(copy)
    own = {name: fresh.fresh(name) for name in names}
    for node in copy.graph.node:
        for position, name in enumerate(node.output):
            node.output[position] = own.get(name, name)
    for name, item in names.items():
        info = helper.make_tensor_value_info(name, item.dtype, item.static)
        copy.graph.input.append(info)
    del copy.graph.value_info[:]
    return copy, own


def regrouped(
    left: ModelProto,
    right: ModelProto,
    known: tuple[Mapping[str, Known], Mapping[str, Known]],
    fed: Iterable[str],
) -> frozenset[str]:
    """Return the tensors of one model that hang on sums which the other computes in its own way.

    Args:
        left: the model whose tensors are returned.
        right: the model it is compared with.
        known: types and shapes of both.
        fed: tensors of the left one behind which nothing is inherited.
    """
    same = {node.SerializeToString() for node in right.graph.node}
    stops, found = set(fed), set[str]()
    for node in left.graph.node:
        reads = [*node.input, *captured_in(node)]
        is_same = node.SerializeToString() in same and all(
            _dims(known[0], name) == _dims(known[1], name) for name in reads
        )
        is_exact = node.domain in DEFAULT_DOMAINS and node.op_type in _EXACT
        if not (is_same or is_exact) or any(n in found and n not in stops for n in reads):
            found.update(name for name in node.output if name)
    return frozenset(found)


def _dims(known: Mapping[str, Known], name: str) -> tuple[int, ...] | None:
    item = known.get(name)
    return None if item is None else item.static


def most(size: int) -> int:
    """Return how many elements of a tensor may be one step off."""
    return ceil(MOST_STEPS * size)


def step_behind(model: ModelProto, name: str) -> float:
    """Return the step of the quantiser whose numbers a tensor has; 0 when it has others."""
    makers = {item: node for node in model.graph.node for item in node.output if item}
    arrays = {item.name: item for item in model.graph.initializer}
    while (node := makers.get(name)) is not None and node.input:
        if node.op_type == "DequantizeLinear" and node.input[1] in arrays:
            return float(np.max(numpy_helper.to_array(arrays[node.input[1]])))
        if node.op_type not in _PASSING:
            return 0.0
        name = node.input[0]
    return 0.0


class Stepped(Struct, frozen=True):
    """How the integers of two tensors differ.

    Attributes:
        share: of the elements that are one step off.
        fault: why that is not allowed; "" when it is.
    """

    share: float
    fault: str = ""


def stepped(
    original: Array, repaired: Array, source: Array | None, scale: Array | None, near: float
) -> Stepped:
    """Compare integers that may be one step off where the original lies between two steps.

    Args:
        original: int8[...] or another integer type, n elements.
        repaired: n elements of the same type.
        source: float32[...], the n numbers that the original quantises; None when they are not
            known: then any element may be off, within the share.
        scale: float64[...], the step of each of the n numbers; None as ``source``.
        near: absolute difference that a number of ``source`` may have.
    """
    left, right = (array.reshape(-1).astype(np.int64) for array in (original, repaired))
    gap = np.abs(left - right)
    count = int(np.count_nonzero(gap))
    share = count / max(gap.size, 1)
    if gap.max(initial=0) > 1:
        return Stepped(share, f"an integer is {int(gap.max())} steps off")
    if count > most(gap.size):
        return Stepped(share, f"{count} of {gap.size} integers are one step off")
    if source is None or scale is None or not count:
        return Stepped(share)
    at = gap != 0
    steps, size = source.reshape(-1).astype(np.float64)[at], scale.reshape(-1)[at]
    quotient = steps / size
    tie = np.abs(quotient - np.floor(quotient) - 0.5)
    room = near / np.abs(size) + _NEAR * np.finfo(np.float32).eps * np.abs(quotient)
    if np.any(tie > room):
        return Stepped(
            share, "an integer is one step off although its number is not halfway between two steps"
        )
    return Stepped(share)


def integer_names(known: Mapping[str, Known], names: Sequence[str]) -> list[str]:
    """Return those of some tensors that hold integers."""
    return [name for name in names if name in known and known[name].dtype in INTEGERS]
