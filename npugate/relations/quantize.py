"""QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from npugate.relations.compare import differ
from npugate.relations.operands import Operands, Relation, shown


def linear(ops: Operands) -> Iterator[str]:
    """QuantizeLinear, DequantizeLinear: one scale, one for each channel, or one for each block."""
    value, scale, zero = ops.shape(0), ops.shape(1), ops.shape(2)
    if scale is None:
        return
    block = ops.node.int_attribute("block_size", 0)
    if zero is not None and ops.given(2) and not _alike(scale, zero):
        yield f"the scale is {shown(scale)} and the zero point is {shown(zero)}"
    if value is None or not scale:
        return
    axis = ops.node.int_attribute("axis", 1)
    if block:
        yield from _blocks(ops, value, scale, axis, block)
    elif len(scale) > 1:
        yield f"the scale {ops.name(1)} is {shown(scale)}, a number or a vector is wanted"
    elif scale[0] != 1:
        if not -len(value) <= axis < len(value):
            yield f"axis is {axis}, the input {ops.name(0)} has {len(value)} axes"
        elif differ(scale[0], value[axis]):
            yield (
                f"the scale {ops.name(1)} has {scale[0]} elements, "
                f"axis {axis} of {ops.name(0)} has {value[axis]}"
            )


def _alike(scale: tuple[object, ...], zero: tuple[object, ...]) -> bool:
    single = scale in {(), (1,)} and zero in {(), (1,)}
    unknown = any(not isinstance(dim, int) for dim in (*scale, *zero))
    return single or scale == zero or (unknown and len(scale) == len(zero))


def _blocks(
    ops: Operands, value: tuple[object, ...], scale: tuple[object, ...], axis: int, block: int
) -> Iterator[str]:
    if block < 0:
        yield f"block_size is {block}, at least 0 is wanted"
    elif len(scale) != len(value):
        yield f"scales of blocks are of the input's rank, {len(value)}: they have {len(scale)} axes"
    elif -len(value) <= axis < len(value):
        for at, (size, count) in enumerate(zip(value, scale, strict=True)):
            if not isinstance(size, int) or not isinstance(count, int):
                continue
            wanted = -(-size // block) if at == axis % len(value) else size
            if count != wanted:
                yield f"axis {at} of the scale {ops.name(1)} has {count} elements, not {wanted}"
                return


RELATIONS: Final[Mapping[str, Relation]] = {
    "QuantizeLinear": linear,
    "DequantizeLinear": linear,
}
