"""What is examined of each model, and by what it is judged: a job for each target, every judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from npugate.repository.discover import Candidate
from npugate.rules.values import Rule
from npugate.run.policy_findings import Ruling, is_of_the_run
from npugate.run.worker import Examined, Job
from npugate.settings import baseline
from npugate.settings.options import CheckSettings, Options
from npugate.target import boards, profiles
from npugate.target.values import Target


class Case(Struct, frozen=True):
    """One model, how it is examined, and by what it is judged.

    Attributes:
        jobs: one for each target that a judge has for it; the first is the one that repairs.
        rulings: of every judge that does not leave it out.
    """

    candidate: Candidate
    jobs: tuple[Job, ...]
    rulings: tuple[Ruling, ...]


def cases(
    options: Options,
    candidates: Sequence[Candidate],
    rules: Mapping[str, Rule],
    baselines: Sequence[baseline.Known],
) -> list[Case]:
    """Return what is done with each model.

    Args:
        options: all settings; each model is one that some judge does not leave out.
        candidates: the models.
        rules: every rule, by id.
        baselines: of each judge.

    Raises:
        UsageError: a target or board cannot be had.
    """
    loaded: dict[tuple[object, ...], Target] = {}
    return [
        _case(options, candidate, rules, baselines, partial(load_target, loaded=loaded))
        for candidate in candidates
    ]


def _case(
    options: Options,
    candidate: Candidate,
    rules: Mapping[str, Rule],
    baselines: Sequence[baseline.Known],
    target_of: Callable[[CheckSettings], Target],
) -> Case:
    jobs: list[Job] = []
    rulings: list[Ruling] = []
    for policy, known in zip(options.policies, baselines, strict=True):
        if policy.excludes(candidate.path):
            continue
        check_settings = policy.check_settings(candidate.path)
        target, chosen = target_of(check_settings), chosen_by(check_settings, rules)
        at = next((n for n, job in enumerate(jobs) if job.target == target), len(jobs))
        if at == len(jobs):
            jobs.append(Job(candidate, target, chosen, check_settings))
        else:
            every = set(jobs[at].chosen) | set(chosen)
            jobs[at] = replace(jobs[at], chosen=tuple(key for key in rules if key in every))
        entries = known.get(candidate.path, {})
        rulings.append(Ruling(check_settings, chosen, policy.settings.ignores, entries, at))
    jobs[0] = replace(jobs[0], repair_request=options.repair_request, pictured=options.pictured)
    return Case(candidate, tuple(jobs), tuple(rulings))


def load_target(
    check_settings: CheckSettings, *, loaded: dict[tuple[object, ...], Target]
) -> Target:
    """Return the target of a judgement with its board and budget.

    Raises:
        UsageError: one of them cannot be had.
    """
    key = (
        check_settings.target,
        check_settings.toolchain,
        check_settings.board,
        check_settings.budget,
    )
    if key not in loaded:
        target = profiles.load(check_settings.target or "", check_settings.toolchain)
        board = boards.load(check_settings.board or boards.DEFAULT_BOARD) if target.npu else None
        loaded[key] = replace(target, board=board, budget=check_settings.budget)
    return loaded[key]


def chosen_by(check_settings: CheckSettings, rules: Mapping[str, Rule]) -> tuple[str, ...]:
    """Return the ids of the rules that run; those about the run itself cannot be switched off."""
    return tuple(
        key
        for key, rule in rules.items()
        if is_of_the_run(rule)
        or (
            (check_settings.select is None or key in check_settings.select)
            and key not in check_settings.ignore
            and check_settings.severity.get(key, rule.severity) is not None
        )
    )


def by_case(cases: Sequence[Case], examined: Iterable[Examined]) -> Iterator[tuple[Examined, ...]]:
    """Yield the examinations of each case, of those of all its jobs in order."""
    rest = iter(examined)
    for case in cases:
        yield tuple(islice(rest, len(case.jobs)))
