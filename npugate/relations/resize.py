"""Operators that sample an image anew: Resize, Upsample, GridSample, RoiAlign."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from npugate.relations.compare import differ, elements, vector
from npugate.relations.operands import Operands, Relation, shown
from npugate.relations.rearrange import unique_axes

_ROI_AS_INPUT: Final = 11
_ROI: Final = "tf_crop_and_resize"


def resize(ops: Operands) -> Iterator[str]:
    """Resize: a positive scale or a size for each axis, never both."""
    if ops.opset < _ROI_AS_INPUT:
        yield from upsample(ops)
        return
    rank = ops.rank(0)
    axes = ops.node.ints_attribute("axes")
    yield from unique_axes(axes, rank)
    count = rank if axes is None else len(axes)
    scaled, sized = _has_entries(ops, 2), _has_entries(ops, 3)
    if scaled and sized:
        yield "both scales and sizes are given, one of them is wanted"
    elif scaled is False and sized is False:
        yield "neither scales nor sizes are given"
    if scaled:
        yield from _counted(ops, 2, count, "scales")
        yield from _positive(ops, 2, "scale")
    if sized:
        yield from _counted(ops, 3, count, "sizes")
        yield from _positive(ops, 3, "size")
    if ops.node.text_attribute("coordinate_transformation_mode", "") == _ROI and count is not None:
        cut = ops.count(1)
        if cut is not None and rank is not None and cut not in {2 * count, 2 * rank}:
            yield f"roi {ops.name(1)} has {elements(cut)}, {2 * count} are wanted"


def upsample(ops: Operands) -> Iterator[str]:
    """Upsample, and Resize of opset 10: a scale of each axis."""
    rank = ops.rank(0)
    stated = ops.node.attribute("scales")
    if isinstance(stated, tuple):
        if rank is not None and len(stated) != rank:
            yield f"scales has {len(stated)} entries, the input has {rank} axes"
        return
    yield from _counted(ops, 1, rank, "scales")
    yield from _positive(ops, 1, "scale")


def _counted(ops: Operands, position: int, wanted: int | None, what: str) -> Iterator[str]:
    count = ops.count(position)
    if wanted is not None and count is not None and count != wanted:
        yield f"{what} {ops.name(position)} has {elements(count)}, {wanted} are wanted"


def _has_entries(ops: Operands, position: int) -> bool | None:
    """Tell whether an input is there and has elements; None when its size is unknown."""
    if not ops.given(position):
        return False
    count = ops.count(position)
    return None if count is None else count > 0


def _positive(ops: Operands, position: int, what: str) -> Iterator[str]:
    value = ops.values(position)
    if value is None or value.dtype.kind not in "iuf":
        return
    for at, item in enumerate(value.reshape(-1)):
        number = item.item()
        if not number > 0:  # NaN, too
            yield f"{what} {at} of {ops.name(position)} is {number:.3g}, it must be above 0"
            return


def grid_sample(ops: Operands) -> Iterator[str]:
    """GridSample: a grid of one coordinate for each axis of the image."""
    image, grid = ops.shape(0), ops.shape(1)
    if image is None or grid is None:
        return
    if len(image) != len(grid) or not grid:
        yield f"the grid {shown(grid)} and the input {shown(image)} differ in rank"
    elif differ(grid[-1], len(image) - 2):
        yield f"the grid has {grid[-1]} coordinates, the input has {len(image) - 2} axes"
    elif differ(image[0], grid[0]):
        yield f"the grid has a batch of {grid[0]}, the input of {image[0]}"


def roi_align(ops: Operands) -> Iterator[str]:
    """RoiAlign: boxes [n, 4], an image index for each."""
    boxes = ops.shape(1)
    box = 4
    if boxes is not None and (len(boxes) != 2 or differ(boxes[1], box)):  # noqa: PLR2004 - boxes, corners
        yield f"rois {ops.name(1)} are {shown(boxes)}, [n, {box}] is wanted"
        return
    count = ops.dim(1, 0)
    yield from vector(ops, 2, count, "batch_indices", f"there are {count} boxes")


def affine_grid(ops: Operands) -> Iterator[str]:
    """AffineGrid: theta [n, 2, 3] and a size of 4 entries, or [n, 3, 4] and 5."""
    theta, size = ops.shape(0), ops.ints(1)
    entries = ops.count(1)
    axes = None if entries is None else entries - 2
    if axes is not None and axes not in {2, 3}:
        yield f"the size {ops.name(1)} has {entries} entries, 4 or 5 are wanted"
        return
    spatial = size[2:] if size else ()
    if spatial and min(spatial) < 1:
        yield f"the size {shown(size or ())} has {min(spatial)}, at least 1 is wanted"
        return
    if theta is None:
        return
    batch = size[0] if size else None
    wanted = (batch, axes, None if axes is None else axes + 1)
    if len(theta) != len(wanted) or any(differ(a, b) for a, b in zip(theta, wanted, strict=True)):
        yield f"theta {ops.name(0)} is {shown(theta)}, {shown(wanted)} is wanted"


RELATIONS: Final[Mapping[str, Relation]] = {
    "Resize": resize,
    "Upsample": upsample,
    "AffineGrid": affine_grid,
    "GridSample": grid_sample,
    "RoiAlign": roi_align,
}
