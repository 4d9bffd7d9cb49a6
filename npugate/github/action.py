"""The sub-command ``npugate action``: inputs from GitHub, a check, and everything GitHub shows.

Only this package reads ``INPUT_*`` and ``GITHUB_*``. Six more variables come from the composite
action, whose container has no git and a checkout that it cannot write to:

- ``NPUGATE_INDEX``: a file with the output of ``git ls-files --stage -z``; beside it lie
  ``pointers`` and ``modified`` of ``scripts/list-tracked.sh``
- ``NPUGATE_TRACKED``: a file with the output of ``git ls-files -z`` for ``*.onnx``
- ``NPUGATE_CHANGES``: a file with the output of ``git diff --name-status -z`` for the event
- ``NPUGATE_BASE_FOLDER``: a folder with the changed models as the base has them
- ``NPUGATE_SETTINGS``: a folder with the configuration, baselines and targets of the base
- ``NPUGATE_FOLDER``: where the reports go; by default ``npugate-report`` in the workspace
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO

from msgspec import Struct
from msgspec.structs import replace

from npugate import __version__, atomic_write, escape
from npugate.errors import NpugateError, UsageError
from npugate.findings.values import Severity
from npugate.github import event, gate, inputs, log, outputs, places, summary
from npugate.github.inputs import Inputs
from npugate.model.tracked import Tracked
from npugate.report.values import ModelReport, Report
from npugate.reporters import FILES, REPORTERS, html, outline, plots, sarif
from npugate.repository import base_revision, git
from npugate.settings import tracking

Run = Callable[[Sequence[str]], Report]
"""Check or fix by the arguments of ``npugate``, its command first; raises NpugateError."""

_RECORD: Final = "stedgeai"  # below the same folder; without paths and serial numbers
_PLOTS: Final = "plots"  # of RAM and time, beside the page
_REPAIRED: Final = "repaired"  # below the folder of the reports, so that one artifact has both


class _Plan(Struct, frozen=True):
    """What to check, in the words of the command line, and what to tell about that choice."""

    arguments: tuple[str, ...]
    notices: tuple[str, ...]


def main(environment: Mapping[str, str], stdout: TextIO, run: Run) -> int:
    """Check as the inputs say; return the exit code of ``npugate check`` for the same.

    Args:
        environment: of the process.
        stdout: the step's log, where GitHub reads its commands.
        run: checks the models.
    """
    chosen = inputs.read({})  # a wrong input is reported with the defaults
    try:
        chosen = inputs.read(environment)
        report = _check(chosen, environment, stdout, run)
    except NpugateError as error:
        report = _no_verdict(str(error), error.exit_code, stdout)
    except Exception as error:  # noqa: BLE001  # the edge: whatever broke, the gate says so itself
        stdout.write(log.quoted(escape.log_document(traceback.format_exc())))
        report = _no_verdict(f"this is a fault of npugate: {error!r}", 3, stdout)
    try:
        paths = _write_reports(report, chosen, environment)
    except (OSError, UsageError) as error:
        reason = f"the reports cannot be written: {error}"
        report, paths = _no_verdict(reason, 3, stdout), {}
    _tell(report, chosen, environment, stdout)
    outputs.append(environment.get("GITHUB_OUTPUT", ""), outputs.render(_values(report, paths)))
    return report.exit_code


def _check(chosen: Inputs, environment: Mapping[str, str], stdout: TextIO, run: Run) -> Report:
    happened = event.read(environment)
    chosen = _from_the_top(chosen, environment)
    plan = _plan(chosen, happened, environment)
    stdout.writelines(log.line("notice", notice) for notice in plan.notices)
    opening = _opening(chosen, happened, environment)
    if chosen.fix:
        output = f"--output-dir={_folder(environment) / _REPAIRED}"
        report = run(("fix", output, *_drawn(chosen), *plan.arguments))
        folder = _folder(environment)
        report = replace(report, models=tuple(_as_found(m, folder) for m in report.models))
    else:
        report = run(("check", *_drawn(chosen), *plan.arguments))
    report = replace(report, documentation=places.documentation(environment))
    if not opening:
        return report
    return replace(report, notices=(opening, *report.notices), opens=True)


def _from_the_top(chosen: Inputs, environment: Mapping[str, str]) -> Inputs:
    """Return the inputs with files of the workspace named from its top."""
    top = environment.get("GITHUB_WORKSPACE") or "."

    def short(name: str) -> str:
        is_inside = Path(name).is_absolute() and Path(name).is_relative_to(top)
        return str(Path(name).relative_to(top)) if is_inside else name

    return replace(
        chosen,
        config=short(chosen.config),
        target=short(chosen.target),
        board=short(chosen.board),
    )


def _as_found(model: ModelReport, folder: Path) -> ModelReport:
    """Return a model with its verdict as found; its copy is named as in the artifact."""
    repair = model.repair
    if repair is not None and repair.output and Path(repair.output).is_relative_to(folder):
        output = Path(repair.output).relative_to(folder).as_posix()
        repair = replace(repair, output=output)
    return replace(model, as_found=True, repair=repair)


def _drawn(chosen: Inputs) -> tuple[str, ...]:
    return ("--pictured",) if "html" in chosen.reports else ()


def _opening(chosen: Inputs, happened: event.Event, environment: Mapping[str, str]) -> str:
    """Say, before the verdict, that the change edits what it is checked with."""
    here, kept = Path(environment.get("GITHUB_WORKSPACE") or "."), _kept(environment)
    own = gate.file_of(here, chosen.config)
    if own is not None:
        tracking.refuse_strayed(own, lambda: _index(environment), environment)
    paths = _gate(chosen, environment)
    told = gate.notice(paths, gate.differences(kept, here, chosen.config) if kept else ())
    if chosen.config_from == "auto" and happened.name in inputs.COMPARED and kept is None:
        alone = "the settings of the base are not available: this change is checked with its own"
        told = f"{told}; {alone}" if told else alone
    return told


def _gate(chosen: Inputs, environment: Mapping[str, str]) -> list[str]:
    """Return the paths that changed and have a say in the verdict."""
    here, kept = Path(environment.get("GITHUB_WORKSPACE") or "."), _kept(environment)
    places = [gate.checkout(here)]
    if kept is not None:
        folder = environment.get("NPUGATE_BASE_FOLDER", "")
        places.append(
            gate.of_tree(kept, base_revision.from_folder(Path(folder)).tree if folder else None)
        )
    policies = gate.Policies(chosen.config, (chosen.target, chosen.board), chosen.stedgeai_profile)
    return gate.touched(_recorded(environment), places, policies)


def _index(environment: Mapping[str, str]) -> Tracked | None:
    """Return what git tracks, as the list step has it; None where there was none.

    Raises:
        UsageError: the list is damaged.
    """
    path = environment.get("NPUGATE_INDEX", "")
    if not path:
        return None
    try:
        top = Path(environment.get("GITHUB_WORKSPACE") or ".")
        return Tracked.recorded(top, Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"the list of what git tracks cannot be read: {error}") from error


def _kept(environment: Mapping[str, str]) -> Path | None:
    folder = environment.get("NPUGATE_SETTINGS", "")
    return Path(folder) if folder else None


def _recorded(environment: Mapping[str, str]) -> list[git.Change]:
    """Return what the event changed, as far as it was recorded.

    Raises:
        UsageError: the record is damaged.
    """
    path = environment.get("NPUGATE_CHANGES", "")
    if not path:
        return []
    try:
        return git.recorded(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"the list of changes cannot be read: {error}") from error


def _no_verdict(reason: str, exit_code: int, stdout: TextIO) -> Report:
    """Tell why there is no verdict; an action that says nothing would pass for a pass."""
    stdout.write(log.line("error", reason))
    return Report.failure_of(__version__, reason, exit_code)


def _folder(environment: Mapping[str, str]) -> Path:
    workspace = environment.get("GITHUB_WORKSPACE") or "."
    return Path(environment.get("NPUGATE_FOLDER") or Path(workspace, "npugate-report"))


def _plan(chosen: Inputs, happened: event.Event, environment: Mapping[str, str]) -> _Plan:
    arguments: list[str] = []
    for flag in ("target", "toolchain", "board", "config", "fail-on"):
        value = getattr(chosen, flag.replace("-", "_"))
        arguments += [f"--{flag}={value}"] if value else []
    arguments += _base_settings(chosen, happened, environment)
    notices: list[str] = []
    arguments += _compiler(chosen, environment)
    arguments += _old(chosen, environment)
    arguments += _tracked(chosen, happened, environment)
    if inputs.wants_changes(chosen, happened.name):
        changed, notices = _changes(chosen, environment)
        arguments += changed
    return _Plan((*arguments, *_models(chosen, environment)), tuple(notices))


def _base_settings(
    chosen: Inputs, happened: event.Event, environment: Mapping[str, str]
) -> list[str]:
    """Return the arguments that also apply the base's settings, where they hold.

    Raises:
        UsageError: it must, and its settings are not available.
    """
    if chosen.config_from == "head" or happened.name not in inputs.COMPARED:
        return []
    kept = _kept(environment)
    if kept is not None:
        if not chosen.config or (kept / chosen.config).is_file():
            return [f"--base-settings={kept}"]
        if chosen.config_from == "base":
            raise UsageError(f"config-from: base: the base branch has no {chosen.config}")
        # Made by this workflow, or of a submodule that has not moved: the same for both.
        is_new = any(not gate.is_workflow(path) for path in _gate(chosen, environment))
        return [f"--base-settings={kept}"] if is_new else []
    if chosen.config_from == "base":
        raise UsageError(
            "config-from: base: the base branch's settings are not available; the checkout step "
            "needs fetch-depth: 2, and only the composite action can read them"
        )
    return []


def _compiler(chosen: Inputs, environment: Mapping[str, str]) -> list[str]:
    """Return the arguments that ask ST's compiler, what it says kept beside the reports."""
    if chosen.stedgeai in {"", "off"}:
        return []
    arguments = [f"--stedgeai={chosen.stedgeai}", f"--record={_folder(environment) / _RECORD}"]
    if chosen.stedgeai_profile:
        arguments.append(f"--stedgeai-profile={chosen.stedgeai_profile}")
    return arguments + ["--stedgeai-accept-license"] * chosen.stedgeai_accept_license


def _old(chosen: Inputs, environment: Mapping[str, str]) -> list[str]:
    """Return the arguments that compare with the base, where its models were kept."""
    folder = environment.get("NPUGATE_BASE_FOLDER", "")
    if not folder:
        return []
    may_leave = [] if chosen.may_leave else ["--may-not-leave"]
    return [f"--base-folder={folder}", *([] if chosen.new_only else ["--all-findings"]), *may_leave]


def _tracked(chosen: Inputs, happened: event.Event, environment: Mapping[str, str]) -> list[str]:
    """Return the arguments that say what git tracks, and which settings allow untracked weights.

    A change may not say of its own model that its weights are whatever lies in the checkout: that
    is for the base branch, and nothing is allowed where its settings are not available.
    """
    listed = environment.get("NPUGATE_INDEX", "")
    arguments = [f"--tracked-from={listed}"] if listed else []
    if happened.name not in inputs.COMPARED:
        return arguments
    kept = _kept(environment)
    found = gate.file_of(kept, chosen.config) if kept is not None else None
    return [*arguments, f"--untracked-from={found or ''}"]


def _models(chosen: Inputs, environment: Mapping[str, str]) -> list[str]:
    tracked = environment.get("NPUGATE_TRACKED", "")
    if chosen.models:
        return ["--", *chosen.models]
    if not tracked:
        return []
    if not Path(tracked).stat().st_size:
        names = [name for c in _recorded(environment) for name in (c.path, c.previous)]
        if any(name.lower().endswith(".onnx") for name in names):
            return [f"--files-from={tracked}", "--allow-empty"]  # the last model was deleted
        raise UsageError(
            "git tracks no .onnx file here: is there an actions/checkout step before this one? "
            "To check models that git does not track, name them in the input `models`"
        )
    return [f"--files-from={tracked}"]


def _changes(chosen: Inputs, environment: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the arguments that keep to what changed, or why everything is checked instead."""
    if not environment.get("NPUGATE_CHANGES"):
        return [], ["the changed files are not known, so every model is checked"]
    for path in _gate(chosen, environment):
        if not gate.is_workflow(path):
            return [], [f"{path} changed, so every model is checked"]
    return [f"--changes-from={environment['NPUGATE_CHANGES']}"], []


def _write_reports(
    report: Report, chosen: Inputs, environment: Mapping[str, str]
) -> dict[str, str]:
    """Write the reports and return the outputs that name them."""
    folder = _folder(environment)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"folder": str(folder)}
    for form in chosen.reports:
        path = folder / FILES[form]
        atomic_write.write_text(path, _rendered(report, form, chosen.name, environment))
        paths[form] = str(path)
    for name, picture in plots.named(report) if "html" in chosen.reports else ():
        atomic_write.write_text(folder / _PLOTS / name, picture)
    return paths


def _rendered(report: Report, form: str, name: str, environment: Mapping[str, str]) -> str:
    if form == "html":
        base = places.blob(environment)
        return html.render(report, f"{base}/" if base else "")
    if form == "sarif" and name:
        return sarif.render(report, category=f"npugate/{report.target}/{name}")
    return REPORTERS[form](report)


def _tell(report: Report, chosen: Inputs, environment: Mapping[str, str], stdout: TextIO) -> None:
    stdout.write(log.quoted(REPORTERS["text"](report)))
    stdout.writelines(f"{line}\n" for line in summary.annotation_lines(report))
    page = summary.summary(report, chosen.name, places.blob(environment))
    outputs.append(environment.get("GITHUB_STEP_SUMMARY", ""), page)


def _values(report: Report, paths: Mapping[str, str]) -> dict[str, str | int]:
    """Return every output; of a run without a verdict, the counts are empty."""
    verdicts = outline.verdicts(report)
    known: dict[str, str | int] = {
        "models": len(report.models),
        "failed": verdicts["fail"] + verdicts["unreadable"],
        "errors": report.total(Severity.ERROR),
        "warnings": report.total(Severity.WARNING),
        "notes": report.total(Severity.NOTE),
    }
    repairs = [model.repair for model in report.models if model.repair is not None]
    if repairs:
        known["repaired"] = sum(1 for repair in repairs if repair.is_repaired)
    found = {**paths, **({} if report.failure else known)}
    values = {row.name: found.get(row.name, "") for row in inputs.OUTPUTS}
    verdict = outline.verdict_word(report).lower()
    return {**values, "verdict": verdict, "exit-code": report.exit_code}
