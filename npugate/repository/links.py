"""Follow symbolic links by their text, in a work tree or in a tree of git."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from msgspec import Struct

_MOST: Final = 40  # links on one way, as Linux has it

LinkOf = Callable[[str], str | None]
"""Path from the top, without links on its way -> text of the link there; None for no link."""


class Way(Struct, frozen=True):
    """Where a path leads.

    Attributes:
        path: without links on its way, from the top; None where it leaves the top or has no end.
        links: every link that was followed.
    """

    path: str | None
    links: tuple[str, ...] = ()

    @property
    def touched(self) -> tuple[str, ...]:
        """Every path that has a say in where it leads, and what it leads to."""
        return self.links if self.path is None else (*self.links, self.path)


def follow(path: str, link_of: LinkOf, *, last: bool = True) -> Way:
    """Follow the links on the way of a path.

    Args:
        path: from the top, with forward slashes.
        link_of: reads a link.
        last: False leaves a link at the end of the path alone.
    """
    rest = deque(path.split("/"))
    at: list[str] = []
    links: list[str] = []
    while rest:
        part = rest.popleft()
        if part in {"", "."}:
            continue
        if part == "..":
            if not at:
                return Way(None, tuple(links))
            at.pop()
            continue
        at.append(part)
        place = "/".join(at)
        text = link_of(place) if rest or last else None
        if text is None:
            continue
        links.append(place)
        if text.startswith("/") or len(links) > _MOST:
            return Way(None, tuple(links))
        at.pop()
        rest.extendleft(reversed(text.split("/")))
    return Way("/".join(at), tuple(links))
