"""Run an original model and its repaired copy, and compare what comes out: tools/repair_corpus.py.

It shares nothing with the proof inside npugate: other inputs, a fixed tolerance, and for onnx's
backend tests their own reference inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import numpy_helper

Array = npt.NDArray[Any]

RTOL, ATOL = 1e-3, 1e-4
_SEEDS: Final = (101, 202)
_ROWS: Final = 2  # axes of a tensor whose leading one may be of samples
_SCALES: Final = (1.0, 0.5, 3.0, 2.0, 0.7)
_OFFSETS: Final = (0.0, 1.0, -0.5, 0.25)


def compare(pair: tuple[Path, Path]) -> str:
    """Run an original and its repaired copy; say ``equal``, ``different: …`` or ``not run: …``."""
    original, repaired = pair
    try:
        before = _session(original)
    except Exception as error:  # noqa: BLE001  # onnxruntime's exceptions share no base class
        return f"not run: the original does not load: {str(error).splitlines()[0][:150]}"
    try:
        after = _session(repaired)
    except Exception as error:  # noqa: BLE001  # as above
        return f"different: the result does not load: {str(error).splitlines()[0][:200]}"
    compared = 0
    for feeds, expected in _samples(original, before, after):
        try:
            own = before.run(None, feeds)
            # A runtime may differ from a test's own outputs; the repair is held to the original.
            as_told = expected and not any(map(_fault, expected, own))
            reference = expected if as_told else own
        except Exception as error:  # noqa: BLE001  # as above
            if compared:
                continue  # a test's own numbers were taken; it need not take others
            return f"not run: the original fails: {str(error).splitlines()[0][:150]}"
        result = _run(after, feeds, own)
        for left, right in zip(reference, result, strict=True):
            fault = _fault(left, right)
            if fault:
                return f"different: {fault}"
            compared += 1
    return "equal" if compared else "not run: nothing to compare"


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _samples(
    original: Path, before: ort.InferenceSession, after: ort.InferenceSession
) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Yield (feeds, reference outputs or none): a test's own first, else seeded ones."""
    sets = sorted(original.parent.glob("test_data_set_*"))
    if sets and len(before.get_inputs()) == len(list(sets[0].glob("input_*.pb"))):
        for folder in sets:
            inputs = [_array(folder / f"input_{i}.pb") for i in range(len(before.get_inputs()))]
            outputs = [_array(folder / f"output_{i}.pb") for i in range(len(before.get_outputs()))]
            names = [item.name for item in before.get_inputs()]
            yield dict(zip(names, inputs, strict=True)), outputs
            yield dict(zip(names, map(_apart, inputs), strict=True)), []
        return
    for seed in _SEEDS:
        rng = np.random.default_rng(seed)
        yield {item.name: _random(item, after, rng) for item in before.get_inputs()}, []


def _array(path: Path) -> Array:
    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def _random(item: ort.NodeArg, after: ort.InferenceSession, rng: np.random.Generator) -> Array:
    fixed = {other.name: other.shape for other in after.get_inputs()}
    shape = [dim if isinstance(dim, int) else None for dim in item.shape]
    other = fixed.get(item.name, shape)
    if None in shape and len(other) == len(shape):
        shape = [b if a is None else a for a, b in zip(shape, other, strict=True)]
    dims = [dim or 1 for dim in shape]
    kind = item.type[len("tensor(") : -1]
    if "float" in kind or kind == "double":
        wanted = {"float": np.float32, "double": np.float64, "float16": np.float16}[kind]
        return _apart(rng.standard_normal(dims).astype(wanted))
    if kind == "bool":
        return rng.integers(0, 2, dims).astype(bool)
    return rng.integers(0, 2, dims).astype(kind)


def _apart(array: Array) -> Array:
    """Give the rows of the leading axis scales and offsets of their own, as samples have."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.ndim < _ROWS:
        return array
    count = len(array)
    shape = (count, *[1] * (array.ndim - 1))
    scale = np.resize(_SCALES, count).reshape(shape).astype(array.dtype)
    offset = np.resize(_OFFSETS, count).reshape(shape).astype(array.dtype)
    return np.asarray(array * scale + offset).astype(array.dtype)


def _run(session: ort.InferenceSession, feeds: dict[str, Any], like: list[Any]) -> list[Any]:
    """Run a repaired model; one that takes a single sample now, once for each of the feeds'."""
    sizes = {item.name: item.shape for item in session.get_inputs()}
    many = {
        name: array.shape[0]
        for name, array in feeds.items()
        if isinstance(array, np.ndarray)
        and array.ndim == len(sizes.get(name, []))
        and array.ndim
        and sizes[name][0] == 1 < array.shape[0]
        and list(array.shape[1:]) == sizes[name][1:]
    }
    if not many:
        return list(session.run(None, _fitting(feeds, session)))
    (count,) = set(many.values())
    rows = [
        session.run(
            None,
            {name: array[at : at + 1] if name in many else array for name, array in feeds.items()},
        )
        for at in range(count)
    ]
    whole = [np.concatenate(each) for each in zip(*rows, strict=True)]
    # What is the same for every sample has no row for each.
    return [
        joined if joined.size == wanted.size else row
        for joined, row, wanted in zip(whole, rows[0], like, strict=True)
    ]


def _fitting(feeds: dict[str, Any], session: ort.InferenceSession) -> dict[str, Any]:
    shapes = {item.name: item.shape for item in session.get_inputs()}
    return {
        name: array.reshape(shapes[name]) if hasattr(array, "reshape") else array
        for name, array in feeds.items()
        if name in shapes
    }


def _fault(left: object, right: object) -> str:
    if not isinstance(left, np.ndarray) or not isinstance(right, np.ndarray):
        return "" if str(left) == str(right) else "a sequence or map differs"
    if left.dtype != right.dtype or left.size != right.size:
        return f"{right.dtype}{list(right.shape)}, not {left.dtype}{list(left.shape)}"
    one, other = left.reshape(-1), right.reshape(-1)
    if one.dtype.kind in "OSU":
        return "" if [str(v) for v in one] == [str(v) for v in other] else "text differs"
    wide = one.astype(np.float64), other.astype(np.float64)
    if np.allclose(*wide, rtol=RTOL, atol=ATOL, equal_nan=True):
        return ""
    return f"max |d| {np.nanmax(np.abs(wide[0] - wide[1])):.3g}"
