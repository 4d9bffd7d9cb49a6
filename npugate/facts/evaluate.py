"""Partial evaluation: compute, with numpy, the small integer graphs that shapes are made of.

Exporters write ``Shape -> Gather -> Concat -> Reshape`` where a constant would do. Only operators
whose result on such values is beyond doubt are listed; everything else stays unknown. No result
above a bound is ever allocated, whatever a file declares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from npugate.facts.graph import Array, Graph, Node, Tensor
from npugate.model.reader import holds_data

Evaluator = Callable[[Node, list[Array | None], int, int], Array | None]
"""Takes a node, its inputs T[...], the opset and the most elements to make; returns T[...]."""

_ALL_ELEMENTS: Final = 1 << 24  # computed in one graph: 128 MiB of the widest type
_AXES_AS_INPUT: Final = 13  # Squeeze, Unsqueeze, Split, ReduceSum
_REDUCE_AXES_AS_INPUT: Final = 18
_LITERALS: Final = (
    ("value_int", np.int64),
    ("value_float", np.float32),
    ("value_ints", np.int64),
    ("value_floats", np.float32),
)
_RANDOM: Final = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike"}
    | {"Multinomial", "Bernoulli"}
)


def fold(
    graph: Graph, opset: int, bound: int, resolve: Callable[[Node], None] | None = None
) -> None:
    """Set ``constant`` and ``is_constant`` on the tensors of one graph, in node order.

    Args:
        graph: linked, topologically sorted.
        opset: of the default domain.
        bound: most elements of a computed tensor; ``_ALL_ELEMENTS`` is that of all together.
        resolve: called with each node after its inputs are known and before its readers are
            looked at, to set the shapes of its outputs where it can.
    """
    left = _ALL_ELEMENTS
    for node in graph.nodes:
        values = _evaluate(node, opset, min(bound, left))
        left -= sum(value.size for value in values or () if value is not None)
        fixed = _is_fixed(node)
        for tensor, value in zip(node.outputs, values or [None] * len(node.outputs), strict=True):
            if tensor is None:
                continue
            tensor.is_constant = fixed or value is not None
            if value is not None:
                _learn(tensor, value)
        if resolve is not None:
            resolve(node)


def set_initializers(graph: Graph, proto: onnx.GraphProto) -> None:
    """Attach the values of the initializers whose data is held."""
    for item in proto.initializer:
        if (tensor := graph.tensors.get(item.name)) and tensor.kind == "initializer":
            tensor.constant = array_of(item)


def array_of(item: TensorProto) -> Array | None:
    """Return a tensor's elements T[*dims]; None when they are not held or do not fit its shape."""
    if not holds_data(item) or item.data_location == TensorProto.EXTERNAL:
        return None
    if item.data_type in {TensorProto.UNDEFINED, TensorProto.STRING}:
        return None
    try:
        return np.asarray(numpy_helper.to_array(item))
    except (ValueError, TypeError, KeyError, onnx.checker.ValidationError):
        return None  # the reader has reported the payload (tensor-data-mismatch)


def _learn(tensor: Tensor, value: Array) -> None:
    tensor.constant = value
    tensor.shape = tuple(value.shape)
    if tensor.dtype == 0:
        tensor.dtype = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)


def _is_fixed(node: Node) -> bool:
    if node.subgraphs or node.op_type in _RANDOM:
        return False
    given = [tensor for tensor in node.inputs if tensor is not None]
    if not given:
        return node.op_type == "Constant"
    return all(tensor.is_constant for tensor in given)


def _evaluate(node: Node, opset: int, bound: int) -> list[Array | None] | None:
    if not node.domain and node.op_type in {"Shape", "Size"}:
        return _pad(node, _measure(node))
    if node.domain or (node.op_type not in EVALUATORS and node.op_type != "Split"):
        return None
    if any(tensor is not None and tensor.constant is None for tensor in node.inputs):
        return None
    inputs = [None if tensor is None else tensor.constant for tensor in node.inputs]
    if sum(value.size for value in inputs if value is not None) > bound:
        return None
    try:
        with np.errstate(all="ignore"):
            return _outputs(node, inputs, opset, bound)
    except (ValueError, IndexError, TypeError, OverflowError, ZeroDivisionError):
        return None  # inputs that the operator does not accept: shape inference says so


def _outputs(
    node: Node, inputs: list[Array | None], opset: int, bound: int
) -> list[Array | None] | None:
    if node.op_type == "Split":
        return _split(node, inputs, opset)
    return _pad(node, EVALUATORS[node.op_type](node, inputs, opset, bound))


def _split(node: Node, inputs: list[Array | None], opset: int) -> list[Array | None] | None:
    """Evaluate Split of data T[...], the one operator of shape chains with several outputs."""
    data, axis = np.asarray(inputs[0]), node.int_attribute("axis", 0)
    sizes = _ints(inputs, 1) if opset >= _AXES_AS_INPUT else node.ints_attribute("split")
    count, total = len(node.outputs), data.shape[axis]
    if sizes is None:
        part = -(-total // count)  # from opset 18 on the last part may be smaller
        sizes = (*(part for _ in range(count - 1)), total - part * (count - 1))
    fits = sum(sizes) == total and len(sizes) == count and min(sizes) >= 0
    return list(np.split(data, np.cumsum(sizes)[:-1], axis)) if fits else None


def _pad(node: Node, value: Array | None) -> list[Array | None] | None:
    if value is None or not node.outputs:
        return None
    return [value, *[None] * (len(node.outputs) - 1)]


def _measure(node: Node) -> Array | None:
    tensor = node.input(0)
    if tensor is None or tensor.shape is None:
        return None
    dims = tensor.shape
    if node.op_type == "Size":
        return None if tensor.elements is None else np.array(tensor.elements, np.int64)
    start, end = node.int_attribute("start", 0), node.int_attribute("end", len(dims))
    wanted = dims[slice(*_clamp(start, end, len(dims)))]
    known = [dim for dim in wanted if isinstance(dim, int)]
    return np.array(known, np.int64) if len(known) == len(wanted) else None


def _clamp(start: int, end: int, rank: int) -> tuple[int, int]:
    start, end = (value + rank if value < 0 else value for value in (start, end))
    return min(max(start, 0), rank), min(max(end, 0), rank)


def _constant(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
    value = node.attribute("value")
    if isinstance(value, TensorProto):
        return array_of(value) if prod(value.dims) <= bound else None
    for name, dtype in _LITERALS:
        literal = node.attribute(name)
        if isinstance(literal, int | float | tuple):
            return np.array(literal, dtype)
    return None


def _cast(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
    source = inputs[0]
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(node.int_attribute("to", 0))
    except KeyError:
        return None
    return None if source is None or dtype.kind not in "iufb" else source.astype(dtype)


def _gather(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
    data, indices = inputs[0], inputs[1]
    if data is None or indices is None:
        return None
    axis = node.int_attribute("axis", 0)
    if indices.size * (data.size // max(data.shape[axis], 1)) > bound:
        return None
    return np.asarray(np.take(data, indices.astype(np.int64), axis=axis))


def _concat(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
    parts = [value for value in inputs if value is not None]
    return np.concatenate(parts, axis=node.int_attribute("axis", 0)) if parts else None


def _axes(
    node: Node, inputs: list[Array | None], position: int, since: int, opset: int
) -> tuple[int, ...] | None:
    if opset < since:
        return node.ints_attribute("axes")
    given = inputs[position] if position < len(inputs) else None
    return None if given is None else tuple(int(axis) for axis in given.reshape(-1))


def _squeeze(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
    data = inputs[0]
    return None if data is None else np.squeeze(data, _axes(node, inputs, 1, _AXES_AS_INPUT, opset))


def _unsqueeze(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
    data, axes = inputs[0], _axes(node, inputs, 1, _AXES_AS_INPUT, opset)
    return None if data is None or axes is None else np.expand_dims(data, axes)


def _slice(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
    data = inputs[0]
    if data is None:
        return None
    if opset < 10:  # noqa: PLR2004 - starts and ends were attributes before opset 10
        starts, ends = node.ints_attribute("starts"), node.ints_attribute("ends")
        axes, steps = node.ints_attribute("axes"), None
    else:
        starts, ends, axes, steps = (_ints(inputs, position) for position in (1, 2, 3, 4))
    if starts is None or ends is None:
        return None
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    index: list[slice] = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[axis] = slice(start, end, step)
    return data[tuple(index)]


def _ints(inputs: list[Array | None], position: int) -> tuple[int, ...] | None:
    value = inputs[position] if position < len(inputs) else None
    return None if value is None else tuple(int(item) for item in value.reshape(-1))


def _reshape(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
    data = inputs[0]
    wanted = _ints(inputs, 1) if len(inputs) > 1 else node.ints_attribute("shape")
    if data is None or wanted is None:
        return None
    if not node.int_attribute("allowzero", 0):
        wanted = tuple(data.shape[i] if dim == 0 else dim for i, dim in enumerate(wanted))
    return data.reshape(wanted)


def _range(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
    start, limit, delta = inputs
    if start is None or limit is None or delta is None:
        return None
    count = max(0, int(np.ceil((limit.item() - start.item()) / delta.item())))
    if count > bound:
        return None
    return np.asarray(start.item() + np.arange(count) * delta.item(), start.dtype)


def _constant_of_shape(
    node: Node, inputs: list[Array | None], opset: int, bound: int
) -> Array | None:
    shape = _ints(inputs, 0)
    value = node.attribute("value")
    fill = array_of(value) if isinstance(value, TensorProto) else np.zeros(1, np.float32)
    if shape is None or fill is None or any(dim < 0 for dim in shape) or prod(shape) > bound:
        return None
    return np.full(shape, fill.reshape(-1)[0])


def _expand(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
    data, shape = inputs[0], _ints(inputs, 1)
    if data is None or shape is None:
        return None
    wanted = np.broadcast_shapes(data.shape, shape)
    return np.array(np.broadcast_to(data, wanted)) if prod(wanted) <= bound else None


def _tile(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
    data, repeats = inputs[0], _ints(inputs, 1)
    if data is None or repeats is None or data.size * prod(repeats) > bound:
        return None
    return np.tile(data, repeats)


def _transpose(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
    return None if inputs[0] is None else np.transpose(inputs[0], node.ints_attribute("perm"))


def _where(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
    test, yes, no = inputs
    if test is None or yes is None or no is None:
        return None
    if prod(np.broadcast_shapes(test.shape, yes.shape, no.shape)) > bound:
        return None
    return np.where(test, yes, no)


def _reduce(function: Callable[..., Array]) -> Evaluator:
    def evaluate(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
        data = inputs[0]
        since = _AXES_AS_INPUT if node.op_type == "ReduceSum" else _REDUCE_AXES_AS_INPUT
        axes = _axes(node, inputs, 1, since, opset)
        if data is None or (not axes and node.int_attribute("noop_with_empty_axes", 0)):
            return data
        keep = bool(node.int_attribute("keepdims", 1))
        return np.asarray(function(data, axis=axes or None, keepdims=keep), data.dtype)

    return evaluate


def _unary(function: Callable[[Array], Array]) -> Evaluator:
    def evaluate(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
        return None if inputs[0] is None else np.asarray(function(inputs[0]))

    return evaluate


def _binary(function: Callable[[Array, Array], Array]) -> Evaluator:
    def evaluate(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
        left, right = inputs
        if left is None or right is None:
            return None
        if prod(np.broadcast_shapes(left.shape, right.shape)) > bound:
            return None
        return np.asarray(function(left, right))

    return evaluate


def _divide(left: Array, right: Array) -> Array:
    """Divide T[...] by T[...] as ONNX does: integers truncate towards zero, never by zero."""
    if left.dtype.kind not in "iu":
        return np.divide(left, right)
    if not np.all(right):
        raise ZeroDivisionError
    quotient, rest = np.divmod(left, right)
    towards_zero = (rest != 0) & (np.less(left, 0) != np.less(right, 0))
    return np.asarray(quotient + towards_zero, left.dtype)


def _folded(function: Callable[[Array, Array], Array]) -> Evaluator:
    """Evaluate Max, Min or Sum: any number of inputs T[...], two at a time, broadcast."""
    pair = _binary(function)

    def evaluate(node: Node, inputs: list[Array | None], opset: int, bound: int) -> Array | None:
        result = inputs[0]
        for value in inputs[1:]:
            result = pair(node, [result, value], opset, bound)
        return result

    return evaluate


EVALUATORS: Final[Mapping[str, Evaluator]] = {
    "Constant": _constant,
    "Cast": _cast,
    "Identity": _unary(lambda value: value),
    "Gather": _gather,
    "Concat": _concat,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Slice": _slice,
    "Reshape": _reshape,
    "Range": _range,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Tile": _tile,
    "Transpose": _transpose,
    "Where": _where,
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
    "Add": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Mul": _binary(np.multiply),
    "Div": _binary(_divide),
    "Equal": _binary(np.equal),
    "Less": _binary(np.less),
    "Greater": _binary(np.greater),
    "LessOrEqual": _binary(np.less_equal),
    "GreaterOrEqual": _binary(np.greater_equal),
    "And": _binary(np.logical_and),
    "Or": _binary(np.logical_or),
    "Not": _unary(np.logical_not),
    "Neg": _unary(np.negative),
    "Abs": _unary(np.abs),
    "Floor": _unary(np.floor),
    "Ceil": _unary(np.ceil),
    "Sqrt": _unary(np.sqrt),
    "Max": _folded(np.maximum),
    "Min": _folded(np.minimum),
    "Sum": _folded(np.add),
}
