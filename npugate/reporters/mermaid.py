"""The surroundings of a node as a mermaid drawing, which GitHub and GitLab show in Markdown.

What a model decides goes through one narrow gate: letters, digits and a few signs stay, everything
else becomes one of mermaid's own character codes. So no name ends a label, a line or the fence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from npugate.reporters import escape
from npugate.sketch import Sketch, Spot

_NAME_LIMIT: Final = 40  # characters in a box
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9 _./+,()=-]")
_HTTP: Final = re.compile(r"(?i)\bwww\.|\bhttps?(?=#)")


def drawing(sketch: Sketch) -> str:
    """Return a fenced block, the node itself marked, ending in a newline."""
    return "\n".join(("```mermaid", "flowchart TB", *_lines(sketch), "```")) + "\n"


def _lines(sketch: Sketch) -> Iterator[str]:
    for number, spot in enumerate(sketch.spots):
        opening, closing = ("[", "]") if spot.kind else ("([", "])")
        yield f'  n{number}{opening}"{_label(spot)}"{closing}'
    for link in sketch.links:
        shape = f'|"{_text(link.shape)}"|' if link.shape else ""
        yield f"  n{link.start} -->{shape} n{link.end}"
    yield "  classDef here stroke:#cf222e,stroke-width:3px"
    yield "  class n0 here"


def _label(spot: Spot) -> str:
    if not spot.kind:
        return _text(spot.name) or "?"
    return f"{_text(spot.kind)} {_text(spot.name)}".strip()


def _text(text: str) -> str:
    # A word that mermaid or a page could take for a link is taken apart.
    safe = _UNSAFE.sub(_code, escape.visible(text, _NAME_LIMIT))
    return _HTTP.sub(lambda match: match[0][:-1] + f"#{ord(match[0][-1])};", safe)


def _code(match: re.Match[str]) -> str:
    return f"#{ord(match[0])};"
