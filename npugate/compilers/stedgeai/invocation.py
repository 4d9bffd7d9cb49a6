"""What the compiler is asked for: one model, a profile, the form of its inputs and outputs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

from msgspec import Struct, field

from npugate import beneath
from npugate.beneath import RefusedError
from npugate.compilers.stedgeai.record import Output
from npugate.errors import UsageError

TARGET: Final = "stm32n6"
NETWORK: Final = "network"
SECONDS: Final = 600.0

TYPES: Final = ("float32", "int8", "uint8")
POSITIONS: Final = ("chfirst", "chlast")
_PROFILE: Final = re.compile(r"[A-Za-z0-9_.+][A-Za-z0-9_.+-]*")
_ASCII: Final = re.compile(r"[^A-Za-z0-9_]+")


class Shape(Struct, frozen=True):
    """How the tool is to declare inputs and outputs, in its own words; empty: as it will.

    Attributes:
        input_type, output_type: a comma list of types, one a tensor.
        input_position, output_position: of the channels.
    """

    input_type: str = ""
    output_type: str = ""
    input_position: str = ""
    output_position: str = ""

    def arguments(self) -> list[str]:
        """Return the options of the tool.

        Raises:
            UsageError: a word that the tool does not know.
        """
        found: list[str] = []
        for option, value, known in (
            ("--input-data-type", self.input_type, TYPES),
            ("--output-data-type", self.output_type, TYPES),
            ("--inputs-ch-position", self.input_position, POSITIONS),
            ("--outputs-ch-position", self.output_position, POSITIONS),
        ):
            if not value:
                continue
            if any(word not in known for word in value.split(",")):
                raise UsageError(f"{option} {value}: known are {', '.join(known)}")
            found += [option, value]
        return found


class Request(Struct, frozen=True):
    """One model for the compiler.

    Attributes:
        model: the file.
        beside: its weight files, relative to its folder; they were found safe.
        profile: ``NAME``, ``NAME@FILE`` or empty for the tool's own.
        seconds: wall clock for it.
    """

    model: Path
    beside: tuple[str, ...] = ()
    profile: str = ""
    shape: Shape = field(default_factory=Shape)
    seconds: float = SECONDS


class BackEnd(Struct, frozen=True):
    """A way to reach the compiler.

    Attributes:
        name: ``cli``, ``container``, ``cloud`` or ``replay``.
        version: of the tool; empty until it has run.
        compile: runs one model; it raises nothing that a model can cause.
    """

    name: str
    version: str
    compile: Callable[[Request], Output]


def profile(text: str) -> str:
    """Return a profile as the tool takes it, its file as an absolute path.

    Raises:
        UsageError: the name has other characters, or there is no such file.
    """
    name, at, place = text.partition("@")
    if not _PROFILE.fullmatch(name):
        raise UsageError(f"--stedgeai-profile {text}: write NAME or NAME@FILE")
    if not at:
        return name
    path = Path(place).absolute()
    if not path.is_file():
        raise UsageError(f"--stedgeai-profile {text}: there is no such file")
    if not str(path).isascii():
        raise UsageError(f"--stedgeai-profile {text}: the tool takes ASCII paths only")
    return f"{name}@{path}"


def generate(model: str, request: Request, output: str, workspace: str) -> list[str]:
    """Return the arguments after the program's name.

    Args:
        model: path of the model as the tool sees it.
        request: what is asked.
        output: folder of the reports, as the tool sees it.
        workspace: folder for what it needs on the way, the same.
    """
    return [
        "generate",
        *("--model", model),
        *("--target", TARGET),
        "--st-neural-art",
        *([request.profile] if request.profile else []),
        *("--name", NETWORK),
        *("--workspace", workspace),
        *("--output", output),
        *request.shape.arguments(),
    ]


def stem(path: Path) -> str:
    """Return an ASCII name for the copy of a model; it never looks like an option."""
    return _ASCII.sub("_", path.stem).strip("_")[:64] or "model"


def copy(request: Request, folder: Path) -> Path:
    """Copy the model and its weight files into a folder with an ASCII name; return the copy.

    Raises:
        OSError: a file is missing or cannot be copied.
    """
    folder.mkdir(parents=True)
    target = folder / f"{stem(request.model)}.onnx"
    try:
        with beneath.resolved(request.model) as model:
            _copied(model, target)
    except RefusedError as error:
        raise OSError(f"the model {error}") from error
    for name in request.beside:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise OSError(f"the weights lie outside the model's folder: {name}")
        place = folder / name
        try:
            with beneath.opened(request.model.parent, name) as weights:
                place.parent.mkdir(parents=True, exist_ok=True)
                _copied(weights, place)
        except RefusedError as error:
            raise OSError(f"the weights are in no plain file: {name} {error}") from error
    return target


def _copied(descriptor: int, place: Path) -> None:
    with os.fdopen(descriptor, "rb", closefd=False) as file, place.open("wb") as copy:
        shutil.copyfileobj(file, copy)
