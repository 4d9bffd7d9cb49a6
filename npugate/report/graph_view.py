"""The topology of a model as plain values: what a report needs to draw it; free of onnx."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

MOST_NODES: Final = 20_000  # of a view; what is beyond is left out and counted


class ViewNode(Struct, frozen=True):
    """One node.

    Attributes:
        graph: path of its graph, as in ``Location``; empty for the main one.
        label: as in ``Location.node``; with ``graph`` it is the node's identity.
        op_type: with its domain where that is not ai.onnx.
        scope: module of the exporter's program, ``encoder/block1``; empty when unknown.
        outputs: types and shapes, for example ``float[1,8,16,16]``.
        is_constant: True when what it makes is fixed at compile time, as a weight's Dequantize.
    """

    graph: str
    label: str
    op_type: str
    scope: str = ""
    outputs: tuple[str, ...] = ()
    is_constant: bool = False


class ViewEdge(Struct, frozen=True):
    """A tensor from the node that makes it to one that reads it, by their positions."""

    source: int
    target: int


class GraphView(Struct, frozen=True):
    """The nodes of a model in file order, and what passes between them.

    Attributes:
        left_out: number of nodes that are not here because there are more than ``MOST_NODES``.
    """

    nodes: tuple[ViewNode, ...] = ()
    edges: tuple[ViewEdge, ...] = ()
    left_out: int = 0
