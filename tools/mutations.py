"""One change to a model that may make it contradict itself, drawn from a seed.

A mutant is a copy of a model in which one size, type, value, attribute or place of an operand is
another. What becomes of it is not known here: onnxruntime says whether it still runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import onnx
from msgspec import Struct
from onnx import AttributeProto, ModelProto, NodeProto, numpy_helper

Array = np.ndarray[Any, np.dtype[Any]]
Feeds = dict[str, Any]
_TYPES: Final = tuple(
    np.dtype(name)
    for name in ("float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool")
)
_LARGEST: Final = 1 << 22  # elements that a mutant may have more than its model


class NotApplicableError(Exception):
    """The model has nothing that this change could act on."""


class Mutant(Struct, frozen=True):
    """A changed model.

    Attributes:
        what: the change, in a few words.
        model: the copy.
        feeds: values for its inputs, by name.
    """

    what: str
    model: ModelProto
    feeds: Feeds


Mutation = Callable[[ModelProto, Feeds, np.random.Generator], str]


def mutate(model: ModelProto, feeds: Feeds, rng: np.random.Generator) -> Mutant:
    """Return the model with one change."""
    order = rng.permutation(np.repeat(np.arange(len(_MUTATIONS)), _WEIGHTS))
    for index in order:
        copy = ModelProto()
        copy.CopyFrom(model)
        values = dict(feeds)
        try:
            what = _MUTATIONS[int(index)](copy, values, rng)
        except NotApplicableError:
            continue
        forget_shapes(copy)
        return Mutant(what, copy, values)
    raise NotApplicableError


def forget_shapes(model: ModelProto) -> None:
    """Leave to inference what the values within the graph and its outputs look like."""
    del model.graph.value_info[:]
    for info in model.graph.output:
        if info.type.WhichOneof("value") == "tensor_type":
            info.type.tensor_type.ClearField("shape")


def freeze(model: ModelProto, feeds: Feeds, rng: np.random.Generator, share: float) -> Feeds:
    """Make constants of most inputs behind the first, in place; return the feeds that are left."""
    left = dict(feeds)
    names = [info.name for info in model.graph.input]
    for name in names[1:]:
        value = left.get(name)
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and rng.random() < share:
            model.graph.initializer.append(numpy_helper.from_array(value, name))
            del left[name]
    kept = [info for info in model.graph.input if info.name in left]
    copies = [onnx.ValueInfoProto.FromString(info.SerializeToString()) for info in kept]
    del model.graph.input[:]
    model.graph.input.extend(copies)
    return left


def _operands(model: ModelProto, feeds: Feeds) -> list[str]:
    """Return the tensors that may change; constants count twice, for they are the parameters."""
    given = [name for name, value in feeds.items() if isinstance(value, np.ndarray)]
    held = [item.name for item in model.graph.initializer]
    return [*given, *held, *held]


def _pick(items: list[Any] | tuple[Any, ...], rng: np.random.Generator) -> Any:  # noqa: ANN401 - whatever the list holds
    if not items:
        raise NotApplicableError
    return items[int(rng.integers(len(items)))]


def _value(model: ModelProto, feeds: Feeds, name: str) -> Array:
    if name in feeds:
        return np.asarray(feeds[name])
    item = next(item for item in model.graph.initializer if item.name == name)
    try:
        return np.asarray(numpy_helper.to_array(item))
    except (ValueError, TypeError):
        raise NotApplicableError from None


def _set(model: ModelProto, feeds: Feeds, name: str, value: Array) -> None:
    """Give a tensor another value, and its declaration the type and shape of it."""
    if value.size > _LARGEST:
        raise NotApplicableError
    if name in feeds:
        feeds[name] = value
    else:
        item = next(item for item in model.graph.initializer if item.name == name)
        item.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))
    dtype = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    for info in model.graph.input:
        if info.name == name:
            info.CopyFrom(onnx.helper.make_tensor_value_info(name, dtype, value.shape))


def _size(model: ModelProto, feeds: Feeds, rng: np.random.Generator) -> str:
    name = _pick(_operands(model, feeds), rng)
    value = _value(model, feeds, name)
    if not value.ndim or not value.size:
        raise NotApplicableError
    axis = int(rng.integers(value.ndim))
    old = value.shape[axis]
    new = int(_pick([size for size in (old - 1, old + 1, 1, 2 * old) if size not in {0, old}], rng))
    index = np.arange(new) % old
    _set(model, feeds, name, np.take(value, index, axis))
    return f"size {old} -> {new} of axis {axis} of {name}"


def _rank(model: ModelProto, feeds: Feeds, rng: np.random.Generator) -> str:
    name = _pick(_operands(model, feeds), rng)
    value = _value(model, feeds, name)
    if value.ndim and value.size and rng.random() < 0.5:  # noqa: PLR2004 - as often as not
        _set(model, feeds, name, np.asarray(np.take(value, 0, int(rng.integers(value.ndim)))))
        return f"an axis less of {name}"
    _set(model, feeds, name, np.expand_dims(value, int(rng.integers(value.ndim + 1))))
    return f"an axis more of {name}"


def _type(model: ModelProto, feeds: Feeds, rng: np.random.Generator) -> str:
    name = _pick(_operands(model, feeds), rng)
    value = _value(model, feeds, name)
    if value.dtype.kind not in "biuf":
        raise NotApplicableError
    dtype = _pick([dtype for dtype in _TYPES if dtype != value.dtype], rng)
    with np.errstate(all="ignore"):
        _set(model, feeds, name, value.astype(dtype))
    return f"type {value.dtype} -> {dtype} of {name}"


def _element(model: ModelProto, feeds: Feeds, rng: np.random.Generator) -> str:
    """Change one value of a small constant: a shape, axes, a scale."""
    held = [item.name for item in model.graph.initializer if 0 < np.prod(item.dims) <= 16]  # noqa: PLR2004 - parameters, not weights
    name = _pick(held, rng)
    value = np.array(_value(model, feeds, name))
    at = int(rng.integers(value.size))
    old = value.reshape(-1)[at]
    choices: list[Any] = [0, 1, -1, 100]
    if value.dtype.kind in "iu":
        choices += [int(old) - 1, int(old) + 1, -int(old)]
    elif value.dtype.kind == "f":
        choices += [float("nan"), -float(old)]
    else:
        raise NotApplicableError
    new = _pick(choices, rng)
    with np.errstate(all="ignore"):
        value.reshape(-1)[at] = np.array(new).astype(value.dtype)
    _set(model, feeds, name, value)
    return f"value {old} -> {new} at {at} of {name}"


def _nodes(model: ModelProto) -> list[NodeProto]:
    return list(model.graph.node)


def _attributes(model: ModelProto, *kinds: int) -> list[tuple[NodeProto, AttributeProto]]:
    return [(node, item) for node in _nodes(model) for item in node.attribute if item.type in kinds]


def _integer(model: ModelProto, feeds: Feeds, rng: np.random.Generator) -> str:
    node, item = _pick(_attributes(model, AttributeProto.INT), rng)
    old = item.i
    item.i = _pick([n for n in (old - 1, old + 1, 0, -1, 2 * old, 1, 100) if n != old], rng)
    return f"{node.op_type}.{item.name} {old} -> {item.i}"


def _integers(model: ModelProto, feeds: Feeds, rng: np.random.Generator) -> str:
    node, item = _pick(_attributes(model, AttributeProto.INTS), rng)
    old = list(item.ints)
    kind = int(rng.integers(4))
    if kind == 0 and old:
        del item.ints[-1]
    elif kind == 1 or not old:
        item.ints.append(old[-1] if old else 1)
    else:
        at = int(rng.integers(len(old)))
        choices = [n for n in (old[at] - 1, old[at] + 1, 0, -1, 2 * old[at]) if n != old[at]]
        item.ints[at] = _pick(choices, rng)
    return f"{node.op_type}.{item.name} {old} -> {list(item.ints)}"


def _text(model: ModelProto, feeds: Feeds, rng: np.random.Generator) -> str:
    node, item = _pick(_attributes(model, AttributeProto.STRING), rng)
    old = item.s
    item.s = _pick([text for text in (b"", b"other", b"SAME_UPPER") if text != old], rng)
    return f"{node.op_type}.{item.name} {old!r} -> {item.s!r}"


def _without_attribute(model: ModelProto, feeds: Feeds, rng: np.random.Generator) -> str:
    node = _pick([node for node in _nodes(model) if node.attribute], rng)
    at = int(rng.integers(len(node.attribute)))
    name = node.attribute[at].name
    del node.attribute[at]
    return f"{node.op_type} without {name}"


def _without_input(model: ModelProto, feeds: Feeds, rng: np.random.Generator) -> str:
    node = _pick([node for node in _nodes(model) if node.input], rng)
    if rng.random() < 0.5:  # noqa: PLR2004 - as often as not
        del node.input[-1]
        return f"{node.op_type} without its last input"
    at = int(rng.integers(len(node.input)))
    node.input[at] = ""
    return f"{node.op_type} with input {at} left out"


def _more_inputs(model: ModelProto, feeds: Feeds, rng: np.random.Generator) -> str:
    node = _pick([node for node in _nodes(model) if node.input], rng)
    node.input.append(node.input[int(rng.integers(len(node.input)))])
    return f"{node.op_type} with an input more"


def _swapped(model: ModelProto, feeds: Feeds, rng: np.random.Generator) -> str:
    node = _pick([node for node in _nodes(model) if len(set(node.input)) > 1], rng)
    first, second = (int(at) for at in rng.choice(len(node.input), 2, replace=False))
    node.input[first], node.input[second] = node.input[second], node.input[first]
    return f"{node.op_type} with inputs {first} and {second} swapped"


_MUTATIONS: Final[tuple[Mutation, ...]] = (
    _size,
    _rank,
    _type,
    _element,
    _integer,
    _integers,
    _text,
    _without_attribute,
    _without_input,
    _more_inputs,
    _swapped,
)
_WEIGHTS: Final = (6, 3, 3, 3, 3, 3, 1, 1, 1, 1, 1)
