"""Operators on patches of an image: DeformConv, Col2Im, CenterCropPad."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Final

from npugate.facts.graph import Dim
from npugate.relations.compare import axis_in, differ, vector
from npugate.relations.operands import Operands, Relation, shown

_IMAGE_RANK: Final = 4


def deform_conv(ops: Operands) -> Iterator[str]:
    """DeformConv: offsets of two numbers, and a mask of one, for each place of the window."""
    for at, what in ((0, "input"), (1, "weight"), (2, "offset"), (4, "mask")):
        rank = ops.rank(at)
        if rank is not None and rank != _IMAGE_RANK:
            yield f"the {what} {ops.name(at)} has {rank} axes, {_IMAGE_RANK} are wanted"
            return
    group = ops.node.int_attribute("group", 1)
    offset_group = ops.node.int_attribute("offset_group", 1)
    if group < 1 or offset_group < 1:
        yield f"group is {group} and offset_group is {offset_group}, at least 1 is wanted"
        return
    channels, read = ops.dim(0, 1), ops.dim(1, 1)
    if channels is not None and read is not None and channels != read * group:
        yield f"the weight reads {read * group} channels, the input has {channels}"
    if channels is not None and channels % offset_group:
        yield f"{channels} channels do not divide into {offset_group} groups of offsets"
    yield from vector(ops, 3, ops.dim(1, 0), "bias", f"there are {ops.dim(1, 0)} output channels")
    yield from _places(ops, offset_group)


def _places(ops: Operands, offset_group: int) -> Iterator[str]:
    """Yield offsets and masks that are for another window or another batch."""
    window = [ops.dim(1, 2), ops.dim(1, 3)]
    places = [size for size in window if size is not None]
    if len(places) == len(window):
        for at, what, numbers in ((2, "offset", 2), (4, "mask", 1)):
            wanted = numbers * prod(places) * offset_group
            given = ops.dim(at, 1)
            if given is not None and given != wanted:
                yield f"the {what} {ops.name(at)} has {given} channels, {wanted} are wanted"
    for at, what in ((2, "offset"), (4, "mask")):
        if differ(ops.dim(at, 0), ops.dim(0, 0)):
            yield f"the {what} has a batch of {ops.dim(at, 0)}, the input of {ops.dim(0, 0)}"


def col2im(ops: Operands) -> Iterator[str]:
    """Col2Im: as many columns as the window has places in the image."""
    for name in ("strides", "dilations"):
        steps = ops.node.ints_attribute(name) or ()
        if any(step < 1 for step in steps):
            yield f"{name} is {shown(steps)}, each must be at least 1"
            return
    image, block = ops.ints(1), ops.ints(2)
    if image is None or block is None:
        return
    axes = len(image)
    if len(block) != axes or min(image) < 1 or min(block) < 1:
        yield f"the image is {shown(image)} and the block is {shown(block)}"
        return
    strides = ops.node.ints_attribute("strides") or (1,) * axes
    dilations = ops.node.ints_attribute("dilations") or (1,) * axes
    pads = ops.node.ints_attribute("pads") or (0,) * (2 * axes)
    if len(strides) != axes or len(dilations) != axes or len(pads) != 2 * axes:
        yield f"strides, dilations and pads are for another number of axes than {axes}"
        return
    places: list[Dim] = []
    for at in range(axes):
        reach = dilations[at] * (block[at] - 1) + 1
        rest = image[at] + pads[at] + pads[at + axes] - reach
        if rest < 0:
            yield f"axis {at} of the image {shown(image)} is smaller than the block's {reach}"
            return
        places.append(rest // strides[at] + 1)
    wanted = prod(place for place in places if isinstance(place, int))
    if differ(ops.dim(0, 2), wanted):
        yield f"the input has {ops.dim(0, 2)} columns, the block has {wanted} places"
    channels = ops.dim(0, 1)
    if channels is not None and channels % prod(block):
        yield f"{channels} rows do not divide by the {prod(block)} elements of the block"


def center_crop_pad(ops: Operands) -> Iterator[str]:
    """CenterCropPad: a size for each axis that is named."""
    rank, sizes = ops.rank(0), ops.count(1)
    if ops.rank(1) not in {None, 1}:
        yield f"the shape {ops.name(1)} has {ops.rank(1)} axes, a vector is wanted"
        return
    axes = ops.node.ints_attribute("axes")
    wanted = rank if axes is None else len(axes)
    for axis in axes or ():
        yield from axis_in("an axis", axis, rank)
    if wanted is not None and sizes is not None and sizes != wanted:
        yield f"the shape {ops.name(1)} has {sizes} entries, {wanted} axes are cut"


RELATIONS: Final[Mapping[str, Relation]] = {
    "CenterCropPad": center_crop_pad,
    "Col2Im": col2im,
    "DeformConv": deform_conv,
}
