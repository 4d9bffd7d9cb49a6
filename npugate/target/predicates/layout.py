"""Conditions on axes: which one an operator works along, and whether that is the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npugate.target.predicates.predicate import (
    Args,
    Fields,
    axis_of,
    by,
    ints,
    many,
    number,
    predicate,
    shape_of,
)

if TYPE_CHECKING:  # annotations only: the graph imports onnx
    from npugate.facts.graph import Node

_WHOLE = 2**31 - 1  # exporters write "to the end" as INT32_MAX or INT64_MAX


@predicate("axis", "limit", limit="int")
def axis_above(node: Node, args: Args) -> Fields | None:
    """Broken when the axis, counted from the front, is larger than a limit."""
    found, limit = axis_of(node, 0), number(args, "limit")
    return {"axis": found[0], "limit": limit} if found and found[0] > limit else None


@predicate("axis", "rank", values="list of int", default="int", optional=("default",))
def axis_not_in(node: Node, args: Args) -> Fields | None:
    """Broken when the axis, counted from the front, is another than these, nor the batch."""
    default = args.get("default")
    found = axis_of(node, default if isinstance(default, int) else None)
    if found is None or found[0] == 0 or found[0] in many(args, "values"):
        return None
    return {"axis": found[0], "rank": found[1]}


@predicate("axis", default="int", optional=("default",), on_batch=True)
def axis_on_batch(node: Node, args: Args) -> Fields | None:
    """Broken when the operator works along axis 0 of a tensor that has others."""
    default = args.get("default")
    found = axis_of(node, default if isinstance(default, int) else None)
    return {"axis": 0} if found is not None and found[0] == 0 and found[1] > 1 else None


@predicate("perm", "size", on_batch=True)
def transposes_batch(node: Node, args: Args) -> Fields | None:
    """Broken when a Transpose moves the leading axis.

    An axis of size 1 that changes places with another of size 1 stays where it is.
    """
    data = shape_of(node.input(0))
    if data is None or len(data) <= 1:
        return None
    perm = node.ints_attribute("perm") or tuple(reversed(range(len(data))))
    first = perm[0]
    if not 0 < first < len(data) or data[first] == data[0] == 1:
        return None
    return {"perm": ", ".join(map(str, perm)), "size": data[0]}


@predicate("size", "result", on_batch=True)
def grows_batch(node: Node, args: Args) -> Fields | None:
    """Broken when Expand or Tile repeats the leading axis."""
    data, result = shape_of(node.input(0)), shape_of(node.output())
    if data is None or result is None or len(result) <= 1 or len(data) != len(result):
        return None
    return {"size": data[0], "result": result[0]} if data[0] != result[0] else None


@predicate("start", "end", "size", on_batch=True)
def slices_batch(node: Node, args: Args) -> Fields | None:
    """Broken when a Slice cuts the leading axis."""
    data, result = shape_of(node.input(0)), shape_of(node.output())
    if data is None or result is None or len(data) <= 1 or len(data) != len(result):
        return None
    if data[0] == result[0]:
        return None
    axes = ints(node, "axes", 3) or tuple(range(len(data)))
    if 0 not in [axis % len(data) for axis in axes]:
        return None
    place = [axis % len(data) for axis in axes].index(0)
    bounds = ints(node, "starts", 1), ints(node, "ends", 2)
    start, end = ((items or ())[place : place + 1] for items in bounds)
    return {
        "start": start[0] if start else "?",
        "end": "end" if end and end[0] >= _WHOLE else end[0] if end else "?",
        "size": data[0],
    }


@predicate("count", "limit", limit="int")
def sliced_axes_above(node: Node, args: Args) -> Fields | None:
    """Broken when a Slice shortens more axes than a limit."""
    data, result = shape_of(node.input(0)), shape_of(node.output())
    if data is None or result is None or len(data) != len(result):
        return None
    count, limit = sum(a != b for a, b in zip(data, result, strict=True)), number(args, "limit")
    return {"count": count, "limit": limit} if count > limit else None


@predicate("left", "right")
def two_way_broadcast(node: Node, args: Args) -> Fields | None:
    """Broken when both operands are broadcast."""
    left, right = shape_of(node.input(0)), shape_of(node.input(1))
    if left is None or right is None:
        return None
    rank = max(len(left), len(right))
    a, b = (1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right
    grows_left = any(x < y for x, y in zip(a, b, strict=True))
    grows_right = any(x > y for x, y in zip(a, b, strict=True))
    return {"left": by(left), "right": by(right)} if grows_left and grows_right else None


@predicate("axes", "rank")
def reduce_axes_not_trailing(node: Node, args: Args) -> Fields | None:
    """Broken when the reduced axes are not the last ones, with two axes before them."""
    data = node.input(0)
    axes = ints(node, "axes", 1)
    if data is None or data.rank is None or axes is None or not axes:
        return None
    found = sorted(axis % data.rank for axis in axes) if data.rank else []
    if found == list(range(2, data.rank)) or not found:
        return None
    return {"axes": ", ".join(map(str, found)), "rank": data.rank}


@predicate("mode", "coordinates", "rounding")
def resize_mode(node: Node, args: Args) -> Fields | None:
    """Broken by a Resize that is not nearest, asymmetric and floor."""
    mode = node.text_attribute("mode", "nearest")
    coordinates = node.text_attribute("coordinate_transformation_mode", "half_pixel")
    rounding = node.text_attribute("nearest_mode", "round_prefer_floor")
    if (mode, coordinates, rounding) == ("nearest", "asymmetric", "floor"):
        return None
    return {"mode": mode, "coordinates": coordinates, "rounding": rounding}


@predicate("count", "size")
def split_count(node: Node, args: Args) -> Fields | None:
    """Broken when a Split makes parts of more than one element along its axis."""
    data, found = shape_of(node.input(0)), axis_of(node, 0)
    if data is None or found is None or not 0 <= found[0] < len(data):
        return None
    count, size = len(node.outputs), data[found[0]]
    return {"count": count, "size": size} if count != size else None


@predicate("before", op_types="list of str")
def not_behind(node: Node, args: Args) -> Fields | None:
    """Broken when the operator's input is not made by one of these operators, so cannot fold."""
    data = node.input(0)
    if data is None:
        return None
    before = data.producer
    if before is None:
        return {"before": "an input of the graph"}
    return None if before.op_type in many(args, "op_types") else {"before": before.op_type}
