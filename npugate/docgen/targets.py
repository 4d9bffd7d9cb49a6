"""Write the page of a target: everything its profile says, by toolchain, with sources.

The page is generated, so it cannot differ from what the rules apply. A cell per toolchain shows
where an operator runs; ``*`` marks a row that is carried over to it without a text of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from npugate.target.profiles import load
from npugate.target.rows import Constraint, Limit, Operator, Region, Trap
from npugate.target.values import Target

_WORDS: Final[Mapping[str, str]] = {
    "npu": "NPU",
    "cpu": "CPU",
    "conditional": "NPU, on conditions",
    "folded": "folded",
    "none": "not supported",
}
T = TypeVar("T", bound=Limit | Trap | Operator)
_Sourced = Limit | Operator | Constraint | Trap | Region
_ESCAPED: Final = str.maketrans({"|": "\\|", "<": "&lt;", ">": "&gt;", "*": "\\*", "_": "\\_"})


def target_page(name: str) -> str:
    """Return the Markdown page of a target.

    Args:
        name: as ``npugate.target.load`` takes it.

    Raises:
        TargetError: the profile is missing or malformed.
    """
    versions = [item.version for item in load(name).toolchains]
    targets = {version: load(name, version) for version in versions}
    default = load(name)
    sections = (
        _head(default),
        _toolchains(default),
        _operators(targets),
        _limits(targets),
        _constraints(targets),
        _traps(targets),
        _memories(default),
        _references(default),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(target: Target) -> str:
    kind = "an NPU and a CPU" if target.npu else "a CPU alone"
    return (
        f"<!-- Generated from the target profile (npugate.docgen.targets); do not edit. -->\n\n"
        f"# {target.title}\n\n"
        f"`--target {target.name}`: {kind}; `--toolchain` selects the compiler's version, the"
        f" default is {target.toolchain}.\n\n"
        "Every row has a source and a confidence: **documented** by the maker, **observed** in a"
        " real compile, told by a **third party**, or **inferred**. A `*` marks a toolchain to"
        " which a row is carried over without a text of its own."
    )


def _toolchains(target: Target) -> str:
    rows = [
        (item.version, item.label, _sure(item.source, item.confidence), item.note)
        for item in target.toolchains
    ]
    return "## Toolchains\n\n" + _table(("Version", "Compiler", "Source", "Note"), rows)


def _operators(targets: Mapping[str, Target]) -> str:
    keys = sorted({key for target in targets.values() for key in target.operators})
    rows = []
    for key in keys:
        found = [target.operators.get(key) for target in targets.values()]
        cells = [_place(row, version) for row, version in zip(found, targets, strict=True)]
        known = _distinct(row for row in found if row is not None)
        name = f"{key[0]}.{key[1]}" if key[0] else key[1]
        rows.append((name, *cells, _remarks(known), _sources(known)))
    head = ("Operator", *targets, "Remarks", "Source")
    text = "Where an operator runs when the model is quantised to int8.\n\n"
    return "## Operators\n\n" + text + _table(head, rows)


def _place(row: Operator | None, version: str) -> str:
    if row is None:
        return "not listed"
    cost = ", costly" if row.costly and row.runs_on == "cpu" else ""
    return f"{_WORDS[row.runs_on]}{cost}{_star(row, version)}"


def _remarks(rows: Iterable[Operator]) -> str:
    parts: dict[str, None] = {}
    for row in rows:
        said = (row.note, row.evidence, f"instead: {row.fix}" if row.fix else "", row.error_text)
        parts.update((text, None) for text in said if text)
    return "; ".join(parts)


def _limits(targets: Mapping[str, Target]) -> str:
    def cell(row: Limit, version: str) -> str:
        return f"{row.value} ({row.severity.label}){_star(row, version)}"

    rows = _by_version(targets, lambda target: target.limits, cell)
    return "## Limits\n\n" + _table(("Limit", *targets, "Remarks", "Source"), rows)


def _traps(targets: Mapping[str, Target]) -> str:
    def cell(row: Trap, version: str) -> str:
        level = "off" if row.severity is None else row.severity.label
        return f"{level}{_star(row, version)}"

    rows = _by_version(targets, lambda target: target.traps, cell)
    text = "Rules whose level on this target differs from their own, or has evidence to show.\n\n"
    return "## Rules\n\n" + text + _table(("Rule", *targets, "Remarks", "Source"), rows)


def _by_version(
    targets: Mapping[str, Target],
    rows_of: Callable[[Target], Mapping[str, T]],
    cell: Callable[[T, str], str],
) -> list[tuple[str, ...]]:
    """Return one table row for each name, with a cell for each toolchain."""
    names = dict.fromkeys(name for target in targets.values() for name in rows_of(target))
    rows = []
    for name in names:
        found = {version: rows_of(target).get(name) for version, target in targets.items()}
        cells = ["" if row is None else cell(row, version) for version, row in found.items()]
        known = _distinct(row for row in found.values() if row is not None)
        said = dict.fromkeys(text for row in known for text in (row.note, row.error_text) if text)
        rows.append((name, *cells, "; ".join(said), _sources(known)))
    return rows


def _constraints(targets: Mapping[str, Target]) -> str:
    """Return the constraints, each once, with the toolchains it holds for."""
    found: dict[str, tuple[Constraint, list[str]]] = {}
    for version, target in targets.items():
        rows = {row.id: row for items in target.constraints.values() for row in items}
        for name, row in rows.items():
            found.setdefault(name, (row, []))[1].append(f"{version}{_star(row, version)}")
    if not found:
        return ""
    table = [
        (
            row.id,
            ", ".join(row.op_types),
            f"{row.text.replace('{', '').replace('}', '')}{_arguments(row)}",
            f"{row.effect} ({row.severity.label})",
            ", ".join(versions),
            "; ".join(text for text in (row.fix, row.evidence, row.error_text) if text),
            _sources([row]),
        )
        for row, versions in found.values()
    ]
    head = ("Condition", "Operators", "Broken when", "Effect", "Toolchains", "Remarks", "Source")
    return "## Conditions\n\n" + _table(head, table)


def _arguments(row: Constraint) -> str:
    said = ", ".join(f"{name} {_plain(value)}" for name, value in row.args.items())
    return f" ({said})" if said else ""


def _plain(value: object) -> str:
    return "/".join(str(item) for item in value) if isinstance(value, list) else str(value)


def _memories(target: Target) -> str:
    rows = [
        (
            item.name,
            f"{item.size_bytes // 1024} KiB",
            f"0x{item.address:08X}" if item.address else "",
            item.kind,
            f"{item.cycles_per_byte:g}" if item.cycles_per_byte else "",
            item.note,
            _sources([item]),
        )
        for item in target.regions
    ]
    if not rows:
        return ""
    head = ("Memory", "Size", "Address", "Kind", "NPU cycles per byte", "Remarks", "Source")
    return "## Memories\n\n" + _table(head, rows)


def _references(target: Target) -> str:
    lines = [
        f"- **{row.id}**: {_escape(row.title)}{f' <{row.url}>' if row.url else ''}"
        for row in target.references.values()
    ]
    return "## Sources\n\n" + "\n".join(lines)


def _star(row: _Sourced, version: str) -> str:
    return "*" if version in row.carried else ""


def _distinct(rows: Iterable[T]) -> list[T]:
    found: list[T] = []
    for row in rows:
        if row not in found:
            found.append(row)
    return found


def _sources(rows: Sequence[_Sourced]) -> str:
    return "; ".join(dict.fromkeys(_sure(row.source, row.confidence) for row in rows))


def _sure(source: str, confidence: str) -> str:
    return f"{source} ({confidence})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [f"| {' | '.join(_escape(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _escape(text: str) -> str:
    return " ".join(text.translate(_ESCAPED).split())
