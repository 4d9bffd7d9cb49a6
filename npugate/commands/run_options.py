"""The settings of a run, read from the command line and the configuration."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from npugate.commands import reports
from npugate.console import Console
from npugate.errors import UsageError
from npugate.findings.values import Severity
from npugate.model.tracked import Tracked
from npugate.repository import git
from npugate.repository.discover import Search
from npugate.rules.selection import all_ids, ids, level
from npugate.rules.values import Rule
from npugate.settings import baseline, config, tracking
from npugate.settings.options import CheckSettings, Options, Policy, Settings

_BASES_OWN: Final = (
    "allow-untracked-weights is taken from the base: what this change says of it does not hold here"
)


def options(
    chosen: argparse.Namespace,
    rules: Mapping[str, Rule],
    console: Console,
    progress: reports.ProgressOf,
) -> Options:
    """Read the settings of a run from the command line and the configuration file."""
    if chosen.jobs is not None and chosen.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {chosen.jobs}")
    cwd = Path.cwd()
    tracked = _tracked(chosen, cwd)
    own = _settings(chosen, rules, tracked, console)
    settings = _allowed(chosen, own, console)
    also, remarks = base_policy(chosen, rules, cwd)
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
        _check_settings(chosen, rules),
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


def base_policy(
    chosen: argparse.Namespace, rules: Mapping[str, Rule], cwd: Path
) -> tuple[tuple[Policy, ...], tuple[str, ...]]:
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
    check_settings = _check_settings(chosen, rules)
    files = {
        key: str(of_base(name))
        for key, name in (("target", check_settings.target), ("board", check_settings.board))
        if name and name.endswith((".toml", ".mpool")) and of_base(name).is_file()
    }
    known = settings.baseline
    if chosen.baseline:
        known = of_base(chosen.baseline) if of_base(chosen.baseline).is_file() else None
    return (Policy(settings, replace(check_settings, **files), known),), remarks


def _pictured(chosen: argparse.Namespace) -> bool:
    forms = {chosen.format, *(form for form, _ in reports.destinations(chosen.report or ()))}
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


def _check_settings(chosen: argparse.Namespace, rules: Mapping[str, Rule]) -> CheckSettings:
    severity: dict[str, Severity | None] = {}
    for pair in chosen.severity or ():
        name, equals, word = pair.partition("=")
        if not equals:
            raise UsageError(f"--severity {pair}: write RULE=LEVEL, for example NPU107=note")
        severity |= dict.fromkeys(ids(name, rules, "--severity"), level(word, "--severity"))
    select = _names(chosen.select)
    return CheckSettings(
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
