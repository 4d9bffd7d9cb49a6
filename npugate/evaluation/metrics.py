"""Measures of how well outputs agree with the truth, added up sample by sample.

With labels each model is compared with them, and the loss is the difference of the two metrics;
without labels the int8 model is compared with the float one.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from npugate.errors import UsageError
from npugate.facts.graph import Array
from npugate.rules.selection import suggestion

NAMES: Final = (
    *("mae", "rmse", "accuracy", "top-K", "agreement", "miou"),
    *("cosine", "sqnr", "nrmse", "max-error"),
)
FIDELITY: Final = frozenset({"cosine", "sqnr", "nrmse", "max-error"})
_TOP: Final = re.compile(r"top-([1-9]\d{0,3})")
Floats = npt.NDArray[np.float64]


class Measure(Protocol):
    """One metric of one model, being added up."""

    higher_is_better: bool

    def add(self, made: Array, truth: Array) -> None:
        """Take one sample.

        Args:
            made: T[...], what the model computed.
            truth: T[...], the label, or what the float model computed.
        """

    def value(self) -> float:
        """Return the metric over all samples."""


class Error(Struct):
    """Mean absolute error, or the root of the mean square."""

    power: int
    total: float = 0.0
    count: int = 0
    higher_is_better: bool = False

    def add(self, made: Array, truth: Array) -> None:
        """Take one sample.

        Args:
            made: T[...], n elements.
            truth: T[...], n elements in the same order.

        Raises:
            UsageError: the label has another number of elements.
        """
        if made.size != truth.size:
            raise UsageError(
                f"an error needs a label for each number: the output has {made.size}, the label "
                f"{truth.size}"
            )
        difference = np.abs(_floats(made) - _floats(truth))
        self.total += float((difference**self.power).sum())
        self.count += made.size

    def value(self) -> float:
        """Return the mean."""
        return float((self.total / self.count) ** (1 / self.power))


class Top(Struct):
    """Share of samples whose true class is among the ``k`` most likely."""

    k: int
    right: int = 0
    count: int = 0
    higher_is_better: bool = True

    def add(self, made: Array, truth: Array) -> None:
        """Take one sample.

        Args:
            made: T[...], a score for each of C classes.
            truth: int64[] or int64[1], a class; or T[...], C scores whose largest is the class.

        Raises:
            UsageError: there is no such class, or k is not below C.
        """
        scores = _floats(made)
        wanted = class_of(truth)
        if not 0 <= wanted < scores.size:
            raise UsageError(f"the label {wanted} is no class: the output has {scores.size}")
        if self.k >= scores.size:
            raise UsageError(f"top-{self.k} of {scores.size} classes is always right")
        best = np.argsort(-scores, kind="stable")[: self.k]
        self.right += wanted in best
        self.count += 1

    def value(self) -> float:
        """Return the share, 0 to 1."""
        return self.right / self.count


class Overlap(Struct):
    """Mean over the classes of intersection by union of the pixels; classes on axis 1."""

    both: Floats | None = None
    either: Floats | None = None
    higher_is_better: bool = True

    def add(self, made: Array, truth: Array) -> None:
        """Take one sample.

        Args:
            made: float32[1, C, H, W], scores; or [1, C, ...] of other places than pixels.
            truth: int64[H, W], classes; or scores as ``made``.

        Raises:
            UsageError: the shapes do not fit, or a class is not below C.
        """
        if made.ndim < 3 or made.shape[1] < 2:  # noqa: PLR2004 - batch, classes, a place
            raise UsageError(
                f"miou wants scores of [1, classes, ...], the output is {list(made.shape)}"
            )
        classes = made.shape[1]
        mine = np.argmax(_shaped(made), axis=1).reshape(-1)
        right = np.argmax(_shaped(truth), axis=1) if truth.shape == made.shape else truth
        right = right.reshape(-1).astype(np.int64)
        if right.size != mine.size or right.min() < 0 or right.max() >= classes:
            raise UsageError(f"miou wants a class below {classes} for each of {mine.size} places")
        counts = np.bincount(right * classes + mine, minlength=classes**2)
        table: Floats = counts.reshape(classes, classes).astype(np.float64)
        both: Floats = table.diagonal().astype(np.float64)
        either: Floats = table.sum(0) + table.sum(1) - both
        self.both = both if self.both is None else self.both + both
        self.either = either if self.either is None else self.either + either

    def value(self) -> float:
        """Return the mean over the classes that occur, 0 to 1."""
        if self.both is None or self.either is None:
            return math.nan
        seen = self.either > 0
        return float((self.both[seen] / self.either[seen]).mean())


class Custom(Struct):
    """A user's function of all outputs and all truths."""

    function: Callable[[Array, Array], object]
    name: str
    made: list[Array]
    truths: list[Array]
    higher_is_better: bool

    def add(self, made: Array, truth: Array) -> None:
        """Keep one sample.

        Args:
            made: T[*dims], the same dimensions for all samples.
            truth: T[...], the same dimensions for all samples.
        """
        self.made.append(made)
        self.truths.append(truth)

    def value(self) -> float:
        """Call the function with arrays stacked over the samples."""
        try:
            found = self.function(np.stack(self.made), np.stack(self.truths))
            number = float(found)  # type: ignore[arg-type]  # whatever a user returns
        except Exception as error:
            raise UsageError(f"--metric {self.name} failed: {error!r}") from error
        if not math.isfinite(number):
            raise UsageError(f"--metric {self.name} returned {number}")
        return number


def check(name: str) -> None:
    """Refuse a metric that there is not.

    Raises:
        UsageError: neither one of ``NAMES`` nor ``module:callable``.
    """
    if name in NAMES and name != "top-K":
        return
    if ":" not in name and not _TOP.fullmatch(name):
        raise UsageError(f"--metric: no metric {name!r}{suggestion(name, NAMES)}")


def measure(name: str) -> Measure:
    """Return an empty measure.

    Raises:
        UsageError: there is none of that name.
    """
    check(name)
    if ":" in name:
        function = _imported(name)
        better = bool(getattr(function, "higher_is_better", False))
        return Custom(function, name, [], [], better)
    top = _TOP.fullmatch(name)
    if top:
        return Top(int(top[1]))
    return _KINDS[name]()


_KINDS: Mapping[str, Callable[[], Measure]] = {
    "mae": lambda: Error(1),
    "rmse": lambda: Error(2),
    "accuracy": lambda: Top(1),
    "agreement": lambda: Top(1),
    "miou": Overlap,
}


def class_of(truth: Array) -> int:
    """Return a class: the number itself, or the position of the largest score.

    Args:
        truth: int64[] or int64[1], a class; or T[...], a score for each of C classes.
    """
    if truth.size == 1:
        return int(truth.reshape(-1)[0])
    return int(np.argmax(_floats(truth)))


def _imported(name: str) -> Callable[[Array, Array], object]:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise UsageError(f"--metric {name}: cannot be imported: {error!r}") from error
    if not callable(found):
        raise UsageError(f"--metric {name}: it is no function")
    function: Callable[[Array, Array], object] = found
    return function


def _floats(array: Array) -> Floats:
    return array.astype(np.float64).reshape(-1)


def _shaped(array: Array) -> Floats:
    return array.astype(np.float64)
