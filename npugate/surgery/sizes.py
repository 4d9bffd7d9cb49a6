"""Sizes for the open axes of inputs that nobody named: tried until the network takes them.

They are a start, not knowledge: the report says that they were chosen, and how to give others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Final

from onnx import ModelProto

from npugate.surgery import static
from npugate.surgery.fold import fold
from npugate.surgery.node import NoFormError
from npugate.surgery.shapes import Dim, InferenceRefusedError, infer, light

_IMAGE: Final = (224, 256, 320, 640, 48, 32, 64, 112)
_SEQUENCE: Final = (128, 256, 512, 1024, 16_000)
_IMAGE_RANK: Final = 4
_COLOURS: Final = frozenset({1, 3, 4})


def choose(model: ModelProto, wanted: Mapping[str, Sequence[int]]) -> Mapping[str, tuple[int, ...]]:
    """Return a shape for every input with an open axis behind the leading one; none, if none is.

    Args:
        model: it is left as it is.
        wanted: shapes that the user gave; they are not touched.

    Raises:
        NoFormError: none of the sizes goes together with the network.
    """
    sure = dict(_deduced(model, wanted))
    wanted = {**wanted, **sure}
    last = NoFormError("no input has an open axis")
    second: Mapping[str, tuple[int, ...]] = {}
    for step in range(max(len(_IMAGE), len(_SEQUENCE))):
        chosen = dict(_chosen(model, wanted, step))
        chosen |= sure
        if not chosen:
            return {}
        trial = light(model)
        try:
            static.write(trial, static.plan(trial, {**wanted, **chosen}))
            fold(trial)
            fault = static.fault(trial) or _misfit(trial)
        except (NoFormError, InferenceRefusedError) as error:
            fault = str(error)
        if not fault:
            return chosen
        if fault.endswith("stays open"):  # that may hang on data, whatever the size
            second = second or chosen
        last = NoFormError(fault)
    if second:
        return second
    raise last


def _chosen(
    model: ModelProto, wanted: Mapping[str, Sequence[int]], step: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, dims in static.inputs(model.graph):
        if dims is None or name in wanted or all(static.is_size(dim) for dim in dims[1:]):
            continue
        sizes = _IMAGE if _is_image(dims) else _SEQUENCE
        size = sizes[min(step, len(sizes) - 1)]
        filled = [dim if isinstance(dim, int) and dim > 0 else size for dim in dims]
        filled[0] = dims[0] if isinstance(dims[0], int) and dims[0] > 0 else 1
        yield name, tuple(filled)


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
            return f"{node.name or node.output[0]!r} has nothing left to compute"
        if node.op_type == "Reshape":
            before, after = (known.get(name) for name in (node.input[0], node.output[0]))
            sizes = [item.static for item in (before, after) if item is not None]
            if len({prod(dims) for dims in sizes if dims is not None}) > 1:
                return (
                    f"{node.name or node.output[0]!r} cannot give {sizes[0]} the shape {sizes[1]}"
                )
    is_open = [
        name
        for name in (info.name for info in model.graph.output)
        if name in known and known[name].static is None
    ]
    return f"the shape of output {is_open[0]!r} stays open" if is_open else ""


def _is_image(dims: Sequence[Dim]) -> bool:
    """Tell an image, with its colours first or last, from other data of four axes."""
    return len(dims) == _IMAGE_RANK and (dims[1] in _COLOURS or dims[-1] in _COLOURS)
