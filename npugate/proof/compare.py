"""Compare two results with a tolerance that the model itself calibrates.

A fixed relative tolerance misses small mutants in models with a large output and condemns
harmless reorderings in deep ones. So the limit for a tensor is what the same model differs by when
onnxruntime computes it with other kernels, times a margin, plus the rounding of its largest value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import ml_dtypes
import numpy as np
from msgspec import Struct

from npugate.facts.graph import Array

MARGIN: Final = 32  # times the model's own noise, and times the rounding unit of its largest value


class Difference(Struct, frozen=True):
    """How far one tensor is from its original.

    Attributes:
        error: largest absolute difference; 0 for equal.
        limit: what is allowed.
        fault: why it is not equal although no number says so, else ``""``.
        steps: share of the elements that are one step of a quantiser off, as they may be.
    """

    error: float
    limit: float
    fault: str = ""
    steps: float = 0.0

    @property
    def is_equal(self) -> bool:
        """True when the difference is within its limit."""
        return not self.fault and self.error <= self.limit


def difference(original: Array, repaired: Array, noise: Callable[[], float]) -> Difference:
    """Compare two tensors element by element, in row-major order, whatever their shapes.

    Args:
        original: T[...], n elements; the reference.
        repaired: T[...], n elements of the same type.
        noise: returns the model's own noise for this tensor; only called when rounding alone does
            not explain the difference.
    """
    if original.dtype != repaired.dtype:
        return Difference(0, 0, f"its type is {repaired.dtype}, not {original.dtype}")
    if original.size != repaired.size:
        shapes = f"{list(repaired.shape)}, not {list(original.shape)}"
        return Difference(0, 0, f"its shape is {shapes}")
    left, right = original.reshape(-1), repaired.reshape(-1)
    if left.dtype.kind in "OSU":
        return Difference(0, 0, "" if np.array_equal(left, right) else "its text differs")
    if not is_float(left):
        error = _exact(left, right)
        return Difference(error, 0.0)
    return _rounded(left, right, noise)


def leaves(value: object) -> list[Array]:
    """Return the arrays of a result in order: T[...] each, of a tensor, a sequence or a map."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [leaf for pair in value.items() for item in pair for leaf in leaves(item)]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in leaves(item)]
    return [np.asarray(value)]


def is_float(array: Array) -> bool:
    """Tell whether an array any[...] holds floating-point numbers, which round."""
    return array.dtype.kind in "fc" or array.dtype == ml_dtypes.bfloat16


def _unit(dtype: np.dtype[np.generic]) -> float:
    """Return the distance from 1 to the next number of a floating-point type."""
    return float(ml_dtypes.finfo(dtype).eps)  # type: ignore[no-untyped-call]  # it has no types


def _exact(left: Array, right: Array) -> float:
    if left.size == 0 or np.array_equal(left, right):
        return 0.0
    return float(np.max(np.abs(left.astype(np.float64) - right.astype(np.float64))))


def rounding(array: Array) -> float:
    """Return the absolute difference that the rounding of the largest element allows.

    Args:
        array: T[...] of a floating-point type.
    """
    finite = array[np.isfinite(array)]
    return MARGIN * _unit(array.dtype) * float(np.max(np.abs(finite), initial=0))


def any_finite(array: Array) -> bool:
    """Tell whether an array T[...] holds a number that is neither NaN nor infinite."""
    return bool(np.isfinite(array).any())


def _rounded(left: Array, right: Array, noise: Callable[[], float]) -> Difference:
    if np.array_equal(left, right):  # the usual case, and without a wide copy of either
        scale = float(np.max(np.abs(left), initial=0))
        return Difference(0.0, MARGIN * _unit(left.dtype) * scale if np.isfinite(scale) else 0.0)
    wide_left, wide_right = left.astype(np.float64), right.astype(np.float64)
    finite = np.isfinite(wide_left)
    same = (wide_left == wide_right) | (np.isnan(wide_left) & np.isnan(wide_right))
    if not np.all(finite | same) or not np.all(np.isfinite(wide_right) | ~finite):
        return Difference(np.inf, 0.0, "it has NaN or infinity where the original has none")
    if not finite.any():
        return Difference(0.0, 0.0)
    error = float(np.max(np.abs(wide_left[finite] - wide_right[finite])))
    scale = float(np.max(np.abs(wide_left[finite])))
    limit = MARGIN * _unit(left.dtype) * scale
    if error > limit:
        limit += MARGIN * noise()
    return Difference(error, limit)
