"""The tool on this machine."""

from __future__ import annotations

import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from npugate.compilers.stedgeai import invocation, lines, process, record
from npugate.compilers.stedgeai.invocation import BackEnd, Request
from npugate.compilers.stedgeai.record import Ended, Output

PROGRAM: Final = "stedgeai"
ROOT: Final = "STEDGEAI_CORE_DIR"

# What the tool needs of our surroundings; tokens and the like are none of its business.
_PASSED: Final = ("PATH", "HOME", "USER", "LD_LIBRARY_PATH", "SYSTEMROOT", ROOT)
_VERSION_SECONDS: Final = 120.0
_NUMBER: Final = re.compile(r"\b(\d+\.\d+\.\d+(?:-\w+)?(?: [0-9a-f]{6,})?)")


def find(choice: str, environment: Mapping[str, str]) -> Path | None:
    """Return the program; None where there is none.

    Args:
        choice: ``auto``, the program itself, or the folder that the tool is installed in.
        environment: of the process.
    """
    if choice != "auto":
        place = Path(choice)
        return _below(place) if place.is_dir() else (place.absolute() if place.is_file() else None)
    found = shutil.which(PROGRAM, path=environment.get("PATH", ""))
    if found:
        return Path(found).absolute()
    root = environment.get(ROOT, "")
    return _below(Path(root)) if root else None


def _below(root: Path) -> Path | None:
    for name in _folders():
        for program in (PROGRAM, f"{PROGRAM}.exe"):
            place = root.absolute() / "Utilities" / name / program
            if place.is_file():
                return place
    return None


def _folders() -> tuple[str, ...]:
    if sys.platform == "darwin":
        return ("macarm", "mac") if platform.machine() == "arm64" else ("mac",)
    return ("windows",) if sys.platform == "win32" else ("linux",)


def open_tool(program: Path, environment: Mapping[str, str]) -> BackEnd:
    """Return the back end of a program, its version asked."""
    passed = {name: environment[name] for name in _PASSED if name in environment}
    passed |= {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8"}
    return BackEnd("cli", _version(program, passed), partial(_compile, program, passed))


def _version(program: Path, environment: Mapping[str, str]) -> str:
    with tempfile.TemporaryDirectory(prefix="npugate-stedgeai-") as folder:
        told = process.run([str(program), "--version"], Path(folder), environment, _VERSION_SECONDS)
    texts = list(lines.clean(told.stdout))
    named = next((found for line in texts if (found := lines.version_in(line))), "")
    number = next((match[1] for line in texts if (match := _NUMBER.search(line))), "")
    return named or number


def _compile(program: Path, environment: Mapping[str, str], request: Request) -> Output:
    with tempfile.TemporaryDirectory(prefix="npugate-stedgeai-") as place:
        work = Path(place).resolve()
        try:
            model = invocation.copy(request, work / "model")
        except OSError as error:
            return Output("cli", Ended.NOT_STARTED, reason=f"the model cannot be copied: {error}")
        output, workspace = work / "output", work / "workspace"
        arguments = invocation.generate(str(model), request, str(output), str(workspace))
        told = process.run(
            [str(program), *arguments],
            work,
            {**environment, "TMPDIR": str(work)},
            request.seconds,
        )
        files = record.collected(folder for folder in (output, workspace) if folder.is_dir())
    return Output("cli", told.ended, told.status, told.stdout, files, "", told.reason, told.seconds)
