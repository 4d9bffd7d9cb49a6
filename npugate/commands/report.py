"""``npugate report``: a page that shows models, and their plots."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from npugate import atomic_write, escape
from npugate.commands import fix, reports, run_options
from npugate.console import Console
from npugate.errors import UsageError
from npugate.report.values import Report
from npugate.reporters import plots
from npugate.rules import registry
from npugate.run import pipeline

_OURS: Final = 3


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Examine as ``check`` does, write page and plots; findings do not change the exit code.

    Returns:
        0; 1 when a model could not be examined, 3 when a rule raised.
    """
    if not chosen.html and not chosen.plots:
        raise UsageError("say where the report goes: --html FILE, --plots DIR or both")
    sources = reports.source_url(chosen)
    report = _examined(chosen, console)
    written: list[Path] = []
    if chosen.html:
        path = Path(chosen.html)
        atomic_write.write_text(path, reports.written(report, "html", path, sources))
        written.append(path)
    for name, picture in plots.named(report) if chosen.plots else ():
        path = Path(chosen.plots, name)
        atomic_write.write_text(path, picture)
        written.append(path)
    if not chosen.quiet:
        console.stdout.writelines(escape.log_lines(str(path)) for path in written)
    if report.crashed:
        return _OURS
    return 1 if any(model.unreadable for model in report.models) else 0


def _examined(chosen: argparse.Namespace, console: Console) -> Report:
    rules = registry.rules()
    options = run_options.options(chosen, rules, console, lambda _done, _all: None)
    if chosen.fix:
        options = replace(options, repair_request=fix.repair_request(chosen, registry.repairs()))
    return pipeline.run(options, rules)
