"""The sub-command ``npugate comment``: put the outcome of a check into the pull request.

It runs in a step of its own, with a token and the network and without any model: all that it knows
is the JSON report, which it holds to the schema. It never fails the job. What it may not do it
says in a notice; the verdict is the gate's, and that has been decided.

Beside ``INPUT_*`` and ``GITHUB_*`` it reads ``NPUGATE_REPORT``, the path of the JSON report, and
``NPUGATE_ARTIFACT_URL``, where the reports were uploaded to.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TextIO

from msgspec import Struct
from msgspec.structs import replace

from npugate import __version__, escape
from npugate.errors import NpugateError
from npugate.github import event, inputs, log, pages, places, threads
from npugate.github.client import ApiError, Client, Clock
from npugate.github.event import Event
from npugate.github.inputs import Inputs
from npugate.report.values import ModelReport, Report
from npugate.reporters import reading

_FILES: Final = 10  # new comments on files in one run
_NO_VERDICT: Final = 3
_SHARED: Final = (
    "several checks of this run write the same comment, which keeps one that fails; give each an "
    "input `name` of its own"
)


class _Task(Struct, frozen=True):
    """What there is to comment on, and how."""

    chosen: Inputs
    happened: Event
    number: int
    repository: str
    report: Report
    environment: Mapping[str, str]


def main(environment: Mapping[str, str], stdout: TextIO, clock: Clock) -> int:
    """Write or update the comments that the inputs ask for; return 0.

    Args:
        environment: of the process.
        stdout: the step's log, where GitHub reads its commands.
        clock: measures and waits.
    """
    try:
        task = _task(environment, stdout)
        if task is not None:
            _comment(task, stdout, clock)
    except NpugateError as error:
        stdout.write(log.line("notice", f"no comment on the pull request: {error}"))
    except Exception as error:  # noqa: BLE001  # the edge: a comment is worth no red job
        stdout.write(log.quoted(escape.log_document(traceback.format_exc())))
        told = f"no comment on the pull request because of a bug in npugate: {error!r}"
        stdout.write(log.line("warning", told))
    return 0


def _task(environment: Mapping[str, str], stdout: TextIO) -> _Task | None:
    chosen = inputs.read(environment)
    if chosen.comment == "false" and not chosen.file_comments:
        return None
    happened = event.read(environment)
    if happened.number is None:
        stdout.write("this event has no pull request to comment on\n")
        return None
    repository = places.repository(environment)
    if not repository:
        raise ApiError("GITHUB_REPOSITORY names no repository")
    given = {**environment, "NPUGATE_HEAD": happened.head}
    return _Task(chosen, happened, happened.number, repository, _report(environment), given)


def _report(environment: Mapping[str, str]) -> Report:
    """Return the report; one without a verdict where it cannot be had or not be trusted."""
    path = Path(environment.get("NPUGATE_REPORT") or "npugate.json")
    try:
        # The folder was written by the container that read the models: no link out of it.
        if path.is_symlink() or not path.is_file():
            reason = "the check left no report; see its log"
        elif path.stat().st_size > reading.MAX_BYTES:
            reason = "the report is too long to be read"
        else:
            report = reading.read(path.read_bytes())
            # Nor a link to where that container wishes: this step knows the place of the pages.
            return replace(report, documentation=places.documentation(environment))
    except OSError as error:
        reason = f"the report cannot be read: {error.strerror}"
    except reading.UntrustedReportError as error:
        reason = f"the report cannot be trusted: {error}"
    return Report.failure_of(__version__, reason, _NO_VERDICT)


def _comment(task: _Task, stdout: TextIO, clock: Clock) -> None:
    environment = task.environment
    base = environment.get("GITHUB_API_URL") or "https://api.github.com"
    client = Client(base, environment.get("GITHUB_TOKEN", ""), clock)
    login = threads.author(client)
    if task.chosen.comment != "false":
        done, told = _sticky(task, client, login)
        stdout.write(f"the comment: {done}\n")
        stdout.writelines(log.line("notice", line) for line in told)
    if task.chosen.file_comments:
        stdout.writelines(log.line("notice", told) for told in _on_files(task, client, login))


def _sticky(task: _Task, client: Client, login: str) -> tuple[str, tuple[str, ...]]:
    """Write the comment; return what was done, and what the user should know."""
    report, environment = task.report, task.environment
    draft = pages.sticky(report, task.chosen.name, environment)
    thread = threads.conversation(task.repository, task.number)
    known = threads.ours(client, thread, login, pages.STICKY)
    there = [comment for comment in known if comment.marker == draft.marker]
    if not there and not _is_news(report, task.chosen.comment):
        return "nothing to tell", ()
    mine, last = draft.order, max((comment.order for comment in there), default=(0, 0))
    if last > mine:
        return "a later run has written it already", ()
    told = (_SHARED,) if last == mine and mine != (0, 0) else ()
    if told and not report.exit_code:
        return "another check of this run has written it", told
    return threads.Writer(client, thread, login, pages.STICKY).put(draft, known), told


def _is_news(report: Report, wanted: str) -> bool:
    """Tell whether a pull request that has no comment yet gets one."""
    if report.exit_code:
        return True
    return wanted == "true" and bool(report.models or report.departed)


def _on_files(task: _Task, client: Client, login: str) -> list[str]:
    """Pin a comment to each model that fails, and update those that failed before."""
    thread = threads.review(task.repository, task.number)
    known = threads.ours(client, thread, login, pages.ON_FILE)
    there = {comment.marker for comment in known}
    report, name = task.report, task.chosen.name
    old = [model for model in report.models if pages.file_marker(model, name) in there]
    new = [m for m in report.models if m not in old and m.final_verdict(report.threshold) != "pass"]
    changed = _changed(task, client) if new else frozenset()
    shown = [model for model in new if model.path in changed]
    writer = threads.Writer(client, thread, login, pages.ON_FILE)
    for model in (*old, *shown[:_FILES]):
        writer.put(_pinned(model, task), known)
    told = []
    if len(shown) > _FILES:
        told.append(f"{len(shown) - _FILES} more models fail; no more than {_FILES} get a comment")
    if len(new) > len(shown):
        reason = "the pull request does not change their files"
        told.append(f"models that fail without a comment: {len(new) - len(shown)}; {reason}")
    return told


def _pinned(model: ModelReport, task: _Task) -> threads.Draft:
    draft = pages.on_file(model, task.report, task.chosen.name, task.environment)
    place = {"commit_id": task.happened.head, "path": model.path, "subject_type": "file"}
    return replace(draft, fields=place)


def _changed(task: _Task, client: Client) -> frozenset[str]:
    """Return the paths that the pull request changes; only those can be commented on."""
    files = client.pages(f"/repos/{task.repository}/pulls/{task.number}/files")
    return frozenset(str(item.get("filename")) for item in files if item.get("status") != "removed")
