"""What the vendor's compiler said, in the words that the reports share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from msgspec import to_builtins

from npugate import escape
from npugate.report.compiled import Compiled, CompiledPool, CompiledRun, Difference, State
from npugate.report.estimate import Engine

_KIB: Final = 1024
_KINDS: Final = 8
_REASON: Final = 300  # characters; the finding and the JSON report have it whole
_WORDS: Final = {
    State.COMPILED: "compiled",
    State.REFUSED: "refused",
    State.NO_VERDICT: "no verdict",
    State.NOT_RUN: "not asked",
}


def headline(found: Compiled) -> str:
    """Return who said what in one line."""
    version = found.run.version.partition(" ")[0] if found.run else ""
    name = f"ST Edge AI Core {version}".rstrip()
    by = f" ({found.back_end})" if found.back_end else ""
    text = f"{name}{by}: {_WORDS[found.state]}"
    return f"{text}: {escape.clip(found.reason, _REASON)}" if found.reason else text


def amounts(found: Compiled) -> list[str]:
    """Return the compiler's numbers for the network, a line each; missing ones are left out."""
    run = found.run
    if run is None:
        return []
    lines = [_epochs(run), _fallbacks(run), _sizes(run), _pools(run.pools), _time(run)]
    if run.warnings:
        more = f" and {len(run.warnings) - 1} more" if len(run.warnings) > 1 else ""
        lines.append(f"warnings: {run.warnings[0]}{more}")
    return [line for line in lines if line]


def compared(found: Compiled) -> tuple[str, tuple[Difference, ...]]:
    """Return how predictions and compiler agree in words, and the rows that differ."""
    differ = tuple(row for row in found.differences if not row.agrees)
    if not found.differences:
        return "", ()
    agree = len(found.differences) - len(differ)
    return f"predicted against compiled: {agree} agree, {len(differ)} differ", differ


def _epochs(run: CompiledRun) -> str:
    counts = run.counts
    if counts is None:
        return ""
    parts = [f"{counts.software} software"]
    parts += [] if counts.hybrid is None else [f"{counts.hybrid} hybrid"]
    parts += [] if counts.hardware is None else [f"{counts.hardware} hardware"]
    parts += [] if counts.blobs is None else [f"{counts.blobs} controller programs"]
    return f"epochs: {counts.total}, of which {', '.join(parts)}"


def _fallbacks(run: CompiledRun) -> str:
    kinds = Counter(n for e in run.epochs if e.engine is not Engine.NPU for n in e.operators)
    named = [f"{name} {count}" for name, count in kinds.most_common(_KINDS)]
    return f"off the NPU: {', '.join(named)}" if named else ""


def _sizes(run: CompiledRun) -> str:
    parts = [
        f"{label} {_kib(count)}"
        for label, count in (
            ("weights", run.weights),
            ("activations", run.activations),
            ("flash in all", run.flash),
            ("RAM in all", run.ram),
        )
        if count is not None
    ]
    parts += [] if run.macs is None else [f"{run.macs:,} MACs"]
    parts += [] if run.cycles is None else [f"{run.cycles:,} NPU cycles by its own model"]
    return ", ".join(parts)


def _pools(pools: Sequence[CompiledPool]) -> str:
    parts = [
        f"{pool.name} {_kib(pool.used_bytes)} of {_kib(pool.size_bytes or 0)}"
        for pool in pools
        if pool.used_bytes
    ]
    return f"memory: {', '.join(parts)}" if parts else ""


def _time(run: CompiledRun) -> str:
    if run.timing is None:
        return ""
    clocks = ", ".join(f"{name} {mhz} MHz" for name, mhz in run.timing.clocks_mhz)
    board = f" ({clocks})" if clocks else ""
    return f"measured: {run.timing.milliseconds:g} ms{board}"


def _kib(count: int) -> str:
    return f"{count / _KIB:,.1f} KiB" if count >= _KIB else f"{count} B"


def page(found: Compiled | None) -> dict[str, object] | None:
    """Return what a page shows of it; None where the compiler was not asked."""
    if found is None:
        return None
    sentence, _ = compared(found)
    return {
        "headline": escape.visible(headline(found)),
        "figures": [escape.visible(line) for line in amounts(found)],
        "compared": sentence,
        "rows": [
            [escape.visible(text) for text in (row.subject, row.predicted, row.compiled)]
            + [row.agrees]
            for row in found.differences
        ],
    }


def document(found: Compiled) -> dict[str, object]:
    """Return the section ``stedgeai`` of a model in the JSON report; what is untold is null."""
    run = found.run
    return {
        "verdict": found.state.value,
        "back_end": found.back_end,
        "reason": found.reason,
        "known": list(found.known),
        "figures": None if run is None else _document(run),
        "compared": [
            {
                "subject": row.subject,
                "predicted": row.predicted,
                "compiled": row.compiled,
                "agrees": row.agrees,
            }
            for row in found.differences
        ],
    }


def _document(run: CompiledRun) -> dict[str, object]:
    timing = run.timing
    return {
        "command": run.command,
        "version": run.version,
        "toolchain": run.toolchain,
        "compiler": run.compiler,
        "model_format": run.model_format,
        "macs": run.macs,
        "parameters": run.parameters,
        "weights_bytes": run.weights,
        "activations_bytes": run.activations,
        "flash_bytes": run.flash,
        "ram_bytes": run.ram,
        "external_activations_bytes": run.external_activations,
        "cycles": run.cycles,
        "pools": [_pool(pool) for pool in run.pools],
        "epochs": None if run.counts is None else to_builtins(run.counts),
        "off_npu": [
            {"epoch": row.first, "kind": row.kind, "operators": list(row.operators)}
            for row in run.epochs
            if row.engine is not Engine.NPU
        ],
        "milliseconds": None if timing is None else timing.milliseconds,
        "clocks_mhz": {} if timing is None else dict(timing.clocks_mhz),
        "warnings": list(run.warnings),
        "failure": None if run.failure is None else str(run.failure),
    }


def _pool(pool: CompiledPool) -> dict[str, object]:
    return {
        "name": pool.name,
        "address": pool.start,
        "size_bytes": pool.size_bytes,
        "used_bytes": pool.used_bytes,
        "weight_bytes": pool.weight_bytes,
        "activation_bytes": pool.activation_bytes,
        "exact": pool.is_exact,
    }
