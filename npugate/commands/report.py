"""``npugate report``: a page that shows models, and their plots."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from npugate import files, pipeline, registry
from npugate.cli import Console
from npugate.commands import check, fix
from npugate.errors import UsageError
from npugate.report import ModelReport, Report
from npugate.reporters import plots

_OURS: Final = 3
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_NAME: Final = 100  # characters of a model's path in the name of a file


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Examine as ``check`` does, write page and plots; findings do not change the exit code.

    Returns:
        0; 1 when a model could not be examined, 3 when a rule raised.
    """
    if not chosen.html and not chosen.plots:
        raise UsageError("say where the report goes: --html FILE, --plots DIR or both")
    sources = check.source_url(chosen)
    report = _examined(chosen, console)
    written: list[Path] = []
    if chosen.html:
        path = Path(chosen.html)
        files.write_text(path, check.written(report, "html", path, sources))
        written.append(path)
    for path, picture in _plots(report, Path(chosen.plots)) if chosen.plots else ():
        files.write_text(path, picture)
        written.append(path)
    if not chosen.quiet:
        console.stdout.writelines(f"{path}\n" for path in written)
    if report.crashed:
        return _OURS
    return 1 if any(model.unreadable for model in report.models) else 0


def _examined(chosen: argparse.Namespace, console: Console) -> Report:
    rules = registry.rules()
    options = check.options(chosen, rules, console, lambda _done, _all: None)
    if chosen.fix:
        options = replace(options, fixing=fix.fixing(chosen, registry.repairs()))
    return pipeline.run(options, rules)


def _plots(report: Report, folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each plot with its place; a model without an estimate has none."""
    names: dict[str, int] = {}
    for model in report.models:
        name = _file_name(model)
        names[name] = names.get(name, 0) + 1
        stem = name if names[name] == 1 else f"{name}-{names[name]}"
        if model.estimate is None:
            continue
        for kind, picture in plots.of(model.estimate).items():
            yield folder / f"{stem}.{kind}.svg", picture


def _file_name(model: ModelReport) -> str:
    return _UNSAFE.sub("_", model.path)[-_NAME:].lstrip(".") or "model"
