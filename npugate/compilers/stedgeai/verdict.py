"""Turn the output of a back end into a verdict and findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from npugate.compilers.stedgeai import catalogue, comparison, lines, reading, redact
from npugate.compilers.stedgeai.catalogue import Known
from npugate.compilers.stedgeai.record import Ended, Output
from npugate.findings.values import Hit, Location, Severity
from npugate.report.compiled import Answer, Asked, Compiled, CompiledRun, State
from npugate.report.estimate import Engine

TEXT_LIMIT: Final = 2000
"""Most characters of an unknown failure that a finding quotes."""

_SPARE_EPOCHS: Final = 2  # more on the CPU than predicted by so many is worth a word
_LAST_LINES: Final = 12
_LINES_AROUND: Final = 400
_FILE_IT: Final = (
    "npugate does not know this failure: please file it at the project with the record that "
    "--record keeps (it has no paths and serial numbers), and ask ST in their community"
)


def verdict_of(asked: Asked, output: Output) -> Answer:
    """Return what an output says of a model; everything in it is redacted first."""
    output = replace(
        output,
        stdout=redact.data(output.stdout),
        files={name: redact.data(data) for name, data in output.files.items()},
        reason=redact.text(output.reason),
    )
    if output.ended is Ended.NOT_STARTED:
        return Answer(Compiled(State.NOT_RUN, output.back_end, output.reason))
    run = reading.read(output.stdout, output.files)
    if run is not None and not run.version:
        run = replace(run, version=output.version)
    if output.ended is not Ended.EXIT:
        return _unfinished(output, run, output.reason)
    if output.status is not None and output.status < 0:
        reason = f"the compiler was ended by signal {-output.status}"
        return _unfinished(output, run, reason)
    if output.status or (run is not None and run.failure is not None):
        return _refused(asked, output, run)
    if run is None or (run.counts is None and run.weights is None):
        reason = "the compiler ended well, but left no report that npugate can read"
        return _unfinished(output, run, reason)
    return _compiled(asked, output, run)


def _unfinished(output: Output, run: CompiledRun | None, reason: str, *known: str) -> Answer:
    """Return no verdict, and a warning: a tool that does not come to its end is worth a look."""
    hit = Hit(Location(), f"no verdict of the compiler: {reason}", Severity.WARNING)
    state = Compiled(State.NO_VERDICT, output.back_end, reason, run, known=known)
    return Answer(state, ((catalogue.REFUSED, hit),))


def _refused(asked: Asked, output: Output, run: CompiledRun | None) -> Answer:
    told = _told(output, run)
    # The reason may stand beside the line that ends the run: a crash, the name of a dimension.
    around = list(lines.clean(output.stdout))[-_LINES_AROUND:]
    known = catalogue.of_failure([*told, *around])
    if known is not None and not known.is_about_the_model:
        reason = f"{known.cause}; {known.fix} ({_quote(told)})"
        return _unfinished(output, run, reason, known.id)
    reason = _quote(told) if known is None else f"{known.cause} ({_quote(told)})"
    names = () if known is None else (known.id,)
    state = Compiled(State.REFUSED, output.back_end, reason, run, known=names)
    rule = catalogue.REFUSED if known is None else known.rule
    state = replace(state, differences=comparison.compare(asked, state, rule))
    if known is not None and _said(asked, rule):
        return Answer(state)
    version = _version(run, output)
    advice = _FILE_IT if known is None else _advice(known)
    text = f"{version} refused the model: {reason}. {advice}"
    return Answer(state, ((rule, Hit(Location(), text, Severity.ERROR)),))


def _compiled(asked: Asked, output: Output, run: CompiledRun) -> Answer:
    state = Compiled(State.COMPILED, output.back_end, "", run)
    traps = catalogue.of_output(lines.clean(output.stdout))
    state = replace(
        state,
        differences=comparison.compare(asked, state, ""),
        known=tuple(row.id for row, _ in traps),
    )
    version = _version(run, output)
    hits = [*_traps(asked, traps, version), *_memory(run, version), *_fallback(asked, run, version)]
    return Answer(state, tuple(hits))


def _traps(
    asked: Asked, traps: Iterable[tuple[Known, int]], version: str
) -> Iterator[tuple[str, Hit]]:
    for row, count in traps:
        said = any(rule == row.rule for rule, _ in asked.hits)
        if not said or row.level is Severity.ERROR:
            times = f" ({count} lines say so)" if count > 1 else ""
            text = f"{version}: {row.cause}{times}. {_advice(row)}"
            yield row.rule, Hit(Location(), text, row.level)


def _memory(run: CompiledRun, version: str) -> Iterator[tuple[str, Hit]]:
    outside = run.external_activations
    if outside:
        names = [p.name for p in run.pools if p.is_external and p.variable_bytes]
        text = (
            f"{version} put {comparison.size(outside)} of activations into external memory "
            f"({', '.join(names)}): slow, and a fault where the firmware does not map it"
        )
        yield catalogue.MEMORY, Hit(Location(), text, Severity.WARNING)
    weights = run.weights
    placed = [pool.used_bytes for pool in run.pools]
    if weights and run.pools and all(size == 0 for size in placed):
        text = f"{version} needs {comparison.size(weights)} of weights, and no memory holds them"
        yield catalogue.MEMORY, Hit(Location(), text, Severity.ERROR)


def _fallback(asked: Asked, run: CompiledRun, version: str) -> Iterator[tuple[str, Hit]]:
    """Yield a warning when more runs on the CPU than was to be expected."""
    if run.counts is None:
        return
    found, every = run.counts.software, run.counts.total
    if asked.estimate is not None:
        expected = asked.estimate.count(Engine.CPU)
        is_more = found > expected + max(_SPARE_EPOCHS, expected // 2)
        against = f"{expected} were predicted"
    else:
        is_more = asked.is_quantized and found * 2 > every
        against = "the model is quantised"
    if is_more:
        kinds = comparison.listed(comparison.kinds_on_cpu(run))
        text = f"{version} runs {found} of {every} epochs on the CPU, {against}: {kinds}"
        yield catalogue.FALLBACK, Hit(Location(), text, Severity.WARNING)


def _told(output: Output, run: CompiledRun | None) -> list[str]:
    """Return the lines that tell why a run failed."""
    failure = run.failure if run is not None else None
    if failure is not None:
        return [str(failure), *failure.detail]
    last = [line.strip() for line in lines.clean(output.stdout) if line.strip()]
    return [f"exit status {output.status}", *last[-_LAST_LINES:]]


def _quote(told: Iterable[str]) -> str:
    text = " | ".join(told)
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]} ..."


def _said(asked: Asked, rule: str) -> bool:
    """Tell whether our own rule is an error of this model already."""
    return any(key == rule and hit.severity is Severity.ERROR for key, hit in asked.hits)


def _advice(row: Known) -> str:
    fix = f"{row.fix[:1].upper()}{row.fix[1:]}"
    return f"{fix}; npugate fix --select {row.repair}" if row.repair else fix


def _version(run: CompiledRun | None, output: Output) -> str:
    version = (run.version if run else "") or output.version
    return f"ST Edge AI Core {version.partition(' ')[0]}".rstrip()
