"""Memory and time of a model as pictures: SVG that stands alone, for pages that run no program.

The colours suit light and dark by themselves: a page that shows the file as an image hands it no
style.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import ceil, floor, log10
from typing import Final

from npugate import escape
from npugate.report.estimate import Engine, Estimate, Memory
from npugate.report.values import Report

_WIDTH: Final = 860
_HEIGHT: Final = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 16, 44, 46
_INNER: Final = _WIDTH - _LEFT - _RIGHT
_TALL: Final = _HEIGHT - _TOP - _BOTTOM
_COLOURS: Final = {Engine.NPU: "#0072b2", Engine.HYBRID: "#8458b3", Engine.CPU: "#c65102"}
_WORDS: Final = {Engine.NPU: "NPU", Engine.HYBRID: "hybrid", Engine.CPU: "CPU"}
_STYLE: Final = (
    "<style>.b{fill:#fff}.t{fill:#1a2230;font:12px system-ui,sans-serif}.g{stroke:#dfe5ec}"
    ".m{stroke:#56616f;stroke-dasharray:6 4}.h{font-weight:600;font-size:14px}.e{text-anchor:end}"
    ".c{text-anchor:middle}.l{paint-order:stroke;stroke:#fff;stroke-width:4px}@media(prefers-color-scheme:dark){.b{fill:#10151c}.t{fill:#e4e9f0}"
    ".g{stroke:#2a3542}.m{stroke:#a2aebc}.l{stroke:#10151c}}</style>"
)
_KIB: Final = 1024
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_NAME: Final = 100  # characters of a model's path in the name of a file
_LABEL_APART: Final = 14
_MOST_LINES: Final = 6


def of(estimate: Estimate) -> dict[str, str]:
    """Return the pictures of an estimate by their kind: ``memory`` and ``time``, where known."""
    found: dict[str, str] = {}
    if estimate.memory is not None and estimate.memory.live:
        found["memory"] = memory(estimate.memory)
    if any(epoch.microseconds for epoch in estimate.epochs):
        found["time"] = time(estimate)
    return found


def named(report: Report) -> Iterator[tuple[str, str]]:
    """Yield each picture with a file name of its own; a model without an estimate has none."""
    names: dict[str, int] = {}
    for model in report.models:
        name = _UNSAFE.sub("_", model.path)[-_NAME:].lstrip(".") or "model"
        names[name] = names.get(name, 0) + 1
        stem = name if names[name] == 1 else f"{name}-{names[name]}"
        if model.estimate is None:
            continue
        for kind, picture in of(model.estimate).items():
            yield f"{stem}.{kind}.svg", picture


def memory(found: Memory) -> str:
    """Return the bytes alive at each step, the memories' limits and the peak."""
    peak = max(found.live)
    limits = _limits(found, peak)
    top = 1.1 * max([peak, 1, *(size for _, size in limits)])
    unit, size = _byte_unit(top)
    step = _INNER / len(found.live)
    corners: list[str] = []
    for index, value in enumerate(found.live):
        y = _y(value, top)
        corners += [
            f"{_LEFT + index * step:.1f},{y:.1f}",
            f"{_LEFT + (index + 1) * step:.1f},{y:.1f}",
        ]
    floor_y = _y(0, top)
    area = f"{_LEFT},{floor_y} {' '.join(corners)} {_LEFT + _INNER},{floor_y}"
    body = [
        f'<polygon points="{area}" fill="#0072b2" fill-opacity=".25"/>',
        f'<polyline points="{" ".join(corners)}" fill="none" stroke="#0072b2" stroke-width="2"/>',
        *_limit_lines(limits, top),
    ]
    at = found.live.index(peak)
    x = _LEFT + (at + 0.5) * step
    right = x > _LEFT + _INNER / 2
    body.append(f'<line class="m" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{floor_y}"/>')
    body.append(
        _text(
            x + (-5 if right else 5),
            floor_y - 6,
            f"peak {_bytes(peak)}, step {at}",
            end=right,
            kind="t l",
        )
    )
    label = f"RAM in use ({unit})"
    return _picture("Memory over the steps", label, _ticks(top, size), top, len(found.live), body)


def time(estimate: Estimate) -> str:
    """Return the time of each step, coloured by where it runs."""
    rows = [(epoch.engine, epoch.microseconds) for epoch in estimate.epochs]
    top = 1.06 * max([1e-9, *(found.high for _, found in rows if found is not None)])
    unit, size = ("ms", 1000.0) if top >= 2000 else ("µs", 1.0)  # noqa: PLR2004  # microseconds
    step = _INNER / len(rows)
    wide = step * 0.86
    body: list[str] = []
    for index, (engine, found) in enumerate(rows):
        if found is None:
            continue
        x, y = _LEFT + (index + 0.5) * step, _y(found.likely, top)
        body.append(
            f'<rect x="{x - wide / 2:.2f}" y="{y:.1f}" width="{wide:.2f}" '
            f'height="{_y(0, top) - y:.1f}" fill="{_COLOURS[engine]}"/>'
        )
    x = float(_LEFT + _INNER)
    for engine in reversed(Engine):
        body.append(_text(x, _TOP - 10, _WORDS[engine], end=True))
        x -= 18 + 8 * len(_WORDS[engine])  # wide enough for capitals
        body.append(
            f'<rect x="{x}" y="{_TOP - 20}" width="11" height="11" fill="{_COLOURS[engine]}"/>'
        )
        x -= 14
    title = "Time per layer"
    if estimate.time is not None:
        title += f": {estimate.time.microseconds.likely / 1000:.3g} ms on {estimate.board}"
    return _picture(title, f"time ({unit})", _ticks(top, size), top, len(rows), body)


def _limits(found: Memory, peak: int) -> list[tuple[str, int]]:
    """Return the memories on the chip that matter, each with the bytes up to its end."""
    pools = [pool for pool in found.pools if pool.is_writable and not pool.is_external]
    ends = list(accumulate(pool.size_bytes for pool in pools))
    rows = [(pool.name, end) for pool, end in zip(pools, ends, strict=True)]
    below = [row for row in rows if row[1] <= peak]
    above = [row for row in rows if peak < row[1] <= 4 * peak]
    return (below + above[:1])[-_MOST_LINES:]


def _limit_lines(limits: Sequence[tuple[str, int]], top: float) -> Iterator[str]:
    lowest = float("inf")
    for name, size in limits:
        y = _y(size, top)
        x = _LEFT + _INNER
        yield f'<line class="m" x1="{_LEFT}" x2="{x}" y1="{y:.1f}" y2="{y:.1f}"/>'
        if lowest - y >= _LABEL_APART:
            yield _text(x - 4, y - 4, f"up to {name}: {_bytes(size)}", end=True, kind="t l")
            lowest = y


def _picture(
    title: str, label: str, ticks: list[tuple[float, str]], top: float, steps: int, body: list[str]
) -> str:
    floor_y, middle = _y(0, top), _TOP + _TALL / 2
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    rows = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape.attribute(title, escape.NAME_LIMIT)}</title>{_STYLE}",
        f'<rect class="b" width="{_WIDTH}" height="{_HEIGHT}"/>',
        _text(_LEFT, 20, title, kind="t h"),
    ]
    for value, text in ticks:
        y = _y(value, top)
        rows.append(
            f'<line class="g" x1="{_LEFT}" x2="{_LEFT + _INNER}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        rows.append(_text(_LEFT - 7, y + 4, text, end=True))
    rows += body
    every = max(1, ceil(steps / 12))
    nice = next(n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**9) if n >= every)
    for index in range(0, steps, nice):
        x = _LEFT + (index + 0.5) * _INNER / steps
        rows.append(_text(x, floor_y + 16, str(index), kind="t c"))
    rows.append(
        _text(_LEFT + _INNER / 2, _HEIGHT - 8, "step (epoch, in running order)", kind="t c")
    )
    turned = f' transform="rotate(-90 16 {middle})"'
    rows.append(_text(16, middle, label, kind="t c", more=turned))
    return "\n".join((*rows, "</svg>")) + "\n"


def _text(
    x: float, y: float, text: str, *, end: bool = False, kind: str = "t", more: str = ""
) -> str:
    kind = f"{kind} e" if end else kind
    shown = escape.attribute(text, escape.NAME_LIMIT)
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{more}>{shown}</text>'


def _y(value: float, top: float) -> float:
    return round(_TOP + _TALL * (1 - value / top), 1)


def _byte_unit(top: float) -> tuple[str, float]:
    if top >= 2 * _KIB**2:
        return "MiB", float(_KIB**2)
    return ("KiB", float(_KIB)) if top >= 2 * _KIB else ("bytes", 1.0)


def _bytes(value: float) -> str:
    for unit, size in (("MiB", _KIB**2), ("KiB", _KIB)):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.0f} bytes"


def _ticks(top: float, size: float) -> list[tuple[float, str]]:
    """Return round values up to a top, with their texts in a unit."""
    raw = top / size / 5
    power = 10.0 ** floor(log10(raw))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= raw)
    return [(n * step * size, f"{n * step:.4g}") for n in range(int(top / size / step) + 1)]
