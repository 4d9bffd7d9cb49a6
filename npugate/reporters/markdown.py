"""The report as Markdown, for a job summary and for a comment on a pull request.

It keeps to a budget in bytes, because GitHub drops a summary or a comment that is too long. The
worst models come first, so that what is left out is what matters least; the last line says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from npugate.report import ModelReport, RepairReport, Report
from npugate.reporters import compiler, escape, outline, repairs
from npugate.stedgeai.values import Compiled
from npugate.types import Location, Severity

COMMENT_BYTES: Final = 65_536
SUMMARY_BYTES: Final = 1024 * 1024

_ROWS_SHOWN: Final = 10  # a longer table is folded when nothing failed
_ITEMS: Final = (20, 5, 1)  # findings listed for a model: as many as the budget allows
_EDITS_SHOWN: Final = 5
_RESERVE: Final = 400  # bytes kept free for the sentence about what is left out
_MARKS: Final = {"pass": "\u2705", "fail": "\u274c", "unreadable": "\u2753"}
_LEVELS: Final = {
    Severity.ERROR: "\U0001f6d1 error",
    Severity.WARNING: "\u26a0\ufe0f warning",
    Severity.NOTE: "\U0001f4a1 note",
}


def render(report: Report, *, budget: int = COMMENT_BYTES) -> str:
    """Return the report as GitHub-flavoured Markdown.

    Args:
        report: the run.
        budget: most bytes of the result in UTF-8; below 2,000 only the headline is sure to fit.
    """
    models = sorted(report.models, key=_badness)
    parts = [_headline(report), *_notices(report, budget // 4)]
    room = budget - _RESERVE - _size(parts)
    table, rows = _table(models, report, room // 2)
    parts += table
    room -= _size(table)
    left_out = 0
    for model in models:
        fixed = model.against is not None and model.against.fixed
        is_bare = model.repair is None and model.compiled is None
        if not outline.counted(model) and is_bare and not fixed:
            continue
        section = _fitting(model, report, room)
        left_out += not section
        room -= len(section.encode())
        parts += [section] if section else []
    parts += _left_out(len(models) - rows, left_out)
    return "".join(parts)


def _badness(model: ModelReport) -> tuple[object, ...]:
    return (*(-model.counted(severity) for severity in outline.WORST_FIRST), model.path)


def _headline(report: Report) -> str:
    word = outline.verdict_word(report)
    mark = _MARKS["pass" if word == "PASS" else "fail"]
    counts = ", ".join(
        outline.plural(report.total(severity), severity.label) for severity in outline.WORST_FIRST
    )
    judged = escape.markdown(f"{report.target}, toolchain {report.toolchain}")
    models = outline.plural(len(report.models), "model")
    text = f"## {mark} npugate: {word}\n\n"
    if report.failure:
        return f"{text}The run came to no verdict.\n"
    text += f"{models} against {judged}: {counts}.\n"
    if report.crashed:
        text += "\n**A rule crashed, so the verdict is incomplete: please report it.**\n"
    return text


def _notices(report: Report, room: int) -> list[str]:
    shown: list[str] = []
    for notice in report.notices:
        line = f"\n> {escape.markdown(notice)}\n"
        room -= len(line.encode())
        if room < 0:
            more = outline.plural(len(report.notices) - len(shown), "more notice")
            return [*shown, f"\n> {more}, told in the full report\n"]
        shown.append(line)
    return shown


def _table(models: Sequence[ModelReport], report: Report, room: int) -> tuple[list[str], int]:
    """Return the lines of the table and how many models have a row."""
    if not models:
        return [], 0
    fold = not report.failed and len(models) > _ROWS_SHOWN
    lines = ["\n"]
    if fold:
        lines.append(f"<details><summary>{len(models)} models</summary>\n\n")
    lines.append("| model | verdict | errors | warnings | notes | suppressed |\n")
    lines.append("|---|---|--:|--:|--:|--:|\n")
    room -= _size(lines)
    rows = 0
    for model in models:
        row = _row(model, report.threshold)
        room -= len(row.encode())
        if room < 0:
            break
        lines.append(row)
        rows += 1
    if fold:
        lines.append("\n</details>\n")
    return lines, rows


def _row(model: ModelReport, threshold: Severity | None) -> str:
    verdict = model.judged(threshold)
    counts = [model.counted(severity) for severity in outline.WORST_FIRST]
    cells = [*counts, len(outline.suppressed(model))]
    numbers = " | ".join(str(cell) if cell else "" for cell in cells)
    return f"| {escape.markdown_code(model.path)} | {_MARKS[verdict]} {verdict} | {numbers} |\n"


def _fitting(model: ModelReport, report: Report, room: int) -> str:
    """Return the section of a model with as many findings as fit; empty when none does."""
    for items in _ITEMS:
        section = "".join(_section(model, report, items))
        if len(section.encode()) <= room:
            return section
    return ""


def _section(model: ModelReport, report: Report, items: int) -> Iterator[str]:
    groups = outline.groups(outline.counted(model))
    tally = escape.markdown(outline.tally(model))
    path = escape.markdown_code(model.path)
    yield f"\n<details><summary>{path}: {tally}</summary>\n\n"
    yield f"{escape.markdown(outline.describe(model))}\n\n"
    if compared := outline.against(model):
        yield f"{escape.markdown(compared)}\n\n"
    explained: set[str] = set()
    for number, group in enumerate(groups[:items], 1):
        yield from _item(number, group, report, explained)
    if model.compiled is not None:
        yield from _compiled(model.compiled)
    if model.repair is not None:
        yield from _repair(model, model.repair, report.threshold)
    if len(groups) > items:
        hidden = sum(len(group) for group in groups[items:])
        yield f"\nand {outline.plural(hidden, 'finding')} more, listed in the full report\n"
    yield "\n</details>\n"


def _item(number: int, group: outline.Group, report: Report, explained: set[str]) -> Iterator[str]:
    first = group.first
    kind = f"{_LEVELS[first.severity]} **{escape.markdown(f'{first.rule} {first.name}')}**"
    many = f"{len(group)} equal findings, the first: " if len(group) > 1 else ""
    yield f"{number}. {kind}: {many}{escape.markdown(first.message)}\n"
    found = group.findings[: outline.PLACES]
    places = ", ".join(escape.markdown_code(str(finding.location)) for finding in found)
    more = len(group) - len(found)
    if first.location != Location():
        yield f"   - at {places}{f' and {more} more' if more else ''}\n"
    if source := first.source:
        line = escape.markdown_code(f"{source.file}:{source.line}")
        yield f"   - made by {line}: {escape.markdown_code(source.text.strip())}\n"
    if first.repair:
        yield f"   - repairable by {escape.markdown_code(first.repair)}\n"
    fix = "" if first.rule in explained else outline.fix_of(report.rules.get(first.rule))
    explained.add(first.rule)
    if fix:
        yield f"   - {escape.markdown(fix)}\n"


def _compiled(found: Compiled) -> Iterator[str]:
    yield f"\n**Compiler:** {escape.markdown(compiler.headline(found))}\n\n"
    yield from (f"- {escape.markdown(line)}\n" for line in compiler.figures(found))
    sentence, differ = compiler.compared(found)
    if sentence:
        yield f"- {escape.markdown(sentence)}\n"
    if differ:
        yield "\n| | predicted | compiled |\n|---|---|---|\n"
    for row in differ[:_EDITS_SHOWN]:
        cells = (row.subject, row.predicted, row.compiled)
        yield f"| {' | '.join(escape.markdown(cell) for cell in cells)} |\n"
    if len(differ) > _EDITS_SHOWN:
        yield f"\nand {len(differ) - _EDITS_SHOWN} rows more, listed in the full report\n"


def _repair(model: ModelReport, repair: RepairReport, threshold: Severity | None) -> Iterator[str]:
    yield f"\n**Repair:** {escape.markdown(repairs.headline(repair))}"
    if repair.is_repaired:
        verdict = model.verdict_after(threshold)
        left = escape.markdown(outline.tally_of(repair.findings))
        yield f"; after repair {_MARKS[verdict]} {verdict}, {left}"
    yield "\n\n"
    for sentence, details in repairs.outcomes(repair):
        yield f"- {escape.markdown(sentence)}\n"
        shown = details[:_EDITS_SHOWN]
        yield from (f"  - {escape.markdown(detail)}\n" for detail in shown)
        if len(details) > len(shown):
            yield f"  - and {len(details) - len(shown)} more, listed in the full report\n"
    if repair.verification is not None:
        yield f"- proof: {escape.markdown(repairs.proof(repair.verification))}\n"
    if repair.is_repaired:
        yield f"- {escape.markdown(', '.join(repairs.figures(repair.before, repair.after)))}\n"


def _left_out(rows: int, sections: int) -> list[str]:
    parts = []
    if rows:
        parts.append(f"{outline.plural(rows, 'model')} in the table")
    if sections:
        parts.append(f"the findings of {outline.plural(sections, 'model')}")
    text = " and ".join(parts)
    return [f"\nLeft out to keep this short: {text}; the full report has them.\n"] if parts else []


def _size(parts: Sequence[str]) -> int:
    return sum(len(part.encode()) for part in parts)
