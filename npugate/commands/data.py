"""What ``quantize`` and ``evaluate`` have in common at the edge: a bar, reports, where they go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Never, TypeVar

from npugate import atomic_write
from npugate.console import Console
from npugate.errors import UsageError
from npugate.reporters import Render

R = TypeVar("R")
Progress = Callable[[int, int], None]


def bar(console: Console, what: str) -> Progress:
    """Return a function that draws a bar where somebody watches; it may run in another process."""
    if not console.progress:
        return lambda _done, _all: None
    from tqdm import tqdm  # noqa: PLC0415 - costs start-up, needed by few runs

    shown: list[tqdm[Never]] = []

    def update(done: int, every: int) -> None:
        if not shown:
            shown.append(tqdm(total=every, unit=what, file=console.stderr, leave=False))
        shown[0].update(done - shown[0].n)
        if done == every:
            shown[0].close()

    return update


def destinations(values: Sequence[str], formats: Iterable[str]) -> list[tuple[str, Path]]:
    """Read ``FORMAT=FILE`` pairs, of the formats that the report has.

    Raises:
        UsageError: an unknown format, or no file.
    """
    known = tuple(formats)
    found: list[tuple[str, Path]] = []
    for value in values:
        form, equals, name = value.partition("=")
        if form not in known or not equals or not name:
            raise UsageError(f"--report {value}: write FORMAT=FILE; formats: {', '.join(known)}")
        found.append((form, Path(name)))
    return found


def write(report: R, places: Sequence[tuple[str, Path]], formats: Mapping[str, Render[R]]) -> None:
    """Write a report to each place in its format.

    Raises:
        UsageError: a place cannot be written.
    """
    for form, path in places:
        atomic_write.write_text(path, formats[form](report))
