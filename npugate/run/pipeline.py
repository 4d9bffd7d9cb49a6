"""The straight line: discover, load, facts, check, report; each model in a process of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from npugate import __version__, log
from npugate.errors import UsageError
from npugate.facts.inference import prepare
from npugate.findings.values import Severity
from npugate.report.compiled import Answer
from npugate.report.documentation import OF_SITE
from npugate.report.values import Departed, ModelReport, RepairReport, Report, RuleInfo
from npugate.repository import git
from npugate.repository.base_revision import Base
from npugate.repository.departure import departed
from npugate.repository.discover import Candidate, Search, changed, every, shown
from npugate.repository.source_lines import Checkout
from npugate.rules.values import Rule
from npugate.run import base_results, compiler_verdict, surroundings, tightening
from npugate.run.base_results import Old, Past
from npugate.run.cases import Case, by_case, cases, chosen_by
from npugate.run.examination import examine_all
from npugate.run.packed import Packed
from npugate.run.policy_findings import PolicyContext, Ruling, findings_of
from npugate.run.worker import Examined, Job
from npugate.sandbox import pool
from npugate.settings import baseline, suppress, tracking
from npugate.settings.options import THRESHOLDS, Options, Policy
from npugate.target import profiles

_ABOVE_ALL: Final = 9  # any level of a finding


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
    notices, notify = _notices(options)
    root = _root(options)
    with tempfile.TemporaryDirectory(prefix="npugate-base-") as scratch:
        known = base_results.known_base(options, root, Path(scratch), notify)
        search = replace(options.search, notify=notify, tree=known.tree if known else None)
        candidates, left = _candidates(search, options, known)
        moved = _renames(candidates, known)
        baselines = [_known(policy, options, moved, notify) for policy in options.policies]
        notices[:0] = _of_settings(options, rules, baselines)  # a reviewer reads it first
        options = tracking.asked(options, candidates, notify)
        each = cases(options, candidates, rules, baselines)
        jobs = [job for case in each for job in case.jobs]
        _make_ready(jobs, notify)
        examined = examine_all(jobs, options, rules)
        policy_context = PolicyContext(rules, Checkout(root, options.tracked), options.today)
        context = _Context(options, policy_context, keep)
        if known is not None:
            again = partial(_examine_again, options=options, rules=rules)
            versions = Past(options, known, root, policy_context, again, notify)
            context = replace(context, old=versions.of(each))
    crashed = _tell_faults(jobs, examined)
    made = (
        _model_report(case, found, _asked(case, found, options, rules), context)
        for case, found in zip(each, by_case(each, examined), strict=True)
    )
    models = Packed(ModelReport, made) if isinstance(examined, Packed) else tuple(made)
    _remark(options, each, models, baselines[0], notify)
    if options.write_baseline:
        baseline.write(options.write_baseline, models)
    report = _report(options, jobs, models, rules, tuple(notices), crashed=crashed)
    return replace(report, departed=left)


def _notices(options: Options) -> tuple[list[str], Callable[[str], None]]:
    """Return the sentences of the report on the run itself, and what adds one and tells it."""
    notices: list[str] = list(options.remarks)
    tell = options.search.notify

    def notify(text: str) -> None:
        notices.append(text)
        tell(text)

    return notices, notify


def _tell_faults(jobs: Sequence[Job], examined: Sequence[Examined]) -> bool:
    """Log the faults of our own rules; tell whether there was one."""
    crashed = False
    for job, found in zip(jobs, examined, strict=True):
        for text in found.tracebacks:
            crashed = True
            log.error(f"{job.candidate.path}: {text}")
    return crashed


def _asked(
    case: Case, examined: Sequence[Examined], options: Options, rules: Mapping[str, Rule]
) -> Answer | None:
    """Ask the vendor's compiler about a model; None where it is not to be asked."""
    return compiler_verdict.asked(case.jobs[0], examined[0], options.ask, rules)


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
        yield from tightening.sentences(*options.policies[:2], rules=rules, known=entries)
    yield from tightening.without_effect(options.policies[0], rules)


def _known(
    policy: Policy, options: Options, moved: Mapping[str, str], notify: Callable[[str], None]
) -> baseline.Known:
    """Return the baseline of a policy under the names of today."""
    if policy.baseline is None:
        return {}
    known = baseline.read(policy.baseline)
    if count := baseline.early(known):
        notify(
            f"{policy.baseline.name} has {count} entries in an earlier format, without operator "
            "and level; write it again with --write-baseline"
        )
    try:
        renamed = git.renames_since(_root(options), policy.baseline, options.search.environment)
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
    overall = options.check_settings("")
    wanted = (overall.target, overall.toolchain)
    # Reading a profile takes as long as checking a small model: take a model's, if it is the same.
    target = next(
        (
            job.target
            for job in jobs
            if (job.check_settings.target, job.check_settings.toolchain) == wanted
        ),
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
        may_leave=options.may_leave
        and all(policy.settings.may_leave for policy in options.policies),
        documentation=OF_SITE,
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
    root, policies = _root(options), options.policies
    before = base_results.was_judged(options, known, root) if known is not None else frozenset()
    found = every(replace(search, allow_empty=search.allow_empty or bool(before)))
    kept = tuple(c for c in found if not all(policy.excludes(c.path) for policy in policies))
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


def _make_ready(jobs: Sequence[Job], notify: Callable[[str], None]) -> None:
    """Load once what each examination needs, and tell what the system cannot do."""
    if jobs and not pool.enforced():
        notify("this system cannot bound a model's memory: check only models that you trust")
    if len(jobs) > 1:
        prepare()


def _examine_again(
    jobs: Sequence[Job], options: Options, rules: Mapping[str, Rule]
) -> Sequence[Examined]:
    """Examine old versions, without repairs and without progress."""
    silent = replace(options, repair_request=None, progress=lambda _done, _all: None)
    return examine_all(jobs, silent, rules)


def _threshold(options: Options) -> Severity | None:
    """Return the level at which a run fails: that of the strictest judge."""
    words = [policy.check_settings("").threshold or "error" for policy in options.policies]
    return min((THRESHOLDS[word] for word in words), key=lambda level: level or _ABOVE_ALL)


class _Context(Struct, frozen=True):
    """What a report needs beside what a worker found."""

    options: Options
    policy_context: PolicyContext
    keep: Keep | None
    old: Mapping[str, Old] = field(default_factory=dict)


def _model_report(
    case: Case, examined: Sequence[Examined], answer: Answer | None, context: _Context
) -> ModelReport:
    """Make the report of one model of what its workers and the vendor's compiler found."""
    found, path = examined[0], case.candidate.path
    old = context.old.get(path)
    rulings = _rulings(case, old, context)
    hits = [((*each.hits, *(answer.hits if answer else ())), each.digest) for each in examined]
    findings = tuple(
        replace(finding, twin=found.twin.get((finding.location.graph, finding.location.node)))
        for finding in findings_of(path, rulings, hits, context.policy_context)
    )
    findings = surroundings.attach(findings, found.sketches)
    return ModelReport(
        path,
        found.digest,
        found.size_bytes,
        findings,
        any(each.unreadable for each in examined),
        found.census,
        found.seconds,
        repair=_repair_report(case, found, rulings, context),
        against=None if old is None else base_results.against(findings, old),
        estimate=found.estimate,
        graph=found.graph,
        compiled=answer.compiled if answer else None,
    )


def _rulings(case: Case, old: Old | None, context: _Context) -> tuple[Ruling, ...]:
    """Return the rulings of a model, with the levels that its findings have on the base."""
    if old is None or not old.levels or not context.options.new_only:
        return case.rulings
    pairs = zip(case.rulings, old.levels, strict=True)
    return tuple(replace(ruling, old=levels) for ruling, levels in pairs)


def _repair_report(
    case: Case, found: Examined, rulings: Sequence[Ruling], context: _Context
) -> RepairReport | None:
    """Keep a repaired model where it is to be kept, and report on it; None where none was made."""
    if found.repaired is None:
        return None
    path = case.candidate.path
    keep = context.keep if found.repaired.data else None
    written = keep(path, case.candidate.file, found) if keep else None
    after = findings_of(
        path, rulings, [(found.repaired.hits, found.digest)], context.policy_context
    )
    return replace(found.repaired.report, findings=after, output=written)
