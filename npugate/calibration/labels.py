"""The labels of samples: from a file, from the data's own archive, or from folder names."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from msgspec import Struct

from npugate.calibration.arrays import stored
from npugate.calibration.data import Dataset
from npugate.errors import UsageError
from npugate.facts.graph import Array


class Labels(Struct, frozen=True):
    """One label for each sample.

    Attributes:
        values: one row for each sample; a class is an integer.
        names: of the classes, when they were given as words; class 0 first.
    """

    values: Array
    names: tuple[str, ...] = ()

    @property
    def is_classes(self) -> bool:
        """True for classes, false for measured numbers."""
        return self.values.dtype.kind in "iu"


def read(spec: str | None, dataset: Dataset) -> Labels | None:
    """Read the labels of a data set.

    Args:
        spec: a ``.npy``, ``.npz`` (of one array) or ``.csv`` file, or the name of an array in the
            data's own ``.npz``; None takes the sub-folders of a folder, if it has any.
        dataset: whose samples they label.

    Raises:
        UsageError: there are none, not as many as samples, or NaN among them.
    """
    if spec is None:
        return _coded(np.array(dataset.folders)) if dataset.folders else None
    values = _values(spec, dataset)
    if len(values) != dataset.count:
        raise UsageError(
            f"--labels {spec}: {len(values)} labels for {dataset.count} samples of {dataset.place}"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UsageError(f"--labels {spec}: NaN or infinite labels; leave those samples out")
    if values.dtype.kind in "US":
        return _coded(values)
    if values.dtype.kind not in "iufb":
        raise UsageError(f"--labels {spec}: labels are numbers or words, not {values.dtype}")
    return Labels(values.astype(np.int64) if values.dtype.kind in "iub" else values)


def _coded(words: Array) -> Labels:
    names, codes = np.unique(words, return_inverse=True)
    return Labels(codes.astype(np.int64), tuple(str(name) for name in names))


def _values(spec: str, dataset: Dataset) -> Array:
    place = Path(dataset.place)
    path = Path(spec)
    if place.suffix.lower() == ".npz" and not path.is_file():
        inside = stored(place)
        if spec in inside:
            return _row_each(inside[spec].whole())
        there = ", ".join(inside)
        raise UsageError(f"--labels {spec}: no such file, nor an array of {place} ({there})")
    if not path.is_file():
        raise UsageError(f"--labels {spec}: there is no such file")
    if path.suffix.lower() in {".npy", ".npz"}:
        arrays = stored(path)
        if len(arrays) != 1:
            raise UsageError(f"--labels {spec}: it holds {len(arrays)} arrays; give one of labels")
        return _row_each(next(iter(arrays.values())).whole())
    return _column(path)


def _row_each(array: Array) -> Array:
    if not array.ndim:
        raise UsageError("--labels: a single number labels nothing")
    return array.reshape(len(array)) if array.size == len(array) else array


def _column(path: Path) -> Array:
    """Read the last column of a CSV file; skip a first row of words above numbers.

    Returns:
        int64[N] of whole numbers, float64[N] of other numbers, str[N] of words.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            words = [row[-1].strip() for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"--labels {path}: cannot be read: {error}") from error
    numbers = [_number(word) for word in words]
    if words and numbers[0] is None and all(number is not None for number in numbers[1:]):
        words, numbers = words[1:], numbers[1:]
    if any(number is None for number in numbers):
        return np.array(words)
    if all(word.lstrip("+-").isdecimal() for word in words):
        return np.array([int(word) for word in words], dtype=np.int64)
    return np.array(numbers, dtype=np.float64)


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
