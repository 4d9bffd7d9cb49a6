"""The surroundings of a node, small enough to be drawn in a report; free of onnx."""

from __future__ import annotations

from msgspec import Struct


class Spot(Struct, frozen=True):
    """A box of the drawing.

    Attributes:
        kind: operator of a node with its domain; empty for an input or output of the graph.
        name: of the node, or of the input or output.
    """

    kind: str
    name: str


class Link(Struct, frozen=True):
    """An arrow of the drawing.

    Attributes:
        start, end: indices of spots.
        shape: of the tensor, for example ``1x8x36x36``; a dimension that is not known is ``?``.
    """

    start: int
    end: int
    shape: str = ""


class Sketch(Struct, frozen=True):
    """A node and what is around it.

    Attributes:
        spots: the node itself first.
        links: each between two spots.
        hidden: arrows at the node itself that are not drawn.
    """

    spots: tuple[Spot, ...]
    links: tuple[Link, ...]
    hidden: int = 0
