"""The inputs and outputs of the action: one table, which action.yml and the README follow.

GitHub hands an input to a container as ``INPUT_`` and its name in upper case with the hyphens kept,
which no shell can read; the composite action hands it over with underscores. Both are understood.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal, cast

from msgspec import Struct

from npugate.errors import UsageError
from npugate.reporters import FILES

ChangedOnly = Literal["auto", "true", "false"]
Comment = Literal["true", "failures", "false"]
ConfigFrom = Literal["auto", "base", "head"]

COMPARED: Final = frozenset({"pull_request", "pull_request_target", "merge_group"})
"""The events that propose a change to a base."""
_LEVELS: Final = ("error", "warning", "never")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Inputs(Struct, frozen=True):
    """The inputs of one run, read and checked. Empty means: as the configuration says.

    Attributes:
        models: paths, folders and globs; empty for what git tracks.
        config_from: which settings a pull request is checked with.
        may_leave: whether models may leave the gate.
        changed_only: ``auto`` looks at what changed for pull requests and merge queues.
        reports: formats to write, each once; ``json`` is always among them.
        sarif, artifact: whether a later step of the composite action uploads them.
        comment: whether a later step comments on the pull request; ``failures`` begins one only
            when something fails.
        file_comments: whether that step comments on the files of failing models, too.
        fix: whether repaired copies are made.
        name: distinguishes several runs in one workflow; may be empty.
        stedgeai: where ST's compiler is; ``off`` asks it nothing.
        stedgeai_profile: of the NPU compiler; empty takes the tool's own.
        stedgeai_accept_license: the user's consent to ST's licence.
        image: the image that the composite action runs; empty builds it. Nothing here uses it.
    """

    models: tuple[str, ...]
    target: str
    toolchain: str
    board: str
    config: str
    config_from: ConfigFrom
    fail_on: str
    changed_only: ChangedOnly
    new_only: bool
    may_leave: bool
    reports: tuple[str, ...]
    sarif: bool
    artifact: bool
    comment: Comment
    file_comments: bool
    fix: bool
    name: str
    stedgeai: str
    stedgeai_profile: str
    stedgeai_accept_license: bool
    image: str


class Input(Struct, frozen=True):
    """A row of the table.

    Attributes:
        name: as in ``with:``.
        default: as in ``action.yml``; a value that is given but empty means the same.
        description: one sentence or two for ``action.yml`` and the README.
        parse: turns the text into the value; raises ValueError with what would be right.
        required: GitHub does not enforce it.
        composite: True for what only the composite action can do.
    """

    name: str
    default: str
    description: str
    parse: Callable[[str], object]
    required: bool = False
    composite: bool = False

    @property
    def field(self) -> str:
        """Name of the attribute of Inputs."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable, in the form that a shell can read."""
        return f"INPUT_{self.field.upper()}"


class Output(Struct, frozen=True):
    """An output of the action."""

    name: str
    description: str


def _text(value: str) -> str:
    return value


def _lines(value: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in value.splitlines() if line.strip())


def _flag(value: str) -> bool:
    if value.lower() not in {"true", "false"}:  # the steps of action.yml compare with these
        raise ValueError("true or false")
    return value.lower() == "true"


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value and value.lower() not in words:
            raise ValueError(_either(words))
        return value.lower()

    return parse


def _comment(value: str) -> str:
    # YAML reads a bare "off" as false, so both are one.
    word = "false" if value.lower() == "off" else value.lower()
    if word not in {"true", "failures", "false"}:
        raise ValueError("true, failures or false")
    return word


def _changed_only(value: str) -> str:
    if value.lower() == "auto":
        return "auto"
    return "true" if _flag(value) else "false"


def _formats(value: str) -> tuple[str, ...]:
    words = [word for word in re.split(r"[\s,]+", value.lower()) if word]
    if any(word not in FILES for word in words):
        raise ValueError(f"a list of {_either(tuple(FILES))}")
    return tuple(dict.fromkeys(("json", *words)))


def _name(value: str) -> str:
    if value and not _NAME.fullmatch(value):
        raise ValueError("at most 64 letters, digits, dots, hyphens and underscores")
    return value


def _either(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


INPUTS: Final = (
    Input(
        "models",
        "",
        "Paths, folders or globs, one a line; empty checks every `.onnx` file that git tracks.",
        _lines,
    ),
    Input(
        "target",
        "",
        "The chip to check for; empty takes the configuration's, else stm32n6.",
        _text,
    ),
    Input(
        "toolchain",
        "",
        "Version of the vendor's tools, such as 2.2; empty takes the configuration's, else the "
        "target's own.",
        _text,
    ),
    Input(
        "board",
        "",
        "The board with the memories, or the path of the compiler's `.mpool` file; empty "
        "takes the configuration's, else the discovery kit of the target.",
        _text,
    ),
    Input(
        "config",
        "",
        "The configuration file; empty looks for npugate.toml or pyproject.toml.",
        _text,
    ),
    Input(
        "config-from",
        "auto",
        "The settings that a pull request is checked with: auto, the base branch's where they are "
        "known, and its own as far as they are stricter, so that no change can turn its own gate "
        "green; base, the same, and no verdict where they are not known; head, its own alone.",
        _one_of("auto", "base", "head"),
        composite=True,
    ),
    Input(
        "fail-on",
        "",
        "What fails the job: error, warning or never; empty takes the configuration's, else error.",
        _one_of(*_LEVELS),
    ),
    Input(
        "changed-only",
        "auto",
        "Whether to check only the models that the event changed: true, false, or auto, which is "
        "true for pull requests and merge queues.",
        _changed_only,
    ),
    Input(
        "new-only",
        "true",
        "Whether only what a pull request adds fails it; what the base branch has already is "
        "listed.",
        _flag,
    ),
    Input(
        "may-leave",
        "true",
        "Whether a pull request may take models out of the gate (deleted, renamed to another "
        "suffix, hidden); they are named in the summary whatever it is. `may-leave` of the base's "
        "configuration does the same.",
        _flag,
        composite=True,
    ),
    Input(
        "reports",
        "json, sarif, junit, markdown, html",
        "Which reports to write, of the formats that `npugate check --report` has. The JSON report "
        "is always written.",
        _formats,
    ),
    Input(
        "sarif",
        "true",
        "Whether to show the findings under code scanning; needs `security-events: write`.",
        _flag,
        composite=True,
    ),
    Input(
        "artifact",
        "true",
        "Whether to keep the reports as an artifact of the run.",
        _flag,
        composite=True,
    ),
    Input(
        "comment",
        "true",
        "Whether to comment on pull requests, in one comment that is kept up to date: true, "
        "failures (only begin one when something fails), or false; needs `pull-requests: write`.",
        _comment,
        composite=True,
    ),
    Input(
        "file-comments",
        "false",
        "Whether to pin a review comment to each changed model that fails, ten at most; needs "
        "`pull-requests: write`.",
        _flag,
        composite=True,
    ),
    Input(
        "fix",
        "false",
        "Whether to repair the models, too: repaired copies, proved to compute the same numbers, "
        "go into the artifact. The verdict stays that of the models as they are in the repository.",
        _flag,
    ),
    Input(
        "name",
        "",
        "Tells several runs in one workflow apart, for example the legs of a matrix.",
        _name,
    ),
    Input(
        "stedgeai",
        "off",
        "Also ask ST's compiler on a licensed runner: auto looks for stedgeai in PATH and "
        "STEDGEAI_CORE_DIR, a path names it or its folder, off asks nothing.",
        _text,
        composite=True,
    ),
    Input(
        "stedgeai-profile",
        "",
        "Profile of ST's NPU compiler, NAME or NAME@FILE with a file of the repository; empty "
        "takes the tool's own.",
        _text,
        composite=True,
    ),
    Input(
        "stedgeai-accept-license",
        "false",
        "Your consent to ST's licence of the compiler; without it the compiler is not run.",
        _flag,
        composite=True,
    ),
    Input(
        "image",
        "",
        "The container image to run, best with its digest; empty runs the image of the release, "
        "and where there is none builds it from the Dockerfile.",
        _text,
        composite=True,
    ),
)

OUTPUTS: Final = (
    Output("verdict", "`pass`, `fail`, or `error` when the check itself could not be done."),
    Output("exit-code", "0 pass, 1 fail, 2 wrong usage or configuration, 3 a failure of npugate."),
    Output("models", "How many models were checked."),
    Output("failed", "How many of them failed or could not be read."),
    Output("errors", "How many findings are errors."),
    Output("warnings", "How many findings are warnings."),
    Output("notes", "How many findings are notes."),
    Output("repaired", "How many models have a repaired copy in the folder; empty without `fix`."),
    Output("folder", "The folder that holds the reports."),
    Output("json", "Path of the JSON report."),
    Output("sarif", "Path of the SARIF report, empty when it was not asked for."),
    Output("junit", "Path of the JUnit report, empty when it was not asked for."),
    Output("markdown", "Path of the Markdown report, empty when it was not asked for."),
)


def read(environment: Mapping[str, str]) -> Inputs:
    """Read the inputs that GitHub put into the environment.

    Raises:
        UsageError: a value is not one that its input takes.
    """
    return Inputs(**{row.field: _value(row, environment) for row in INPUTS})  # type: ignore[arg-type]  # each row's parser makes what its field holds; a test says so


def _value(row: Input, environment: Mapping[str, str]) -> object:
    hyphened = f"INPUT_{row.name.upper()}"
    given = environment.get(hyphened) or environment.get(row.variable) or ""
    try:
        return row.parse(given.strip() or row.default)
    except ValueError as error:
        raise UsageError(f"input {row.name}: {given.strip()!r} is not {error}") from error


def inputs_table() -> str:
    """Return the inputs and outputs as Markdown tables, for the README."""
    lines = ["| input | default | |", "|---|---|---|"]
    for row in INPUTS:
        default = f"`{row.default}`" if row.default else ""
        mark = " *(composite action only)*" if row.composite else ""
        lines.append(f"| `{row.name}` | {default} | {row.description}{mark} |")
    lines += ["", "| output | |", "|---|---|"]
    lines += [f"| `{output.name}` | {output.description} |" for output in OUTPUTS]
    return "\n".join(lines) + "\n"


def wants_changes(inputs: Inputs, event_name: str) -> bool:
    """Tell whether only what the event changed is to be checked."""
    if inputs.changed_only == "auto":
        return event_name in COMPARED
    return cast("str", inputs.changed_only) == "true"
