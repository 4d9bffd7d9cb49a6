"""Do the work of a command with a bar, and write its reports to where they belong."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Final, Self

from msgspec.structs import replace

from npugate import __version__, atomic_write, escape, log
from npugate.commands.arguments import FORMATS
from npugate.console import Console
from npugate.errors import NpugateError, UsageError
from npugate.report.values import Report
from npugate.reporters import REPORTERS, text
from npugate.repository import git
from npugate.rules.selection import suggestion
from npugate.streams import refusal

_BAR_AFTER_SECONDS: Final = 1.0


ProgressOf = Callable[[int, int], None]
"""Told (done, all) after each model."""


def report_on(
    chosen: argparse.Namespace, console: Console, work: Callable[[ProgressOf], Report]
) -> int:
    """Do the work of a command and report on it; return the exit code."""
    reports = destinations(chosen.report or ())
    sources = source_url(chosen)
    try:
        with _Progress(console) as progress:
            report = work(progress.update)
    except NpugateError as error:
        _write(Report.failure_of(__version__, str(error), error.exit_code), reports, sources)
        raise
    except Exception as error:
        told, code = (refusal(error), 2) if refusal(error) else (f"npugate failed: {error!r}", 3)
        _write(Report.failure_of(__version__, told, code), reports, sources)
        raise
    unwritten = _write(report, reports, sources)
    if unwritten is not None:
        # Whoever reads another report, or the text, must not take the run for one that passed.
        report = replace(report, failure=2, notices=(str(unwritten), *report.notices))
        _write(report, [item for item in reports if _is_made(item[1])], sources)
    if not chosen.quiet:
        console.stdout.write(_rendered(report, chosen, console))
    if unwritten is not None:
        raise unwritten
    return report.exit_code


def destinations(values: Sequence[str]) -> list[tuple[str, Path]]:
    """Read ``FORMAT=FILE`` pairs.

    Raises:
        UsageError: an unknown format, or no file.
    """
    found: list[tuple[str, Path]] = []
    for value in values:
        form, equals, name = value.partition("=")
        if form not in FORMATS:
            known = ", ".join(FORMATS)
            raise UsageError(f"--report {value}: formats are {known}{suggestion(form, FORMATS)}")
        if not equals or not name or name == "-":
            raise UsageError(f"--report {value}: name a file; --format is for standard output")
        found.append((form, Path(name)))
    return found


def source_url(chosen: argparse.Namespace) -> str:
    """Return what links to source lines begin with; empty for paths beside the page.

    Raises:
        UsageError: it is no address of the web.
    """
    url = str(chosen.source_url)
    if url and not url.startswith(("https://", "http://")):
        raise UsageError(f"--source-url {url}: it begins with https:// or http://")
    return url.rstrip("/") + "/" if url else ""


def written(report: Report, form: str, path: Path, sources: str) -> str:
    """Return a report in the form in which it goes into a file; a page links to what is near."""
    if form != "html":
        return REPORTERS[form](report)
    from npugate.reporters import html  # noqa: PLC0415 - few runs make a page

    if not sources:
        cwd = Path.cwd()
        root = (git.root_above(cwd) or cwd).resolve()
        away = os.path.relpath(root, path.parent.resolve())
        sources = escape.uri(Path(away).as_posix()) + "/"
    return html.render(report, sources)


def _is_made(path: Path) -> bool:
    """Tell whether a report is there and can be written again."""
    return path.is_file() and not atomic_write.is_stream(path)


def _write(report: Report, reports: Sequence[tuple[str, Path]], sources: str) -> UsageError | None:
    """Write every report that can be written; return the first failure."""
    failure: UsageError | None = None
    for form, path in reports:
        try:
            atomic_write.write_text(path, written(report, form, path, sources))
        except UsageError as error:
            if failure is not None:  # the first ends the run and is told then
                log.warning(str(error))
            failure = failure or error
    return failure


def _rendered(report: Report, chosen: argparse.Namespace, console: Console) -> str:
    if chosen.format == "text":
        diff = getattr(chosen, "diff", False)
        return text.render(report, colour=console.colour, verbose=chosen.verbose, diff=diff)
    return REPORTERS[chosen.format](report)


class _Progress:
    """A bar on a terminal, from the second on that a run takes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = monotonic()
        self._bar: object = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()  # type: ignore[attr-defined]  # tqdm, loaded only when shown

    def update(self, done: int, every: int) -> None:
        """Show how far the run is."""
        late = monotonic() - self._started > _BAR_AFTER_SECONDS
        if self._bar is None and late and self._console.progress:
            from tqdm import tqdm  # noqa: PLC0415 - costs start-up, needed by few runs

            self._bar = tqdm(total=every, unit="model", file=self._console.stderr, leave=False)
        if self._bar is not None:
            self._bar.update(done - self._bar.n)  # type: ignore[attr-defined]  # as above
