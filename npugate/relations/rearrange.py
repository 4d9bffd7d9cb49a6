"""Operators that move elements: reshape, transpose, join, split, cut, repeat, pad."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Final

from npugate.relations.compare import axis_in, broadcast, differ, scalar
from npugate.relations.operands import Operands, Relation, shown

_AXES_AS_INPUT: Final = 13
_UNEQUAL_SPLIT: Final = 18
_IMAGE_RANK: Final = 4


def reshape(ops: Operands) -> Iterator[str]:
    """Reshape: as many elements as before, one -1 at most, 0 where the input has an axis."""
    if len(ops.node.inputs) > 1 and (rank := ops.rank(1)) is not None and rank != 1:
        yield f"shape {ops.name(1)} has {rank} axes, a vector is wanted"
        return
    before = ops.static(0)
    wanted = ops.ints(1) if len(ops.node.inputs) > 1 else ops.node.ints_attribute("shape")
    if wanted is None:
        return
    keeps_zero = bool(ops.node.int_attribute("allowzero", 0))
    if wanted.count(-1) > 1:
        yield f"shape {shown(wanted)} has {wanted.count(-1)} times -1, at most one is wanted"
    elif any(dim < -1 for dim in wanted):
        yield f"shape {shown(wanted)} has a negative size"
    elif keeps_zero and 0 in wanted and -1 in wanted:
        yield f"shape {shown(wanted)} has both 0 and -1, which allowzero makes ambiguous"
    elif before is not None:
        yield from _same_count(ops, before, wanted, keeps_zero=keeps_zero)


def _same_count(
    ops: Operands, before: tuple[int, ...], wanted: tuple[int, ...], *, keeps_zero: bool
) -> Iterator[str]:
    kept = [at for at, dim in enumerate(wanted) if dim == 0 and not keeps_zero]
    if any(at >= len(before) for at in kept):
        yield f"shape {shown(wanted)} keeps an axis that the input {shown(before)} does not have"
        return
    sizes = [before[at] if at in kept else dim for at, dim in enumerate(wanted)]
    total, known = prod(before), prod(dim for dim in sizes if dim != -1)
    if (-1 not in sizes and total != known) or (-1 in sizes and known and total % known):
        yield (
            f"shape {shown(wanted)} asks for {'a multiple of ' if -1 in sizes else ''}{known} "
            f"elements, the input {ops.name(0)} {shown(before)} has {total}"
        )
    elif -1 in sizes and not known and not total:
        yield f"shape {shown(wanted)} leaves -1 open beside a size of 0"


def transpose(ops: Operands) -> Iterator[str]:
    """Transpose: perm names every axis once."""
    order, rank = ops.node.ints_attribute("perm"), ops.rank(0)
    if order is None or rank is None or not order:
        return
    if len(order) != rank:
        yield f"perm {shown(order)} has {len(order)} entries, the input has {rank} axes"
    elif sorted(order) != list(range(rank)):
        yield f"perm {shown(order)} does not name each of the {rank} axes once"


def concat(ops: Operands) -> Iterator[str]:
    """Concat: inputs of one rank and of one size in every axis but the joined one."""
    shapes = [ops.shape(at) for at in range(len(ops.node.inputs)) if ops.given(at)]
    known = [shape for shape in shapes if shape is not None]
    if not known:
        return
    first = known[0]
    axis = ops.node.int_attribute("axis", 1)
    yield from axis_in("axis", axis, len(first))
    for shape in known[1:]:
        if len(shape) != len(first):
            yield f"inputs have {len(first)} and {len(shape)} axes"
            return
        joined = axis % len(first) if first else 0
        for at, (a, b) in enumerate(zip(first, shape, strict=True)):
            if at != joined and differ(a, b):
                yield f"inputs {shown(first)} and {shown(shape)} differ in axis {at}"
                return


def split(ops: Operands) -> Iterator[str]:
    """Split: the parts add up to the axis, one for each output."""
    axis = ops.node.int_attribute("axis", 0)
    yield from axis_in("axis", axis, ops.rank(0))
    by_input = ops.opset >= _AXES_AS_INPUT
    if by_input and ops.given(1) and (rank := ops.rank(1)) is not None and rank != 1:
        yield f"split {ops.name(1)} has {rank} axes, a vector is wanted"
    elif ops.given(1) if by_input else ops.node.has("split"):
        yield from _parts(ops, axis, by_input=by_input)
    else:
        yield from _equal_parts(ops, axis)


def _parts(ops: Operands, axis: int, *, by_input: bool) -> Iterator[str]:
    sizes = ops.ints(1) if by_input else ops.node.ints_attribute("split")
    stated = ops.count(1) if by_input else len(sizes or ())
    total, count = ops.dim(0, axis), len(ops.node.outputs)
    if stated is not None and stated != count:
        yield f"split has {stated} parts, the node has {count} outputs"
    elif sizes is None:
        return
    elif any(size < 0 for size in sizes):
        yield f"split {shown(sizes)} has a negative part"
    elif total is not None and sum(sizes) != total:
        yield f"split {shown(sizes)} adds up to {sum(sizes)}, axis {axis} has {total}"


def _equal_parts(ops: Operands, axis: int) -> Iterator[str]:
    total, count = ops.dim(0, axis), len(ops.node.outputs)
    if ops.opset < _UNEQUAL_SPLIT:
        if total is not None and total % count:
            yield f"axis {axis} has {total} elements, which {count} outputs do not share evenly"
        return
    asked = ops.node.int_attribute("num_outputs", count)
    if asked != count:
        yield f"num_outputs is {asked}, the node has {count} outputs"
    elif total is not None and total - -(-total // count) * (count - 1) < 0:
        yield f"axis {axis} has {total} elements, too few for {count} equal parts"


def slice_(ops: Operands) -> Iterator[str]:
    """Slice: starts, ends, axes and steps of one length, no step of 0, no axis twice."""
    since = 10  # starts and ends are attributes before
    if ops.opset < since:
        parts = [ops.node.ints_attribute(name) for name in ("starts", "ends", "axes")]
        yield from _one_length([len(part) for part in parts if part is not None])
        yield from unique_axes(parts[2], ops.rank(0))
        return
    for at in (1, 2, 3, 4):
        rank = ops.rank(at)
        if rank is not None and rank != 1:
            yield f"{ops.name(at)} has {rank} axes, a vector is wanted"
            return
    lengths = [ops.dim(at, 0) for at in (1, 2, 3, 4)]
    yield from _one_length([length for length in lengths if length is not None])
    steps = ops.ints(4)
    if steps is not None and 0 in steps:
        yield f"steps {shown(steps)} has a 0"
    yield from unique_axes(ops.ints(3), ops.rank(0))


def _one_length(lengths: list[int]) -> Iterator[str]:
    if len(set(lengths)) > 1:
        yield f"starts, ends, axes and steps have {', '.join(map(str, lengths))} entries"


def unique_axes(axes: tuple[int, ...] | None, rank: int | None) -> Iterator[str]:
    """Yield axes that are out of range or named twice."""
    if axes is None or rank is None:
        return
    for axis in axes:
        if not -rank <= axis < rank:
            yield from axis_in("an axis", axis, rank)
            return
    if len({axis % rank for axis in axes}) != len(axes):
        yield f"axes {shown(axes)} names an axis twice"


def _axes(ops: Operands) -> tuple[int, ...] | None:
    return ops.ints(1) if ops.opset >= _AXES_AS_INPUT else ops.node.ints_attribute("axes")


def squeeze(ops: Operands) -> Iterator[str]:
    """Squeeze: each axis has the size 1."""
    given = ops.rank(1)
    if given is not None and given != 1:
        yield f"axes {ops.name(1)} has {given} axes itself, a vector is wanted"
        return
    if len(ops.node.inputs) > 1 and not ops.given(1):
        yield "axes is an input without a name: leave it out as a whole"
        return
    axes, rank = _axes(ops), ops.rank(0)
    if axes is None or rank is None:
        return
    found = [message for message in unique_axes(axes, rank) if "twice" not in message]
    yield from found
    for axis in [] if found else axes:
        size = ops.dim(0, axis)
        if size is not None and size != 1:
            yield f"axis {axis} of {ops.name(0)} has {size} elements, 1 is wanted"


def unsqueeze(ops: Operands) -> Iterator[str]:
    """Unsqueeze: each new axis once, within the new rank."""
    given = ops.rank(1)
    if given is not None and given > 1:
        yield f"axes {ops.name(1)} has {given} axes itself, a vector is wanted"
        return
    axes, rank = _axes(ops), ops.rank(0)
    if axes is not None and rank is not None:
        yield from unique_axes(axes, rank + len(axes))


def flatten(ops: Operands) -> Iterator[str]:
    """Flatten: the axis is one of the input or the end."""
    rank = ops.rank(0)
    if rank is not None:
        axis = ops.node.int_attribute("axis", 1)
        if not -rank <= axis <= rank:
            yield f"axis is {axis}, a value of rank {rank} is cut at {-rank} to {rank}"


def tile(ops: Operands) -> Iterator[str]:
    """Tile: a count for each axis."""
    repeats, rank = ops.ints(1), ops.rank(0)
    count_rank = ops.rank(1)
    if count_rank is not None and count_rank != 1:
        yield f"repeats {ops.name(1)} has {count_rank} axes, a vector is wanted"
        return
    count = ops.count(1)
    if count is not None and rank is not None and count != rank:
        yield f"repeats {ops.name(1)} has {count} entries, the input has {rank} axes"
    if repeats is not None and any(times < 0 for times in repeats):
        yield f"repeats {shown(repeats)} has a negative count"


def expand(ops: Operands) -> Iterator[str]:
    """Expand: the input broadcasts with the shape, both ways."""
    shape, wanted = ops.shape(0), ops.ints(1)
    if shape is None or wanted is None:
        return
    if any(dim < 0 for dim in wanted):
        yield f"shape {shown(wanted)} has a negative size"
        return
    if not broadcast(shape, wanted):
        yield f"the input {ops.name(0)} {shown(shape)} does not broadcast with {shown(wanted)}"


def pad(ops: Operands) -> Iterator[str]:
    """Pad: two entries for each axis, or for each that is named."""
    rank = ops.rank(0)
    if ops.given(1) and ops.rank(1) not in {None, 1}:
        yield f"pads {ops.name(1)} has {ops.rank(1)} axes, a vector is wanted"
        return
    pads = ops.ints(1) if ops.given(1) else ops.node.ints_attribute("pads")
    axes = ops.ints(3)
    size = ops.count(1) if ops.given(1) else None
    entries = len(pads) if pads is not None else size
    wanted = None if rank is None else 2 * rank
    if ops.given(3):
        wanted = None if axes is None else 2 * len(axes)
        faults = list(unique_axes(axes, rank))
        yield from faults
        if axes is None or faults:
            return
    if wanted is not None and entries is not None and entries != wanted:
        yield f"pads has {entries} entries, {wanted // 2} axes want {wanted}"
        return
    yield from scalar(ops, 2, "the value")
    yield from _pads_fit(ops, pads, axes)


def _pads_fit(
    ops: Operands, pads: tuple[int, ...] | None, axes: tuple[int, ...] | None
) -> Iterator[str]:
    shape = ops.static(0)
    if pads is None or shape is None:
        return
    named = axes if axes is not None else tuple(range(len(shape)))
    mode = ops.node.text_attribute("mode", "constant")
    for at, axis in enumerate(named):
        before, after = pads[at], pads[at + len(named)]
        size = shape[axis]
        if before + after + size < 0:
            yield f"pads {before} and {after} cut more than the {size} elements of axis {axis}"
        elif mode == "reflect" and size and max(before, after) > size - 1:
            yield f"pads {before} and {after} reflect more than axis {axis} has: {size - 1}"


def depth_to_space(ops: Operands) -> Iterator[str]:
    """DepthToSpace: the channels divide into blocks."""
    block, rank = ops.node.int_attribute("blocksize", 0), ops.rank(0)
    if rank is not None and rank != _IMAGE_RANK:
        yield f"the input {ops.name(0)} has {rank} axes, {_IMAGE_RANK} are wanted"
        return
    channels = ops.dim(0, 1)
    if block < 1:
        yield f"blocksize is {block}, at least 1 is wanted"
    elif channels is not None and channels % (block * block):
        yield f"{channels} channels do not divide by {block * block} (blocksize {block})"


def space_to_depth(ops: Operands) -> Iterator[str]:
    """SpaceToDepth: height and width divide into blocks."""
    block, rank = ops.node.int_attribute("blocksize", 0), ops.rank(0)
    if rank is not None and rank != _IMAGE_RANK:
        yield f"the input {ops.name(0)} has {rank} axes, {_IMAGE_RANK} are wanted"
        return
    if block < 1:
        yield f"blocksize is {block}, at least 1 is wanted"
        return
    for axis, what in ((2, "height"), (3, "width")):
        size = ops.dim(0, axis)
        if size is not None and size % block:
            yield f"the {what} {size} does not divide by blocksize {block}"


RELATIONS: Final[Mapping[str, Relation]] = {
    "Reshape": reshape,
    "Transpose": transpose,
    "Concat": concat,
    "Split": split,
    "Slice": slice_,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Flatten": flatten,
    "Tile": tile,
    "Expand": expand,
    "Pad": pad,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
