"""Compare the prediction with the result of the compiler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from npugate.findings.values import Severity
from npugate.operators import CONVERSIONS
from npugate.report.compiled import Asked, Compiled, CompiledRun, Difference, State
from npugate.report.estimate import Engine, Estimate, Interval, Memory

_KIB: Final = 1024
_POOL_SHARE: Final = 0.1  # of a pool's size
_MAC_SHARE: Final = 0.01
_CYCLE_FACTOR: Final = 1.5
_NAMES: Final = 6
_WORDS: Final = {Engine.NPU: "NPU", Engine.HYBRID: "hybrid", Engine.CPU: "CPU"}
# (De)quantisation at the borders is told in the count of epochs; here it would drown the rest.


def compare(asked: Asked, found: Compiled, rule: str) -> tuple[Difference, ...]:
    """Return every figure that both sides have.

    Args:
        asked: our side.
        found: the compiler's.
        rule: our rule about what it refused; empty when it compiled.
    """
    rows = list(_verdicts(asked, found, rule))
    run = found.run
    if run is None:
        return tuple(rows)
    rows += _toolchains(asked, run)
    if found.state is State.COMPILED and asked.estimate is not None:
        rows += _placement(asked.estimate, run)
        rows += _memory(asked.estimate.memory, run)
        rows += _work(asked.estimate, run)
    return tuple(rows)


def _verdicts(asked: Asked, found: Compiled, rule: str) -> Iterator[Difference]:
    errors = sorted({key for key, hit in asked.hits if hit.severity is Severity.ERROR})
    predicted = f"errors: {', '.join(errors)}" if errors else "no error"
    if found.state is State.COMPILED:
        yield Difference("verdict", predicted, "compiled", not errors)
    elif found.state is State.REFUSED:
        said = any(key == rule for key, _ in asked.hits)
        about = f"refused, which {rule} is about" if said else "refused"
        yield Difference("verdict", predicted, about, bool(errors))


def _toolchains(asked: Asked, run: CompiledRun) -> Iterator[Difference]:
    if asked.toolchain and run.toolchain:
        agrees = asked.toolchain == run.toolchain
        yield Difference("toolchain", asked.toolchain, run.toolchain, agrees)


def _placement(estimate: Estimate, run: CompiledRun) -> Iterator[Difference]:
    counts = run.counts
    if counts is None:
        return
    figures: list[tuple[str, int, int | None]] = [
        ("epochs", len(estimate.epochs), counts.total),
        ("epochs on the CPU", estimate.count(Engine.CPU), counts.software),
        ("hybrid epochs", estimate.count(Engine.HYBRID), counts.hybrid),
    ]
    for subject, mine, theirs in figures:
        if theirs is not None:
            agrees = mine == theirs if subject != "epochs" else _close(mine, theirs, 0.1)
            yield Difference(subject, str(mine), str(theirs), agrees)
    if run.epochs:
        yield from _operators(_predicted(estimate), _compiled(run))


def _operators(
    mine: Mapping[tuple[str, Engine], int], theirs: Mapping[tuple[str, Engine], int]
) -> Iterator[Difference]:
    for kind, engine in sorted({*mine, *theirs}):
        predicted, compiled = mine.get((kind, engine), 0), theirs.get((kind, engine), 0)
        subject = f"{kind} ({_WORDS[engine]})"
        yield Difference(subject, str(predicted), str(compiled), predicted == compiled)


def _predicted(estimate: Estimate) -> Mapping[tuple[str, Engine], int]:
    return Counter(
        (operator.kind, operator.engine)
        for epoch in estimate.epochs
        for operator in epoch.operators
        if operator.engine is not Engine.NPU and operator.kind not in CONVERSIONS
    )


def _compiled(run: CompiledRun) -> Mapping[tuple[str, Engine], int]:
    """Count the operators off the NPU; text and JSON both name those."""
    return Counter(
        (_plain(name), epoch.engine)
        for epoch in run.epochs
        if epoch.engine is not Engine.NPU
        for name in epoch.operators
        if _plain(name) not in CONVERSIONS
    )


def kinds_on_cpu(run: CompiledRun) -> Mapping[str, int]:
    """Return how often each operator runs on the CPU, most frequent first."""
    found = Counter(
        _plain(name) for e in run.epochs if e.engine is Engine.CPU for name in e.operators
    )
    return dict(found.most_common())


def listed(counts: Mapping[str, int]) -> str:
    """Return for example ``Conv 48, Transpose 18 and 3 kinds more``."""
    names = [f"{name} {count}" for name, count in counts.items()]
    more = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {more} kinds more" if more > 0 else "")


def _plain(name: str) -> str:
    """Return the operator without the mark of its data type, ``Sub(float)``."""
    return name.partition("(")[0].strip()


def _memory(memory: Memory | None, run: CompiledRun) -> Iterator[Difference]:
    if memory is None:
        return
    sizes = (
        ("weights", memory.weights, run.weights),
        ("activations", memory.activations, run.activations),
        ("activations in external memory", memory.external, run.external_activations),
    )
    for subject, predicted, compiled in sizes:
        if compiled is not None:
            yield Difference(
                subject, _range(predicted), size(compiled), _within(predicted, compiled)
            )
    mine = {pool.name: pool for pool in memory.pools}
    for pool in run.pools:
        other = mine.get(pool.name)
        if other is None or pool.used_bytes is None:
            continue
        if pool.size_bytes is not None and pool.size_bytes != other.size_bytes:
            subject = f"size of {pool.name}"
            yield Difference(subject, size(other.size_bytes), size(pool.size_bytes), agrees=False)
        used = other.weight_bytes + other.activation_bytes
        if used or pool.used_bytes:
            room = (pool.size_bytes or other.size_bytes) * _POOL_SHARE
            agrees = abs(used - pool.used_bytes) <= room
            yield Difference(pool.name, size(used), size(pool.used_bytes), agrees)


def _work(estimate: Estimate, run: CompiledRun) -> Iterator[Difference]:
    if run.macs is not None:
        agrees = _close(estimate.compiler_macs, run.macs, _MAC_SHARE)
        yield Difference("MACs", f"{estimate.compiler_macs:,}", f"{run.macs:,}", agrees)
    time = estimate.time
    if time is None:
        return
    if run.cycles is not None:
        ratio = time.compiler_cycles / max(run.cycles, 1)
        agrees = 1 / _CYCLE_FACTOR <= ratio <= _CYCLE_FACTOR
        predicted = f"{time.compiler_cycles:,.0f}"
        yield Difference("cycles of the compiler's model", predicted, f"{run.cycles:,}", agrees)
    if run.timing is not None:
        measured = run.timing.milliseconds * 1000
        predicted = f"{time.microseconds.low / 1000:.2f} to {time.microseconds.high / 1000:.2f} ms"
        measured_text = f"{run.timing.milliseconds:.2f} ms measured"
        agrees = _within(time.microseconds, measured)
        yield Difference("time", predicted, measured_text, agrees)


def _within(interval: Interval, value: float) -> bool:
    return interval.low <= value <= interval.high


def _close(mine: float, theirs: float, share: float) -> bool:
    return abs(mine - theirs) <= share * max(mine, theirs)


def _range(interval: Interval) -> str:
    if interval.low == interval.high:
        return size(interval.likely)
    return f"{size(interval.low)} to {size(interval.high)}"


def size(count: float) -> str:
    """Return a number of bytes as ``12.0 KiB``, small ones as they are."""
    return f"{count / _KIB:,.1f} KiB" if count >= _KIB else f"{count:g} B"
