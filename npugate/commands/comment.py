"""``npugate comment``: what the GitHub Action calls to comment on a pull request."""

from __future__ import annotations

import argparse

from npugate.console import Console
from npugate.github import comment
from npugate.github.client import Clock


def run(_chosen: argparse.Namespace, console: Console) -> int:
    """Comment as the inputs of the action say; return 0."""
    return comment.main(console.environment, console.stdout, Clock())
