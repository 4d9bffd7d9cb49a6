"""Conditions on attributes, operands and ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npugate.target.predicates.predicate import Args, Fields, many, number, predicate

if TYPE_CHECKING:  # annotations only: the graph imports onnx
    from npugate.facts.graph import Node, Tensor


def _runtime(tensor: Tensor | None) -> bool:
    return tensor is not None and not tensor.is_constant


def _plain(value: object) -> object:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


@predicate("attribute", "value", attribute="str", values="list of int|str")
def attribute_in(node: Node, args: Args) -> Fields | None:
    """Broken when an attribute is written with one of these values."""
    name = str(args["attribute"])
    value = _plain(node.attribute(name))
    bad = node.has(name) and value in many(args, "values")
    return {"attribute": name, "value": value} if bad else None


@predicate("attribute", "value", "allowed", attribute="str", values="list of int|str")
def attribute_not_in(node: Node, args: Args) -> Fields | None:
    """Broken when an attribute is written with a value that is none of these."""
    name, allowed = str(args["attribute"]), many(args, "values")
    value = _plain(node.attribute(name))
    if not node.has(name) or value is None or value in allowed:
        return None
    return {"attribute": name, "value": value, "allowed": ", ".join(map(str, allowed))}


@predicate("attribute", attribute="str")
def attribute_set(node: Node, args: Args) -> Fields | None:
    """Broken when an attribute is written at all."""
    name = str(args["attribute"])
    return {"attribute": name} if node.has(name) else None


@predicate("attribute", "rank", attribute="str", rank="int")
def attribute_unset_above(node: Node, args: Args) -> Fields | None:
    """Broken when an attribute is left to its default on a tensor above a rank."""
    name, data = str(args["attribute"]), node.input(0)
    if node.has(name) or data is None or data.rank is None or data.rank <= number(args, "rank"):
        return None
    return {"attribute": name, "rank": data.rank}


@predicate("position", position="int")
def input_not_constant(node: Node, args: Args) -> Fields | None:
    """Broken when an input is computed at run time."""
    position = number(args, "position")
    return {"position": position} if _runtime(node.input(position)) else None


@predicate("position", position="int")
def input_present(node: Node, args: Args) -> Fields | None:
    """Broken when an optional input is given."""
    position = number(args, "position")
    return {"position": position} if node.input(position) is not None else None


@predicate("count", limit="int")
def outputs_above(node: Node, args: Args) -> Fields | None:
    """Broken when more outputs are used than a limit."""
    count = sum(out is not None for out in node.outputs)
    return {"count": count} if count > number(args, "limit") else None


@predicate("rank", "limit", limit="int", position="int", optional=("position",))
def input_rank_above(node: Node, args: Args) -> Fields | None:
    """Broken when an input has more dimensions than a limit (position 0 unless given)."""
    tensor, limit = node.input(number(args, "position")), number(args, "limit")
    if tensor is None or tensor.rank is None or tensor.rank <= limit:
        return None
    return {"rank": tensor.rank, "limit": limit}
