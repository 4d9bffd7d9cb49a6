"""The report as Markdown, for a job summary and for a comment on a pull request.

It keeps to a budget in bytes, because GitHub drops a summary or a comment that is too long. The
worst models come first, so that what is left out is what matters least; the last line says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from npugate import escape
from npugate.findings.values import Location, Severity, Source
from npugate.report.compiled import Compiled
from npugate.report.estimate import Estimate
from npugate.report.values import ModelReport, RepairReport, Report
from npugate.reporters import compiler, estimates, mermaid, outline, repairs

COMMENT_BYTES: Final = 65_536
SUMMARY_BYTES: Final = 1024 * 1024

_ROWS_SHOWN: Final = 10  # a longer table is folded when nothing failed
_SECTIONS_SHOWN: Final = 5  # the same for the models that there is something to say of
_NOTICES_SHOWN: Final = 5  # when nothing failed
_ITEMS: Final = (20, 5, 1)  # findings listed for a model: as many as the budget allows
_EDITS_SHOWN: Final = 5
_RESERVE: Final = 500  # bytes kept free for the sentences at the end
_MARKS: Final = {"pass": "\u2705", "fail": "\u274c", "unreadable": "\u2753"}
_LEVELS: Final = {
    Severity.ERROR: "\U0001f6d1 error",
    Severity.WARNING: "\u26a0\ufe0f warning",
    Severity.NOTE: "\U0001f4a1 note",
}


class _Page(Struct, frozen=True):
    """What every part of the page needs to know."""

    report: Report
    blob: str


def render(report: Report, *, budget: int = COMMENT_BYTES, blob: str = "") -> str:
    """Return the report as GitHub-flavoured Markdown; one screen at most when nothing failed.

    Args:
        report: the run.
        budget: most bytes of the result in UTF-8; below 2,000 only the headline is sure to fit.
        blob: address below which the files of the checkout can be seen; empty makes no links.
    """
    models = sorted(report.models, key=_badness)
    notices = list(_notices(report, budget // 4))
    first = notices[:1] if report.opens else []
    parts = [*first, *(["\n"] if first else []), _headline(report), *_departed(report)]
    parts += notices[len(first) :]
    room = budget - _RESERVE - _size(parts)
    table, rows = _table(models, report, room // 2)
    parts += table
    room -= _size(table)
    sections, left_out = _sections(models, _Page(report, blob), room)
    if not report.failed and len(sections) > _SECTIONS_SHOWN:
        title = f"what there is to say of {len(sections)} models"
        sections = [f"\n<details><summary>{title}</summary>\n", *sections, "\n</details>\n"]
    parts += [*sections, *_left_out(len(models) - rows, left_out), *_more(report)]
    return "".join(parts)


def _more(report: Report) -> list[str]:
    """Say how to learn more of a rule, where its name is no link."""
    for finding in (finding for model in report.models for finding in outline.counted(model)):
        if not outline.page_of(report, finding.rule):
            command = escape.markdown_code(outline.more_about(report, finding.rule))
            return [f"\nMore about a rule: {command}\n"]
    return []


def _sections(models: Sequence[ModelReport], page: _Page, room: int) -> tuple[list[str], int]:
    """Return the sections of single models, and how many were left out for lack of space."""
    sections: list[str] = []
    left_out = 0
    for model in models:
        if not _has_news(model):
            continue
        section = _fitting(model, page, room)
        left_out += not section
        room -= len(section.encode())
        sections += [section] if section else []
    return sections, left_out


def _has_news(model: ModelReport) -> bool:
    found = model.against
    compared = found is not None and bool(found.new or found.unchanged or found.fixed)
    known = bool(outline.counted(model)) or model.repair is not None
    asked = model.estimate is not None or model.compiled is not None
    return known or compared or asked


def _badness(model: ModelReport) -> tuple[object, ...]:
    return (*(-model.counted(severity) for severity in outline.WORST_FIRST), model.path)


def _headline(report: Report) -> str:
    word = outline.verdict_word(report)
    mark = _MARKS["pass" if word == "PASS" else "fail"]
    counts = ", ".join(
        outline.plural(report.total(severity), severity.label) for severity in outline.WORST_FIRST
    )
    target = escape.markdown(f"{report.target}, toolchain {report.toolchain}")
    models = outline.plural(len(report.models), "model")
    text = f"## {mark} npugate: {word}\n\n"
    if report.failure:
        return f"{text}The run came to no verdict.\n"
    text += f"{models} against {target}: {counts}.\n"
    if report.crashed:
        text += "\n**A rule crashed, so the verdict is incomplete: please report it.**\n"
    return text


def _departed(report: Report) -> Iterator[str]:
    """Yield the lines on models that left the gate."""
    if not report.departed:
        return
    title, rows = outline.departed(report)
    yield f"\n**{escape.markdown(title)}:**\n\n"
    for path, reason in rows[:_ROWS_SHOWN]:
        yield f"- {escape.markdown_code(path)}: {escape.markdown(reason)}\n"
    if len(rows) > _ROWS_SHOWN:
        yield f"- and {len(rows) - _ROWS_SHOWN} more, listed in the full report\n"


def _notices(report: Report, room: int) -> list[str]:
    shown: list[str] = []
    for notice in report.notices:
        line = f"\n> {escape.markdown(notice)}\n"
        room -= len(line.encode())
        if room < 0 or (not report.failed and len(shown) == _NOTICES_SHOWN):
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
    after = any(model.repair is not None for model in models)
    compared = any(model.against is not None for model in models)
    titles = [*(["after repair"] if after else []), *(["against the base"] if compared else [])]
    extra = "".join(f" | {title}" for title in titles)
    verdict = "as it is" if after else "verdict"
    lines.append(f"| model | {verdict} | errors | warnings | notes | suppressed{extra} |\n")
    lines.append(f"|---|---|--:|--:|--:|--:|{'---|' * len(titles)}\n")
    room -= _size(lines)
    rows = 0
    for model in models:
        more = [_after(model, report.threshold)] if after else []
        row = _row(model, report.threshold, [*more, *([_base(model)] if compared else [])])
        room -= len(row.encode())
        if room < 0:
            break
        lines.append(row)
        rows += 1
    if fold:
        lines.append("\n</details>\n")
    return lines, rows


def _after(model: ModelReport, threshold: Severity | None) -> str:
    if model.repair is None:
        return ""
    if not model.repair.is_repaired:
        return "not repaired"
    verdict = model.verdict_after(threshold)
    return f"{_MARKS[verdict]} {verdict}"


def _base(model: ModelReport) -> str:
    found = model.against
    if found is None:
        return "not compared"
    if found.added:
        return "new model"
    counts = (len(found.new), "new"), (len(found.fixed), "fixed"), (len(found.unchanged), "old")
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "the same"


def _prose(text: str) -> str:
    """Return a sentence of a rule's page, its code set as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner
        return escape.markdown(text)
    shown = (escape.markdown_code, escape.markdown)
    return "".join(shown[at % 2 == 0](part) for at, part in enumerate(parts) if part)


def _row(model: ModelReport, threshold: Severity | None, more: Sequence[str]) -> str:
    verdict = model.final_verdict(threshold) if model.repair is None else model.verdict(threshold)
    counts = [model.counted(severity) for severity in outline.WORST_FIRST]
    cells = [*counts, len(outline.suppressed(model))]
    numbers = " | ".join([*(str(cell) if cell else "" for cell in cells), *more])
    return f"| {escape.markdown_code(model.path)} | {_MARKS[verdict]} {verdict} | {numbers} |\n"


def _fitting(model: ModelReport, page: _Page, room: int) -> str:
    """Return the section of a model with as many findings as fit; empty when none does."""
    for items in _ITEMS:
        section = "".join(_section(model, page, items))
        if len(section.encode()) <= room:
            return section
    return ""


def _section(model: ModelReport, page: _Page, items: int) -> Iterator[str]:
    groups = outline.groups(outline.counted(model))
    tally = escape.markdown(outline.tally(model))
    path = escape.markdown_code(model.path)
    yield f"\n<details><summary>{path}: {tally}</summary>\n\n"
    yield f"{escape.markdown(outline.describe(model))}\n\n"
    if model.estimate is not None:
        before = model.against.estimate if model.against else None
        yield f"{escape.markdown(estimates.line(model.estimate, before))}\n\n"
        if items == _ITEMS[0]:  # the first to go where there is little room
            yield from _charts(model.estimate)
    if compared := outline.against(model):
        yield f"{escape.markdown(compared)}\n\n"
    if known := [row for row in outline.reasons(model.left) if row[2] == "base"]:
        listed = ", ".join(f"{count} x {rule}" for count, rule, *_ in known)
        yield f"the base branch has these too: {escape.markdown(listed)}\n\n"
    explained: set[str] = set()
    for number, group in enumerate(groups[:items], 1):
        yield from _item(number, group, page, explained)
    if model.compiled is not None:
        yield from _compiled(model.compiled)
    if len(groups) > items:
        hidden = sum(len(group) for group in groups[items:])
        yield f"\nand {outline.plural(hidden, 'finding')} more, listed in the full report\n"
    yield from _sketch(groups[:items])
    if model.repair is not None:
        yield from _repair(model, model.repair, page.report.threshold)
    yield "\n</details>\n"


def _charts(found: Estimate) -> Iterator[str]:
    charts = "\n".join(mermaid.charts(found))
    if charts:
        yield "<details><summary>RAM and time, step by step</summary>\n\n"
        yield f"{charts}\n</details>\n\n"


def _sketch(groups: Sequence[outline.Group]) -> Iterator[str]:
    """Yield the drawing of the first finding that has one."""
    for finding in (finding for group in groups for finding in group.findings):
        if finding.sketch is not None:
            hidden = finding.sketch.hidden
            more = f" ({outline.plural(hidden, 'arrow')} left out)" if hidden else ""
            place = escape.markdown_code(str(finding.location))
            yield f"\nAround {place}{more}:\n\n{mermaid.drawing(finding.sketch)}"
            return


def _item(number: int, group: outline.Group, page: _Page, explained: set[str]) -> Iterator[str]:
    first = group.first
    pad = " " * len(f"{number}. ")  # what is indented less is no part of the item
    title = escape.markdown(f"{first.rule} {first.name}")
    title = _linked(title, outline.page_of(page.report, first.rule))
    kind = f"{_LEVELS[first.severity]} **{title}**"
    many = f"{len(group)} equal findings, the first: " if len(group) > 1 else ""
    yield f"{number}. {kind}: {many}{escape.markdown(first.message)}\n"
    found = group.findings[: outline.PLACES]
    places = ", ".join(escape.markdown_code(str(finding.location)) for finding in found)
    more = len(group) - len(found)
    if first.location != Location():
        yield f"{pad}- at {places}{f' and {more} more' if more else ''}\n"
    if source := first.source:
        text = escape.markdown_code(source.text.strip())
        yield f"{pad}- made by {_line(source, page.blob)}: {text}\n"
    if first.repair:
        address = page.report.documentation.repair(first.repair)
        repair = _linked(escape.markdown_code(first.repair), address)
        yield f"{pad}- repairable by {repair}\n"
    fix = "" if first.rule in explained else outline.fix_of(page.report.rules.get(first.rule))
    explained.add(first.rule)
    if fix:
        yield f"{pad}- {_prose(fix)}\n"


def _line(source: Source, blob: str) -> str:
    """Return a line's place, as a link where one can be made."""
    text = escape.markdown_code(f"{source.file}:{source.line}")
    parts = source.file.split("/")
    if not blob or {"", ".", ".."} & set(parts) or len(source.file) > escape.DATA_LIMIT:
        return text
    return f"[{text}]({blob}/{escape.uri(source.file)}#L{source.line})"


def _linked(text: str, address: str) -> str:
    return f"[{text}]({address})" if address else text


def _compiled(found: Compiled) -> Iterator[str]:
    yield f"\n**Compiler:** {escape.markdown(compiler.headline(found))}\n\n"
    yield from (f"- {escape.markdown(line)}\n" for line in compiler.amounts(found))
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
        yield f"- {escape.markdown(', '.join(repairs.size_changes(repair.before, repair.after)))}\n"


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
