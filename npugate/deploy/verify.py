"""Run an int8 model as the board would: on samples, fed in float and rounded to its own integers.

A quantised model begins with a QuantizeLinear on its input. What is fed rounded to that grid must
come out the same as what is fed in float; else the input is used before it is quantised.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from npugate.calibration import data, open_model, preprocessing
from npugate.calibration.open_model import Opened
from npugate.deploy.values import VerifiedOutput, VerifyJob, VerifyReport
from npugate.errors import UsageError
from npugate.facts import Array, Facts
from npugate.limits import Limits
from npugate.proof.sessions import CannotRunError, Session
from npugate.sandbox import pool, task


def verify(job: VerifyJob) -> VerifyReport:
    """Run a model on samples, in a bounded child.

    Raises:
        UsageError: the model or the data cannot be used.
    """
    if job.samples < 1:
        raise UsageError(f"--samples must be at least 1, not {job.samples}")
    limits = replace(Limits(), seconds=job.seconds)
    return task.run(partial(_work, job, limits), limits, VerifyReport)


class _Seen(Struct):
    lowest: dict[str, float] = field(default_factory=dict)
    highest: dict[str, float] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def add(self, outputs: Mapping[str, Array]) -> None:
        """Add the outputs of one run.

        Args:
            outputs: T[...] by name; numbers of any type.
        """
        for name, value in outputs.items():
            numbers = np.asarray(value, dtype=np.float64)
            if not np.isfinite(numbers).all():
                self.broken.add(name)
            low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
            self.lowest[name] = min(low, self.lowest.get(name, low))
            self.highest[name] = max(high, self.highest.get(name, high))


def _work(job: VerifyJob, limits: Limits) -> VerifyReport:
    pool.stage("reading the model")
    opened = open_model.open_model(job.model, limits, job.tracked)
    grids = _grids(opened.facts)
    seen, equal, count = _Seen(), True, 0
    pool.stage("running the model")
    try:
        session = Session(opened.proto)
        for feeds in _samples(job, opened):
            made = session.run(feeds)
            seen.add(made)
            if grids:
                rounded = {name: _rounded(value, grids.get(name)) for name, value in feeds.items()}
                again = session.run(rounded)
                equal &= all(np.array_equal(made[name], again[name]) for name in made)
            count += 1
    except CannotRunError as error:
        raise UsageError(f"{job.model}: it cannot be run: {error}") from error
    notices = () if job.data is not None else ("run on random numbers: give --data for real ones",)
    outputs = tuple(_output(name, seen, job.expect) for name in seen.lowest)
    same = equal if grids else None
    digest = opened.model.digest
    return VerifyReport(str(job.model), digest, count, outputs, same, job.expect, notices)


def _samples(job: VerifyJob, opened: Opened) -> list[Mapping[str, Array]]:
    if job.data is None:
        made = (data.random_sample(opened.ports, job.seed, n) for n in range(job.samples))
        return [sample.feeds for sample in made]
    found = data.open_data(job.data, opened.ports, preprocessing.parse(job.preprocess))
    return [found.sample(n).feeds for n in range(min(found.count, job.samples))]


def _grids(facts: Facts) -> dict[str, tuple[float, int, int, int]]:
    """Return scale, zero point and integer range of each input that is quantised at once."""
    found: dict[str, tuple[float, int, int, int]] = {}
    for tensor in facts.main.inputs:
        for reader in tensor.consumers:
            scale, zero = reader.constant(1), reader.constant(2)
            if reader.op_type != "QuantizeLinear" or scale is None or scale.size != 1:
                continue
            if zero is None or zero.dtype not in (np.int8, np.uint8):
                continue
            info = np.iinfo(np.int8 if zero.dtype == np.int8 else np.uint8)
            whole = int(zero.ravel()[0])
            found[tensor.name] = float(scale.ravel()[0]), whole, int(info.min), int(info.max)
    return found


def _rounded(value: Array, grid: tuple[float, int, int, int] | None) -> Array:
    if grid is None:
        return value
    scale, zero, least, most = grid
    whole = np.clip(np.rint(value.astype(np.float32) / np.float32(scale)) + zero, least, most)
    back: Array = ((whole - zero) * np.float32(scale)).astype(np.float32)
    return back


def _output(name: str, seen: _Seen, expect: tuple[float, float] | None) -> VerifiedOutput:
    low, high = seen.lowest[name], seen.highest[name]
    within = expect is None or (expect[0] <= low and high <= expect[1])
    return VerifiedOutput(name, low, high, name not in seen.broken, within)
