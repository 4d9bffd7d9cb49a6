"""Quantise one model: from a job to a file and a report."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace
from onnx import ModelProto

from npugate import __version__, atomic_write
from npugate.calibration import data, labels, open_model, preprocessing, sampling, sidecar
from npugate.calibration.open_model import Opened
from npugate.errors import NpugateError, UsageError
from npugate.facts import Facts
from npugate.facts.graph import Array
from npugate.findings.values import Severity
from npugate.int8 import inspect, prepare, scheme, traces
from npugate.int8.values import (
    KIND_KEY,
    METHODS,
    RANDOM,
    UNKNOWN_ACCURACY,
    Calibration,
    Check,
    Covered,
    QuantizeJob,
    QuantizeReport,
)
from npugate.limits import Limits
from npugate.proof.samples import Port, Sample
from npugate.rules import check, registry
from npugate.rules.values import Rule
from npugate.sandbox import pool, task
from npugate.surgery import structure
from npugate.target import profiles
from npugate.target.values import Target

_SQUARE_SECONDS = 5e-6  # measured on chains of 1,000 and 2,000 nodes: 5 s and 18 s
_FEW = 50  # samples below which ranges are chance
_MAPS = "a sample has many labels: the samples were taken by chance, not evenly over the labels"
Progress = scheme.Progress


class _Made(Struct, frozen=True):
    """What the child sends back."""

    data: bytes
    report: QuantizeReport


def quantize(job: QuantizeJob, progress: Progress = lambda _done, _all: None) -> QuantizeReport:
    """Quantise a model and write it with its sidecar; nothing is written when a check fails.

    Args:
        job: everything that decides the result; the same job gives the same bytes.
        progress: told (done, all) with each calibration sample, in another process.

    Raises:
        UsageError: the model or the data cannot be used, or the result cannot be written.
    """
    _check_job(job)
    limits = replace(Limits(), seconds=job.seconds)
    made = task.run(partial(_work, job, limits, progress), limits, _Made)
    if not made.report.passed:
        return made.report
    report = replace(
        made.report,
        output=str(job.output),
        output_digest=hashlib.sha256(made.data).hexdigest(),
        output_bytes=len(made.data),
    )
    # The sidecar first: a model without it would look as if nothing was known of its calibration.
    atomic_write.write_text(sidecar.place_of(job.output), _sidecar_text(report))
    atomic_write.write_bytes(job.output, made.data)
    return report


def _check_job(job: QuantizeJob) -> None:
    if job.method not in METHODS:
        raise UsageError(f"--method is {', '.join(METHODS)}, not {job.method!r}")
    if not 50 < job.percentile <= 100:  # noqa: PLR2004 - per cent; below half nothing is kept
        raise UsageError(f"--percentile is above 50 and at most 100, not {job.percentile:g}")
    if job.calibration is None and not job.is_random:
        raise UsageError(
            "no calibration data: give --calibration DATA with samples as the device sees them, "
            "or --random-calibration to try the tools without knowing the accuracy"
        )
    if job.calibration is not None and job.is_random:
        raise UsageError("give --calibration or --random-calibration, not both")
    _check_output(job)


def _check_output(job: QuantizeJob) -> None:
    if job.output.is_dir():
        raise UsageError(f"{job.output} is a folder: --output names a file")
    for place in (job.output, sidecar.place_of(job.output)):
        atomic_write.check_place(place)
        if atomic_write.is_stream(place):
            raise UsageError(f"{place} is a pipe or a device: --output names a file")
    labels = Path(job.labels) if job.labels else None
    given = {"model": job.model, "calibration data": job.calibration, "labels": labels}
    for what, path in given.items():
        if path and path.exists() and job.output.exists() and job.output.samefile(path):
            raise UsageError(f"{job.output} is the {what} itself: choose another --output")


def _work(job: QuantizeJob, limits: Limits, progress: Progress) -> _Made:
    """Do everything but the writing; called in the child."""
    rules = registry.rules()
    target = profiles.load(job.target, job.toolchain)
    pool.stage("reading the model")
    opened = open_model.open_model(job.model, limits, job.tracked)
    _check_float(opened)
    _check_size(len(opened.facts.nodes), job)
    pool.stage("preparing the model")
    ready, prepared = prepare.prepare(opened.proto, target, registry.repairs())
    exclude = _excluded(job, ready)
    pool.stage("reading the calibration data")
    feed = _random(job, opened.ports) if job.is_random else _given(job, opened.ports)
    pool.stage("calibration")
    stride = scheme.stride_of(job.method, feed.used, _activation_bytes(opened.facts))
    recipe = scheme.Recipe(job.method, job.percentile, stride, exclude)
    made = scheme.quantized(ready, feed.feeds(), feed.used, recipe, progress)
    kept = traces.keep(ready, made)
    made.metadata_props.add(key=KIND_KEY, value=RANDOM if job.is_random else "data")
    pool.stage("checking the int8 model")
    facts = Facts(structure.skeleton(made), limits)
    subject = inspect.Subject(ready, made, facts, frozenset(exclude), feed.first, kept)
    before, after = (_errors(item, rules, target) for item in (opened.facts, facts))
    report = QuantizeReport(
        version=__version__,
        model=str(job.model),
        digest=opened.model.digest,
        size_bytes=opened.model.size_bytes,
        output=None,
        output_digest="",
        output_bytes=0,
        target=target.name,
        calibration=feed.calibration(job),
        prepared=tuple(prepared),
        excluded=exclude,
        checks=(*inspect.inspect(subject), _no_new_violation(before, after)),
        islands=inspect.islands(subject),
        violations=tuple((rule, before[rule], after[rule]) for rule in sorted({*before, *after})),
    )
    report = replace(report, notices=(*_notices(report, stride), *feed.notes))
    return _Made(made.SerializeToString(), report)


def _check_float(opened: Opened) -> None:
    form = opened.facts.quantization.form
    if form != "float":
        label = opened.facts.quantization.label
        raise UsageError(f"{opened.path} is quantised already ({label}): give its float original")


def _check_size(nodes: int, job: QuantizeJob) -> None:
    """Refuse a model of so many nodes that it would only be ended by the clock, much later."""
    needed = _SQUARE_SECONDS * nodes**2
    if needed > job.seconds / 2:
        raise UsageError(
            f"{job.model} has {nodes} nodes, and onnxruntime's quantiser needs time with the "
            f"square of their number: about {ceil(needed / 60)} minutes for this one. Take parts "
            f"out of the model, or allow it: --timeout {ceil(2 * needed)}"
        )


def _excluded(job: QuantizeJob, model: ModelProto) -> tuple[str, ...]:
    """Return the nodes to leave in float; a name may be a node's or that of what it makes."""
    by_name = {node.name: node.name for node in model.graph.node}
    by_name |= {name: node.name for node in model.graph.node for name in node.output}
    for name in job.exclude:
        if name not in by_name:
            raise UsageError(f"--exclude: no node {name!r}; npugate evaluate names them")
    return tuple(dict.fromkeys(by_name[name] for name in job.exclude))


def _activation_bytes(facts: Facts) -> int:
    return sum(4 * (t.elements or 0) for t in facts.tensors if not t.is_constant)


class _Feed(Struct):
    """The samples of a run, noted as they pass."""

    samples: Iterator[Sample]
    first: Mapping[str, Array]
    kind: str
    place: str
    text: str
    available: int
    used: int
    strata: tuple[Covered, ...] = ()
    notes: tuple[str, ...] = ()
    digests: list[str] = field(default_factory=list)
    lowest: dict[str, float] = field(default_factory=dict)
    highest: dict[str, float] = field(default_factory=dict)

    def feeds(self) -> Iterator[Mapping[str, Array]]:
        """Yield each sample, T[*dims] by input name, and note its digest and limits."""
        for sample in self.samples:
            self.digests.append(data.digest(sample))
            for name, array in sample.feeds.items():
                low, high = float(np.min(array)), float(np.max(array))
                self.lowest[name] = min(low, self.lowest.get(name, low))
                self.highest[name] = max(high, self.highest.get(name, high))
            yield sample.feeds

    def calibration(self, job: QuantizeJob) -> Calibration:
        """Return what the report says; after the last sample.

        Raises:
            NpugateError: the quantiser did not take every sample.
            UsageError: no range can be measured on them.
        """
        if len(self.digests) != self.used:
            raise NpugateError(f"the quantiser took {len(self.digests)} of {self.used} samples")
        if self.used > 1 and len(set(self.digests)) == 1:
            raise UsageError(f"{self.place}: all {self.used} samples are the same one")
        if self.lowest and self.lowest == self.highest:
            value = next(iter(self.lowest.values()))
            raise UsageError(f"{self.place}: every number in it is {value:g}: these are no samples")
        return Calibration(
            self.kind,
            self.place,
            self.text,
            job.method,
            job.seed,
            self.available,
            self.used,
            self.strata,
            tuple(self.digests),
            tuple(self.lowest.items()),
            tuple(self.highest.items()),
        )


def _given(job: QuantizeJob, ports: tuple[Port, ...]) -> _Feed:
    """Open the user's data and choose samples.

    Raises:
        UsageError: it does not fit the model.
    """
    assert job.calibration is not None, "checked with the job"  # noqa: S101 - our own order
    how = preprocessing.parse(job.preprocess)
    dataset = data.open_data(job.calibration, ports, how)
    known = labels.read(job.labels, dataset)
    is_map = known is not None and known.values.ndim != 1
    choice = sampling.choose(dataset.count, job.samples, None if is_map else known, job.seed)
    first = dataset.sample(choice.indices[0])
    strata = tuple(Covered(s.name, s.available, s.taken) for s in choice.strata)
    return _Feed(
        (dataset.sample(index) for index in choice.indices),
        first.feeds,
        "data",
        dataset.place,
        how.text(),
        dataset.count,
        len(choice.indices),
        strata,
        (_MAPS,) if is_map else (),
    )


def _random(job: QuantizeJob, ports: tuple[Port, ...]) -> _Feed:
    if job.samples < 1:
        raise UsageError(f"--samples must be at least 1, not {job.samples}")
    made = (data.random_sample(ports, job.seed, index) for index in range(job.samples))
    first = data.random_sample(ports, job.seed, 0).feeds
    return _Feed(made, first, RANDOM, "", "none", job.samples, job.samples)


def _errors(facts: Facts, rules: Mapping[str, Rule], target: Target) -> Counter[str]:
    chosen = [key for key, rule in rules.items() if rule.severity is not None]
    hits = check.run(facts, rules, chosen, target, pool.stage).hits
    return Counter(rules[key].name for key, hit in hits if hit.severity is Severity.ERROR)


def _no_new_violation(before: Counter[str], after: Counter[str]) -> Check:
    worse = [f"{rule} {after[rule]} (was {before[rule]})" for rule in after - before]
    told = f"{sum(after.values())} errors by the target's rules, {sum(before.values())} before"
    text = f"new errors: {', '.join(sorted(worse))}" if worse else told
    return Check("violations", not worse, text)


def _notices(report: QuantizeReport, stride: int) -> tuple[str, ...]:
    found: list[str] = []
    calibration = report.calibration
    if calibration.kind == RANDOM:
        found.append(UNKNOWN_ACCURACY)
    elif calibration.used < _FEW:
        found.append(f"{calibration.used} samples are few: 200 to 500 over every case are usual")
    twice = calibration.used - len(set(calibration.digests))
    if twice:
        found.append(f"{twice} of the {calibration.used} samples are in the data more than once")
    gaps = [stratum.label for stratum in calibration.strata if not stratum.used]
    if gaps:
        found.append(f"no sample has a label in: {', '.join(gaps)}")
    if stride < calibration.used:
        found.append(
            f"the activations of all samples do not fit in memory: ranges were merged from groups "
            f"of {stride}, which is coarser for {calibration.method}; fewer --samples avoid it"
        )
    if report.islands:
        count = sum(len(island.nodes) for island in report.islands)
        found.append(f"{count} operators run in float, on the processor: see the islands")
    left = sum(after for _, _, after in report.violations)
    if left:
        found.append(f"{left} errors of the float model are still there: run npugate fix on it")
    return tuple(found)


def _sidecar_text(report: QuantizeReport) -> str:
    used = report.calibration
    highest = dict(used.highest)
    limits = {name: (low, highest[name]) for name, low in used.lowest}
    more = {
        "float_sha256": report.digest,
        "method": used.method,
        "seed": used.seed,
        "preprocessing": used.preprocessing,
        "npugate": report.version,
    }
    side = sidecar.Sidecar(report.output_digest, used.kind, used.digests, limits)
    return sidecar.write(side, more)
