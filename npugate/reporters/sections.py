"""Titled tables of words, as text for a terminal and as Markdown: one outline, two renderers."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from npugate import escape


class Section(Struct, frozen=True):
    """A table.

    Attributes:
        title: above it.
        rows: of the same length each; the first one is the head when ``has_head``.
    """

    title: str
    rows: Sequence[Sequence[str]]
    has_head: bool = False


def text(heading: str, sections: Sequence[Section], ending: str) -> str:
    """Return columns aligned with spaces; an empty section is left out."""
    lines = [escape.visible(heading)]
    for section in sections:
        if len(section.rows) <= section.has_head:
            continue
        rows = [[escape.visible(cell) for cell in row] for row in section.rows]
        widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
        lines += ["", section.title]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append(f"  {'  '.join(cells)}".rstrip())
    lines += ["", escape.visible(ending)]
    return escape.log_document("\n".join(lines) + "\n")


def markdown(heading: str, sections: Sequence[Section], ending: str) -> str:
    """Return a heading, a table for each section that is not empty, and a last line."""
    lines = [f"## {escape.markdown(heading)}", "", f"**{escape.markdown(ending)}**"]
    for section in sections:
        if len(section.rows) <= section.has_head:
            continue
        head = section.rows[0] if section.has_head else [""] * len(section.rows[0])
        body = section.rows[1:] if section.has_head else section.rows
        lines += ["", f"### {escape.markdown(section.title)}", "", _row(head)]
        lines.append("|" + " --- |" * len(head))
        lines += [_row(row) for row in body]
    return escape.log_document("\n".join(lines) + "\n")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escape.markdown(cell) for cell in cells) + " |"
