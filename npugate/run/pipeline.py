"""The straight line: discover, load, facts, check, report; each model in a process of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from npugate import __version__, log
from npugate.errors import UsageError
from npugate.facts.inference import prepare
from npugate.findings import rule_names
from npugate.findings.values import Hit, Location, Severity
from npugate.limits import Limits
from npugate.report.values import Departed, ModelReport, Report, RuleInfo
from npugate.repository import git
from npugate.repository.base_revision import Base
from npugate.repository.departure import departed
from npugate.repository.discover import Candidate, Search, changed, every, shown
from npugate.repository.source_lines import Checkout
from npugate.rules import check
from npugate.rules.values import Rule
from npugate.run import base_results, compiler_verdict, surroundings, tightening, tries, warming
from npugate.run.base_results import Old, Past
from npugate.run.cases import Case, by_case, cases, chosen_by
from npugate.run.judging import JudgingContext, judged
from npugate.run.packed import Packed
from npugate.run.worker import REPAIRING, Examined, Job, timed
from npugate.sandbox import pool
from npugate.sandbox.pool import Died, Done, Raised
from npugate.settings import baseline, suppress, tracking
from npugate.settings.options import THRESHOLDS, Judge, Options
from npugate.target import profiles

_LIMIT: Final = rule_names.ANALYSIS_LIMIT
_ABOVE_ALL: Final = 9  # any level of a finding
_WARM_FROM: Final = 8  # models from which it pays to look at one of ours first
_PACKED_FROM: Final = 64  # models whose results are held as bytes until they are reported
_PROOF_TIME: Final = 5  # a repair with its proof may take so many times what a check may


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

    root = _root(options)
    with tempfile.TemporaryDirectory(prefix="npugate-base-") as scratch:
        known = base_results.known_base(options, root, Path(scratch), notify)
        search = replace(options.search, notify=notify, tree=known.tree if known else None)
        candidates, left = _candidates(search, options, known)
        moved = _renames(candidates, known)
        baselines = [_known(judge, options, moved, notify) for judge in options.judges]
        notices[:0] = _of_settings(options, rules, baselines)  # a reviewer reads it first
        options = tracking.asked(options, candidates, notify)
        each = cases(options, candidates, rules, baselines)
        jobs = [job for case in each for job in case.jobs]
        _make_ready(jobs, notify)
        examined = _examine_all(jobs, options, rules)
        judging = JudgingContext(rules, Checkout(root, options.tracked), options.today)
        context = _Context(options, judging, keep)
        if known is not None:
            again = partial(_examine_again, options=options, rules=rules)
            versions = Past(options, known, root, judging, again, notify)
            context = replace(context, old=versions.of(each))
    groups = by_case(each, examined)
    made = (_model_report(case, found, context) for case, found in zip(each, groups, strict=True))
    models = Packed(ModelReport, made) if isinstance(examined, Packed) else tuple(made)
    _remark(options, each, models, baselines[0], notify)
    if options.write_baseline:
        baseline.write(options.write_baseline, models)
    crashed = any(found.tracebacks for found in examined)
    report = _report(options, jobs, models, rules, tuple(notices), crashed=crashed)
    return replace(report, departed=left)


def _remark(
    options: Options,
    cases: Sequence[Case],
    models: Sequence[ModelReport],
    known: baseline.Known,
    notify: Callable[[str], None],
) -> None:
    """Tell what there is to tell once the models are judged."""
    if silence := compiler_verdict.unanswered(models):
        notify(silence)
    for ignore in options.settings.ignores:
        if suppress.expired(ignore, options.today):
            notify(f"the ignore of {', '.join(sorted(ignore.rules))} expired on {ignore.expires}")
    ran = {case.candidate.path: case.jobs[0].chosen for case in cases}
    if count := baseline.unused(known, models, ran):
        notify(f"entries of the baseline that are fixed: {count}; write it again to drop them")


def _of_settings(
    options: Options, rules: Mapping[str, Rule], baselines: Sequence[baseline.Known]
) -> Iterator[str]:
    """Yield what of the settings is not taken over, and what of them has no effect."""
    if options.also:
        entries = tightening.shared(baselines[0], baselines[1])
        yield from tightening.sentences(*options.judges[:2], rules=rules, known=entries)
    yield from tightening.without_effect(options.judges[0], rules)


def _known(
    judge: Judge, options: Options, moved: Mapping[str, str], notify: Callable[[str], None]
) -> baseline.Known:
    """Return a judge's baseline under the names of today."""
    if judge.baseline is None:
        return {}
    known = baseline.read(judge.baseline)
    if count := baseline.early(known):
        notify(
            f"entries of {judge.baseline.name} of an earlier form, which name neither operator nor "
            f"level: {count}; write it again with --write-baseline"
        )
    try:
        renamed = git.renames_since(_root(options), judge.baseline, options.search.environment)
    except git.GitError as error:
        log.debug(f"renames are not followed: {error}")
        renamed = {}
    since = {shown(new): shown(old) for new, old in renamed.items()}
    return baseline.follow(known, {**moved, **since})


def _report(
    options: Options,
    jobs: Sequence[Job],
    models: Sequence[ModelReport],
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
    ran = {key for job in jobs for key in job.chosen} | set(chosen_by(overall, rules))
    return Report(
        __version__,
        target.name,
        target.toolchain,
        _threshold(options),
        models,
        {
            key: RuleInfo(rule.id, rule.name, rule.severity, rule.summary, rule.doc, rule.repair)
            for key, rule in rules.items()
            if key in ran
        },
        notices,
        crashed=crashed,
        may_leave=options.may_leave and all(judge.settings.may_leave for judge in options.judges),
    )


def _root(options: Options) -> Path:
    cwd = options.search.cwd.resolve()
    return git.root_above(cwd) or cwd


def _candidates(
    search: Search, options: Options, known: Base | None
) -> tuple[tuple[Candidate, ...], tuple[Departed, ...]]:
    """Return the models that some judge does not leave out, and those that left the gate.

    Of the former, only those that changed where the search asks for these.
    """
    root, judges = _root(options), options.judges
    before = base_results.was_judged(options, known, root) if known is not None else frozenset()
    found = every(replace(search, allow_empty=search.allow_empty or bool(before)))
    kept = tuple(c for c in found if not all(judge.excludes(c.path) for judge in judges))
    names = {candidate.name for candidate in kept}
    left: tuple[Departed, ...] = ()
    if known is not None and before:
        excluded = {c.name for c in found} - names
        before = _settled_names(options, before, root)
        left = departed(known, before, names, root, excluded.__contains__)
    everything = search.changed_since is None and search.changes_from is None
    if found and not kept and not left and everything and not search.allow_empty:
        raise UsageError(
            f"'exclude' of the configuration leaves out every model found ({len(found)}); "
            "change it, or pass --allow-empty"
        )
    return changed(kept, search), left


def _settled_names(options: Options, before: frozenset[str], root: Path) -> frozenset[str]:
    """Return those of the models that were checked of which it can be told whether they still are.

    A list of names may be a part of what there is, and git may track what is not checked out.
    """
    search = options.search
    if search.files_from is not None and options.base_folder is None:
        return frozenset(name for name in before if not os.path.lexists(root / name))
    if search.patterns or search.files_from is not None:
        return before
    try:
        tracked = git.tracked(root, search.environment)
    except git.GitError:
        return before  # the folders were searched
    return before - {name for name in tracked if not os.path.lexists(root / name)}


def _renames(candidates: Sequence[Candidate], known: Base | None) -> Mapping[str, str]:
    """Return old paths by new ones, as far as the change tells."""
    changes = known.changes if known is not None else None
    found = {shown(c.path): shown(c.previous) for c in changes or () if c.previous}
    return found | {c.path: shown(c.previous) for c in candidates if c.previous}


def _examine_all(
    jobs: Sequence[Job], options: Options, rules: Mapping[str, Rule]
) -> Sequence[Examined]:
    """Examine every model; again and more carefully where onnx died of it."""
    limits = options.limits
    if options.repair_request is not None:
        limits = replace(limits, seconds=limits.seconds * (_PROOF_TIME + 1))
    if len(jobs) > _WARM_FROM:
        warming.warm(rules, jobs[0].target)
    work = partial(timed, rules=rules, limits=limits, tracked=options.tracked)
    bounds = partial(_bounds, limits=limits)
    settled = tries.settle(work, jobs, bounds, _again, jobs=options.jobs, kind=Examined)

    def results() -> Iterator[tuple[int, Examined]]:
        for count, (job, ended) in enumerate(settled, 1):
            yield ended.index, _settled(job, ended.outcome, rules)
            options.progress(count, len(jobs))

    if len(jobs) > _PACKED_FROM and options.repair_request is None:
        return Packed.of(Examined, results())
    return [found for _, found in sorted(results(), key=itemgetter(0))]


def _make_ready(jobs: Sequence[Job], notify: Callable[[str], None]) -> None:
    """Load once what each examination needs, and tell what the system cannot do."""
    if jobs and not pool.enforced():
        notify("this system cannot bound a model's memory: check only models that you trust")
    if len(jobs) > 1:
        prepare()


def _examine_again(
    jobs: Sequence[Job], options: Options, rules: Mapping[str, Rule]
) -> Sequence[Examined]:
    """Examine old versions, which are not repaired and of which no progress is told."""
    silent = replace(options, repair_request=None, progress=lambda _done, _all: None)
    return _examine_all(jobs, silent, rules)


def _bounds(job: Job, limits: Limits) -> Limits:
    """Return the limits of a job; one that repairs leaves time to examine without repairs."""
    if job.repair_request is None:
        return tries.examining(job.candidate.file, limits)
    seconds = limits.seconds * _PROOF_TIME / (_PROOF_TIME + 1)
    return tries.mending(job.candidate.file, replace(limits, seconds=seconds))


def _again(job: Job, outcome: Died) -> Job | None:
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


def _threshold(options: Options) -> Severity | None:
    """Return the level at which a run fails: that of the strictest judge."""
    words = [judge.judgement("").threshold or "error" for judge in options.judges]
    return min((THRESHOLDS[word] for word in words), key=lambda level: level or _ABOVE_ALL)


class _Context(Struct, frozen=True):
    """What a report needs beside what a worker found."""

    options: Options
    judging: JudgingContext
    keep: Keep | None
    old: Mapping[str, Old] = field(default_factory=dict)


def _model_report(case: Case, examined: Sequence[Examined], context: _Context) -> ModelReport:
    found, path = examined[0], case.candidate.path
    for text in (text for each in examined for text in each.tracebacks):
        log.error(f"{path}: {text}")
    old = context.old.get(path)
    rulings = case.rulings
    if old is not None and old.levels and context.options.new_only:
        rulings = tuple(
            replace(ruling, old=levels) for ruling, levels in zip(rulings, old.levels, strict=True)
        )
    job = case.jobs[0]
    answer = compiler_verdict.asked(job, found, context.options.ask, context.judging.rules)
    hits = [((*each.hits, *(answer.hits if answer else ())), each.digest) for each in examined]
    shown = tuple(
        replace(finding, twin=found.twin.get((finding.location.graph, finding.location.node)))
        for finding in judged(path, rulings, hits, context.judging)
    )
    shown = surroundings.attach(shown, found.sketches)
    report = ModelReport(
        path,
        found.digest,
        found.size_bytes,
        shown,
        any(each.unreadable for each in examined),
        found.census,
        found.seconds,
        graph=found.graph,
        compiled=answer.compiled if answer else None,
        estimate=found.estimate,
    )
    if old is not None:
        report = replace(report, against=base_results.against(report.findings, old))
    if found.repaired is None:
        return report
    keep = context.keep if found.repaired.data else None
    written = keep(path, case.candidate.file, found) if keep else None
    after = judged(path, rulings, [(found.repaired.hits, found.digest)], context.judging)
    return replace(report, repair=replace(found.repaired.report, findings=after, output=written))
