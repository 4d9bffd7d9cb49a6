"""What the comments say: the page of the summary, with its marker, and where the rest is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from npugate import escape
from npugate.github import places, threads
from npugate.github.threads import Draft
from npugate.report.values import ModelReport, Report
from npugate.reporters import markdown

STICKY: Final = "comment"
ON_FILE: Final = "file"
_FILE_BYTES: Final = 8_000
_MARGIN: Final = 64

Environment = Mapping[str, str]


def sticky(report: Report, name: str, environment: Environment) -> Draft:
    """Return the comment on a pull request.

    Args:
        report: of the run.
        name: distinguishes several comments; may be empty.
        environment: what the runner says of the run and the commit.
    """
    marker = threads.marker(STICKY, name)
    run = _order(environment)
    title = f"# {escape.markdown(name)}\n\n" if name else ""
    start = f"{marker}\n{threads.order_line(run)}\n\n{title}"
    end = _footer(environment)
    room = threads.BODY_LIMIT - _MARGIN - len(f"{start}{end}".encode())
    page = markdown.render(report, budget=room, blob=places.blob(environment))
    return Draft(marker, f"{start}{page}{end}", order=run)


def _order(environment: Environment) -> tuple[int, int]:
    """Return what later runs have more of: the number of the run and of its attempt."""
    values = (environment.get(name, "") for name in ("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT"))
    run, attempt = (int(value[:20]) if value.isdecimal() else 0 for value in values)
    return run, attempt


def on_file(model: ModelReport, report: Report, name: str, environment: Environment) -> Draft:
    """Return the comment on the file of one model, without the place that a new one needs."""
    marker = file_marker(model, name)
    alone = replace(report, models=(model,), notices=(), departed=())
    page = markdown.render(alone, budget=_FILE_BYTES, blob=places.blob(environment))
    return Draft(marker, f"{marker}\n\n{page}{_footer(environment)}")


def file_marker(model: ModelReport, name: str) -> str:
    """Return the first line of the comment on the file of a model."""
    return threads.marker(ON_FILE, name, model.path)


def _footer(environment: Environment) -> str:
    commit = environment.get("NPUGATE_HEAD", "")[:12]
    run, artifact = places.run(environment), places.artifact(environment)
    parts = [f"commit {escape.markdown_code(commit)}"] if commit else []
    parts += [f"[the run]({run})"] if run else []
    parts += [f"[all reports]({artifact})"] if artifact else []
    return f"\n{', '.join(parts)}\n" if parts else ""
