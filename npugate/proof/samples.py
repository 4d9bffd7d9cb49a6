"""Inputs that tell two models apart: seeded, of several kinds, and inside the tables they index.

An impulse and a ramp show a wrong order of elements, which noise averages out; noise and uniform
numbers in [0, 1) show wrong values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final

import numpy as np
from msgspec import Struct
from onnx import ModelProto, helper

from npugate.facts.graph import Array
from npugate.surgery.node import Dims

KINDS: Final = ("impulse", "ramp", "normal", "uniform")
SEEDS: Final = (0, 1, 2)
_CARRIERS: Final = frozenset(
    {"Cast", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity", "Slice", "Transpose"}
)
_LOOKUPS: Final = frozenset({"Gather", "GatherElements"})
_FREE_INTEGERS: Final = 4  # an integer input that indexes nothing gets 0..3


class Port(Struct, frozen=True):
    """An input of a model.

    Attributes:
        dtype: ``TensorProto`` data type.
        dims: the shape to feed.
        bound: integers stay below it.
    """

    name: str
    dtype: int
    dims: Dims
    bound: int = _FREE_INTEGERS


class Sample(Struct, frozen=True):
    """One set of inputs.

    Attributes:
        label: for example ``ramp/1`` or ``inputs[3]``.
    """

    label: str
    feeds: Mapping[str, Array]


def generated(ports: Sequence[Port], count: int, seeds: Sequence[int] = SEEDS) -> Iterator[Sample]:
    """Yield seeded samples, every kind once before the next seed.

    Args:
        ports: what to feed.
        count: how many; at most ``len(KINDS) * len(seeds)``.
        seeds: in order.
    """
    for seed, kind in list(product(seeds, KINDS))[:count]:
        rng = np.random.default_rng([seed, KINDS.index(kind)])
        yield Sample(f"{kind}/{seed}", {port.name: _values(port, kind, rng) for port in ports})


def given(ports: Sequence[Port], data: Mapping[str, Array]) -> list[Sample]:
    """Cut a user's arrays into samples.

    Args:
        ports: what to feed.
        data: by input name; of the input's shape, or stacked along an axis in front, or along the
            leading axis where the input's is 1.

    Raises:
        ValueError: an input is missing, or an array has no such shape; the text says which.
    """
    stacks: dict[str, list[Array]] = {}
    for port in ports:
        if port.name not in data:
            raise ValueError(f"no array for input {port.name!r}; there are: {', '.join(data)}")
        stacks[port.name] = _cut(port, data[port.name])
    counts = {len(stack) for stack in stacks.values()}
    if len(counts) != 1:
        raise ValueError("the arrays hold different numbers of samples")
    return [
        Sample(f"inputs[{index}]", {name: stack[index] for name, stack in stacks.items()})
        for index in range(counts.pop())
    ]


def _cut(port: Port, array: Array) -> list[Array]:
    wanted = helper.tensor_dtype_to_np_dtype(port.dtype)
    if array.dtype != wanted and not np.can_cast(array.dtype, wanted, "same_kind"):
        raise ValueError(f"input {port.name!r} wants {wanted}, the array holds {array.dtype}")
    typed = array.astype(wanted)
    if typed.shape == port.dims:
        return [typed]
    if typed.shape[1:] == port.dims:
        return list(typed)
    if port.dims[:1] == (1,) and typed.ndim and typed.shape[1:] == port.dims[1:]:
        return [typed[index : index + 1] for index in range(len(typed))]
    raise ValueError(
        f"input {port.name!r} wants {list(port.dims)}, the array is {list(array.shape)}"
    )


def _values(port: Port, kind: str, rng: np.random.Generator) -> Array:
    wanted = helper.tensor_dtype_to_np_dtype(port.dtype)
    count = int(np.prod(port.dims, dtype=np.int64))
    if wanted.kind == "b":
        return rng.integers(0, 2, port.dims).astype(wanted)
    if wanted.kind in "iu":
        top = min(port.bound, int(np.iinfo(wanted).max))
        return rng.integers(0, max(top, 1), port.dims).astype(wanted)
    if kind == "impulse":
        flat = np.zeros(count)
        flat[rng.integers(0, count) if count else slice(0)] = 1
    elif kind == "ramp":
        flat = np.arange(count) / max(count, 1) * 2 - 1
    else:
        flat = rng.standard_normal(count) if kind == "normal" else rng.random(count)
    return flat.reshape(port.dims).astype(wanted)


def bounds(model: ModelProto) -> Mapping[str, int]:
    """Return for each input that indexes constant tables the length of the shortest of them."""
    tables = {item.name: item.dims for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            tables.update(
                (node.output[0], item.t.dims) for item in node.attribute if item.name == "value"
            )
    source = {info.name: info.name for info in model.graph.input if info.name not in tables}
    found: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in _CARRIERS and node.input and node.input[0] in source:
            source[node.output[0]] = source[node.input[0]]
        if node.op_type in _LOOKUPS and node.input[1] in source and node.input[0] in tables:
            axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
            dims = tables[node.input[0]]
            name = source[node.input[1]]
            if -len(dims) <= axis < len(dims):
                found[name] = min(found.get(name, dims[axis]), dims[axis])
    return found
