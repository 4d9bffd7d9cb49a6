"""Read the tool's text: standard output, the ``*_report.txt`` files, and logs around them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from msgspec.structs import replace

from npugate.compilers.stedgeai import epochs, lines, measured
from npugate.report.compiled import CompiledPool, CompiledRun, Failure

DETAIL_LINES: Final = 40
WARNINGS: Final = 200

_COMMANDS: Final = ("analyze", "generate", "validate")
_SUMMARY: Final = re.compile(r"^ ?Exec/report summary \((\w+)\)")
_PARAMETERS: Final = re.compile(r"^Parameters +: +(\w+)")
_CALLED: Final = re.compile(
    r"stedgeai(?:\.exe)? (?:\S*stedgeai(?:\.exe)? )?(analyze|generate|validate)\b"
)
_KEY: Final = re.compile(r"^ ?([a-z][\w ./#()]*?) +: {2,}(.*?) *$")
_BYTES: Final = re.compile(r"^([\d,]+) B\b")
_MODEL_LINE: Final = re.compile(r"^model: macc=([\d,]+) ")
_C_MODEL_LINE: Final = re.compile(
    r"^model/c-model: macc=[\d,]+/([\d,]+) .*weights=[\d,]+/([\d,]+) .*activations=--/([\d,]+) "
)
_MODEL_NAME: Final = re.compile(r"^Model name - (.+?) *$")
_COMPILER: Final = re.compile(r"^Compiler version: +(\S+)")
_ELAPSED: Final = re.compile(r"^elapsed time \((\w+)\): ([\d.]+)s")
_TOTAL: Final = re.compile(r"^ +TOTAL +([\d,]+) +([\d,]+) *$")
_POOL: Final = re.compile(
    r"^\s*(\S+) +\[0x([0-9A-Fa-f]+) - 0x[0-9A-Fa-f]+\]: +([\d.]+) +(\w+) +/ +([\d.]+) +(\w+) +\("
    r".*?weights: +([\d.]+) +(\w+) .*?activations: +([\d.]+) +(\w+) "
)
_UNITS: Final = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3}
_WARNING: Final = re.compile(r"(?:^|\s)(?:WARNING|Warning): +(\S.*?) *$")
_FAILURE: Final = re.compile(
    r"^\s*(?:Run failed: Error: \w+ error: )?"
    r"(CLI ERROR|LOAD ERROR|NOT IMPLEMENTED|INTERRUPT|TOOLS? ERROR|INTERNAL ERROR|E\d{3}\(\w+\))"
    r" *: *(.*?) *$"
)
_WRAPPED: Final = re.compile(r"\. Please check the report for more details\. Output: .*$")
_SHELL: Final = re.compile(r"^ *>>> Shell execution has FAILED \(returned code = (-?\d+)\)")
_CRASH: Final = re.compile(r"Internal compiler error \(signo=\d+\)")


def read(data: bytes | str) -> tuple[CompiledRun, ...]:
    """Read everything in a text, one value for each call of the tool that left anything."""
    runs = (_run(part) for part in lines.calls(data))
    return tuple(run for run in runs if run != CompiledRun(run.command, run.version))


def _run(part: Sequence[str]) -> CompiledRun:
    counts, rows = epochs.read(part)
    summary = dict(_summary(part))
    failure = _failure(part)
    whole = next((match for line in part if (match := _C_MODEL_LINE.match(line))), None)
    return CompiledRun(
        command=_command(part),
        version=next((found for line in part if (found := lines.version_in(line))), ""),
        compiler=_word(_COMPILER, part),
        model=summary.get("model_name", "") or _word(_MODEL_NAME, part) or _file(summary),
        model_format=summary.get("model_fmt", ""),
        macs=_number(whole[1]) if whole else _macs(part, summary),
        parameters=_number(summary.get("params #", "").partition(" ")[0]),
        weights=_first(
            _size(summary, "weights (ro)"),
            _section(part, "weights", 2),
            _number(whole[2]) if whole else None,
        ),
        activations=_first(
            _size(summary, "activations (rw)"),
            _section(part, "activations", 4),
            _number(whole[3]) if whole else None,
        ),
        flash=_whole(part, 1),
        ram=_whole(part, 2),
        pools=tuple(_pools(part)),
        counts=counts,
        epochs=rows,
        timing=measured.read(part),
        warnings=tuple(_warnings(part, failure)),
        failure=failure,
        seconds=_elapsed(part),
    )


def _summary(part: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of the first summary; a failed validate prints it twice."""
    inside = False
    for line in part:
        if _SUMMARY.match(line):
            if inside:
                return
            inside = True
        elif inside and line.strip().startswith("(*)"):
            return
        elif inside and (match := _KEY.match(line)):
            yield match[1], match[2]


def _command(part: Sequence[str]) -> str:
    for pattern in (_SUMMARY, _PARAMETERS, _ELAPSED, _CALLED):
        word = next((m[1].lower() for line in part if (m := pattern.search(line))), "")
        if word in _COMMANDS:
            return word
    return "validate" if any(line.startswith("Setting validation data") for line in part) else ""


def _macs(part: Sequence[str], summary: dict[str, str]) -> int | None:
    """Return the count of the model's table, else the summary's unless it is the 0 of 2.x."""
    table = _number(_word(_MODEL_LINE, part))
    return table or _number(summary.get("macc", "")) or None


def _first(*figures: int | None) -> int | None:
    return next((figure for figure in figures if figure is not None), None)


def _file(summary: dict[str, str]) -> str:
    path = summary.get("model file", "")
    kind = PureWindowsPath if "\\" in path else PurePosixPath
    return kind(path).stem


def _size(summary: dict[str, str], key: str) -> int | None:
    match = _BYTES.match(summary.get(key, ""))
    return _number(match[1]) if match else None


def _section(part: Sequence[str], name: str, column: int) -> int | None:
    """Return a cell of the table of sections, whose last rows are weights, activations and io."""
    for line in part:
        cells = line.split()
        if len(cells) == _SECTION_CELLS and cells[0] == name:
            return _number(cells[column])
    return None


_SECTION_CELLS: Final = 5


def _whole(part: Sequence[str], group: int) -> int | None:
    match = next((found for line in part if (found := _TOTAL.match(line))), None)
    return _number(match[group]) if match else None


def _pools(part: Sequence[str]) -> Iterator[CompiledPool]:
    for line in part:
        if match := _POOL.match(line):
            name, start, *figures = match.groups()
            values = [
                round(float(figure) * _UNITS[unit])
                for figure, unit in zip(figures[::2], figures[1::2], strict=True)
                if unit in _UNITS
            ]
            if len(values) == len(figures) // 2:
                used, size, weights, activations = values
                yield CompiledPool(name, int(start, 16), size, used, weights, activations)


def _warnings(part: Sequence[str], failure: Failure | None) -> Iterator[str]:
    found: dict[str, None] = {}
    for line in part:
        if (match := _WARNING.search(line)) and not _quoted(match[1], failure):
            found[match[1]] = None
    yield from list(found)[:WARNINGS]


def _quoted(text: str, failure: Failure | None) -> bool:
    """Tell whether a line is a part of the failure, where it is quoted already."""
    return failure is not None and (text in failure.message or f"Warning: {text}" in failure.detail)


def _failure(part: Sequence[str]) -> Failure | None:
    found = [
        Failure(match[1], _WRAPPED.sub("", match[2]))
        for line in part
        if (match := _FAILURE.match(line))
    ]
    detail = tuple(_detail(part))
    if found:
        return replace(found[-1], detail=detail)
    crash = next((line.strip() for line in part if _CRASH.search(line)), "")
    if crash:
        return Failure("", crash, detail)
    # A run that ended well may have failed to compile its C code for the table of sizes.
    ended = any(_ELAPSED.match(line) for line in part)
    return Failure("", "the NPU compiler failed", detail) if detail and not ended else None


def _detail(part: Sequence[str]) -> Iterator[str]:
    """Yield what the NPU compiler printed before it failed, without the command line."""
    inside, left = False, DETAIL_LINES
    for line in part:
        text = line.strip()
        if _SHELL.match(line):
            inside = True
            yield text.removeprefix(">>> ")
        elif inside and text.startswith("<<<"):
            return
        elif inside and text and not text.startswith("$ ") and left:
            left -= 1
            yield text


def _elapsed(part: Sequence[str]) -> float | None:
    match = next((found for line in part if (found := _ELAPSED.match(line))), None)
    return float(match[2]) if match else None


def _word(pattern: re.Pattern[str], part: Sequence[str]) -> str:
    return next((match[1] for line in part if (match := pattern.match(line))), "")


def _number(text: str) -> int | None:
    digits = text.replace(",", "")
    return int(digits) if digits.isascii() and digits.isdigit() else None
