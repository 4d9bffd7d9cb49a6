"""Compute tensors of too many dimensions through views of few.

A 6-D view with a permutation, as networks write it that treat frames and regions alike, becomes
reshapes and the fewest transposes that the target takes; every operator on such a tensor gets the
equivalent on merged axes:

    f(x[A, B, C, D, E, F])  =>  reshape(f'(reshape(x, [1, A * B, C, D * E * F])), shape(f(x)))

**Keeps.** The order of all elements, and a leading axis of size 1 in every operator it makes, for
compilers refuse operators that act on the first axis. An input or output of the model is declared
anew, with its last dimensions merged, only when it is itself above the limit; with others merged
where the last would become larger than the target takes a dimension to be.

**Declines.** When a node has no form of that rank: convolutions over three or more axes, lookups by
computed indices, bodies of loops, operators of other domains, shapes that are not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import prod

from npugate.api import (
    Applied,
    Declined,
    InterfaceChange,
    Repair,
    RepairOptions,
    RepairResult,
    Severity,
    Skipped,
    Target,
)
from npugate.surgery.draft import Draft
from npugate.surgery.lowering import lower, rank_of
from npugate.surgery.node import Node, Value
from npugate.surgery.views import fuse

_LEAST = 4
_NAMED = 5


def apply(draft: Draft, target: Target, options: RepairOptions) -> RepairResult:
    """Lower every tensor above the limit on the rank."""
    limits = [target.limit(name) for name in ("rank_max", "rank_advised")]
    errors = [int(x.value) for x in limits if x is not None and x.severity is Severity.ERROR]
    rank = options.prefer_rank or min(errors, default=0)
    if rank < _LEAST:
        return Skipped("the target has no limit on the rank")
    touched = [node for node in draft.nodes if rank_of(draft, node) > rank]
    if not touched:
        return Skipped(f"no tensor has more than {rank} dimensions")
    if inner := next(_high_bodies(draft, rank), None):
        return Declined(inner)
    widest = target.limit("dimension_max")
    most = None if widest is None else int(widest.value)
    edits = [_sentence(draft, node, rank) for node in touched]
    interface = [*_inputs(draft, rank, most), *_outputs(draft, rank, most)]
    done = draft.rewrite(lambda node: lower(draft, node, rank, most))
    if done.failures:
        reasons = [f"{node.label}: {reason}" for node, reason in done.failures]
        more = f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
        return Declined("; ".join(reasons[:_NAMED]) + more)
    fuse(draft)
    left = next((node for node in draft.nodes if rank_of(draft, node) > rank), None)
    if left is not None:
        return Declined(f"{left.label}: a tensor of rank {rank_of(draft, left)} is left")
    return Applied(tuple(edits), tuple(interface))


def _sentence(draft: Draft, node: Node, rank: int) -> str:
    high = max(
        (value for value in (*node.inputs, *node.outputs) if value.name),
        key=lambda value: draft.rank(value) or 0,
    )
    dims = draft.maybe_dims(high)
    shape = f" {list(dims)}" if dims else ""
    return f"{node.op} {node.label!r} computes within rank {rank}, not on {high.name!r}{shape}"


def _high_bodies(draft: Draft, rank: int) -> Iterator[str]:
    """Yield a reason for each tensor above the limit that the body of a subgraph reads."""
    for node in draft.nodes:
        for value in (*node.inputs, *node.outputs):
            if value.name in draft.captured and (draft.rank(value) or 0) > rank:
                yield f"{value.name!r} of rank {draft.rank(value)} is read inside a loop or branch"


def _merged(dims: tuple[int, ...], rank: int, most: int | None) -> list[int]:
    """Merge the last dimensions, or smaller neighbours behind the first where it is too large."""
    small = [*dims[: rank - 1], prod(dims[rank - 1 :])]
    if most is None or small[-1] <= most:
        return small
    small = list(dims)
    while len(small) > rank:
        _, at = min((a * b, axis) for axis, (a, b) in enumerate(pairwise(small)) if axis)
        small[at : at + 2] = [small[at] * small[at + 1]]
    return small


def _inputs(draft: Draft, rank: int, most: int | None) -> Iterator[InterfaceChange]:
    """Declare high inputs anew, and give the nodes behind them the old shape back."""
    for value in draft.inputs:
        dims = draft.maybe_dims(value)
        if dims is None or len(dims) <= rank:
            continue
        small = _merged(dims, rank, most)
        yield InterfaceChange(value.name, str(list(dims)), str(small))
        readers = draft.consumers(value)
        draft.declare(value, small)
        draft.insert_first(
            lambda value=value, dims=dims, readers=readers: _restore(  # type: ignore[misc]  # values of this turn
                draft, value, dims, readers
            )
        )


def _restore(draft: Draft, value: Value, dims: tuple[int, ...], readers: list[Node]) -> None:
    high = draft.reshape(value, dims)
    for node in readers:
        for position, item in enumerate(node.inputs):
            if item is value:
                draft.set_input(node, position, high)


def _outputs(draft: Draft, rank: int, most: int | None) -> Iterator[InterfaceChange]:
    """Declare high outputs anew; what made them makes a value of the old shape instead."""
    for value in draft.outputs:
        dims = draft.maybe_dims(value)
        if dims is None or len(dims) <= rank:
            continue
        small = _merged(dims, rank, most)
        yield InterfaceChange(value.name, str(list(dims)), str(small))
        draft.redirect_output(value, dims, small)


REPAIR = Repair(
    name="lower-rank",
    doc=__doc__,
    edit=apply,
    needs=("make-legal", "inline-functions", "set-static-shapes", "fold-constants"),
    example="""
        <ir_version: 8, opset_import: ["" : 14]>
        net (float[1, 72, 4, 4] x) => (float[1, 72, 16] y)
        <int64[6] split = {1, 8, 3, 3, 4, 4}, int64[3] join = {1, 72, 16}>
        {
          a = Reshape (x, split)
          b = Transpose <perm = [0, 2, 1, 4, 3, 5]> (a)
          c = Relu (b)
          y = Reshape (c, join)
        }
    """,
)
