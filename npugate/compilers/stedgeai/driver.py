"""Run the compiler on models: choose the back end once, then run, record, decide."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from npugate.compilers.stedgeai import invocation, local, record, redact, verdict
from npugate.compilers.stedgeai.invocation import BackEnd, Request, Shape
from npugate.compilers.stedgeai.record import Ended, Output
from npugate.errors import NpugateError, UsageError
from npugate.report.compiled import Answer, Ask, Asked, Compiled, State

OFF: Final = "off"
AUTO: Final = "auto"
CLOUD: Final = "cloud"
IMAGE: Final = "docker://"

_LICENCE: Final = (
    "the compiler of ST was not asked: its use needs your consent to ST's licence (SLA0104 or what "
    "came with your copy); give --stedgeai-accept-license, or the input stedgeai-accept-license"
)
_MISSING: Final = (
    "ST Edge AI Core was not found (stedgeai in PATH, STEDGEAI_CORE_DIR): the verdict is npugate's "
    "alone"
)


class Settings(Struct, frozen=True):
    """How the compiler is reached and asked.

    Attributes:
        choice: ``auto``, ``off``, a path, ``docker://IMAGE`` or ``cloud``.
        accepts_licence: the user's consent to ST's licence.
        profile: ``NAME`` or ``NAME@FILE``; empty for the tool's own.
        seconds: wall clock for one model.
        record: folder where raw outputs are kept; None for nowhere.
        record_raw: True keeps them with paths and serial numbers.
        replay: folder of such outputs, read instead of running anything.
    """

    choice: str = OFF
    accepts_licence: bool = False
    profile: str = ""
    shape: Shape = field(default_factory=Shape)
    seconds: float = invocation.SECONDS
    record: Path | None = None
    record_raw: bool = False
    replay: Path | None = None


class Compiler(Struct, frozen=True):
    """The compiler, or why there is none.

    Attributes:
        ask: asks about one model.
        version: of the tool, empty until it has run.
        missing: why no model can be asked about; empty when one can.
    """

    ask: Ask
    version: str = ""
    missing: str = ""


def open_compiler(settings: Settings, environment: Mapping[str, str]) -> Compiler:
    """Find the compiler that the settings name.

    Raises:
        UsageError: what was asked for by name is not there, or the settings are wrong.
    """
    if settings.replay is not None:
        if not settings.replay.is_dir():
            raise UsageError(f"--replay {settings.replay}: there is no such folder")
        return Compiler(partial(_replay, settings.replay))
    settings.shape.arguments()
    profile = invocation.profile(settings.profile) if settings.profile else ""
    settings = replace(settings, profile=profile)
    if not settings.accepts_licence:
        return _absent(_LICENCE)
    try:
        back_end = _back_end(settings, environment)
    except UsageError:
        raise
    except NpugateError as error:  # an engine or a server that does not answer is no fault of use
        return _absent(f"the compiler was not asked: {error}")
    if back_end is None:
        return _absent(_MISSING)
    secrets = _secrets(environment)
    return Compiler(partial(_run, settings, back_end, secrets), back_end.version)


def _absent(reason: str) -> Compiler:
    return Compiler(lambda _asked: Answer(Compiled(State.NOT_RUN, "", reason)), missing=reason)


def _back_end(settings: Settings, environment: Mapping[str, str]) -> BackEnd | None:
    choice = settings.choice
    if choice.startswith(IMAGE):
        from npugate.compilers.stedgeai import container  # noqa: PLC0415 - needs an extra of its own

        return container.open_image(choice.removeprefix(IMAGE))
    if choice == CLOUD:
        from npugate.compilers.stedgeai import cloud  # noqa: PLC0415 - opens sockets; few need it

        return cloud.open_cloud(environment)
    program = local.find(choice, environment)
    if program is None:
        if choice != AUTO:
            raise UsageError(f"--stedgeai {choice}: no stedgeai there")
        return None
    return local.open_tool(program, environment)


def _secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the credentials in the environment, which must not stand in a record."""
    marks = ("TOKEN", "PASSWORD", "SECRET", "CREDENTIAL", "STM32AI_USERNAME")
    found = {value for name, value in environment.items() if any(m in name.upper() for m in marks)}
    return tuple(sorted(found, key=len, reverse=True))


def _run(settings: Settings, back_end: BackEnd, secrets: tuple[str, ...], asked: Asked) -> Answer:
    request = Request(asked.file, asked.beside, settings.profile, settings.shape, settings.seconds)
    output = back_end.compile(request)
    output = replace(output, version=output.version or back_end.version)
    places = {
        str(folder) for folder in (Path.cwd(), asked.file.parent, asked.file.parent.resolve())
    }
    hide = partial(redact.data, secrets=secrets, places=places)
    clean = replace(
        output,
        stdout=hide(output.stdout),
        files={name: hide(data) for name, data in output.files.items()},
        reason=redact.text(output.reason, secrets, places),
    )
    if settings.record is not None:
        record.save(settings.record, asked.path, output if settings.record_raw else clean)
    return verdict.verdict_of(asked, clean)


def _replay(folder: Path, asked: Asked) -> Answer:
    output = record.load(folder, asked.path)
    if output is None:
        reason = "there is no record of this model"
        output = Output("replay", Ended.NOT_STARTED, reason=reason)
    return verdict.verdict_of(asked, output)
