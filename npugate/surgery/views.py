"""Fuse the Reshapes that repairs leave between nodes."""

from __future__ import annotations

from typing import Final

from npugate.surgery.draft import Draft
from npugate.surgery.node import Dims, Node, Value

_MOST_COPIED: Final = 1 << 22  # elements of a constant that is worth a second copy


def fuse(draft: Draft) -> None:
    """Fuse Reshapes to fewest: chains to one, no-ops and copies to none, constants to constants.

    Only Reshapes with a static result are touched, so every tensor between two of them goes away.
    The order of the elements is the same before and after each step.
    """
    seen: dict[tuple[str, Dims], Value] = {}
    kept: list[Node] = []
    for node in draft.nodes:
        if is_view(draft, node) and _absorb(draft, node, seen):
            draft.drop(node)
        else:
            kept.append(node)
    draft.graph.nodes = kept
    draft.sweep()


def is_view(draft: Draft, node: Node) -> bool:
    """Tell whether a node is a Reshape whose result is static."""
    return (
        node.is_a("Reshape")
        and draft.maybe_dims(node.outputs[0]) is not None
        and draft.array(node.input(1)) is not None
    )


def _absorb(draft: Draft, node: Node, seen: dict[tuple[str, Dims], Value]) -> bool:
    """Shorten one Reshape; return True when nothing is left of it."""
    result = node.outputs[0]
    dims = draft.dims(result)
    source = node.inputs[0]
    maker = draft.producer(source)
    if maker is not None and is_view(draft, maker):
        draft.same(source, result)
        source = maker.inputs[0]
        _read(draft, node, source, dims)
    if draft.is_kept(result):
        return draft.maybe_dims(source) == dims and _take_over(draft, node, source, result)
    if draft.maybe_dims(source) == dims:
        draft.same(source, result)
        draft.replace_reads(result, source)
        return True
    if draft.array(source) is not None and _is_worth_a_copy(draft, source):
        draft.replace_reads(result, draft.reshape(source, dims))
        return True
    twin = seen.setdefault((source.name, dims), result)
    if twin is not result:
        draft.same(twin, result)
        draft.replace_reads(result, twin)
        return True
    return False


def _read(draft: Draft, node: Node, source: Value, dims: Dims) -> None:
    """Let a Reshape read past another; its target must then be free of 0 and -1."""
    draft.set_input(node, 0, source)
    target = draft.ints(node.input(1))
    if target != list(dims):
        draft.set_input(node, 1, draft.int64(list(dims), "shape"))
        draft.set_attributes(node, allowzero=None)


def _take_over(draft: Draft, node: Node, source: Value, result: Value) -> bool:
    """Let the producer of a value make the model's output itself."""
    maker = draft.producer(source)
    if maker is None or draft.is_kept(source):
        return False
    draft.same(source, result)
    draft.drop(node)
    position = next(i for i, value in enumerate(maker.outputs) if value is source)
    draft.replace_reads(source, result)
    maker.outputs[position] = result
    return True


def _is_worth_a_copy(draft: Draft, source: Value) -> bool:
    size = 1
    for dim in draft.dims(source):
        size *= dim
    return size <= _MOST_COPIED or len(source.outputs) == 1
