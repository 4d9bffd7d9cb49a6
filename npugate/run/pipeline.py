"""The straight line: discover, load, facts, check, report; each model in a process of its own."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from npugate import __version__, log
from npugate.errors import UsageError
from npugate.facts import Inference
from npugate.facts.inference import prepare
from npugate.findings import rule_names
from npugate.findings.fingerprint import fingerprints
from npugate.findings.values import Finding, Hit, Location, Severity
from npugate.report.estimate import Estimate
from npugate.report.values import Against, ModelReport, Report, RuleInfo
from npugate.repository import base_revision, git
from npugate.repository.discover import Candidate, Search, discover
from npugate.repository.source_lines import Checkout
from npugate.rules import check
from npugate.rules.values import Rule
from npugate.run import compiler_verdict, surroundings
from npugate.run.worker import REPAIRING, Examined, Job, timed
from npugate.sandbox import pool
from npugate.sandbox.pool import Died, Done, Raised
from npugate.settings import baseline, suppress, tracking
from npugate.settings.options import THRESHOLDS, Judgement, Options, matches
from npugate.target import boards, profiles
from npugate.target.values import Target

_LIMIT: Final = rule_names.ANALYSIS_LIMIT
_PROOF_TIME: Final = 5  # a repair with its proof may take so many times what a check may
# What is tried next when onnx dies of a model in this stage, so that the rules still run.
_NEXT_INFERENCE: Final[Mapping[Inference, Inference]] = {
    "full": "careful",
    "careful": "traced",
    "traced": "off",
}


Keep = Callable[[str, Path, Examined], str | None]
"""Told (reported path, file, result) of each repaired model; returns where it was written."""


def run(options: Options, rules: Mapping[str, Rule], keep: Keep | None = None) -> Report:
    """Check every model that the options name, and repair it where they say so.

    Args:
        options: all settings.
        rules: every rule, by id.
        keep: writes a repaired model; None writes none.

    Raises:
        UsageError: no model, an unknown target, an unreadable baseline.
    """
    notices: list[str] = list(options.remarks)
    tell = options.search.notify

    def notify(text: str) -> None:
        notices.append(text)
        tell(text)

    candidates = _candidates(replace(options.search, notify=notify), options.settings.exclude)
    known = baseline.read(options.baseline) if options.baseline else {}
    known = baseline.follow(known, _renames(options, candidates))
    options = tracking.asked(options, candidates, notify)
    jobs = _jobs(options, candidates, rules)
    if jobs and not pool.enforced():
        notify("this system cannot bound a model's memory: check only models that you trust")
    if len(jobs) > 1:
        prepare()
    examined = _examine_all(jobs, options, rules)
    context = _Context(options, rules, Checkout(_root(options), options.tracked), known, keep)
    context = replace(context, base=_base(jobs, context, notify))
    models = tuple(
        _model_report(job, found, context) for job, found in zip(jobs, examined, strict=True)
    )
    if silence := compiler_verdict.unanswered(models):
        notify(silence)
    for ignore in options.settings.ignores:
        if suppress.expired(ignore, options.today):
            notify(f"the ignore of {', '.join(sorted(ignore.rules))} expired on {ignore.expires}")
    ran = {job.candidate.path: job.chosen for job in jobs}
    if count := baseline.unused(known, models, ran):
        notify(f"entries of the baseline that are fixed: {count}; write it again to drop them")
    if options.write_baseline:
        baseline.write(options.write_baseline, models)
    crashed = any(found.tracebacks for found in examined)
    return _report(options, jobs, models, rules, tuple(notices), crashed=crashed)


def _report(
    options: Options,
    jobs: Sequence[Job],
    models: tuple[ModelReport, ...],
    rules: Mapping[str, Rule],
    notices: tuple[str, ...],
    *,
    crashed: bool,
) -> Report:
    overall = options.judgement("")
    wanted = (overall.target, overall.toolchain)
    # Reading a profile takes as long as checking a small model: take a model's, if it is the same.
    target = next(
        (job.target for job in jobs if (job.judgement.target, job.judgement.toolchain) == wanted),
        None,
    ) or profiles.load(overall.target or "", overall.toolchain)
    ran = {key for job in jobs for key in job.chosen} | set(_chosen(overall, rules))
    return Report(
        __version__,
        target.name,
        target.toolchain,
        THRESHOLDS[overall.threshold or "error"],
        models,
        {
            key: RuleInfo(rule.id, rule.name, rule.severity, rule.summary, rule.doc, rule.repair)
            for key, rule in rules.items()
            if key in ran
        },
        notices,
        crashed=crashed,
    )


def _root(options: Options) -> Path:
    cwd = options.search.cwd.resolve()
    return git.root_above(cwd) or cwd


def _candidates(search: Search, exclude: Sequence[str]) -> tuple[Candidate, ...]:
    found = discover(search)
    kept = tuple(c for c in found if not any(matches(c.path, pattern) for pattern in exclude))
    everything = search.changed_since is None and search.changes_from is None
    if found and not kept and everything and not search.allow_empty:
        raise UsageError(
            f"'exclude' of the configuration leaves out every model found ({len(found)}); "
            "change it, or pass --allow-empty"
        )
    return kept


def _renames(options: Options, candidates: Sequence[Candidate]) -> Mapping[str, str]:
    """Return old paths by new ones, as far as git can tell."""
    found = {c.path: c.previous for c in candidates if c.previous}
    if options.baseline is None:
        return found
    try:
        root, environment = _root(options), options.search.environment
        return {**found, **git.renames_since(root, options.baseline, environment)}
    except git.GitError as error:
        log.debug(f"renames are not followed: {error}")
        return found


def _jobs(
    options: Options, candidates: Sequence[Candidate], rules: Mapping[str, Rule]
) -> list[Job]:
    loaded: dict[tuple[object, ...], Target] = {}
    jobs: list[Job] = []
    for candidate in candidates:
        judgement = options.judgement(candidate.path)
        key = (judgement.target, judgement.toolchain, judgement.board, judgement.budget)
        if key not in loaded:
            target = profiles.load(judgement.target or "", judgement.toolchain)
            board = boards.load(judgement.board or boards.DEFAULT_BOARD) if target.npu else None
            loaded[key] = replace(target, board=board, budget=judgement.budget)
        chosen = _chosen(judgement, rules)
        job = Job(candidate, loaded[key], chosen, judgement, repair_request=options.repair_request)
        jobs.append(replace(job, pictured=options.pictured))
    return jobs


def _chosen(judgement: Judgement, rules: Mapping[str, Rule]) -> tuple[str, ...]:
    """Return the ids of the rules that run; those about the run itself cannot be switched off."""
    return tuple(
        key
        for key, rule in rules.items()
        if rule.unreadable
        or rule.name == check.CRASHED
        or (
            (judgement.select is None or key in judgement.select)
            and key not in judgement.ignore
            and judgement.severity.get(key, rule.severity) is not None
        )
    )


def _examine_all(
    jobs: Sequence[Job], options: Options, rules: Mapping[str, Rule]
) -> list[Examined]:
    """Examine every model; again and more carefully where onnx died of it."""
    results: dict[int, Examined] = {}
    waiting = dict(enumerate(jobs))
    while waiting:
        order = list(waiting)
        finished = itertools.count(len(results) + 1)

        def tell(_index: int, finished: Iterator[int] = finished) -> None:
            options.progress(min(next(finished), len(jobs)), len(jobs))

        limits = options.limits
        if options.repair_request is not None:
            limits = replace(limits, seconds=limits.seconds * _PROOF_TIME)
        work = partial(timed, rules=rules, limits=limits, tracked=options.tracked)
        outcomes = pool.run(work, [waiting[key] for key in order], limits, options.jobs, tell)
        for key, outcome in zip(order, outcomes, strict=True):
            job = waiting.pop(key)
            again = _again(job, outcome)
            if again is not None:
                waiting[key] = again
            else:
                results[key] = _settled(job, outcome, rules)
    return [results[key] for key in sorted(results)]


def _again(job: Job, outcome: Done[Examined] | Died | Raised) -> Job | None:
    if not isinstance(outcome, Died):
        return None
    if job.repair_request is not None and outcome.stage.startswith(REPAIRING):
        reason = f"{outcome.stage} was ended: {outcome.reason}"
        return replace(job, repair_request=None, gave_up=reason)
    if not outcome.stage.startswith("shape inference"):
        return None
    following = _NEXT_INFERENCE.get(job.inference)
    if following is None:
        return None
    earlier = job.earlier
    if following == "off":
        earlier = (Hit(Location(), f"{outcome.stage} was ended: {outcome.reason}", Severity.ERROR),)
    return replace(job, inference=following, earlier=earlier)


def _settled(
    job: Job, outcome: Done[Examined] | Died | Raised, rules: Mapping[str, Rule]
) -> Examined:
    if isinstance(outcome, Done):
        limit = check.id_of(rules, _LIMIT)
        hits = (*((limit, hit) for hit in job.earlier), *outcome.value.hits)
        return replace(outcome.value, hits=hits)
    if isinstance(outcome, Died):
        doing = outcome.stage or "the start"
        message = f"the examination was ended during {doing}: {outcome.reason}"
        hit = Hit(Location(), message, Severity.ERROR)
        return Examined(((check.id_of(rules, _LIMIT), hit),), unreadable=True)
    last = outcome.text.strip().splitlines()[-1] if outcome.text.strip() else "no reason given"
    hit = Hit(Location(), f"npugate itself failed on this model: {last}", Severity.ERROR)
    crashed = check.id_of(rules, check.CRASHED)
    return Examined(((crashed, hit),), unreadable=True, tracebacks=(outcome.text,))


class _Context(Struct, frozen=True):
    """What a report needs beside what a worker found."""

    options: Options
    rules: Mapping[str, Rule]
    checkout: Checkout
    known: baseline.Known
    keep: Keep | None
    base: Mapping[str, _Old] = field(default_factory=dict)


class _Old(Struct, frozen=True):
    """What a model was on the base branch."""

    findings: tuple[Finding, ...] = ()
    estimate: Estimate | None = None
    added: bool = False


def _model_report(job: Job, found: Examined, context: _Context) -> ModelReport:
    for text in found.tracebacks:
        log.error(f"{job.candidate.path}: {text}")
    path = job.candidate.path
    marked = partial(_findings, job, context)
    answer = compiler_verdict.asked(job, found, context.options.ask, context.rules)
    shown = tuple(
        replace(finding, twin=found.twin.get((finding.location.graph, finding.location.node)))
        for finding in marked((*found.hits, *(answer.hits if answer else ())))
    )
    shown = surroundings.attach(shown, found.sketches)
    report = ModelReport(
        path,
        found.digest,
        found.size_bytes,
        shown,
        found.unreadable,
        found.census,
        found.seconds,
        graph=found.graph,
        compiled=answer.compiled if answer else None,
        estimate=found.estimate,
    )
    if path in context.base:
        report = replace(report, against=_against(report.findings, context.base[path]))
    if found.repaired is None:
        return report
    keep = context.keep if found.repaired.data else None
    written = keep(path, job.candidate.file, found) if keep else None
    after = marked(found.repaired.hits)
    return replace(report, repair=replace(found.repaired.report, findings=after, output=written))


def _findings(job: Job, context: _Context, hits: Sequence[tuple[str, Hit]]) -> tuple[Finding, ...]:
    """Turn hits into findings: level, fingerprint, source line, suppression; worst first."""
    path, options = job.candidate.path, context.options
    levels = job.judgement.severity
    pairs = [(key, replace(hit, severity=levels.get(key, hit.severity))) for key, hit in hits]
    marks = fingerprints((key, hit.location) for key, hit in pairs)
    findings = [
        _finding(context.rules[key], hit, mark, context.checkout)
        for (key, hit), mark in zip(pairs, marks, strict=True)
    ]
    findings.sort(key=lambda f: (-f.severity, f.rule))
    known = context.known.get(path, {})
    old = {f.fingerprint for f in context.base.get(path, _Old()).findings if options.new_only}
    return suppress.apply(path, findings, options.settings.ignores, known, options.today, old)


def _base(
    jobs: Sequence[Job], context: _Context, notify: Callable[[str], None]
) -> Mapping[str, _Old]:
    """Examine the base versions of the models; return what they were by the path of today."""
    options = context.options
    if not options.base and options.base_folder is None:
        return {}
    candidates = [job.candidate for job in jobs]
    with tempfile.TemporaryDirectory(prefix="npugate-base-") as scratch:
        try:
            places = _base_places(options, candidates, Path(scratch))
        except git.GitError as error:
            notify(f"the base cannot be read ({error}): every finding counts as new")
            return {}
        chosen = [job for job in jobs if job.candidate.path in places]
        readable = [job for job in chosen if base_revision.is_readable(places[job.candidate.path])]
        old = [_moved(job, places) for job in readable]
        silent = replace(options, repair_request=None, progress=lambda _done, _all: None)
        examined = _examine_all(old, silent, context.rules)
    lost = len(chosen) - len(readable) + sum(found.unreadable for found in examined)
    if lost:
        notify(f"models whose base version cannot be examined: {lost}; their findings count as new")
    known = {
        job.candidate.path: _Old(_findings(job, context, found.hits), found.estimate)
        for job, found in zip(old, examined, strict=True)
        if not found.unreadable
    }
    return {c.path: _Old(added=True) for c in candidates if c.path not in places} | known


def _moved(job: Job, places: Mapping[str, Path]) -> Job:
    """Return the job for the base version, which is neither repaired nor drawn."""
    candidate = replace(job.candidate, file=places[job.candidate.path])
    return replace(job, repair_request=None, pictured=False, candidate=candidate)


def _base_places(
    options: Options, candidates: Sequence[Candidate], scratch: Path
) -> Mapping[str, Path]:
    if options.base_folder is not None:
        return base_revision.from_folder(options.base_folder, candidates)
    environment = options.search.environment
    return base_revision.from_git(_root(options), options.base, candidates, scratch, environment)


def _against(findings: Sequence[Finding], old: _Old) -> Against:
    mine = frozenset(finding.fingerprint for finding in findings)
    others = frozenset(finding.fingerprint for finding in old.findings)
    fixed = tuple(finding for finding in old.findings if finding.fingerprint not in mine)
    return Against(mine - others, mine & others, fixed, old.estimate, old.added)


def _finding(rule: Rule, hit: Hit, mark: str, checkout: Checkout) -> Finding:
    severity = hit.severity or rule.severity
    source = checkout.source(hit.frames)
    return Finding(
        rule.id, rule.name, severity, hit.message, hit.location, mark, source, None, rule.repair
    )
