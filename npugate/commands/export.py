"""``npugate export``: a function that returns a PyTorch module in, an ONNX file and a report out.

It runs the user's code, so it is for the command line only: no step of the action calls it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from npugate.commands import data
from npugate.console import Console
from npugate.export import run as work
from npugate.export.values import ExportJob
from npugate.reporters import exported


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Export as the arguments say; return 0, 1 when errors are left or nothing was written."""
    reports = data.destinations(chosen.report or (), exported.FORMATS)
    job = ExportJob(
        entry=chosen.entry,
        output=Path(chosen.output),
        weights=Path(chosen.weights) if chosen.weights else None,
        exporter=chosen.exporter,
        input_names=tuple(chosen.input_name or ()),
        output_names=tuple(chosen.output_name or ()),
        seeds=chosen.seeds,
        repairs=not chosen.no_repair,
        target=chosen.target,
        toolchain=chosen.toolchain,
        seconds=chosen.timeout,
    )
    report = work.export(job)
    data.write(report, reports, exported.FORMATS)
    if not chosen.quiet:
        console.stdout.write(exported.FORMATS[chosen.format](report))
    return report.exit_code
