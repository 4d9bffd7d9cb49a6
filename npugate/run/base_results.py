"""What the models were on the base: their old versions, examined as those of today are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from npugate.errors import UsageError
from npugate.findings.values import Finding, Severity
from npugate.report.estimate import Estimate
from npugate.report.values import Against
from npugate.repository import base_revision, departure, git
from npugate.repository.base_revision import Base
from npugate.repository.delta import Delta
from npugate.repository.discover import shown
from npugate.run.cases import Case, by_case, chosen_by, load_target
from npugate.run.policy_findings import PolicyContext, Ruling, findings_of, levels
from npugate.run.worker import Examined, Job
from npugate.settings.options import Options, Policy
from npugate.target.values import Target

ExamineAll = Callable[[Sequence[Job]], Sequence[Examined]]
"""Examines models, each in a process of its own."""
Notify = Callable[[str], None]


class Old(Struct, frozen=True):
    """What a model was on the base branch.

    Attributes:
        findings: by the settings of today.
        levels: for each ruling, those of the findings that excuse the same ones of today.
        estimate: None when none was made.
        added: the base has no such model.
    """

    findings: tuple[Finding, ...] = ()
    levels: tuple[Mapping[str, Severity], ...] = ()
    estimate: Estimate | None = None
    added: bool = False


def known_base(options: Options, root: Path, scratch: Path, notify: Notify) -> Base | None:
    """Return what is known of the base; None where there is none to compare with.

    Args:
        options: of the run.
        root: top of the repository.
        scratch: an empty folder.
        notify: told when the base cannot be read.
    """
    if options.base_folder is not None:
        return base_revision.from_folder(options.base_folder)
    if not options.base:
        return None
    try:
        return base_revision.from_git(root, options.base, scratch, options.search.environment)
    except git.GitError as error:
        notify(f"the base cannot be read ({error}): every finding counts as new")
        return None


def was_judged(options: Options, known: Base, root: Path) -> frozenset[str]:
    """Return the names of the models that were checked on the base.

    By the settings of the last judge: they are those of the base, where these are known.
    """
    if known.tree is None:
        return frozenset()
    policy = options.policies[-1]
    names = departure.judged(options.search, known.tree, root)
    return frozenset(name for name in names if not policy.excludes(shown(name)))


class Past(Struct, frozen=True):
    """What old versions are examined with."""

    options: Options
    known: Base
    root: Path
    context: PolicyContext
    examine_all: ExamineAll
    notify: Notify

    def of(self, cases: Sequence[Case]) -> Mapping[str, Old]:
        """Examine the base versions of models; return what they were by the path of today."""
        candidates = [case.candidate for case in cases]
        try:
            places = base_revision.versions(self.known, candidates, self.root, self._was_judged())
        except git.GitError as error:
            self.notify(f"the base cannot be read ({error}): every finding counts as new")
            return {}
        there = [case for case in cases if case.candidate.path in places]
        readable = [
            case for case in there if base_revision.is_readable(places[case.candidate.path])
        ]
        jobs = [_earlier(job, places) for case in readable for job in case.jobs]
        pairs = zip(readable, by_case(readable, self.examine_all(jobs)), strict=True)
        whole = [(case, found) for case, found in pairs if not any(e.unreadable for e in found)]
        if lost := len(there) - len(whole):
            told = f"models whose base version cannot be examined: {lost}"
            self.notify(f"{told}; their findings count as new")
        changes = self.known.changes
        delta = None if changes is None else Delta(changes, self.root, self.known.tree)
        added = {c.path: Old(added=True) for c in candidates if c.path not in places}
        return added | {
            case.candidate.path: self._was(
                case, found, base_revision.previous(case.candidate, delta)
            )
            for case, found in whole
        }

    def _was_judged(self) -> Callable[[str], bool]:
        if self.known.tree is None:
            return bool  # nobody said what the base holds
        return was_judged(self.options, self.known, self.root).__contains__

    def _was(self, case: Case, examined: Sequence[Examined], previous: str) -> Old:
        """Return what a model was; what another path excused there excuses nothing here."""
        hits = [(found.hits, found.digest) for found in examined]
        path = case.candidate.path
        policies = [policy for policy in self.options.policies if not policy.excludes(path)]
        by_ruling: list[Mapping[str, Severity]] = []
        for policy, ruling in zip(policies, case.rulings, strict=True):
            bare = replace(ruling, known={}, ignores=())
            now: Mapping[str, Severity] = levels(findings_of(path, [bare], hits, self.context))
            if previous:
                target, before = case.jobs[ruling.at].target, shown(previous)
                there = _ruling_at(before, policy, ruling, target, self.context)
                then = () if there is None else findings_of(before, [there], hits, self.context)
                now = _both(now, levels(f for f in then if f.suppression is None))
            by_ruling.append(now)
        findings = findings_of(path, case.rulings, hits, self.context)
        return Old(findings, tuple(by_ruling), examined[0].estimate)


def _earlier(job: Job, places: Mapping[str, Path]) -> Job:
    """Return the job for the base version, which is neither repaired nor drawn."""
    candidate = replace(job.candidate, file=places[job.candidate.path])
    return replace(job, repair_request=None, pictured=False, candidate=candidate)


def _ruling_at(
    path: str, policy: Policy, ruling: Ruling, target: Target, context: PolicyContext
) -> Ruling | None:
    """Return a ruling as it is for another path; None where that is judged by another target."""
    check_settings = policy.check_settings(path)
    try:
        if load_target(check_settings, loaded={}) != target:
            return None
    except UsageError:
        return None  # one that cannot be had is another
    chosen = chosen_by(check_settings, context.rules)
    return replace(ruling, check_settings=check_settings, chosen=chosen, known={})


def _both(one: Mapping[str, Severity], two: Mapping[str, Severity]) -> dict[str, Severity]:
    return {mark: min(one[mark], two[mark]) for mark in one.keys() & two.keys()}


def against(findings: Sequence[Finding], old: Old) -> Against:
    """Return how the findings of a model compare with those of its base version."""
    mine = frozenset(finding.fingerprint for finding in findings)
    excused = frozenset(
        finding.fingerprint
        for finding in findings
        if any(found.get(finding.fingerprint, 0) >= finding.severity for found in old.levels)
    )
    fixed = tuple(finding for finding in old.findings if finding.fingerprint not in mine)
    return Against(mine - excused, excused, fixed, old.estimate, old.added)
