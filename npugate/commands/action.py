"""``npugate action``: what the GitHub Action calls inside its container."""

from __future__ import annotations

from npugate.cli import Console
from npugate.commands import check
from npugate.github import action


def run(console: Console) -> int:
    """Check as the inputs of the action say; return the exit code."""
    environment = console.environment
    return action.main(
        environment, console.stdout, lambda arguments: check.report_of(arguments, environment)
    )
