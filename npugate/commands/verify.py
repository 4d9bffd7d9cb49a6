"""``npugate verify``: run a model on samples, in float and in its own integers."""

from __future__ import annotations

import argparse
from pathlib import Path

from npugate.commands import data
from npugate.console import Console
from npugate.deploy import verify as work
from npugate.deploy.values import VerifyJob
from npugate.errors import UsageError
from npugate.reporters import verified
from npugate.settings import tracking


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Run the model as the arguments say; return 0, 1 when an output is not as expected."""
    reports = data.destinations(chosen.report or (), verified.FORMATS)
    job = VerifyJob(
        model=Path(chosen.model),
        data=Path(chosen.data) if chosen.data else None,
        preprocess=tuple(chosen.preprocess or ()),
        samples=chosen.samples,
        expect=expected(chosen.expect_range),
        seed=chosen.seed,
        seconds=chosen.timeout,
        tracked=tracking.of_files([Path(chosen.model)], console.environment),
    )
    report = work.verify(job)
    data.write(report, reports, verified.FORMATS)
    if not chosen.quiet:
        console.stdout.write(verified.FORMATS[chosen.format](report))
    return report.exit_code


def expected(value: str | None) -> tuple[float, float] | None:
    """Read ``LEAST:MOST``.

    Raises:
        UsageError: it is none.
    """
    if not value:
        return None
    low, colon, high = value.partition(":")
    try:
        found = float(low), float(high)
    except ValueError:
        colon = ""
    if not colon or not found[0] <= found[1]:
        raise UsageError(f"--expect-range {value}: write LEAST:MOST, for example 30:180")
    return found
