"""Run the steps of a deployment, those that nothing has changed for excepted."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from npugate import __version__, atomic_write
from npugate.deploy import cache, plan, step_report
from npugate.deploy.step_report import Json, ReportError
from npugate.deploy.values import (
    Criterion,
    Deployment,
    Outcome,
    Result,
    Settings,
    Step,
    Verdict,
)
from npugate.errors import ModelError, UsageError
from npugate.limits import Limits
from npugate.model import reader, writer
from npugate.settings import tracking

INTERRUPTED: Final = 130
_GRADES: Final = ("EXCELLENT", "GOOD")


class Ended(Struct, frozen=True):
    """How a command ended: its exit code and what it said on standard error."""

    code: int
    said: str


Program = Callable[[Sequence[str]], Ended]
"""Runs ``npugate`` with arguments."""
Tell = Callable[[str], None]
"""Called with each line of progress."""


def deploy(settings: Settings, program: Program, tell: Tell) -> Deployment:
    """Run every plan; a step that failed stops its plan.

    Args:
        settings: everything that decides the result.
        program: runs one command.
        tell: hears how it goes.

    Raises:
        UsageError: the settings cannot be used, or the folder cannot be written.
        KeyboardInterrupt: a command was interrupted; what is done is remembered.
    """
    plan.check(settings)
    state = cache.State(settings.output)
    outcomes: list[Outcome] = []
    for name in settings.plans:
        tell(f"plan {name}")
        results = tuple(_run(plan.steps(settings, name), name, state, program, tell))
        outcomes.append(Outcome(name, results, tuple(_criteria(settings, name, results))))
    return Deployment(__version__, tuple(outcomes), tuple(_given(settings)))


def _run(
    steps: Sequence[Step], plan_name: str, state: cache.State, program: Program, tell: Tell
) -> Iterator[Result]:
    stopped = ""
    for step in steps:
        if stopped:
            skipped = f"not reached: {stopped} failed"
            yield Result(step.name, step.title, Verdict.SKIPPED, _command(step), reason=skipped)
            continue
        result = _step(step, f"{plan_name}/{step.name}", state, program)
        mark = " (unchanged)" if result.is_cached else f" ({result.seconds:.1f} s)"
        tell(f"  {result.verdict.value:7} {step.title}{mark}")
        if result.verdict is Verdict.FAILED:
            tell(f"          {result.reason}")
            tell(f"          {step.advice}")
            stopped = step.title if step.gates else ""
        yield result


def _step(step: Step, name: str, state: cache.State, program: Program) -> Result:
    digest = cache.key(step)
    known = state.seconds(name, digest, step.makes)
    if known is not None:
        return _passed(step, known, is_cached=True)
    state.forget(name)
    step.report.parent.mkdir(parents=True, exist_ok=True)
    for path in step.makes:
        atomic_write.check_place(path)
        path.unlink(missing_ok=True)  # what is there is of other inputs
    start = monotonic()
    ended = program(step.arguments)
    if ended.code == INTERRUPTED:
        raise KeyboardInterrupt
    if ended.code == 0 and step.source is not None:
        _settle(step, step.source)
    seconds = monotonic() - start
    missing = [path for path in step.makes if not path.exists()]
    if ended.code or missing:
        return _failed(step, ended, missing, seconds)
    state.keep(name, digest, step.makes, seconds)
    return _passed(step, seconds)


def _settle(step: Step, source: Path) -> None:
    """Put the repaired model, or the source where nothing was repaired, where the plan goes on."""
    report = step_report.read(step.report)
    repair = report["models"][0].get("repair") or {}
    file = Path(repair.get("output") or source)
    tracked = tracking.of_files([file], {"PATH": f"{os.defpath}:/usr/local/bin"})
    try:
        whole = writer.load(file, reader.load(file, str(file), Limits(), tracked))
    except ModelError as error:
        raise UsageError(f"{file}: {error}") from error
    atomic_write.write_bytes(step.makes[0], whole.SerializeToString())


def _passed(step: Step, seconds: float, *, is_cached: bool = False) -> Result:
    made = tuple((str(path), cache.digest_of(path)) for path in step.makes)
    found = _figures(step)
    passed = Verdict.PASSED
    return Result(step.name, step.title, passed, _command(step), is_cached, seconds, found, made)


def _failed(step: Step, ended: Ended, missing: Sequence[Path], seconds: float) -> Result:
    lines = [line for line in ended.said.splitlines() if line.strip()]
    if lines:
        reason = lines[-1].strip().removeprefix("npugate: error: ")
    elif ended.code:
        reason = _found(step) or f"it ended with status {ended.code}: see {step.report}"
    else:
        reason = f"it made no {', '.join(path.name for path in missing)}"
    made = tuple((str(path), cache.digest_of(path)) for path in step.makes if path.exists())
    result = Result(step.name, step.title, Verdict.FAILED, _command(step), seconds=seconds)
    return replace(result, figures=_figures(step), made=made, reason=reason)


def _found(step: Step) -> str:
    """Return the worst finding of a step's report, and how many more there are; empty without."""
    if not step.report.exists():
        return ""
    models = step_report.read(step.report).get("models") or [{}]
    found = [f for f in models[0].get("findings", []) if f["severity"] == "error"]
    if not found:
        return ""
    more = f"; {len(found) - 1} more in {step.report}" if len(found) > 1 else ""
    return f"{found[0]['rule']} {found[0]['name']}: {found[0]['message']}{more}"


def _figures(step: Step) -> step_report.ModelSize:
    if step.report not in step.makes or not step.report.exists():
        return ()
    return step_report.of_step(step.name, step_report.read(step.report))


def _command(step: Step) -> str:
    return shlex.join(("npugate", *step.arguments))


def _given(settings: Settings) -> Iterator[tuple[str, str]]:
    for name, path in (
        ("model", settings.model),
        ("clean", Path(settings.clean) if settings.clean else None),
        ("calibration", settings.calibration),
        ("data", settings.data),
    ):
        if path is not None:
            yield name, f"{path} {cache.digest_of(path)}".strip()


def _criteria(settings: Settings, name: str, results: Sequence[Result]) -> Iterator[Criterion]:
    """Yield the conditions of success, as far as the steps' reports tell."""
    done = {result.name: result for result in results}
    reports = {step.name: step.report for step in plan.steps(settings, name)}

    def read(step: str) -> Json | None:
        if step not in done or done[step].verdict is Verdict.SKIPPED:
            return None
        try:
            return step_report.read(reports[step])
        except ReportError:
            return None

    yield _diagnosed(read("final"))
    yield _accurate(read("evaluate"))
    yield _runs(read("verify"))
    yield _fits(read("final"))
    yield _compiled(done.get("stedgeai"))


def _diagnosed(report: Json | None) -> Criterion:
    text = "the int8 model has 0 violations"
    if report is None:
        return Criterion(text, None, "not reached")
    errors = int(report["summary"]["errors"])
    return Criterion(text, errors == 0, f"{errors}")


def _accurate(report: Json | None) -> Criterion:
    text = "quantisation keeps within the limits, grade GOOD or better"
    if report is None:
        return Criterion(text, None, "not reached")
    grade = str(report["grade"] or "none")
    return Criterion(text, bool(report["passed"]) and grade in _GRADES, grade)


def _runs(report: Json | None) -> Criterion:
    text = "it runs in ONNX Runtime, every output is as expected"
    if report is None:
        return Criterion(text, None, "not reached")
    return Criterion(text, bool(report["passed"]), f"{report['samples']} samples")


def _fits(report: Json | None) -> Criterion:
    text = "it fits the board"
    models = report["models"] if report is not None else []
    memory = (models[0].get("estimate") or {}).get("memory") if models else None
    if memory is None:
        return Criterion(text, None, "not estimated")
    fit = str(memory["fit"])
    is_met = {"fits": True, "may-spill": None}.get(fit, False)
    return Criterion(text, is_met, f"{fit} (estimated)")


def _compiled(result: Result | None) -> Criterion:
    text = "ST's compiler takes it"
    if result is None:
        return Criterion(text, None, "not asked")
    return Criterion(text, result.verdict is Verdict.PASSED, result.reason or "taken")


def check_writable(folder: Path) -> None:
    """Fail early where nothing can be written.

    Raises:
        UsageError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".npugate-", dir=folder):
            pass  # under a name that nothing has: what is there may be a link to elsewhere
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}") from error
