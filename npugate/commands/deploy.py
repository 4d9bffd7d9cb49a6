"""``npugate deploy``: from a model and data to a deployment report, step by step."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TextIO

from msgspec.structs import replace

from npugate import atomic_write, escape
from npugate.commands import dispatch
from npugate.commands.verify import expected
from npugate.console import Console
from npugate.deploy import run as work
from npugate.deploy.cache import digest_of
from npugate.deploy.run import Ended
from npugate.deploy.values import PLANS, Settings
from npugate.errors import UsageError
from npugate.reporters import deployment
from npugate.repository import git
from npugate.rules.selection import suggestion
from npugate.settings import config

_KEYS: Final[Mapping[str, type]] = {
    "plan": str,
    "model": str,
    "clean": str,
    "weights": str,
    "calibration": str,
    "data": str,
    "labels": str,
    "preprocess": list,
    "samples": int,
    "metric": str,
    "unit": str,
    "limits": list,
    "expect-range": str,
    "output-dir": str,
}
_FILES: Final = ("target", "board", "baseline")  # of a configuration that may name a file
_QUESTIONS: Final = (
    ("model", "the ONNX model to repair", ("fix", "both")),
    ("clean", "the clean model, or module:callable that makes the network", ("clean", "both")),
    ("calibration", "samples to calibrate with (.npz, .npy or a folder)", ("fix", "clean", "both")),
    ("data", "other samples to evaluate on", ("fix", "clean", "both")),
)


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Deploy as arguments, configuration and answers say; return 0, 1 when a plan failed."""
    values = _configured(chosen) | _given(chosen)
    if not values and _can_ask(console):
        values = dict(_asked(sys.stdin, console))
    settings = _settings(values, chosen)
    work.check_writable(settings.output)
    tell = partial(_tell, console)
    report = work.deploy(settings, partial(_program, console), tell)
    for name, render in deployment.FILES.items():
        atomic_write.write_text(settings.output / name, render(report))
    for outcome in report.outcomes:
        for criterion in outcome.criteria:
            mark = {True: "met", False: "MISSED", None: "unknown"}[criterion.is_met]
            tell(f"{outcome.plan}: {mark}: {criterion.text}: {criterion.found}")
    tell(f"report: {settings.output / 'deployment.md'} (.html, .json)")
    tell(f"deployment: {'PASS' if report.passed else 'FAIL'}")
    return 0 if report.passed else 1


def _tell(console: Console, line: str) -> None:
    console.stdout.write(escape.log_document(f"{escape.visible(line, escape.DATA_LIMIT)}\n"))
    console.stdout.flush()


def _program(console: Console, arguments: Sequence[str]) -> Ended:
    """Run npugate in this process; what it prints is kept, and its models run in children."""
    said, printed = io.StringIO(), io.StringIO()
    own = Console(console.environment, printed, said)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
        code = dispatch.run(arguments, own)
    return Ended(code, said.getvalue())


def _can_ask(console: Console) -> bool:
    return sys.stdin.isatty() and console.stdout.isatty() and not console.environment.get("CI")


def _asked(source: TextIO, console: Console) -> Iterator[tuple[str, object]]:
    """Ask for what is needed, a line each."""

    def ask(question: str) -> str:
        console.stdout.write(f"{question}: ")
        console.stdout.flush()
        return source.readline().strip()

    plan = ask("plan: fix an existing model, take a clean one, or both (fix/clean/both)") or "fix"
    yield "plan", plan
    for key, question, plans in _QUESTIONS:
        if plan in plans and (answer := ask(question)):
            yield key, answer
    for key, question in (
        ("labels", "labels in the data, for the metric (empty for none)"),
        ("metric", "metric, for example mae or accuracy (empty for the fidelity alone)"),
        ("expect-range", "least and largest output, 30:180 (empty for any)"),
    ):
        if answer := ask(question):
            yield key, answer


def _given(chosen: argparse.Namespace) -> dict[str, object]:
    found: dict[str, object] = {}
    for key in _KEYS:
        value = getattr(chosen, key.replace("-", "_"))
        if value is not None:
            found[key] = value
    return found


def _place(chosen: argparse.Namespace) -> Path | None:
    cwd = Path.cwd()
    if chosen.config:
        return Path(chosen.config)
    return config.find(cwd, git.root_above(cwd) or cwd)


def _judging(chosen: argparse.Namespace) -> str:
    """Return a digest of what the steps judge by: the configuration and the files that it names."""
    place = _place(chosen)
    said = {} if place is None else dict(config.table(place))
    said.pop("deploy", None)  # these reach the steps as arguments
    digest = hashlib.sha256(repr(said).encode())
    beside = [] if place is None else [place.parent / str(said.get(key, "")) for key in _FILES]
    for path in (*beside, Path(chosen.target or ""), Path(chosen.board or "")):
        digest.update(f"\0{digest_of(path)}".encode())
    return digest.hexdigest()


def _configured(chosen: argparse.Namespace) -> dict[str, object]:
    """Return ``[deploy]`` of the configuration; paths in it are from its folder.

    Raises:
        UsageError: an unknown key, or a value of another type.
    """
    place = _place(chosen)
    section = config.table(place).get("deploy") if place is not None else None
    if section is None or place is None:
        return {}
    if not isinstance(section, dict):
        raise UsageError(f"{place}: [deploy] must be a table")
    found: dict[str, object] = {}
    for key, value in section.items():
        kind = _KEYS.get(key)
        if kind is None:
            raise UsageError(f"{place}: [deploy]: unknown key {key!r}{suggestion(key, _KEYS)}")
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UsageError(f"{place}: [deploy]: {key!r} must be a {kind.__name__}, not {value!r}")
        found[key] = value
    for key in ("model", "weights", "calibration", "data", "output-dir", "clean"):
        value = found.get(key)
        if isinstance(value, str) and not (key == "clean" and ":" in value):
            found[key] = str(place.parent / value)
    return found


def _settings(values: Mapping[str, object], chosen: argparse.Namespace) -> Settings:
    def text(key: str) -> str:
        return str(values.get(key) or "")

    def path(key: str) -> Path | None:
        return Path(text(key)) if values.get(key) else None

    def words(key: str) -> tuple[str, ...]:
        value = values.get(key)
        return tuple(str(item) for item in value) if isinstance(value, list) else ()

    plan = text("plan") or ("fix" if values.get("model") else "clean")
    if plan not in {*PLANS, "both"}:
        raise UsageError(f"--plan is fix, clean or both, not {plan!r}")
    settings = Settings(
        PLANS if plan == "both" else (plan,),
        path("output-dir") or Path("npugate-deploy"),
        path("model"),
        text("clean"),
        path("weights"),
        path("calibration"),
        path("data"),
        text("labels"),
        words("preprocess"),
        int(text("samples") or 0),
        text("metric"),
        text("unit"),
        words("limits"),
        expected(text("expect-range")),
    )
    return replace(
        settings,
        target=chosen.target or "",
        toolchain=chosen.toolchain or "",
        board=chosen.board or "",
        stedgeai=_compiler(chosen),
        config=Path(chosen.config) if chosen.config else None,
        judging=_judging(chosen),
    )


def _compiler(chosen: argparse.Namespace) -> tuple[str, ...]:
    if not chosen.stedgeai:
        return ()
    consent = ("--stedgeai-accept-license",) if chosen.stedgeai_accept_license else ()
    return ("--stedgeai", chosen.stedgeai, *consent)
