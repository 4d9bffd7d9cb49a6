"""The surroundings of a node, small enough to be drawn in a report; free of onnx."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spot:
    """A box of the drawing.

    Attributes:
        kind: operator of a node with its domain; empty for an input or output of the graph.
        name: of the node, or of the input or output.
    """

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Link:
    """An arrow of the drawing.

    Attributes:
        start, end: indices of spots.
        shape: of the tensor, for example ``1x8x36x36``; a dimension that is not known is ``?``.
    """

    start: int
    end: int
    shape: str = ""


@dataclass(frozen=True, slots=True)
class Sketch:
    """A node and what is around it.

    Attributes:
        spots: the node itself first.
        links: each between two spots.
        hidden: arrows at the node itself that are not drawn.
    """

    spots: tuple[Spot, ...]
    links: tuple[Link, ...]
    hidden: int = 0
