"""Repeat a constant parameter for every sample, also behind a DequantizeLinear.

    rep(dequantize(q, s, z)) = dequantize(rep(q), rep(s), rep(z)),  rep(p) = concat([p] * N)

A scale and zero point without the repeated axis stay as they are.
"""

from __future__ import annotations

from math import prod

import numpy as np

from npugate.facts.graph import Array
from npugate.operators import CONVERSIONS
from npugate.surgery.draft import Draft
from npugate.surgery.node import Node, NoFormError, Value

Made = dict[tuple[str, int, int], Value]
"""Constants repeated so far, by name, axis and number: layers that share a weight go on sharing."""


def added_bytes(draft: Draft, value: Value, axis: int, samples: int) -> int:
    """Return the int8 bytes that repeating a parameter adds; float elements count as one byte.

    Raises:
        NoFormError: it is no constant, or is quantised in blocks.
    """
    array = draft.array(value)
    if array is not None:
        if array.ndim <= axis:
            raise NoFormError(f"{value.name!r} has {array.ndim} dimensions")
        return (samples - 1) * int8_bytes(array)
    maker = _wrapper(draft, value)
    if maker.op == "Identity":
        return added_bytes(draft, maker.inputs[0], axis, samples)
    size = added_bytes(draft, maker.inputs[0], axis, samples)
    for item in maker.inputs[1:]:
        parameter = draft.array(item)
        if parameter is None or parameter.ndim > 1 or maker.integer("block_size", 0):
            raise NoFormError(f"the scale of {value.name!r} is no constant vector")
        if _goes_along(draft, maker, parameter, axis):
            size += (samples - 1) * int8_bytes(parameter)
    return size


def int8_bytes(array: Array) -> int:
    """Return the size of a tensor T[...] in bytes once it is quantised to int8."""
    width = array.dtype.itemsize if array.dtype.kind in "iu" else 1
    return prod(array.shape) * width


def tile(draft: Draft, value: Value, axis: int, samples: int, made: Made) -> Value:
    """Return a parameter repeated along an axis; ``added_bytes`` has said that this is possible."""
    array = draft.array(value)
    if array is not None:
        key = (value.name, axis, samples)
        if key not in made:
            made[key] = draft.constant(np.concatenate([array] * samples, axis), value.name)
        return made[key]
    maker = _wrapper(draft, value)
    dims = list(draft.dims(value))
    dims[axis] *= samples
    inputs = [tile(draft, maker.inputs[0], axis, samples, made)]
    for item in maker.inputs[1:]:
        parameter = draft.array(item)
        along = parameter is not None and _goes_along(draft, maker, parameter, axis)
        inputs.append(tile(draft, item, 0, samples, made) if along else item)
    return draft.emit(maker.op, inputs, dims, draft.dtype(value), **maker.attrs)


def _wrapper(draft: Draft, value: Value) -> Node:
    maker = draft.producer(value)
    if maker is None or not maker.is_a(*CONVERSIONS, "Identity"):
        raise NoFormError(f"{value.name!r} is not constant")
    return maker


def _goes_along(draft: Draft, maker: Node, parameter: Array, axis: int) -> bool:
    """Tell whether a scale or zero point has one element for each position of an axis.

    Args:
        draft: the model.
        maker: a quantiser of a tensor [*dims].
        parameter: T[C] or T[]; its scale or zero point.
        axis: of the tensor.
    """
    dims = draft.dims(maker.inputs[0])
    if parameter.ndim != 1 or not dims:
        return False
    return maker.integer("axis", 1) % len(dims) == axis and parameter.size == dims[axis]
