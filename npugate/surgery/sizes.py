"""Choose sizes for open axes of inputs without a given size: the first that the network takes.

They are a start, not knowledge: the report says that they were chosen, and how to give others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Final

from onnx import ModelProto, NodeProto

from npugate.model.node_label import node_label
from npugate.operators import ARITHMETIC
from npugate.surgery import static
from npugate.surgery.extent import STARVED, starved
from npugate.surgery.fold import fold
from npugate.surgery.node import NoFormError
from npugate.surgery.shapes import Dim, InferenceRefusedError, infer
from npugate.surgery.values import literal

_IMAGE: Final = (224, 256, 320, 640, 48, 32, 64, 112)
_SEQUENCE: Final = (128, 256, 512, 1024, 16_000)
_IMAGE_RANK: Final = 4
_COLOURS: Final = frozenset({1, 3, 4})


def choose(
    model: ModelProto, wanted: Mapping[str, Sequence[int]], *, is_batch: bool = True
) -> Mapping[str, tuple[int, ...]]:
    """Return a shape for every input with an open axis behind the leading one; none, if none is.

    Args:
        model: it is left as it is.
        wanted: shapes that the user gave; they are not touched.
        is_batch: an open leading axis is the batch, 1; else, below four axes, it is an axis of the
            data such as time, and gets a size as the others do.

    Raises:
        NoFormError: none of the sizes goes together with the network.
    """
    sure = dict(_deduced(model, wanted))
    wanted = {**wanted, **sure}
    last = NoFormError("no input has an open axis")
    second: Mapping[str, tuple[int, ...]] = {}
    met = _met(model)
    for step in range(max(len(_IMAGE), len(_SEQUENCE))):
        chosen = dict(_chosen(model, wanted, met, step, is_batch=is_batch))
        chosen |= sure
        if not chosen:
            return {}
        fault = _fault(model, {**wanted, **chosen})
        if not fault:
            return chosen
        if fault.endswith("stays open"):  # that may hang on data, whatever the size
            second = second or chosen
        last = NoFormError(fault)
    if second:
        return second
    raise last


def _fault(model: ModelProto, shapes: Mapping[str, Sequence[int]]) -> str:
    """Return why the network does not take these shapes; empty when it does."""
    try:
        trial = static.shaped(model, static.plan(model, shapes))
        if fault := starved(trial):
            return fault
        fold(trial)
        return static.fault(trial) or _misfit(trial)
    except (NoFormError, InferenceRefusedError) as error:
        return str(error)


def _chosen(
    model: ModelProto,
    wanted: Mapping[str, Sequence[int]],
    met: Mapping[str, Mapping[int, int]],
    step: int,
    *,
    is_batch: bool,
) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, dims in static.inputs(model.graph):
        if dims is None or name in wanted:
            continue
        if all(static.is_size(dim) for dim in (dims[1:] if is_batch else dims)):
            continue
        sizes = _IMAGE if _is_image(dims) else _SEQUENCE
        size = sizes[min(step, len(sizes) - 1)]
        known = met.get(name, {})
        filled = [
            dim if isinstance(dim, int) and dim > 0 else known.get(axis, size)
            for axis, dim in enumerate(dims)
        ]
        if (is_batch or len(dims) >= _IMAGE_RANK) and not static.is_size(dims[0]):
            filled[0] = 1
        yield name, tuple(filled)


def _met(model: ModelProto) -> Mapping[str, Mapping[int, int]]:
    """Return the size of axes behind the leading one that weights say: input -> axis -> size.

    Broadcasting would also take 1 there; who writes 80 weights has 80 values.
    """
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        tensor = literal(node) if node.op_type == "Constant" else None
        if tensor is not None:
            weights[node.output[0]] = tuple(tensor.dims)
    ranks = {name: len(dims) for name, dims in static.inputs(model.graph) if dims is not None}
    found: dict[str, dict[int, int]] = {}
    for node in model.graph.node:
        for name, other in (node.input[:2], node.input[1::-1]) if len(node.input) > 1 else ():
            if name in ranks and weights.get(other):
                is_first = name == node.input[0]
                sizes = _aligned(node, ranks[name], weights[other], is_first=is_first)
                found.setdefault(name, {}).update(
                    (axis, size) for axis, size in sizes.items() if axis > 0
                )
    return found


def _aligned(
    node: NodeProto, rank: int, dims: tuple[int, ...], *, is_first: bool
) -> dict[int, int]:
    """Return the sizes that weights of some shape give the axes of a node's other input."""
    if node.op_type in ARITHMETIC:
        return {rank - len(dims) + axis: size for axis, size in enumerate(dims) if size > 1}
    if node.op_type == "Conv" and is_first and len(dims) > 1:
        group = next((item.i for item in node.attribute if item.name == "group"), 1)
        return {1: dims[1] * group}
    if node.op_type == "MatMul" and is_first:
        return {rank - 1: dims[-2] if len(dims) > 1 else dims[0]}
    return {}


def _deduced(
    model: ModelProto, wanted: Mapping[str, Sequence[int]]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the shape of each input with one open axis that a Reshape to a known shape settles."""
    known = infer(model)
    targets: dict[str, int] = {}
    for node in model.graph.node:
        result = known.get(node.output[0]) if node.op_type == "Reshape" else None
        if result is not None and result.static:
            targets[node.input[0]] = prod(result.static)
    for name, dims in static.inputs(model.graph):
        if dims is None or name in wanted or name not in targets:
            continue
        open_axes = [axis for axis, dim in enumerate(dims) if not static.is_size(dim)]
        given = prod(dim for dim in dims if isinstance(dim, int) and dim > 0)
        if len(open_axes) == 1 and open_axes != [0] and targets[name] % given == 0:
            size = targets[name] // given
            yield name, tuple(size if not static.is_size(dim) else int(str(dim)) for dim in dims)


def _misfit(model: ModelProto) -> str:
    """Say what inference does not: a Reshape of other elements, an output that stays open."""
    known = infer(model)
    for node in model.graph.node:
        if any((known[name].static or (1,)).count(0) for name in node.output if name in known):
            return f"{node_label(node)!r} {STARVED}"
        if node.op_type == "Reshape":
            before, after = (known.get(name) for name in (node.input[0], node.output[0]))
            sizes = [item.static for item in (before, after) if item is not None]
            if len({prod(dims) for dims in sizes if dims is not None}) > 1:
                return f"{node_label(node)!r} cannot give {sizes[0]} the shape {sizes[1]}"
    is_open = [
        name
        for name in (info.name for info in model.graph.output)
        if name in known and known[name].static is None
    ]
    return f"the shape of output {is_open[0]!r} stays open" if is_open else ""


def _is_image(dims: Sequence[Dim]) -> bool:
    """Tell an image, with its colours first or last, from other data of four axes."""
    return len(dims) == _IMAGE_RANK and (dims[1] in _COLOURS or dims[-1] in _COLOURS)
