"""What is done with one model, in a process of its own: load, facts, check, repair."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from npugate import beneath
from npugate.beneath import RefusedError
from npugate.errors import ModelError, UsageError
from npugate.estimate import assemble
from npugate.estimate.model_size import model_size
from npugate.facts import Facts, Inference, neighbours, topology
from npugate.findings.sketch import Sketch
from npugate.findings.values import Hit, Location, Severity, Source
from npugate.limits import Limits
from npugate.model.external_data import UNREAD, locations
from npugate.model.reader import UNREADABLE, Model, file_digest, load
from npugate.model.tracked import Tracked
from npugate.proof import runnable
from npugate.repair.context import RepairContext
from npugate.repair.values import Repaired
from npugate.report.census import Census
from npugate.report.estimate import Estimate
from npugate.report.graph_view import GraphView
from npugate.report.values import Outcome, RepairReport
from npugate.repository.discover import Candidate
from npugate.repository.file_marks import marks
from npugate.rules import check
from npugate.rules.values import Rule
from npugate.sandbox import heap, pool
from npugate.settings.options import CheckSettings, RepairRequest
from npugate.target.values import Target

REPAIRING: Final = "repairing: "
"""The stages of a repair begin with it."""


Hits = tuple[tuple[str, Hit], ...]
"""(Rule id, hit with its severity) of one model, in the order of the rules."""


class Job(Struct, frozen=True):
    """One model and by what it is judged: all that a worker is told.

    Attributes:
        inference: how carefully shapes are inferred.
        earlier: what earlier tries of the model have shown, which ended in a crash.
        repair_request: None to check only.
        gave_up: why an earlier try to repair it was ended; empty when none was.
        pictured: its graph is to be drawn.
    """

    candidate: Candidate
    target: Target
    chosen: tuple[str, ...]
    check_settings: CheckSettings
    inference: Inference = "full"
    earlier: Hits = ()
    repair_request: RepairRequest | None = None
    gave_up: str = ""
    pictured: bool = False


class Examined(Struct, frozen=True):
    """What a worker sends back about one model; free of onnx, as data.

    Attributes:
        hits: (rule id, hit with its severity).
        unreadable: True when the model could not be examined.
        tracebacks: of rules that raised.
        seconds: wall clock of the examination that ended well.
        twin: (graph, node) of a hit -> its line in the model's text twin, when that is fresh.
        repaired: None when no repair was asked for.
        graph: None unless it is to be drawn.
        sketches: (graph, node) of a hit -> what is around it, worst hits first.
        estimate: None when the model could not be examined or nothing can be estimated.
        beside: files that hold weights, relative to the model's folder; they were found safe. None
            when one may not or cannot be read.
    """

    hits: tuple[tuple[str, Hit], ...]
    digest: str = ""
    size_bytes: int = 0
    census: Census = field(default_factory=Census)
    unreadable: bool = False
    tracebacks: tuple[str, ...] = ()
    seconds: float = 0.0
    repaired: Repaired | None = None
    twin: Mapping[tuple[str, str], Source] = field(default_factory=dict)
    graph: GraphView | None = None
    sketches: Mapping[tuple[str, str], Sketch] = field(default_factory=dict)
    beside: tuple[str, ...] | None = ()
    estimate: Estimate | None = None


def examine(
    job: Job, rules: Mapping[str, Rule], limits: Limits, tracked: Tracked | None = None
) -> Examined:
    """Load one model, compute its facts, run the rules and repair it; called in a worker.

    Args:
        job: the model, and by what it is judged.
        rules: every rule, by id.
        limits: of memory, time and size.
        tracked: what git tracks; None without git.
    """
    start = monotonic()
    pool.stage("reading the file")
    try:
        model = _loaded(job.candidate, limits, tracked)
    except ModelError as error:
        return _unread(job.candidate, error, rules, limits)
    facts = Facts(model, limits, pool.stage, inference=job.inference)
    outcome = check.run(facts, rules, job.chosen, job.target, pool.stage)
    unreadable = any(rules[key].unreadable for key, _ in outcome.hits)
    barred = any(problem.rule in UNREAD for problem in model.problems)
    is_sound = not unreadable and not outcome.tracebacks
    return Examined(
        (*job.earlier, *outcome.hits),
        model.digest,
        model.size_bytes,
        facts.census,
        unreadable,
        outcome.tracebacks,
        twin=_twin(job.candidate, facts, outcome.hits, limits),
        sketches=_sketches(facts, outcome.hits),
        beside=() if unreadable else None if barred else locations(model.proto, limits),
        estimate=None if unreadable else _estimate(facts, job.target),
        graph=topology.view(facts.graphs) if job.pictured else None,
        repaired=_repaired(job, model, facts, outcome.hits, rules, limits) if is_sound else None,
        seconds=monotonic() - start,
    )


def _repair_context(
    job: Job, request: RepairRequest, rules: Mapping[str, Rule], limits: Limits
) -> RepairContext:
    """Return by what the repairs of a model are made and judged; asked-for shapes come first."""
    shapes = {**job.check_settings.shapes, **request.options.shapes}
    request = replace(request, options=replace(request.options, shapes=shapes))
    return RepairContext(
        rules, job.chosen, job.target, limits, request, lambda name: pool.stage(REPAIRING + name)
    )


def _unread(
    candidate: Candidate, error: ModelError, rules: Mapping[str, Rule], limits: Limits
) -> Examined:
    size, digest = 0, ""  # of what may not be looked at
    if not candidate.fault:
        with suppress(OSError, RefusedError), beneath.resolved(candidate.file) as descriptor:
            size = os.fstat(descriptor).st_size
        digest = file_digest(candidate.file, limits)  # what is known of it excuses no other file
    hit = Hit(Location(), str(error), Severity.ERROR)
    return Examined(((check.id_of(rules, error.rule), hit),), digest, size, unreadable=True)


def _loaded(candidate: Candidate, limits: Limits, tracked: Tracked | None) -> Model:
    if candidate.fault:
        raise ModelError(UNREADABLE, candidate.fault)
    return load(candidate.file, candidate.path, limits, tracked)


def _estimate(facts: Facts, target: Target) -> Estimate | None:
    pool.stage("estimating")
    try:
        return assemble.estimate(facts, target)
    except Exception:
        if check.is_refused(facts):
            return None  # a file that is no valid model; its findings say why
        raise


def _declined(reason: str) -> RepairReport:
    return RepairReport((Outcome("all", "declined", reason),))


def _sketches(facts: Facts, hits: Sequence[tuple[str, Hit]]) -> dict[tuple[str, str], Sketch]:
    pool.stage("sketching the surroundings of the findings")
    worst = sorted(hits, key=lambda pair: (-(pair[1].severity or Severity.NOTE), pair[0]))
    places = (hit.location for _, hit in worst)
    return neighbours.sketches(facts.graphs, ((place.graph, place.node) for place in places))


def _twin(
    candidate: Candidate, facts: Facts, hits: tuple[tuple[str, Hit], ...], limits: Limits
) -> dict[tuple[str, str], Source]:
    """Return the lines of the text twin that the hits are on; none of a stale or missing one."""
    place = candidate.file.with_name(candidate.file.name + ".txt")
    if not hits or not _is_plain(place):
        return {}
    from npugate.model import weight_digests  # noqa: PLC0415 - hashes all weights, so only for a twin
    from npugate.snapshot import text_twin  # noqa: PLC0415 - hashes all weights, so only for a twin

    pool.stage("reading the text twin")
    try:
        made = text_twin.render(facts, weight_digests.digests(facts.model, limits))
        most = 2 * len(made.text.encode("utf-8", "backslashreplace"))
        data = beneath.read(place.parent, place.name, most)
        have = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    except (ModelError, OSError, RefusedError):
        return {}  # a finding of its own rule tells of the weights; without a twin none is lost
    if have != made.text:
        return {}
    rows = made.text.splitlines()
    keys = {(hit.location.graph, hit.location.node) for _, hit in hits}
    return {
        key: Source(f"{candidate.path}.txt", made.lines[key], rows[made.lines[key] - 1].strip())
        for key in keys & made.lines.keys()
    }


def _is_plain(place: Path) -> bool:
    try:
        return stat.S_ISREG(place.lstat().st_mode)
    except OSError:  # no such file, or a name that is longer than names may be
        return False


def _repaired(
    job: Job,
    model: Model,
    facts: Facts,
    hits: Hits,
    rules: Mapping[str, Rule],
    limits: Limits,
) -> Repaired | None:
    """Repair a model that was examined; None where that was not asked for."""
    if job.gave_up:
        return Repaired(b"", hits, _declined(job.gave_up))
    if job.repair_request is None:
        return None
    context = _repair_context(job, job.repair_request, rules, limits)
    return _repair(job.candidate.file, model, facts, hits, context, pictured=job.pictured)


def _repair(
    file: Path,
    model: Model,
    facts: Facts,
    hits: Hits,
    context: RepairContext,
    *,
    pictured: bool,
) -> Repaired:
    """Repair a model that was examined."""
    if not context.wanted(hits):
        counted = model_size(facts, context.target)
        return Repaired(b"", hits, RepairReport((), None, (), counted, counted))
    if reason := runnable.refusal(facts):
        return Repaired(b"", hits, _declined(reason))
    from npugate.model import writer  # noqa: PLC0415 - loads onnxruntime and onnx-graphsurgeon
    from npugate.repair import gate  # noqa: PLC0415 - loads onnxruntime and onnx-graphsurgeon

    context.stage("reading the weights")
    try:
        writer.check_weights(model)
        weights = marks(file.parent, locations(model.proto, context.limits))
        # Handed over without a name here, which would hold the message for as long as this runs.
        repaired, made = gate.repair_model(writer.load(file, model), facts, hits, context)
    except (ModelError, UsageError) as error:  # the files went away meanwhile
        return Repaired(b"", hits, _declined(str(error)))
    report = repaired.report
    if pictured and made is not None:
        context.stage("estimating")
        cost = assemble.estimate(made, context.target)
        report = replace(report, graph=topology.view(made.graphs), estimate=cost)
    heap.trim()  # the repaired model is about to be copied, to be sent
    return replace(repaired, report=report, weights=weights)
