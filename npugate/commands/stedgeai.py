"""``npugate stedgeai``: what the vendor's compiler says of models, without our own rules."""

from __future__ import annotations

import argparse
from functools import partial

from msgspec.structs import replace

from npugate.commands import compiler, reports, run_options
from npugate.compilers.stedgeai import catalogue
from npugate.console import Console
from npugate.errors import UsageError
from npugate.report.values import Report
from npugate.rules import registry
from npugate.run import pipeline


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Ask the compiler about the models; write the reports whatever the outcome."""
    return reports.report_on(chosen, console, partial(_asked, chosen, console))


def _asked(chosen: argparse.Namespace, console: Console, progress: reports.ProgressOf) -> Report:
    rules = registry.rules()
    options = run_options.options(chosen, rules, console, progress)
    tool = compiler.opened(chosen, console.environment)
    if tool is None:
        raise UsageError("--stedgeai off: then there is nothing to do")
    if tool.missing:
        raise UsageError(tool.missing)
    about = {row.rule for row in catalogue.rows() if row.where == "output"}
    about |= {catalogue.REFUSED, catalogue.MEMORY, catalogue.FALLBACK}
    command = replace(options.command, select=frozenset(about & rules.keys()))
    return pipeline.run(replace(options, ask=tool.ask, remarks=(), command=command), rules)
