"""A node's surroundings and an estimate's charts in mermaid, which GitHub and GitLab draw.

What a model decides goes through one narrow gate: letters, digits and a few signs stay, everything
else becomes one of mermaid's own character codes. So no name ends a label, a line or the fence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from npugate import escape
from npugate.findings.sketch import Sketch, Spot
from npugate.report.estimate import Estimate

_NAME_LIMIT: Final = 40  # characters in a box
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9 _./+,()=-]")
_BARS: Final = 40  # of a chart; more steps than that share a bar
_CLOSE: Final = 4  # a limit so many times above the peak tells nothing
_COLOURS: Final = json.dumps(
    {"themeVariables": {"xyChart": {"plotColorPalette": "#0072b2, #c65102"}}}
)
_HTTP: Final = re.compile(r"(?i)\bwww\.|\bhttps?(?=#)")


def drawing(sketch: Sketch) -> str:
    """Return a fenced block, the node itself marked, ending in a newline."""
    return "\n".join(("```mermaid", "flowchart TB", *_lines(sketch), "```")) + "\n"


def charts(found: Estimate) -> Iterator[str]:
    """Yield the RAM and the time of each step as charts, where they are known."""
    memory = found.memory
    if memory is not None and len(memory.live) > 1:
        chip = sum(p.size_bytes for p in memory.pools if p.is_writable and not p.is_external)
        near = max(memory.live) <= chip <= _CLOSE * max(memory.live) or chip < max(memory.live)
        limit = chip / 1024 if chip and near else None
        yield _chart("RAM alive", "KiB", [size / 1024 for size in memory.live], max, limit)
    spans = [epoch.microseconds for epoch in found.epochs]
    took = [span.likely / 1000 for span in spans if span is not None]
    if len(took) == len(spans) > 1:
        yield _chart("Time", "ms", took, sum, None)


def _chart(
    title: str,
    unit: str,
    values: Sequence[float],
    join: Callable[[Sequence[float]], float],
    limit: float | None,
) -> str:
    """Return a fenced bar chart; a limit is a line across it."""
    wide = -(-len(values) // _BARS)
    bars = [join(values[at : at + wide]) for at in range(0, len(values), wide)]
    each = "in each step" if wide == 1 else f"{wide} steps a bar"
    top = 1.1 * max(*bars, limit or 0)
    rows = [
        "```mermaid",
        f"%%{{init: {_COLOURS}}}%%",
        "xychart-beta",
        f'  title "{title} {each}{"; the line: RAM on the chip" if limit else ""}"',
        f'  x-axis "step" 0 --> {len(values) - 1}',
        f'  y-axis "{unit}" 0 --> {_number(top or 1)}',
        f"  bar [{', '.join(map(_number, bars))}]",
    ]
    if limit:
        rows.append(f"  line [{', '.join([_number(limit)] * len(bars))}]")
    return "\n".join((*rows, "```")) + "\n"


def _number(value: float) -> str:
    """Return a number as the charts read it: without an exponent."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


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
    # A word that mermaid or a page could take for a link is split.
    safe = _UNSAFE.sub(_code, escape.visible(text, _NAME_LIMIT))
    return _HTTP.sub(lambda match: match[0][:-1] + f"#{ord(match[0][-1])};", safe)


def _code(match: re.Match[str]) -> str:
    return f"#{ord(match[0])};"
