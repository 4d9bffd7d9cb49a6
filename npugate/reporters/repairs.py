"""What ``fix`` did to a model, as lines that the text and Markdown reports share."""

from __future__ import annotations

from collections.abc import Iterator

from npugate.report.values import ModelSize, Outcome, RepairReport, Verification
from npugate.reporters import outline

_KIB = 1024


def headline(repair: RepairReport) -> str:
    """Say in a few words what became of a model."""
    applied = [outcome for outcome in repair.outcomes if outcome.state == "applied"]
    if applied:
        place = f" -> {repair.output}" if repair.output else ", not written"
        return f"{outline.plural(len(applied), 'repair')} applied and verified{place}"
    if not repair.outcomes:
        names = sorted({finding.repair for finding in repair.findings if finding.repair})
        if names:
            return f"notes call for no repair; --select {','.join(names)} repairs them"
        return "no finding has a repair"
    return "nothing repaired; the model is as it was"


def outcomes(repair: RepairReport) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield (sentence, details) for each repair that did or refused something."""
    for outcome in repair.outcomes:
        if outcome.state == "applied":
            yield f"{outcome.repair}:", (*outcome.edits, *_interface(outcome))
        elif outcome.state != "skipped":
            yield f"{outcome.repair} {outcome.state}: {outcome.reason}", ()


def _interface(outcome: Outcome) -> Iterator[str]:
    for change in outcome.interface:
        yield f"interface: {change.name} {change.before} -> {change.after}"


def proof(verification: Verification) -> str:
    """Say what the numbers showed."""
    against = "" if verification.reference == "original" else f" ({verification.reference} model)"
    if verification.equal is None:
        return f"unverified{against}: {verification.reason}"
    if verification.reference == "parts":
        return "the same nodes, attributes and weights; the original itself does not run"
    if not verification.equal:
        return f"not equal{against}: {verification.reason}"
    return (
        f"equal to the original{against} on {outline.plural(verification.samples, 'sample')}, "
        f"{outline.plural(verification.values, 'tensor')} compared: "
        f"max |d| {verification.max_abs_error:.3g}, tolerance {verification.tolerance:.3g}"
        f"{_steps(verification)}"
    )


def _steps(verification: Verification) -> str:
    """Say how many integers were a step off, and how many may be; empty when none was."""
    if not verification.steps:
        return ""
    return (
        f"; at most {verification.steps:.2%} of the integers of a tensor one step off, "
        f"{verification.most_steps:.0%} may be"
    )


def size_changes(before: ModelSize, after: ModelSize) -> Iterator[str]:
    """Yield what changed, for example ``nodes 26 -> 22``."""
    for label, old, new in (
        ("nodes", before.nodes, after.nodes),
        ("max rank", before.max_rank, after.max_rank),
        ("batched layers", before.batched_layers, after.batched_layers),
        ("weights KiB", _kib(before.weight_bytes), _kib(after.weight_bytes)),
        ("MMAC", _millions(before.macs), _millions(after.macs)),
        ("activation peak KiB", _kib(before.activation_bytes), _kib(after.activation_bytes)),
    ):
        yield f"{label} {old} -> {new}" if old != new else f"{label} {old}"


def _kib(count: int) -> str:
    return f"{count / _KIB:.0f}"


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f}"
