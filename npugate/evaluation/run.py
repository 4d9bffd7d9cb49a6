"""Evaluate an int8 model: from a job to a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from msgspec.structs import replace
from onnx import TensorProto

from npugate import __version__
from npugate.calibration import data
from npugate.calibration.sidecar import Sidecar
from npugate.errors import UsageError
from npugate.evaluation import grades, layers, metrics
from npugate.evaluation.context import EvaluationContext, Tally, context_of
from npugate.evaluation.metrics import Measure
from npugate.evaluation.spread import Spread
from npugate.evaluation.values import (
    EvaluateJob,
    EvaluationReport,
    Fidelity,
    Figure,
    LayerLoss,
    Threshold,
    Verdict,
)
from npugate.facts.graph import Array
from npugate.limits import Limits
from npugate.proof.samples import Sample
from npugate.proof.sessions import CannotRunError, Session
from npugate.sandbox import pool, task

_FEW = 30  # samples below which a figure is chance
_MOST_CLASSES = 64  # of a confusion table
_BEYOND = 1.25  # times the calibration range; a wider range of the data is a notice
Progress = Callable[[int, int], None]


def evaluate(job: EvaluateJob, progress: Progress = lambda _done, _all: None) -> EvaluationReport:
    """Compare an int8 model with its float original on data.

    Args:
        job: everything that decides the result.
        progress: told (done, all) with each sample, in another process.

    Raises:
        UsageError: a model, the data, a metric or a threshold cannot be used.
    """
    for name in job.metrics:
        metrics.check(name)
    limits = replace(Limits(), seconds=job.seconds)
    return task.run(partial(_work, job, limits, progress), limits, EvaluationReport)


def _work(job: EvaluateJob, limits: Limits, progress: Progress) -> EvaluationReport:
    """Do all of it; called in the child."""
    context = context_of(job, limits)
    pool.stage("running both models")
    tally = _tally(context)
    try:
        kept = _run(context, tally, progress)
        pool.stage("measuring each layer")
        original = context.original
        lost = (
            layers.losses(original.proto, original.facts, context.quantized.proto, kept)
            if len(kept) > 1
            else ()
        )
    except CannotRunError as error:
        raise UsageError(f"a model cannot be run: {error}") from error
    return _report(context, tally, lost)


def _tally(context: EvaluationContext) -> Tally:
    pairs: dict[str, tuple[Measure | None, Measure]] = {}
    for name in context.job.metrics:
        if name in metrics.FIDELITY:
            continue
        held = context.labels is not None and name != "agreement"
        pairs[name] = (metrics.measure(name) if held else None, metrics.measure(name))
    outputs = [t for t in context.original.facts.main.outputs if t.dtype == TensorProto.FLOAT]
    return Tally(pairs, {tensor.name: Spread() for tensor in outputs})


def _run(context: EvaluationContext, tally: Tally, progress: Progress) -> list[Sample]:
    """Run both models on every sample; return those that the layers are measured on.

    Returns:
        Samples that feed T[*dims] by input name, evenly spaced over the data.
    """
    left = Session(context.original.proto, optimised=True)
    right = Session(context.quantized.proto)
    used = frozenset() if isinstance(context.side, str) else frozenset(context.side.samples)
    kept: list[Sample] = []
    step = max(1, len(context.indices) // max(context.job.layers, 1))
    for done, index in enumerate(context.indices):
        sample = context.dataset.sample(index)
        if data.digest(sample) in used:
            tally.overlap += 1
            _refuse_overlap(context, sample)
        mine, other = left.run(sample.feeds), right.run(sample.feeds)
        _take(context, tally, sample, mine, other, index)
        if done % step == 0 and len(kept) < context.job.layers:
            kept.append(sample)
        progress(done + 1, len(context.indices))
    return kept


def _refuse_overlap(context: EvaluationContext, sample: Sample) -> None:
    if not context.job.allow_overlap:
        raise UsageError(
            f"{sample.label} was used to calibrate {context.job.int8_model}: a model is good on "
            "what it was calibrated with; evaluate with other samples, or pass --allow-overlap"
        )


def _take(
    context: EvaluationContext,
    tally: Tally,
    sample: Sample,
    mine: Mapping[str, Array],
    other: Mapping[str, Array],
    index: int,
) -> None:
    """Add one sample to every measure.

    Args:
        context: of the evaluation.
        tally: takes the numbers.
        sample: feeds T[*dims] by input name.
        mine: T[*dims] by output name, of the float model.
        other: T[*dims] by output name, of the int8 model.
        index: of the sample in the data.

    Raises:
        UsageError: an output is not finite, or a label does not fit.
    """
    for name, array in sample.feeds.items():
        low, high = float(np.min(array)), float(np.max(array))
        tally.lowest[name] = min(low, tally.lowest.get(name, low))
        tally.highest[name] = max(high, tally.highest.get(name, high))
    for name, spread in tally.spreads.items():
        if mine[name].size != other[name].size or not np.isfinite(mine[name]).all():
            raise UsageError(f"{sample.label}: output {name!r} is not finite, or of another size")
        spread.add(mine[name], other[name])
    a, b = mine[context.output], other[context.output]
    label = None if context.labels is None else np.asarray(context.labels.values[index])
    truth = a if label is None else label
    tally.truth.add(truth, truth)
    try:
        for name, (of_float, of_int8) in tally.pairs.items():
            if of_float is not None:
                of_float.add(a, truth)
            of_int8.add(b.reshape(a.shape), a if name == "agreement" else truth)
    except UsageError as error:
        raise UsageError(f"{sample.label}: {error}") from error
    if a.size == 1:
        known = None if label is None or label.size != 1 else float(label.reshape(-1)[0])
        tally.points.append((known, float(a.reshape(-1)[0]), float(b.reshape(-1)[0])))
    elif _scores(a) and (label is None or (label.size == 1 and label.dtype.kind in "iu")):
        tally.classes.append((metrics.class_of(truth), metrics.class_of(b)))


def _scores(array: Array) -> bool:
    """Tell whether an output T[..., C, ...] is one row of C scores: all its other axes are 1."""
    return 1 < array.size <= _MOST_CLASSES and array.size in array.shape


def _report(
    context: EvaluationContext, tally: Tally, lost: tuple[LayerLoss, ...]
) -> EvaluationReport:
    figures = tuple(_figure(context, name, *pair) for name, pair in tally.pairs.items())
    fidelity = tuple(_fidelity(name, spread) for name, spread in tally.spreads.items())
    first = tally.spreads[context.output]
    spread = tally.truth.deviation() if context.labels is not None else first.deviation()
    grade, by = grades.grade(figures, fidelity, spread)
    report = EvaluationReport(
        version=__version__,
        float_model=str(context.job.float_model),
        float_digest=context.original.model.digest,
        int8_model=str(context.job.int8_model),
        int8_digest=context.quantized.model.digest,
        data=context.dataset.place,
        samples=len(context.indices),
        available=context.dataset.count,
        labelled=context.labels is not None,
        calibration=context.kind,
        disjoint=None if isinstance(context.side, str) else not tally.overlap,
        overlap=tally.overlap,
        unit=context.job.unit,
        figures=figures,
        fidelity=fidelity,
        grade=grade,
        graded_by=by,
        verdicts=(),
        layers=lost,
        points=tuple(tally.points),
        confusion=_confusion(tally),
        class_names=context.labels.names if context.labels is not None else (),
        notices=(*_notices(context, tally), *grades.useless(_truths(context), figures)),
    )
    output = fidelity[list(tally.spreads).index(context.output)]
    verdicts = tuple(_verdict(item, report, output) for item in context.job.thresholds)
    return replace(report, verdicts=verdicts)


def _figure(
    context: EvaluationContext, name: str, of_float: Measure | None, of_int8: Measure
) -> Figure:
    value = of_int8.value()
    better = of_int8.higher_is_better
    unit = context.job.unit if name in {"mae", "rmse"} else ""
    if of_float is None:
        return Figure(name, "float", value, None, None, better, unit)
    base = of_float.value()
    loss = base - value if better else value - base
    return Figure(name, "labels", value, base, loss, better, unit)


def _fidelity(name: str, spread: Spread) -> Fidelity:
    return Fidelity(
        name,
        spread.sqnr_db(),
        spread.nrmse(),
        spread.cosine(),
        spread.largest,
        spread.rmse(),
        spread.deviation(),
    )


def _verdict(threshold: Threshold, report: EvaluationReport, output: Fidelity) -> Verdict:
    if threshold.metric == "grade":
        found: float | None = None if report.grade is None else float(report.grade)
    elif threshold.metric in metrics.FIDELITY:
        found = {
            "cosine": output.cosine,
            "sqnr": output.sqnr_db,
            "nrmse": output.nrmse,
            "max-error": output.max_error,
        }[threshold.metric]
    else:
        figure = next(item for item in report.figures if item.name == threshold.metric)
        found = figure.loss if threshold.of == "loss" else figure.int8_value
    if found is None:
        raise UsageError(
            f"{threshold.text()}: it cannot be measured, for the output does not vary over the "
            "samples; give data that differs"
        )
    passed = found <= threshold.limit if threshold.most else found >= threshold.limit
    return Verdict(threshold, found, passed)


def _confusion(tally: Tally) -> tuple[tuple[int, ...], ...]:
    if not tally.classes:
        return ()
    size = 1 + max(max(pair) for pair in tally.classes)
    table = np.zeros((size, size), dtype=np.int64)
    for truth, made in tally.classes:
        table[truth, made] += 1
    return tuple(tuple(int(count) for count in row) for row in table)


def _notices(context: EvaluationContext, tally: Tally) -> tuple[str, ...]:
    found: list[str] = []
    if context.kind == "random":
        found.append("the int8 model was calibrated with random numbers: its accuracy is unknown")
    if isinstance(context.side, str):
        found.append(f"whether samples were used for calibration is not known: {context.side}")
    elif tally.overlap:
        found.append(f"{tally.overlap} samples were used for calibration, too: figures flatter")
    if context.labels is None:
        found.append("no labels: the int8 model is held against the float one, right or wrong")
    if len(context.indices) < _FEW:
        found.append(f"{len(context.indices)} samples are few: the figures are chance to a part")
    if not isinstance(context.side, str):
        found += _beyond(context.side, tally)
    return tuple(found)


def _truths(context: EvaluationContext) -> Array:
    """Return one label for each evaluated sample.

    Returns:
        T[N]; float64[0] where labels are missing, or maps rather than numbers.
    """
    known = context.labels
    if known is None or known.values.ndim != 1:
        return np.zeros(0)
    return known.values[list(context.indices)]


def _beyond(side: Sidecar, tally: Tally) -> list[str]:
    """Tell of inputs that go well beyond what the ranges were measured on."""
    found: list[str] = []
    for name, (low, high) in side.limits.items():
        if name not in tally.lowest:
            continue
        room = (_BEYOND - 1) * (high - low)
        if tally.lowest[name] < low - room or tally.highest[name] > high + room:
            found.append(
                f"input {name!r} holds {tally.lowest[name]:g} to {tally.highest[name]:g}, but was "
                f"calibrated with {low:g} to {high:g}: is the preprocessing the same?"
            )
    return found
