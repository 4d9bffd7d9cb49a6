"""Examine every model in a process of its own, again and more carefully where that died."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Final

from msgspec.structs import replace

from npugate.findings import rule_names
from npugate.findings.values import Hit, Location, Severity
from npugate.limits import Limits
from npugate.model.reader import file_digest
from npugate.rules import check
from npugate.rules.values import Rule
from npugate.run import tries, warming
from npugate.run.packed import Packed
from npugate.run.worker import REPAIRING, Examined, Job, examine
from npugate.sandbox.pool import Died, Done, Raised
from npugate.settings.options import Options

_WARM_FROM: Final = 8  # models from which it pays to look at one of ours first
_PACKED_FROM: Final = 64  # models whose results are held as bytes until they are reported
_PROOF_TIME: Final = 5  # a repair with its proof may take so many times what a check may


def examine_all(
    jobs: Sequence[Job], options: Options, rules: Mapping[str, Rule]
) -> Sequence[Examined]:
    """Examine every model; again and more carefully where onnx died of it."""
    limits = options.limits
    if options.repair_request is not None:
        limits = replace(limits, seconds=limits.seconds * (_PROOF_TIME + 1))
    if len(jobs) > _WARM_FROM:
        warming.warm(rules, jobs[0].target)
    work = partial(examine, rules=rules, limits=limits, tracked=options.tracked)
    bounds = partial(_bounds, limits=limits)
    again = partial(_again, rules=rules)
    settled = tries.settle(work, jobs, bounds, again, jobs=options.jobs, kind=Examined)

    def results() -> Iterator[tuple[int, Examined]]:
        for count, (job, ended) in enumerate(settled, 1):
            yield ended.index, _settled(job, ended.outcome, rules, limits)
            options.progress(count, len(jobs))

    if len(jobs) > _PACKED_FROM and options.repair_request is None:
        return Packed.of(Examined, results())
    return [found for _, found in sorted(results(), key=itemgetter(0))]


def _bounds(job: Job, limits: Limits) -> Limits:
    """Return the limits of a job; one that repairs leaves time to examine without repairs."""
    if job.repair_request is None:
        return tries.examining(job.candidate.file, limits)
    seconds = limits.seconds * _PROOF_TIME / (_PROOF_TIME + 1)
    return tries.mending(job.candidate.file, replace(limits, seconds=seconds))


def _again(job: Job, outcome: Died, rules: Mapping[str, Rule]) -> Job | None:
    """Return what to try after a worker died: without repairs, or with calmer inference."""
    if job.repair_request is not None and outcome.stage.startswith(REPAIRING):
        reason = f"{outcome.stage} was ended: {outcome.reason}"
        return replace(job, repair_request=None, gave_up=reason)
    if not outcome.stage.startswith("shape inference"):
        return None
    following = tries.CALMER.get(job.inference)
    if following is None:
        return None
    earlier = job.earlier
    if following == "off":
        text = f"{outcome.stage} was ended: {outcome.reason}"
        limit = check.id_of(rules, rule_names.ANALYSIS_LIMIT)
        earlier = ((limit, Hit(Location(), text, Severity.ERROR)),)
    return replace(job, inference=following, earlier=earlier)


def _settled(
    job: Job, outcome: Done[Examined] | Died | Raised, rules: Mapping[str, Rule], limits: Limits
) -> Examined:
    """Return what a worker found; where it came to nothing, a finding about the run."""
    if isinstance(outcome, Done):
        return outcome.value
    if isinstance(outcome, Died):
        rule = rule_names.ANALYSIS_LIMIT
        doing = outcome.stage or "the start"
        message = f"the examination was ended during {doing}: {outcome.reason}"
    else:
        rule = rule_names.RULE_CRASHED
        last = outcome.text.strip().splitlines()[-1] if outcome.text.strip() else "no reason given"
        message = f"npugate itself failed on this model: {last}"
    hit = Hit(Location(), message, Severity.ERROR)
    # What is known of this file, in a baseline or in the base, must not excuse another one.
    digest = "" if job.candidate.fault else file_digest(job.candidate.file, limits)
    traces = (outcome.text,) if isinstance(outcome, Raised) else ()
    hits = ((check.id_of(rules, rule), hit),)
    return Examined(hits, digest, unreadable=True, tracebacks=traces)
