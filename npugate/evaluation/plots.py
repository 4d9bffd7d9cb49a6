"""Pictures of an evaluation: errors and Bland-Altman for one number, confusion for classes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from npugate import atomic_write
from npugate.errors import UsageError
from npugate.evaluation.values import EvaluationReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZE_INCHES: Final = (8.0, 5.0)
_AGREEMENT: Final = 1.96  # standard deviations that hold 95 % of normal differences
_MOST_NUMBERS: Final = 20  # classes whose counts are written into the cells


def require() -> None:
    """Raise before hours of work what would be raised after it.

    Raises:
        UsageError: matplotlib is missing.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError("plots need matplotlib: pip install 'npugate[evaluate]'") from error
    mpl.use("agg")  # no window, ever


def draw(report: EvaluationReport, folder: Path) -> tuple[Path, ...]:
    """Write the pictures that a report has the data for.

    Args:
        report: with points or a confusion table.
        folder: made if it is not there.

    Returns:
        The files.

    Raises:
        UsageError: matplotlib is missing, or the folder cannot be written.
    """
    require()
    made: dict[str, Figure] = {}
    if report.points:
        made["errors.png"] = _errors(report)
        made["bland-altman.png"] = _bland_altman(report)
    if report.confusion:
        made["confusion.png"] = _confusion(report)
    paths: list[Path] = []
    for name, figure in made.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
        atomic_write.write_bytes(folder / name, buffer.getvalue())
        paths.append(folder / name)
    return tuple(paths)


def _figure() -> Figure:
    from matplotlib.figure import Figure as Canvas  # noqa: PLC0415 - an extra

    return Canvas(figsize=_SIZE_INCHES, layout="constrained")


def _named(report: EvaluationReport, what: str) -> str:
    return f"{what} ({report.unit})" if report.unit else what


def _errors(report: EvaluationReport) -> Figure:
    """Draw the output over the truth, float and int8."""
    figure = _figure()
    axes = figure.subplots()
    truth = np.array([label if label is not None else made for label, made, _ in report.points])
    original = np.array([made for _, made, _ in report.points])
    quantized = np.array([made for _, _, made in report.points])
    if report.labelled:
        axes.scatter(truth, original - truth, s=12, label="float", alpha=0.6)
    axes.scatter(truth, quantized - truth, s=12, label="int8", alpha=0.6)
    axes.axhline(0, color="grey", linewidth=1)
    axes.set_xlabel(_named(report, "label" if report.labelled else "float"))
    axes.set_ylabel(_named(report, "error"))
    axes.legend()
    return figure


def _bland_altman(report: EvaluationReport) -> Figure:
    """Draw int8 minus float over their mean, with the limits of agreement."""
    figure = _figure()
    axes = figure.subplots()
    original = np.array([made for _, made, _ in report.points])
    quantized = np.array([made for _, _, made in report.points])
    gap = quantized - original
    axes.scatter((original + quantized) / 2, gap, s=12)
    mean, reach = float(gap.mean()), _AGREEMENT * float(gap.std())
    for height, name in ((mean, "mean"), (mean - reach, "-1.96 sd"), (mean + reach, "+1.96 sd")):
        axes.axhline(height, linestyle="--", linewidth=1, color="grey")
        axes.annotate(
            f"{name} {height:.3g}",
            (1, height),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
        )
    axes.set_xlabel(_named(report, "mean of float and int8"))
    axes.set_ylabel(_named(report, "int8 - float"))
    return figure


def _confusion(report: EvaluationReport) -> Figure:
    figure = _figure()
    axes = figure.subplots()
    table = np.array(report.confusion)
    axes.imshow(table, cmap="Blues")
    axes.set_xlabel("int8")
    axes.set_ylabel("label" if report.labelled else "float")
    if len(table) <= _MOST_NUMBERS:
        for (row, column), count in np.ndenumerate(table):
            axes.text(column, row, str(count), ha="center", va="center")
        names = report.class_names or tuple(str(index) for index in range(len(table)))
        if len(names) == len(table):
            axes.set_xticks(range(len(names)), names, rotation=45)
            axes.set_yticks(range(len(names)), names)
    return figure
