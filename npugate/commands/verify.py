"""``npugate verify``: run a model on samples, in float and in its own integers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from msgspec import to_builtins

from npugate import escape
from npugate.commands import data
from npugate.console import Console
from npugate.deploy import verify as work
from npugate.deploy.verify import VerifyJob, VerifyReport
from npugate.errors import UsageError


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Run the model as the arguments say; return 0, 1 when an output is not as expected."""
    reports = data.destinations(chosen.report or ())
    job = VerifyJob(
        model=Path(chosen.model),
        data=Path(chosen.data) if chosen.data else None,
        preprocess=tuple(chosen.preprocess or ()),
        samples=chosen.samples,
        expect=expected(chosen.expect_range),
        seed=chosen.seed,
        seconds=chosen.timeout,
    )
    report = work.verify(job)
    text = partial(_text, report)
    forms = {"text": text, "markdown": text, "json": partial(_document, report)}
    data.write(reports, forms)
    if not chosen.quiet:
        console.stdout.write(forms[chosen.format]())
    return report.exit_code


def expected(value: str | None) -> tuple[float, float] | None:
    """Read ``LEAST:MOST``.

    Raises:
        UsageError: it is none.
    """
    if not value:
        return None
    low, colon, high = value.partition(":")
    try:
        found = float(low), float(high)
    except ValueError:
        colon = ""
    if not colon or not found[0] <= found[1]:
        raise UsageError(f"--expect-range {value}: write LEAST:MOST, for example 30:180")
    return found


def _document(report: VerifyReport) -> str:
    content = {**to_builtins(report), "passed": report.passed, "exit_code": report.exit_code}
    return escape.json_document({"schema": "npugate-verify/1", **content})


def _text(report: VerifyReport) -> str:
    return escape.log_document("".join(f"{line}\n" for line in _lines(report)))


def _lines(report: VerifyReport) -> Iterator[str]:
    yield f"{escape.visible(report.model)}: {report.samples} samples"
    for item in report.outputs:
        word = "ok" if item.in_range and item.is_finite else "FAILED"
        note = "" if item.is_finite else ", with NaN or infinity"
        wanted = f", expected {report.expect[0]:g} to {report.expect[1]:g}" if report.expect else ""
        span = f"{item.lowest:.6g} to {item.highest:.6g}"
        yield f"  {word}: output {escape.visible(item.name)} is {span}{note}{wanted}"
    if report.int8_inputs_equal is not None:
        word = "ok" if report.int8_inputs_equal else "FAILED"
        yield f"  {word}: inputs rounded to the model's own integers give the same outputs"
    for notice in report.notices:
        yield f"  note: {notice}"
    yield "PASSED" if report.passed else "FAILED"
