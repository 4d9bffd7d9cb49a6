"""``npugate quantize``: a float model and data in, an int8 model and a report out."""

from __future__ import annotations

import argparse
from pathlib import Path

from npugate.commands import data
from npugate.console import Console
from npugate.int8 import run as work
from npugate.int8.values import QuantizeJob
from npugate.reporters import quantized
from npugate.settings import tracking


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Quantise as the arguments say; return 0, 1 when the result fails a check."""
    reports = data.destinations(chosen.report or (), quantized.FORMATS)
    job = QuantizeJob(
        model=Path(chosen.model),
        output=Path(chosen.output),
        calibration=Path(chosen.calibration) if chosen.calibration else None,
        labels=chosen.labels,
        preprocess=tuple(chosen.preprocess or ()),
        method=chosen.method,
        percentile=chosen.percentile,
        samples=chosen.samples,
        seed=chosen.seed,
        exclude=tuple(chosen.exclude or ()),
        is_random=chosen.random_calibration,
        target=chosen.target,
        toolchain=chosen.toolchain,
        seconds=chosen.timeout,
        tracked=tracking.of_files([Path(chosen.model)], console.environment),
    )
    report = work.quantize(job, data.bar(console, "sample"))
    data.write(report, reports, quantized.FORMATS)
    if not chosen.quiet:
        console.stdout.write(quantized.FORMATS[chosen.format](report))
    return report.exit_code
