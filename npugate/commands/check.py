"""``npugate check``: arguments into options, a run, its reports."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from npugate.commands import reports, run_options
from npugate.commands.parser import parser
from npugate.console import Console
from npugate.errors import UsageError
from npugate.report.values import Report
from npugate.rules import registry
from npugate.run import pipeline


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Check as the arguments say; write the reports whatever the outcome."""
    return reports.report_on(chosen, console, partial(examine, chosen, console))


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


def examine(chosen: argparse.Namespace, console: Console, progress: reports.ProgressOf) -> Report:
    """Turn arguments into options and run.

    Raises:
        UsageError: the arguments, the configuration or the file list must be changed.
    """
    rules = registry.rules()
    chosen_options = run_options.options(chosen, rules, console, progress)
    return pipeline.run(
        run_options.with_compiler(chosen_options, chosen, console.environment), rules
    )
