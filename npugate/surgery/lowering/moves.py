"""Operators that move elements about: each works along one axis, or one run of axes, at a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod

from npugate.surgery import permute
from npugate.surgery.lowering.elementwise import expanded
from npugate.surgery.lowering.form import Along, Lowering, lead, positive, runs
from npugate.surgery.node import Node, NoFormError, Value

_SPLIT_INPUT = 13  # Split takes its sizes, Squeeze its axes as an input from here on
_SLICE_INPUT = 10
_PAD_INPUT = 11


def transpose(low: Lowering, node: Node) -> None:
    """Permute in the fewest transposes of few axes: perm = p1 after p2 ... after pk."""
    data = low.data(node)
    dims = low.dims(data)
    perm = node.integers("perm") or list(reversed(range(len(dims))))
    low.finish(permuted(low, data, dims, perm), node)


def permuted(low: Lowering, value: Value, dims: Sequence[int], perm: Sequence[int]) -> Value:
    """Return a value with its elements in the order of a permutation, in a shape of few axes."""
    try:
        steps = permute.plan(dims, perm, low.usable)
    except ValueError as error:
        raise NoFormError(str(error)) from error
    dtype = low.draft.dtype(value)
    for sizes, blocks in steps:
        small, order = _cut_in_two(low, sizes, blocks)
        value = low.draft.reshape(value, lead(small))
        moved = lead(small[axis] for axis in order)
        order_here = [0, *(axis + 1 for axis in order)]
        value = low.draft.emit("Transpose", [value], moved, dtype, perm=order_here)
    return value


def _cut_in_two(
    low: Lowering, sizes: Sequence[int], order: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Return a permutation of axes that are small enough: two neighbours for a large one."""
    parts = low.spread(sizes)
    starts = list(accumulate((len(part) for part in parts), initial=0))
    axes = [axis for block in order for axis in range(starts[block], starts[block + 1])]
    return [dim for part in parts for dim in part], axes


def expand(low: Lowering, node: Node) -> None:
    """Repeat along each run of axes that is broadcast: [B, 1, A] => Expand to [B, R, A]."""
    data = low.data(node)
    out = low.dims(node.outputs[0])
    dims = low.dims(data)
    dims = [1] * (len(out) - len(dims)) + dims
    grows = [small == 1 != large for small, large in zip(dims, out, strict=True)]
    for flag, start, end in runs(grows):
        if flag:
            data, dims = expanded(low, data, dims, start, end, out)
    low.finish(data, node)


def tile(low: Lowering, node: Node) -> None:
    """Repeat along one axis after the other, by an axis for the copies in front of it.

    [B, D * A] => reshape [B, 1, D * A], Expand [B, R, D * A], reshape [B, R * D, A]
    """
    data, dims = low.data(node), low.shape(node)
    repeats = low.constants(node, 1) or []
    if len(repeats) != len(dims):
        raise NoFormError("Tile of opset 1")
    for axis, count in enumerate(repeats):
        if count != 1:
            flat = [*dims[:axis], 1, prod(dims[axis:])]
            out = [*dims[:axis], count, prod(dims[axis:])]
            data, _ = expanded(low, data, flat, axis, axis + 1, out)
            dims = [*dims[:axis], dims[axis] * count, *dims[axis + 1 :]]
    low.finish(data, node)


def concat(low: Lowering, node: Node) -> None:
    """Join along the last of three axes, or before the last where that would be too large.

    concat([B, Di, A], axis=1)  =>  concat([1, B, Di * A], axis=2)
    """
    values = [low.data(node, position) for position in range(len(node.inputs))]
    out = low.dims(node.outputs[0])
    axis = positive(node.integer("axis", 1), len(out))
    joined = Along((1, prod(out[:axis]), prod(out[axis:])), 2)
    if not low.fits(max(joined.dims)):
        joined = low.around(out, axis)
    each = joined.dims[joined.axis] // out[axis]  # elements behind a step along the axis
    parts = []
    for value in values:
        dims = low.draft.dims(value)
        if 0 in dims:
            continue  # nothing to join
        parts.append(low.draft.reshape(value, joined.sized(dims[axis] * each)))
    made = parts[0]
    if len(parts) > 1:
        made = low.draft.emit("Concat", parts, joined.dims, low.dtype(node), axis=joined.axis)
    low.finish(made, node)


def split(low: Lowering, node: Node) -> None:
    """Cut by slices, since compilers take a Split only where every part has one element.

    y_i = x[:, s_i : s_i + size_i],  s_i = size_0 + ... + size_(i-1)
    """
    data, dims = low.data(node), low.shape(node)
    axis = positive(node.integer("axis", 0), len(dims))
    small = low.around(dims, axis)
    low_data = low.draft.reshape(data, small.dims)
    start = 0
    for position, output in enumerate(node.outputs):
        size = low.draft.dims(output)[axis] if output.name else 0
        if not output.name:
            raise NoFormError("Split with an unused output")
        if size == 0:
            raise NoFormError("Split with an empty part")
        part = cut(low, low_data, small, (start, start + size, 1), size)
        low.finish(part, node, position)
        start += size


def cut(
    low: Lowering, value: Value, small: Along, bounds: tuple[int, int, int], size: int
) -> Value:
    """Slice a value of such a shape along its axis; bounds are start, end, step."""
    dims = small.sized(size)
    start, end, step = bounds
    numbers = [[start], [end], [small.axis], [step]]
    if low.draft.opset < _SLICE_INPUT:
        if step != 1:
            raise NoFormError("Slice with a step before opset 10")
        return low.draft.emit(
            "Slice",
            [value],
            dims,
            low.draft.dtype(value),
            starts=[start],
            ends=[end],
            axes=[small.axis],
        )
    inputs = [value, *(low.draft.int64(number) for number in numbers)]
    return low.draft.emit("Slice", inputs, dims, low.draft.dtype(value))


def slice_(low: Lowering, node: Node) -> None:
    """Cut along one axis after the other: x[a:b, c:d] = x[a:b][:, c:d]."""
    data, dims = low.data(node), low.shape(node)
    for axis, start, end, step in slice_bounds(low, node, dims):
        kept = range(dims[axis])[slice(start, end, step)]
        if len(kept) == dims[axis] and step == 1:
            continue
        if not kept:
            raise NoFormError("Slice that keeps nothing")
        small = low.around(dims, axis)
        data = low.draft.reshape(data, small.dims)
        stop = kept[-1] + (1 if step > 0 else -1)
        stop = stop if stop >= 0 else -dims[axis] - 1  # before the first element
        data = cut(low, data, small, (kept[0], stop, step), len(kept))
        dims = [*dims[:axis], len(kept), *dims[axis + 1 :]]
    low.finish(data, node)


def slice_bounds(
    low: Lowering, node: Node, dims: Sequence[int]
) -> list[tuple[int, int | None, int | None, int]]:
    """Return (axis, start, end, step) of a Slice, in Python's meaning of start and end."""
    if low.draft.opset < _SLICE_INPUT:
        starts, ends = node.integers("starts") or [], node.integers("ends") or []
        axes, steps = node.integers("axes"), None
    else:
        starts, ends = low.constants(node, 1) or [], low.constants(node, 2) or []
        axes, steps = low.constants(node, 3), low.constants(node, 4)
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(axes) == len(starts) == len(ends) == len(steps):
        raise NoFormError("Slice whose bounds and axes differ in number")
    found: list[tuple[int, int | None, int | None, int]] = []
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = dims[positive(axis, len(dims))]
        # Python counts an end before the first element from behind; ONNX means "to the front".
        stop = None if step < 0 and end < -size else end
        first = max(start, -size) if step > 0 else start
        if step < 0 and start < -size:
            raise NoFormError("Slice that starts before the first element")
        found.append((positive(axis, len(dims)), first, stop, step))
    return found


def pad(low: Lowering, node: Node) -> None:
    """Pad along one axis after the other: the pads of different axes commute."""
    data, dims = low.data(node), low.shape(node)
    if low.draft.opset < _PAD_INPUT:
        pads = node.integers("pads") or []
    else:
        pads = low.constants(node, 1) or []
    axes = low.constants(node, 3)
    axes = list(range(len(dims))) if axes is None else axes
    half = len(pads) // 2
    if half != len(axes):
        raise NoFormError("Pad whose pads and axes differ in number")
    for position, number in enumerate(axes):
        axis = positive(number, len(dims))
        sides = pads[position], pads[half + position]
        if sides != (0, 0):
            small = low.around(dims, axis)
            data = low.draft.reshape(data, small.dims)
            size = dims[axis] + sum(sides)
            if size <= 0:
                raise NoFormError("Pad that leaves nothing")
            data = _padded(low, node, data, small, sides)
            dims = [*dims[:axis], size, *dims[axis + 1 :]]
    low.finish(data, node)


def _padded(low: Lowering, node: Node, value: Value, small: Along, sides: tuple[int, int]) -> Value:
    dims = small.sized(small.dims[small.axis] + sum(sides))
    zeros = [0] * len(dims)
    pads = [*zeros[: small.axis], sides[0], *zeros[small.axis + 1 :]]
    pads += [*zeros[: small.axis], sides[1], *zeros[small.axis + 1 :]]
    mode = node.text("mode", "constant") if "mode" in node.attrs else None
    dtype = low.draft.dtype(value)
    if low.draft.opset < _PAD_INPUT:
        fill = float(node.attrs.get("value", 0.0))
        return low.draft.emit("Pad", [value], dims, dtype, pads=pads, value=fill, mode=mode)
    inputs = [value, low.draft.int64(pads)]
    fill_input = node.input(2)
    if fill_input is not None:
        inputs.append(fill_input)
    return low.draft.emit("Pad", inputs, dims, dtype, mode=mode)
