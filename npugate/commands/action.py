"""``npugate action``: what the GitHub Action calls inside its container."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from npugate.commands import check, fix
from npugate.console import Console
from npugate.github import action
from npugate.report.values import Report


def _report_of(arguments: Sequence[str], environment: Mapping[str, str]) -> Report:
    command = fix.report_of if arguments[0] == "fix" else check.report_of
    return command(arguments, environment)


def run(_chosen: argparse.Namespace, console: Console) -> int:
    """Check as the inputs of the action say; return the exit code."""
    environment = console.environment
    return action.main(
        environment, console.stdout, lambda arguments: _report_of(arguments, environment)
    )
