"""What ``quantize`` and ``evaluate`` have in common at the edge: a bar, reports, where they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Never

from npugate import atomic_write
from npugate.console import Console
from npugate.errors import UsageError

FORMATS: Final = ("json", "markdown", "text")
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


def destinations(values: Sequence[str]) -> list[tuple[str, Path]]:
    """Read ``FORMAT=FILE`` pairs.

    Raises:
        UsageError: an unknown format, or no file.
    """
    found: list[tuple[str, Path]] = []
    for value in values:
        form, equals, name = value.partition("=")
        if form not in FORMATS or not equals or not name:
            raise UsageError(f"--report {value}: write FORMAT=FILE; formats: {', '.join(FORMATS)}")
        found.append((form, Path(name)))
    return found


def write(reports: Sequence[tuple[str, Path]], rendered: Mapping[str, Callable[[], str]]) -> None:
    """Write each report.

    Raises:
        UsageError: a place cannot be written.
    """
    for form, path in reports:
        atomic_write.write_text(path, rendered[form]())
