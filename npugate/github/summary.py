"""What the run's page shows: the job summary, and one annotation a model at most.

GitHub shows ten annotations of a kind for each step, so the tenth tells how many more there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from npugate import escape
from npugate.findings.values import Finding, Severity
from npugate.github.commands import workflow_command
from npugate.report.values import ModelReport, Report
from npugate.reporters import markdown, outline

_SHOWN: Final = 10
_COMMANDS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning"}


def summary(report: Report, name: str, blob: str = "") -> str:
    """Return the job summary.

    Args:
        report: of the run.
        name: distinguishes several on one page; may be empty.
        blob: address below which the files of the checkout can be seen; empty makes no links.
    """
    title = f"# {escape.markdown(name)}\n\n" if name else ""
    budget = markdown.SUMMARY_BYTES - len(title.encode())
    return title + markdown.render(report, budget=budget, blob=blob)


def annotation_lines(report: Report) -> Iterator[str]:
    """Yield one command a model that has an error or a warning, without a newline at its end."""
    if report.departed:
        title, rows = outline.departed(report)
        named = "; ".join(f"{path}: {reason}" for path, reason in rows[:_SHOWN])
        command = "warning" if report.may_leave else "error"
        yield workflow_command(command, _safe(f"{title}: {named}"), title="npugate")
    for severity, command in _COMMANDS.items():
        models = [model for model in report.models if _worst_level(model) is severity]
        shown = models if len(models) <= _SHOWN else models[: _SHOWN - 1]
        for model in shown:
            yield _annotation(command, model)
        if len(shown) < len(models):
            more = outline.plural(len(models) - len(shown), "more model")
            yield workflow_command(
                command,
                f"{more} with findings of this level; the summary lists them",
                title="npugate",
            )


def _worst_level(model: ModelReport) -> Severity | None:
    return max((finding.severity for finding in outline.counted(model)), default=None)


def _annotation(command: str, model: ModelReport) -> str:
    findings = outline.counted(model)
    level = max(finding.severity for finding in findings)
    worst = [finding for finding in findings if finding.severity is level]
    first = next((finding for finding in worst if finding.source), None)
    first = first or next((finding for finding in worst if finding.twin), worst[0])
    line = first.source or first.twin
    return workflow_command(
        command,
        _message(first, model),
        file=_safe(line.file if line else model.path),
        line=line.line if line else None,
        title=f"npugate: {_safe(model.path)}: {outline.tally(model)}",
    )


def _message(finding: Finding, model: ModelReport) -> str:
    told = (
        f"{finding.rule} {finding.name}: {_safe(finding.message)} ({_safe(str(finding.location))})"
    )
    others = len(outline.counted(model)) - 1
    return f"{told}; and {outline.plural(others, 'more finding')}" if others else told


def _safe(text: str) -> str:
    return escape.log_document(escape.visible(text))
