"""``npugate estimate``: where a model runs, what memory it needs, how long it takes."""

from __future__ import annotations

import argparse
from typing import Final

from npugate.commands import run_options
from npugate.console import Console
from npugate.reporters import REPORTERS, costs
from npugate.rules import registry
from npugate.run import pipeline

_OURS: Final = 3


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Examine as ``check`` does and print the estimates.

    Returns:
        0, whatever breaks a limit of the target; 1 when a model could not be examined or is no
        valid model, 3 when a rule raised.
    """
    rules = registry.rules()
    options = run_options.options(chosen, rules, console, lambda _done, _all: None)
    report = pipeline.run(options, rules)
    if chosen.format == "json":
        console.stdout.write(REPORTERS["json"](report))
    else:
        console.stdout.write(costs.render(report, every=chosen.verbose))
    if report.crashed:
        return _OURS
    return 1 if any(model.unreadable or model.faults for model in report.models) else 0
