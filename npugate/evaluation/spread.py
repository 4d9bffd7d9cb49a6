"""Signal and noise of one tensor over many samples, without keeping the samples.

The signal is centred: what an element is on average carries nothing, and where it is large (an
output of 30 + 150 x sigmoid) it makes any error look small.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct

from npugate.evaluation.metrics import Floats
from npugate.facts.graph import Array

TOP_DB = 200.0  # of what is equal to the last bit
_NOTHING = 1e-12  # relative: a spread below it is rounding


class Spread(Struct):
    """Sums over the samples; the first one is the origin, which keeps them exact."""

    count: int = 0
    origin: Floats | None = None
    first: Floats | None = None  # sum of float values, from the origin
    gaps: Floats | None = None  # sum of int8 - float
    squares: float = 0.0
    gap_squares: float = 0.0
    product: float = 0.0
    float_norm: float = 0.0
    int8_norm: float = 0.0
    largest: float = 0.0

    def add(self, original: Array, quantized: Array) -> None:
        """Take one sample of the tensor from each model.

        Args:
            original: T[...], n elements, of the float model.
            quantized: T[...], n elements in the same order, of the int8 model.
        """
        a = original.astype(np.float64).reshape(-1)
        b = quantized.astype(np.float64).reshape(-1)
        if self.origin is None or self.first is None or self.gaps is None:
            self.origin, self.first, self.gaps = a, np.zeros_like(a), np.zeros_like(a)
        moved, gap = a - self.origin, b - a
        self.first += moved
        self.gaps += gap
        self.squares += float(moved @ moved)
        self.gap_squares += float(gap @ gap)
        self.product += float(a @ b)
        self.float_norm += float(a @ a)
        self.int8_norm += float(b @ b)
        self.largest = max(self.largest, float(np.abs(gap).max(initial=0.0)))
        self.count += 1

    @property
    def elements(self) -> int:
        """Numbers that were compared."""
        return self.count * (0 if self.origin is None else self.origin.size)

    @property
    def signal(self) -> float:
        """Sum of squares around each element's mean; 0 when that is rounding."""
        if self.first is None:
            return 0.0
        found = self.squares - float(self.first @ self.first) / self.count
        return found if found > _NOTHING * max(self.float_norm, 1e-300) else 0.0

    def sqnr_db(self) -> float | None:
        """Return the centred signal to noise ratio; None without a signal."""
        if not self.signal or self.gaps is None:
            return None
        noise = self.gap_squares - float(self.gaps @ self.gaps) / self.count
        if noise <= self.signal * 10 ** (-TOP_DB / 10):
            return TOP_DB
        return 10 * math.log10(self.signal / noise)

    def rmse(self) -> float:
        """Return the root mean square of the error."""
        return math.sqrt(self.gap_squares / max(self.elements, 1))

    def deviation(self) -> float:
        """Return the standard deviation of the float values over the samples."""
        return math.sqrt(self.signal / max(self.elements, 1))

    def nrmse(self) -> float | None:
        """Return the error by the deviation; None without a signal."""
        return self.rmse() / self.deviation() if self.signal else None

    def cosine(self) -> float:
        """Return the cosine of all values; 1 for two tensors of zeros."""
        norm = math.sqrt(self.float_norm) * math.sqrt(self.int8_norm)
        if norm:
            return self.product / norm
        return 1.0 if self.float_norm == self.int8_norm else 0.0
