"""Seeded inputs of several kinds that show whether two models differ; indices stay in their tables.

An impulse and a ramp show a wrong order of elements, which noise averages out; noise and uniform
numbers in [0, 1) show wrong values. The samples of a batch are drawn one by one and have scales and
offsets of their own: of copies of one sample any minimum, mean or sum is the same for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

import numpy as np
from msgspec import Struct
from onnx import ModelProto, TensorProto, helper, numpy_helper

from npugate.facts.graph import Array
from npugate.surgery.node import Dims

KINDS: Final = ("impulse", "ramp", "normal", "uniform")
SEEDS: Final = (0, 1, 2)
_CARRIERS: Final = frozenset(
    {"Cast", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity", "Slice", "Transpose"}
)
_LOOKUPS: Final = frozenset({"Gather", "GatherElements"})
_FREE_INTEGERS: Final = 4  # an integer input that indexes nothing gets 0..3
_SCALES: Final = (1.0, 0.3, 2.5, 0.6, 4.0, 1.7)
_OFFSETS: Final = (0.0, 0.5, -1.0, 2.0, -0.25)  # one fewer: no pair comes again for thirty samples
_WIDEST: Final = 4.0  # of the scales: with a known range, that one fills it


_Numbers = np.ndarray[Any, np.dtype[np.float64]]


class Port(Struct, frozen=True):
    """An input of a model.

    Attributes:
        dtype: ``TensorProto`` data type.
        dims: the shape to feed.
        bound: integers stay below it.
        span: lowest and highest number of its quantisation range; None when it has none.
        shared: True when all samples of a batch are fed the same.
    """

    name: str
    dtype: int
    dims: Dims
    bound: int = _FREE_INTEGERS
    span: tuple[float, float] | None = None
    shared: bool = False


class Sample(Struct, frozen=True):
    """One set of inputs.

    Attributes:
        label: for example ``ramp/1`` or ``inputs[3]``.
        feeds: the inputs; of the first sample of a batch.
        parts: inputs of each sample of a batch, the first among them.
    """

    label: str
    feeds: Mapping[str, Array]
    parts: tuple[Mapping[str, Array], ...] = ()


def generated(
    ports: Sequence[Port], count: int, seeds: Sequence[int] = SEEDS, parts: int = 1
) -> Iterator[Sample]:
    """Yield seeded samples, every kind once before the next seed.

    Args:
        ports: what to feed.
        count: how many; at most ``len(KINDS) * len(seeds)``.
        seeds: in order.
        parts: independent sets of inputs in each.

    Yields:
        For each port T[*dims] of its type and dimensions.
    """
    for seed, kind in list(product(seeds, KINDS))[:count]:
        drawn = [_drawn(ports, kind, seed, index) for index in range(parts)]
        yield _sample(f"{kind}/{seed}", ports, drawn)


def given(ports: Sequence[Port], data: Mapping[str, Array], parts: int = 1) -> list[Sample]:
    """Cut a user's arrays into samples; the parts of one are the arrays that follow it.

    Args:
        ports: what to feed.
        data: by input name T[*dims], or T[N, *dims] of N samples, or T[N, ...] where the input is
            [1, ...].
        parts: sets of inputs in each; where the arrays hold fewer, scaled and shifted ones.

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
    count = counts.pop()
    found: list[Sample] = []
    for first in range(count):
        rows = [
            {
                name: _moved(stack[(first + index) % count], index // count)
                for name, stack in stacks.items()
            }
            for index in range(parts)
        ]
        found.append(_sample(f"inputs[{first}]", ports, rows))
    return found


def _moved(array: Array, index: int) -> Array:
    """Return floats with another scale and offset; the array itself for index 0, and integers.

    Args:
        array: T[...].
        index: of the scale and offset.

    Returns:
        T[...], the same type and shape.
    """
    if not index or array.dtype.kind != "f":
        return array
    wide = array.astype(np.float64)
    wide = wide * _SCALES[index % len(_SCALES)] + _OFFSETS[index % len(_OFFSETS)]
    return wide.astype(array.dtype)


def _sample(label: str, ports: Sequence[Port], parts: Sequence[Mapping[str, Array]]) -> Sample:
    """Make a sample whose parts share the inputs that are the same for all samples of a batch.

    Args:
        label: of the sample.
        ports: the inputs.
        parts: T[*dims] by input name, for each sample of the batch.
    """
    shared = {port.name: parts[0][port.name] for port in ports if port.shared}
    return Sample(label, parts[0], tuple({**part, **shared} for part in parts))


def _drawn(ports: Sequence[Port], kind: str, seed: int, index: int) -> dict[str, Array]:
    numbers = [seed, KINDS.index(kind)]
    rng = np.random.default_rng(numbers if index == 0 else [*numbers, index])
    return {port.name: _values(port, kind, rng, index) for port in ports}


def _cut(port: Port, array: Array) -> list[Array]:
    wanted = _dtype(port)
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


def _dtype(port: Port) -> np.dtype[Any]:
    """Return the element type of a port.

    Raises:
        ValueError: numpy has none for it; the text says which.
    """
    try:
        found: np.dtype[Any] = helper.tensor_dtype_to_np_dtype(port.dtype)
    except KeyError:
        raise ValueError(
            f"input {port.name!r} has the data type {port.dtype}, which is none"
        ) from None
    return found


def _values(port: Port, kind: str, rng: np.random.Generator, index: int = 0) -> Array:
    wanted = _dtype(port)
    if wanted.kind == "b":
        return rng.integers(0, 2, port.dims).astype(wanted)
    if wanted.kind in "iu":
        top = min(port.bound, int(np.iinfo(wanted).max))
        return rng.integers(0, max(top, 1), port.dims).astype(wanted)
    flat = _floats(kind, int(np.prod(port.dims, dtype=np.int64)), rng, index)
    scale, offset = _SCALES[index % len(_SCALES)], _OFFSETS[index % len(_OFFSETS)]
    if port.span is None:
        flat = flat * scale + offset
    else:
        low, high = port.span
        share = scale / _WIDEST if index else 1.0
        flat = (low + high) / 2 + (high - low) / 2 * (flat * share + offset / _WIDEST)
    return flat.reshape(port.dims).astype(wanted)


def _floats(kind: str, count: int, rng: np.random.Generator, index: int) -> _Numbers:
    """Return numbers, most of them between -1 and 1."""
    if kind == "impulse":
        flat = np.zeros(count)
        flat[rng.integers(0, count) if count else slice(0)] = 1
        return flat
    if kind == "ramp":
        ramp: _Numbers = np.arange(count) / max(count, 1) * 2 - 1
        return np.roll(ramp, rng.integers(1, count)) if index and count > 1 else ramp
    return rng.standard_normal(count) if kind == "normal" else rng.random(count)


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
        if node.op_type in _CARRIERS and node.input and node.output and node.input[0] in source:
            source[node.output[0]] = source[node.input[0]]
        if node.op_type not in _LOOKUPS or len(node.input) < 2:  # noqa: PLR2004 - table and indices
            continue
        if node.input[1] in source and node.input[0] in tables:
            axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
            dims = tables[node.input[0]]
            name = source[node.input[1]]
            if -len(dims) <= axis < len(dims):
                found[name] = min(found.get(name, dims[axis]), dims[axis])
    return found


def spans(model: ModelProto) -> Mapping[str, tuple[float, float]]:
    """Return for each input that is quantised at once the range that its integers cover."""
    constants = {item.name: item for item in model.graph.initializer}
    source = {info.name: info.name for info in model.graph.input if info.name not in constants}
    found: dict[str, tuple[float, float]] = {}
    for node in model.graph.node:
        if (
            node.op_type in _CARRIERS - {"Cast"}
            and node.input
            and node.output
            and node.input[0] in source
        ):
            source[node.output[0]] = source[node.input[0]]
        if node.op_type == "QuantizeLinear" and node.input and node.input[0] in source:
            span = _span([constants.get(name) for name in node.input[1:3]])
            if span is not None:
                found[source[node.input[0]]] = span
    return found


def _span(parameters: Sequence[TensorProto | None]) -> tuple[float, float] | None:
    """Return the numbers that the ends of an integer type stand for; None unless all is plain."""
    if len(parameters) != 2 or None in parameters:  # noqa: PLR2004 - scale and zero point
        return None
    scale, zero = (np.asarray(numpy_helper.to_array(item)) for item in parameters if item)
    if scale.size != 1 or zero.size != 1 or zero.dtype.kind not in "iu":
        return None
    step, centre, ends = float(scale.item()), int(zero.item()), np.iinfo(zero.dtype)
    low, high = (int(ends.min) - centre) * step, (int(ends.max) - centre) * step
    return (low, high) if np.isfinite([low, high]).all() and step > 0 else None
