"""``npugate evaluate``: two models and data in, metrics, verdicts and an exit code out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from npugate.commands import data
from npugate.console import Console
from npugate.errors import UsageError
from npugate.evaluation import plots
from npugate.evaluation import run as work
from npugate.evaluation.values import EvaluateJob, Grade, Threshold
from npugate.reporters import evaluated
from npugate.settings import tracking

# Options that name a limit: option -> (metric, what of it, largest allowed).
_SHORT = {
    "max_mae_increase": ("mae", "loss", True),
    "max_rmse_increase": ("rmse", "loss", True),
    "max_accuracy_drop": ("accuracy", "loss", True),
    "max_miou_drop": ("miou", "loss", True),
    "min_accuracy": ("accuracy", "value", False),
    "min_agreement": ("agreement", "value", False),
    "min_miou": ("miou", "value", False),
    "min_sqnr": ("sqnr", "value", False),
    "min_cosine": ("cosine", "value", False),
    "max_nrmse": ("nrmse", "value", True),
    "max_error": ("max-error", "value", True),
}


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Evaluate as the arguments say; return 0, 1 when a threshold fails."""
    reports = data.destinations(chosen.report or (), evaluated.FORMATS)
    if chosen.plots:
        plots.require()
    thresholds = tuple(_thresholds(chosen))
    metrics = list(dict.fromkeys(chosen.metric or ()))
    metrics += [t.metric for t in thresholds if t.metric not in {*metrics, "grade"}]
    if any(":" in name for name in metrics):
        sys.path.insert(0, str(Path.cwd()))  # as python -m does; the installed program does not
    job = EvaluateJob(
        float_model=Path(chosen.float_model),
        int8_model=Path(chosen.int8_model),
        data=Path(chosen.data),
        labels=chosen.labels,
        preprocess=tuple(chosen.preprocess or ()),
        metrics=tuple(dict.fromkeys(metrics)),
        unit=chosen.unit,
        output=chosen.output_name,
        thresholds=thresholds,
        samples=chosen.samples,
        seed=chosen.seed,
        layers=chosen.layers,
        allow_overlap=chosen.allow_overlap,
        seconds=chosen.timeout,
        tracked=tracking.of_files(
            [Path(chosen.float_model), Path(chosen.int8_model)], console.environment
        ),
    )
    report = work.evaluate(job, data.bar(console, "sample"))
    data.write(report, reports, evaluated.FORMATS)
    if chosen.plots:
        plots.draw(report, Path(chosen.plots))
    if not chosen.quiet:
        console.stdout.write(evaluated.FORMATS[chosen.format](report))
    return report.exit_code


def _thresholds(chosen: argparse.Namespace) -> Iterator[Threshold]:
    for option, (metric, of, most) in _SHORT.items():
        limit = getattr(chosen, option)
        if limit is not None:
            yield Threshold(metric, of, most, limit)
    for option, most in (("max_loss", True), ("max_value", True), ("min_value", False)):
        for pair in getattr(chosen, option) or ():
            name, _, number = pair.rpartition("=")
            try:
                yield Threshold(
                    name, "loss" if option == "max_loss" else "value", most, float(number)
                )
            except ValueError as error:
                flag = option.replace("_", "-")
                raise UsageError(f"--{flag} {pair}: write METRIC=NUMBER") from error
    if chosen.min_grade:
        yield Threshold("grade", "value", most=False, limit=float(Grade[chosen.min_grade]))
