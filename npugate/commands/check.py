"""``npugate check``: options from arguments and configuration, reports to where they belong."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final, Self

from msgspec.structs import replace

from npugate import __version__, atomic_write, escape, log
from npugate.commands.arguments import FORMATS
from npugate.commands.parser import parser
from npugate.console import Console
from npugate.errors import NpugateError, UsageError
from npugate.findings.values import Severity
from npugate.model.tracked import Tracked
from npugate.report.values import Report
from npugate.reporters import REPORTERS, text
from npugate.repository import git
from npugate.repository.discover import Search
from npugate.rules import registry
from npugate.rules.selection import all_ids, ids, level, suggestion
from npugate.rules.values import Rule
from npugate.run import pipeline
from npugate.settings import baseline, config, tracking
from npugate.settings.options import Judge, Judgement, Options, Settings
from npugate.streams import refusal

_BAR_AFTER_SECONDS: Final = 1.0

_BASES_OWN: Final = (
    "allow-untracked-weights is taken from the base: what this change says of it does not hold here"
)

ProgressOf = Callable[[int, int], None]
"""Told (done, all) after each model."""


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Check as the arguments say; write the reports whatever the outcome."""
    return report_on(chosen, console, partial(examine, chosen, console))


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


def report_of(arguments: Sequence[str], environment: Mapping[str, str]) -> Report:
    """Check by the arguments of the command line, ``check`` first, for the action.

    Raises:
        NpugateError: as the command line would end with.
    """
    chosen = parsed(arguments)
    return examine(chosen, Console(environment, sys.stdout, sys.stderr), lambda _done, _all: None)


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Read arguments that were made by another part of the program.

    Raises:
        UsageError: they are none.
    """
    try:
        return parser().parse_args(arguments)
    except SystemExit as stop:
        raise UsageError(f"npugate does not take {' '.join(arguments)}") from stop


def examine(chosen: argparse.Namespace, console: Console, progress: ProgressOf) -> Report:
    """Turn arguments into options and run.

    Raises:
        UsageError: the arguments, the configuration or the file list must be changed.
    """
    rules = registry.rules()
    chosen_options = options(chosen, rules, console, progress)
    return pipeline.run(with_compiler(chosen_options, chosen, console.environment), rules)


def options(
    chosen: argparse.Namespace,
    rules: Mapping[str, Rule],
    console: Console,
    progress: ProgressOf,
) -> Options:
    """Read the settings of a run from the command line and the configuration file."""
    if chosen.jobs is not None and chosen.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {chosen.jobs}")
    cwd = Path.cwd()
    tracked = _tracked(chosen, cwd)
    own = _settings(chosen, rules, tracked, console)
    settings = _allowed(chosen, own, console)
    also, remarks = base_judge(chosen, rules, cwd)
    search = Search(
        cwd,
        tuple(chosen.paths),
        chosen.files_from,
        chosen.changed_since,
        chosen.changes_from,
        allow_empty=chosen.allow_empty,
        environment=console.environment,
        stdin=sys.stdin.buffer,
    )
    return Options(
        search,
        settings,
        _judgement(chosen, rules),
        Path(chosen.baseline) if chosen.baseline else _present(settings, chosen),
        Path(chosen.write_baseline) if chosen.write_baseline else None,
        dt.datetime.now(dt.UTC).date(),
        chosen.jobs,
        progress=progress,
        base=chosen.base or "",
        base_folder=_base_folder(chosen),
        new_only=not chosen.all_findings,
        pictured=_pictured(chosen),
        remarks=remarks if settings == own else (*remarks, _BASES_OWN),
        tracked=tracked,
        may_leave=not chosen.may_not_leave,
        also=also,
    )


def _tracked(chosen: argparse.Namespace, cwd: Path) -> Tracked | None:
    if chosen.tracked_from is None:
        return None
    try:
        return Tracked.recorded(cwd, Path(chosen.tracked_from).read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"--tracked-from {chosen.tracked_from}: {error}") from error


def _of_base(name: str, *, folder: Path, cwd: Path, root: Path) -> Path:
    """Return a file as the base has it; one outside of the repository is the same for both."""
    place = os.path.normpath(os.path.relpath(cwd / name, root))
    return Path(name) if place.startswith("../") else folder / place


def base_judge(
    chosen: argparse.Namespace, rules: Mapping[str, Rule], cwd: Path
) -> tuple[tuple[Judge, ...], tuple[str, ...]]:
    """Return the base as a judge, where its settings are given, and what there is to tell of it.

    A base whose own settings cannot be read judges by the defaults, so that a change can mend them.

    Raises:
        UsageError: there is no such folder.
    """
    if not chosen.base_settings:
        return (), ()
    folder = Path(chosen.base_settings).resolve()
    if not folder.is_dir():
        raise UsageError(f"--base-settings {chosen.base_settings}: there is no such folder")
    cwd = cwd.resolve()
    root = git.root_above(cwd) or cwd
    here = cwd.relative_to(root)
    of_base = partial(_of_base, folder=folder, cwd=cwd, root=root)

    settings = Settings()
    remarks: tuple[str, ...] = ()
    try:
        found = of_base(chosen.config) if chosen.config else config.find(folder / here, folder)
        if found is not None and found.is_file():
            settings = config.load(found, rules)
        if settings.baseline is not None:
            baseline.read(settings.baseline)
    except UsageError as error:
        told = str(error).replace(f"{folder}/", "")
        remarks = (f"the settings of the base cannot be read, the defaults stand in: {told}",)
        settings = Settings()
    judgement = _judgement(chosen, rules)
    files = {
        key: str(of_base(name))
        for key, name in (("target", judgement.target), ("board", judgement.board))
        if name and name.endswith((".toml", ".mpool")) and of_base(name).is_file()
    }
    known = settings.baseline
    if chosen.baseline:
        known = of_base(chosen.baseline) if of_base(chosen.baseline).is_file() else None
    return (Judge(settings, replace(judgement, **files), known),), remarks


def _pictured(chosen: argparse.Namespace) -> bool:
    forms = {chosen.format, *(form for form, _ in destinations(chosen.report or ()))}
    return "html" in forms or bool(getattr(chosen, "pictured", False))


def _base_folder(chosen: argparse.Namespace) -> Path | None:
    if chosen.base and chosen.base_folder:
        raise UsageError("give --base or --base-folder, not both")
    if not chosen.base_folder:
        return None
    folder = Path(chosen.base_folder)
    if not folder.is_dir():
        raise UsageError(f"--base-folder {folder}: there is no such folder")
    return folder


def with_compiler(
    options: Options, chosen: argparse.Namespace, environment: Mapping[str, str]
) -> Options:
    """Return the options with the vendor's compiler, where the arguments ask for it.

    Raises:
        UsageError: the arguments are wrong, or what they name is not there.
    """
    if not getattr(chosen, "stedgeai", None) and not getattr(chosen, "replay", None):
        return options
    from npugate.commands import compiler  # noqa: PLC0415 - its driver is not small

    return compiler.applied(options, chosen, environment)


def _present(settings: Settings, chosen: argparse.Namespace) -> Path | None:
    """Return the configured baseline; one that is only about to be written need not exist yet."""
    if settings.baseline is not None and chosen.write_baseline and not settings.baseline.exists():
        return None
    return settings.baseline


def _settings(
    chosen: argparse.Namespace,
    rules: Mapping[str, Rule],
    tracked: Tracked | None,
    console: Console,
) -> Settings:
    found = _config(chosen, Path.cwd())
    if found is None:
        return Settings()
    tracking.refuse_strayed(found, lambda: tracked, console.environment)
    settings = config.load(found, rules)
    for name in settings.files():
        tracking.refuse_strayed(name, lambda: tracked, console.environment)
    return settings


def _config(chosen: argparse.Namespace, cwd: Path) -> Path | None:
    if chosen.config:
        return Path(chosen.config)
    return config.find(cwd, git.root_above(cwd) or cwd)


def _allowed(chosen: argparse.Namespace, settings: Settings, console: Console) -> Settings:
    """Return the settings with the models whose weights git need not track, as the base has it.

    A change that says so of its own model would read whatever lies in the checkout.
    """
    found, allowed = _config(chosen, Path.cwd()), settings.untracked_weights
    if chosen.untracked_from is not None:
        place = chosen.untracked_from
        allowed = config.untracked_weights(Path(place)) if place else ()
    elif chosen.base and found is not None:
        allowed = tracking.allowed_by(chosen.base, found, console.environment)
    return replace(settings, untracked_weights=allowed)


def _judgement(chosen: argparse.Namespace, rules: Mapping[str, Rule]) -> Judgement:
    severity: dict[str, Severity | None] = {}
    for pair in chosen.severity or ():
        name, equals, word = pair.partition("=")
        if not equals:
            raise UsageError(f"--severity {pair}: write RULE=LEVEL, for example NPU107=note")
        severity |= dict.fromkeys(ids(name, rules, "--severity"), level(word, "--severity"))
    select = _names(chosen.select)
    return Judgement(
        chosen.target,
        chosen.toolchain,
        all_ids(select, rules, "--select") if select else None,
        all_ids(_names(chosen.ignore), rules, "--ignore"),
        severity,
        chosen.fail_on,
        board=chosen.board,
    )


def _names(values: Sequence[str] | None) -> list[str]:
    return [name for value in values or () for name in value.split(",") if name.strip()]


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
