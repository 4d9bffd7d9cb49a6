"""EXCELLENT, GOOD, FAIR or POOR: the limits, in one table.

An error's loss is taken by the spread of the labels (or of the float output), so that the limits
mean the same for heart rates and for temperatures: of heart rates between 40 and 160 BPM, whose
deviation is 35, a loss of 1.5 BPM is 4.3 %: GOOD.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from npugate.evaluation.values import Fidelity, Figure, Grade
from npugate.facts.graph import Array

# For each kind of figure the worst value of EXCELLENT, GOOD and FAIR.
LIMITS: Final[Mapping[str, tuple[float, float, float]]] = {
    "error": (0.015, 0.05, 0.10),  # loss by the deviation of the truth
    "share": (0.005, 0.02, 0.05),  # lost of an accuracy or overlap, 1 is all
    "sqnr": (30.0, 20.0, 10.0),  # dB, centred; the least
}
_ERRORS: Final = frozenset({"mae", "rmse"})
_STEPS: Final = (Grade.EXCELLENT, Grade.GOOD, Grade.FAIR)


def grade(
    figures: Sequence[Figure], fidelity: Sequence[Fidelity], spread: float
) -> tuple[Grade | None, str]:
    """Grade by the first figure that can; else by the worst output's signal to noise.

    Args:
        figures: as asked for, the most important first.
        fidelity: of every output.
        spread: deviation of the reference that errors are measured against; 0 when it is constant.

    Returns:
        The grade, and the words for what gave it; None when nothing varies.
    """
    for figure in figures:
        lost = figure.loss
        if lost is None and figure.name in {*_ERRORS, "agreement", "accuracy", "miou"}:
            lost = 1 - figure.int8_value if figure.higher_is_better else figure.int8_value
        if lost is None or ":" in figure.name:
            continue
        if figure.name in _ERRORS and spread:
            share = lost / spread
            return _step("error", share), f"{figure.name} loss is {share:.2%} of the spread"
        if figure.higher_is_better:
            return _step("share", lost), f"{figure.name} loss is {lost:.2%}"
    known = [item.sqnr_db for item in fidelity if item.sqnr_db is not None]
    if not known:
        return None, "no output varies over the samples"
    worst = min(known)
    return _step("sqnr", -worst), f"centred SQNR is {worst:.1f} dB"


def _step(kind: str, value: float) -> Grade:
    sign = -1 if kind == "sqnr" else 1
    for step, limit in zip(_STEPS, LIMITS[kind], strict=True):
        if value <= sign * limit:
            return step
    return Grade.POOR


def useless(labels: Array, figures: Sequence[Figure]) -> list[str]:
    """Tell when the float model is no better than one constant answer, so that no loss can show.

    Args:
        labels: T[N], one number for each sample; T[0] when there are none, which tells nothing.
        figures: as measured.

    Returns:
        A sentence for each figure that a constant answer reaches.
    """
    if not labels.size:
        return []
    truth = labels.astype(np.float64)
    bars = {
        "mae": float(np.abs(truth - np.median(truth)).mean()),
        "rmse": float(truth.std()),
        "accuracy": float(np.unique(truth, return_counts=True)[1].max() / len(truth)),
    }
    return [
        f"the float model has {figure.name} {figure.float_value:.4g}, no better than one answer "
        f"for every sample ({bars[figure.name]:.4g}): is the preprocessing right?"
        for figure in figures
        if figure.name in bars
        and figure.float_value is not None
        and (figure.float_value - bars[figure.name]) * (-1 if figure.higher_is_better else 1) >= 0
    ]
