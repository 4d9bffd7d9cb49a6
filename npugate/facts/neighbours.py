"""Sketch what is around a node: two steps up and two down, and no more than a screen shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from npugate.facts.graph import Graph, Node, Shape, Tensor
from npugate.findings.sketch import Link, Sketch, Spot

MAX_SKETCHES: Final = 200  # nodes sketched in a model
_STEPS: Final = 2
_SIDES: Final = 3  # arrows followed on either side of a node
_MAX_SPOTS: Final = 12
_LOOKED_AT: Final = 100  # inputs or readers; a hostile node may have a million
_TEXT_LIMIT: Final = 100  # characters of a name or shape

Key = tuple[str, str]
"""Path of the graph and name of the node, as a Location has them."""


def sketches(graphs: Iterable[Graph], wanted: Iterable[Key]) -> dict[Key, Sketch]:
    """Return a sketch of each wanted node that there is, in the order asked for.

    Args:
        graphs: every graph of the model.
        wanted: places of findings; those after ``MAX_SKETCHES`` are left out.
    """
    keys = list(dict.fromkeys(key for key in wanted if key[1]))[:MAX_SKETCHES]
    missing = set(keys)
    found: dict[Key, Sketch] = {}
    for graph in graphs if missing else ():
        for node in graph.nodes:
            key = graph.path, node.label
            if key in missing:
                missing.discard(key)
                found[key] = sketch(node)
    return {key: found[key] for key in keys if key in found}


def sketch(node: Node) -> Sketch:
    """Return the surroundings of a node: what it reads and what reads it, without constants."""
    drawing = _Drawing()
    centre = drawing.spot(id(node), node.full_type, node.label)
    hidden = max(0, len(list(_before(node))) - _SIDES) + max(0, len(list(_after(node))) - _SIDES)
    _draw(drawing, node, centre or 0, upwards=True)
    _draw(drawing, node, centre or 0, upwards=False)
    return Sketch(tuple(drawing.spots), tuple(dict.fromkeys(drawing.links)), hidden)


class _Drawing:
    """Spots and links as they are found; a thing is drawn once."""

    def __init__(self) -> None:
        self.spots: list[Spot] = []
        self.links: list[Link] = []
        self._known: dict[object, int] = {}

    def spot(self, key: object, kind: str, name: str) -> int | None:
        """Return the index of a spot; None when there is no room for another."""
        if key not in self._known:
            if len(self.spots) == _MAX_SPOTS:
                return None
            self._known[key] = len(self.spots)
            self.spots.append(Spot(_short(kind), _short(name)))
        return self._known[key]


def _draw(drawing: _Drawing, node: Node, centre: int, *, upwards: bool) -> None:
    waiting = [(node, centre)]
    for _ in range(_STEPS):
        following = []
        for here, index in waiting:
            sides = _before(here) if upwards else _after(here)
            for _, (tensor, other) in zip(range(_SIDES), sides, strict=False):
                if other is None:
                    far = drawing.spot(("end", tensor.name), "", tensor.name)
                else:
                    far = drawing.spot(id(other), other.full_type, other.label)
                if far is None:
                    continue
                ends = (far, index) if upwards else (index, far)
                drawing.links.append(Link(*ends, _shape(tensor.shape)))
                following += [(other, far)] if other is not None else []
        waiting = following


def _before(node: Node) -> Iterator[tuple[Tensor, Node | None]]:
    for tensor in node.inputs[:_LOOKED_AT]:
        if tensor is None or tensor.is_constant:
            continue
        if tensor.producer is not None or tensor.kind == "input":
            yield tensor, tensor.producer


def _after(node: Node) -> Iterator[tuple[Tensor, Node | None]]:
    for tensor in node.outputs[:_SIDES]:
        if tensor is None:
            continue
        for reader in tensor.consumers[:_LOOKED_AT]:
            yield tensor, reader
        if tensor.is_output:
            yield tensor, None


def _shape(shape: Shape | None) -> str:
    if shape is None:
        return ""
    return _short("x".join("?" if dim is None else str(dim) for dim in shape) or "scalar")


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_LIMIT else f"{text[: _TEXT_LIMIT - 3]}..."
