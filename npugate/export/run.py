"""Export one module: from a job to a file and a report.

The user's code and torch run in a bounded child; this process only reads the job and writes the
file.
"""

from __future__ import annotations

import hashlib
import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace
from onnx import ModelProto, helper

from npugate import __version__, atomic_write
from npugate.errors import UsageError
from npugate.export import advice, attempt, entry, lines
from npugate.export.attempt import AttemptContext, Hits, Made
from npugate.export.values import EXPORTERS, Attempt, CodeFinding, ExportJob, ExportReport
from npugate.findings.values import Severity
from npugate.limits import Limits
from npugate.rules.values import Rule
from npugate.sandbox import pool, task
from npugate.surgery.shapes import known_of
from npugate.target import profiles

if TYPE_CHECKING:  # it loads torch
    from npugate.export.pytorch import Subject

_MEMORY_BYTES: Final = 64 * 1024**3  # of address space: torch maps far more than it uses
_MOST_SEEDS: Final = 100
_INSTALL: Final = "pip install 'npugate[export]'"


class _Result(Struct, frozen=True):
    """What the child sends back; no data when there is nothing to write."""

    data: bytes
    report: ExportReport


def export(job: ExportJob) -> ExportReport:
    """Export a module and write it; nothing is written unless it agrees with PyTorch.

    Args:
        job: everything that decides the result. Its entry names code, which is run.

    Raises:
        UsageError: torch is missing, the entry or its weights cannot be used, the code raises, or
            the result cannot be written.
    """
    _check_job(job)
    limits = replace(Limits(), seconds=job.seconds, memory_bytes=_MEMORY_BYTES)
    result = task.run(partial(_work, job, limits), limits, _Result)
    if not result.data:
        return result.report
    atomic_write.write_bytes(job.output, result.data)
    return replace(
        result.report,
        output=str(job.output),
        output_digest=hashlib.sha256(result.data).hexdigest(),
        output_bytes=len(result.data),
    )


def _check_job(job: ExportJob) -> None:
    entry.split(job.entry)
    if job.exporter not in EXPORTERS:
        raise UsageError(f"--exporter is {', '.join(EXPORTERS)}, not {job.exporter!r}")
    if not 1 <= job.seeds <= _MOST_SEEDS:
        raise UsageError(f"--seeds is 1 to {_MOST_SEEDS}, not {job.seeds}")
    if job.output.is_dir():
        raise UsageError(f"{job.output} is a folder: --output names a file")
    atomic_write.check_place(job.output)
    if job.weights is not None and not job.weights.is_file():
        raise UsageError(f"--weights {job.weights}: there is no such file")
    if job.weights is not None and job.output.exists() and job.output.samefile(job.weights):
        raise UsageError(f"{job.output} is the file of the weights: choose another --output")
    if importlib.util.find_spec("torch") is None:
        raise UsageError(f"npugate export needs torch: {_INSTALL}")
    if job.exporter == "dynamo" and not _has_onnxscript():
        raise UsageError(f"the dynamo exporter needs onnxscript: {_INSTALL}")


def _has_onnxscript() -> bool:
    return importlib.util.find_spec("onnxscript") is not None


def _work(job: ExportJob, limits: Limits) -> _Result:
    """Do everything but the writing; called in the child."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        pool.stage("importing torch")
        from npugate.export import pytorch  # noqa: PLC0415 - loads torch, in the child only

        by = attempt.context_of(profiles.load(job.target, job.toolchain), limits)
        pool.stage(f"running {job.entry}")
        pytorch.settle()
        subject = pytorch.subject(entry.call(job.entry, job.folder), job.weights, job.input_names)
        made = [_tried(job, subject, name, by) for name in _exporters(job)]
        return _result(job, made, by, subject, pytorch.VERSION)


def _exporters(job: ExportJob) -> tuple[str, ...]:
    if job.exporter != "auto":
        return (job.exporter,)
    return ("dynamo", "torchscript") if _has_onnxscript() else ("torchscript",)


def _tried(job: ExportJob, subject: Subject, exporter: str, by: AttemptContext) -> Made:
    from npugate.export import pytorch  # noqa: PLC0415 - as above

    pool.stage(f"exporting with {exporter}")
    try:
        written = pytorch.write(subject, exporter, by.goal, job.output_names)
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - torch refuses a module in many ways
        where, reason = entry.own_line(error), entry.reason(error)
        advised = advice.of_refusal(f"{reason} {where}")
        fault = f"torch refuses: {reason}"
        return Made(Attempt(exporter, fault=fault, where=where, advice=advised), ModelProto())
    lines.relocate(written, job.folder.resolve())
    return attempt.finish(written, exporter, by, subject, (job.seeds, job.repairs))


def _result(
    job: ExportJob, made: Sequence[Made], by: AttemptContext, subject: Subject, version: str
) -> _Result:
    usable = [item for item in made if item.attempt.is_usable]
    best = min(usable, key=_rank) if usable else None
    told = best or next((item for item in reversed(made) if item.before), made[-1])
    report = ExportReport(
        version=__version__,
        entry=job.entry,
        output=None,
        output_digest="",
        output_bytes=0,
        target=by.target.name,
        torch=version,
        weights=str(job.weights) if job.weights else "",
        weights_digest=hashlib.sha256(job.weights.read_bytes()).hexdigest() if job.weights else "",
        attempts=tuple(item.attempt for item in made),
        chosen=best.attempt.exporter if best else "",
        reason=_reason(made, best),
        findings=_findings(told, by.rules, job),
        notices=(*subject.notices, *_notices(job, best, subject)),
    )
    if best is None:
        return _Result(b"", report)
    report = replace(
        report,
        inputs=_ports(best.model.graph.input),
        outputs=_ports(best.model.graph.output),
        left=_left(best.after, by.rules),
    )
    return _Result(best.model.SerializeToString(deterministic=True), report)


def _rank(made: Made) -> tuple[int, int, int]:
    """Return what decides between two models: smaller is better, the first of equals wins."""
    found = made.attempt
    cpu = found.cpu_operators if found.cpu_operators is not None else found.nodes
    return found.errors, cpu, found.nodes


def _reason(made: Sequence[Made], best: Made | None) -> str:
    if best is None:
        return "no exporter made a model that may be written"
    others = [item for item in made if item is not best]
    if not others:
        return "it is the only one that was tried"
    other = others[0].attempt
    if not other.is_usable:
        return f"{other.exporter} made no model that may be written"
    what = ("errors", "operators on the CPU", "nodes")
    for word, ours, theirs in zip(what, _rank(best), _rank(others[0]), strict=True):
        if ours != theirs:
            return f"{ours} {word}, {theirs} with {other.exporter}"
    return f"as good as {other.exporter}, and its file holds the text of each line of Python"


def _findings(made: Made, rules: Mapping[str, Rule], job: ExportJob) -> tuple[CodeFinding, ...]:
    """Return what the code leads to, worst first, one for a rule and a line."""
    left = {(rule, hit.location.node) for rule, hit in made.after}
    names = {rule for rule, _ in made.after}
    code = Path(entry.split(job.entry)[0])
    find = lines.finder(job.folder.resolve(), (job.folder / code).resolve().parent)
    found: dict[tuple[str, str, int, str], CodeFinding] = {}
    for key, hit in made.before:
        level = hit.severity or Severity.NOTE
        file, line, text = find(hit.frames)
        advised = advice.of(rules[key].name, hit.location.op_type, text)
        if level < Severity.WARNING and advised is None:
            continue
        fixed = key not in names or (key, hit.location.node) not in left
        place = str(hit.location)
        item = CodeFinding(
            key, rules[key].name, level.label, hit.message, place, file, line, text, advised, fixed
        )
        found.setdefault((key, file, line, "" if line else place), item)
    order = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(found.values(), key=lambda item: (order[item.level], item.line == 0)))


def _left(hits: Hits, rules: Mapping[str, Rule]) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (rules[key].name, hit.message, str(hit.location))
        for key, hit in hits
        if hit.severity is Severity.ERROR
    )


def _notices(job: ExportJob, best: Made | None, subject: Subject) -> list[str]:
    found: list[str] = []
    if job.exporter == "auto" and not _has_onnxscript():
        found.append(f"onnxscript is missing, so dynamo was not tried: {_INSTALL}")
    if best is not None:
        given = {info.name for info in best.model.graph.input}
        gone = [name for name in subject.names if name not in given]
        if gone:
            found.append(f"the outputs do not depend on: {', '.join(gone)}; not an input any more")
    return found


def _ports(infos: Sequence[object]) -> tuple[tuple[str, str, str], ...]:
    found: list[tuple[str, str, str]] = []
    for name, item in known_of(infos).items():  # type: ignore[arg-type]  # protobuf's repeated field
        dtype = helper.tensor_dtype_to_np_dtype(item.dtype).name if item.dtype else "?"
        found.append((name, dtype, str(list(item.static or ()))))
    return tuple(found)
