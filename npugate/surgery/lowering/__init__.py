"""A form of few axes for every operator that has one; ``fixers/lower_rank.py`` uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from npugate.operators import CONVERSIONS, GLOBAL_POOLS
from npugate.surgery.draft import Draft
from npugate.surgery.einsum import split
from npugate.surgery.lowering import along, elementwise, gather, matmul, moves, norms, reduce
from npugate.surgery.lowering.form import Lower, Lowering
from npugate.surgery.node import Node, NoFormError

__all__ = ["LOWERINGS", "lower", "rank_of"]


def _einsum(low: Lowering, node: Node) -> None:
    """Replace an Einsum by a MatMul between transposes of few axes."""
    split(low.draft, node, low.rank)


LOWERINGS: Final[Mapping[str, Lower]] = {
    **dict.fromkeys(elementwise.VIEWS, elementwise.view),
    **dict.fromkeys(elementwise.UNARY, elementwise.unary),
    **dict.fromkeys(elementwise.BROADCAST, elementwise.broadcast),
    **dict.fromkeys(reduce.NEXT, reduce.reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), along.arg),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), along.softmax),
    **dict.fromkeys(CONVERSIONS, along.quantize),
    **dict.fromkeys(("GatherElements", "ScatterElements"), gather.elements),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization", "LRN"), norms.channelwise),
    **dict.fromkeys(GLOBAL_POOLS, norms.global_pool),
    "Concat": moves.concat,
    "CumSum": along.cumsum,
    "Dropout": elementwise.dropout,
    "Einsum": _einsum,
    "Expand": moves.expand,
    "Gather": gather.gather,
    "GatherND": gather.gather_nd,
    "LayerNormalization": norms.layer,
    "LpNormalization": along.normalize,
    "MatMul": matmul.matmul,
    "Pad": moves.pad,
    "Slice": moves.slice_,
    "Split": moves.split,
    "Tile": moves.tile,
    "TopK": along.topk,
    "Transpose": moves.transpose,
}


def lower(draft: Draft, node: Node, rank: int, widest: int | None = None) -> bool:
    """Replace a node that touches a tensor of a higher rank; return False when it touches none.

    Args:
        draft: being rewritten, see ``Draft.rewrite``.
        node: of the main graph.
        rank: largest rank allowed, at least 4.
        widest: largest dimension that the target takes; kept where the rank leaves room for it.

    Raises:
        NoFormError: the node has no form of that rank; says why.
    """
    if rank_of(draft, node) <= rank:
        return False
    if node.is_a("Reshape") and draft.array(node.input(1)) is not None:
        draft.dims(node.outputs[0])
        return False  # a view: fusing takes it away
    how = LOWERINGS.get(node.op) if node.is_standard else None
    if how is None:
        raise NoFormError(f"{node.op} on tensors of rank {rank_of(draft, node)}")
    how(Lowering(draft, rank, widest), node)
    return True


def rank_of(draft: Draft, node: Node) -> int:
    """Return the largest rank of the tensors that a node reads and makes; 0 when unknown."""
    values = [value for value in (*node.inputs, *node.outputs) if value.name]
    return max((draft.rank(value) or 0 for value in values), default=0)
