"""``npugate base``: what the GitHub Action calls where git cannot reach the base."""

from __future__ import annotations

import argparse

from npugate.console import Console
from npugate.github import base_models
from npugate.github.client import Clock


def run(_chosen: argparse.Namespace, console: Console) -> int:
    """Fetch the base of the change that started the run; return 0."""
    return base_models.main(console.environment, console.stdout, Clock())
