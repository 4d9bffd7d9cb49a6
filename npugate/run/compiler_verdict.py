"""The verdict of the vendor's compiler beside our own, for a model that was examined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from npugate.findings import rule_names
from npugate.findings.values import Severity
from npugate.report.compiled import Answer, Ask, Asked, Compiled, State
from npugate.report.values import ModelReport
from npugate.rules import check
from npugate.rules.values import Rule
from npugate.run.worker import Examined, Job

_REFUSED: Final = rule_names.COMPILER_REFUSED
_FLOAT: Final = "float"


def asked(job: Job, found: Examined, ask: Ask | None, rules: Mapping[str, Rule]) -> Answer | None:
    """Ask the vendor's compiler, where it is to be asked; what was switched off stays off."""
    if ask is None:
        return None
    if found.unreadable:
        return Answer(Compiled(State.NOT_RUN, "", "the model cannot be read"))
    if found.beside is None:
        return Answer(Compiled(State.NOT_RUN, "", "its weights may not or cannot be read"))
    answer = ask(
        Asked(
            job.candidate.path,
            job.candidate.file,
            found.beside,
            job.target.toolchain,
            found.hits,
            found.census.quantized != _FLOAT,
            found.estimate,
        )
    )
    # A refusal must be told: one of a rule that does not run goes by the compiler's own rule.
    refused = check.id_of(rules, _REFUSED)
    hits = [
        (key if key in job.chosen or hit.severity is not Severity.ERROR else refused, hit)
        for key, hit in answer.hits
    ]
    return replace(answer, hits=tuple((key, hit) for key, hit in hits if key in job.chosen))


def unanswered(models: Sequence[ModelReport]) -> str:
    """Say in one sentence how many models have no verdict of the compiler; empty when all have."""
    silent = (State.NO_VERDICT, State.NOT_RUN)
    reasons = [m.compiled.reason for m in models if m.compiled and m.compiled.state in silent]
    if not reasons:
        return ""
    return f"models without a verdict of the compiler: {len(reasons)}, the first: {reasons[0]}"
