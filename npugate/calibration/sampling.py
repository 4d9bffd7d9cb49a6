"""Choose samples that cover every label evenly: what is rare in the data is not rare in the field.

Words and integers are strata as they are; measured numbers are cut into bins of equal width, so
that a heart rate of 150 counts as much as one of 70 however few people have it.
"""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np
from msgspec import Struct

from npugate.calibration.labels import Labels
from npugate.errors import UsageError
from npugate.facts.graph import Array

BINS: Final = 12
_MOST_CLASSES: Final = 1000  # more distinct integers than these are measured numbers


class Stratum(Struct, frozen=True):
    """One label, or one range of labels.

    Attributes:
        name: for example ``40 to 50`` or ``cat``.
        available, taken: samples.
    """

    name: str
    available: int
    taken: int


class Choice(Struct, frozen=True):
    """Chosen samples.

    Attributes:
        indices: ascending, so that a file is read forwards.
        strata: empty without labels.
    """

    indices: tuple[int, ...]
    strata: tuple[Stratum, ...] = ()

    @property
    def gaps(self) -> tuple[str, ...]:
        """Names of the strata that have no sample."""
        return tuple(stratum.name for stratum in self.strata if not stratum.taken)


def choose(count: int, wanted: int, labels: Labels | None, seed: int) -> Choice:
    """Choose samples at random, the same ones for the same seed.

    Args:
        count: how many there are.
        wanted: how many to take; all of them when there are fewer.
        labels: to take evenly from each; None takes evenly from all.
        seed: of the random numbers.

    Raises:
        UsageError: nothing is wanted, or all labels are the same.
    """
    if wanted < 1:
        raise UsageError(f"--samples must be at least 1, not {wanted}")
    rng = np.random.default_rng(seed)
    if labels is None:
        order = rng.permutation(count)[:wanted]
        return Choice(tuple(sorted(int(index) for index in order)))
    codes, names = _strata(labels)
    pools = [rng.permutation(np.flatnonzero(codes == code)) for code in range(len(names))]
    taken = _shares([len(pool) for pool in pools], wanted)
    chosen = np.concatenate([pool[:part] for pool, part in zip(pools, taken, strict=True)])
    strata = tuple(
        Stratum(name, len(pool), part) for name, pool, part in zip(names, pools, taken, strict=True)
    )
    return Choice(tuple(sorted(int(index) for index in chosen)), strata)


def _shares(available: list[int], wanted: int) -> list[int]:
    """Give every stratum the same share; what one cannot fill goes to the others."""
    taken = [0] * len(available)
    left = min(wanted, sum(available))
    while left:
        open_ones = [n for n, most in enumerate(available) if taken[n] < most]
        share = max(1, left // len(open_ones))
        for index in open_ones:
            part = min(share, available[index] - taken[index], left)
            taken[index] += part
            left -= part
    return taken


def _strata(labels: Labels) -> tuple[Array, list[str]]:
    """Return the stratum of each sample, and the names of the strata.

    Returns:
        int64[N], an index into the names for each of N samples; the names.

    Raises:
        UsageError: there are several labels for each sample, or all labels are the same.
    """
    values = labels.values
    if values.ndim != 1:
        raise UsageError("--labels: sampling by labels wants one label for each sample")
    if len(np.unique(values)) == 1:
        raise UsageError(
            f"--labels: every label is {_named(labels, values[0])}: the data covers one case only; "
            "add samples of the others, or leave --labels out"
        )
    if labels.is_classes and len(np.unique(values)) <= _MOST_CLASSES:
        classes, codes = np.unique(values, return_inverse=True)
        return codes, [_named(labels, value) for value in classes]
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high, BINS + 1)
    codes = np.clip(np.digitize(values.astype(np.float64), edges) - 1, 0, BINS - 1)
    names = [f"{a:.4g} to {b:.4g}" for a, b in itertools.pairwise(edges)]
    return codes, names


def _named(labels: Labels, value: np.generic) -> str:
    return labels.names[int(value)] if labels.names else str(value)
