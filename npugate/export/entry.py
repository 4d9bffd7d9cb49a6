"""Find and call the user's function; its code runs here, in the child.

What it raises is shown as Python would show it, without our own frames.
"""

from __future__ import annotations

import importlib
import importlib.util
import linecache
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Final

from npugate.errors import UsageError
from npugate.rules.selection import suggestion

_OURS: Final = str(Path(__file__).resolve().parents[1])
_MACHINERY: Final = ("<frozen importlib", "importlib/__init__.py")
_LIBRARIES: Final = ("site-packages", "dist-packages", "/lib/python3")
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]*m")
_IN_TEXT: Final = re.compile(r"([^\s()]+\.py)\((\d+)\): ")
_LONG: Final = 300  # characters of a reason
_MOST: Final = 12  # frames of a trace that are shown


def split(entry: str) -> tuple[str, str]:
    """Return the module and the callable that an entry names.

    Raises:
        UsageError: it is not ``module:callable``.
    """
    module, colon, name = entry.rpartition(":")
    if not colon or not module or not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(
            f"{entry!r}: write module:callable or file.py:callable, for example nets.model:example"
        )
    return module, name


def call(entry: str, folder: Path) -> object:
    """Import the module, call the callable without arguments, return what it returns.

    Args:
        entry: ``module:callable`` or ``file.py:callable``.
        folder: from where a module is found, before everything else.

    Raises:
        UsageError: there is no such module or callable, or the code raises.
    """
    place, name = split(entry)
    found: object = _imported(place, folder)
    for part in name.split("."):
        if not hasattr(found, part):
            names = [key for key, value in vars(found).items() if callable(value)]
            raise UsageError(f"{place} has no {name!r}{suggestion(name, names)}")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"{entry} is a {type(found).__name__}, not a function to call")
    return guarded(f"{entry} raised", found)


def guarded(what: str, run: Callable[[], object]) -> object:
    """Run code of the user's; what it raises becomes an error with its own frames.

    Raises:
        UsageError: it raised, or wanted to leave.
    """
    try:
        return run()
    except (Exception, SystemExit) as error:
        raise UsageError(f"{what} {headline(error)}\n{trace(error)}") from error


def headline(error: BaseException) -> str:
    """Return the type and the first line of an exception."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def trace(error: BaseException) -> str:
    """Return the traceback of an exception without our frames and the import machinery's."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_OURS)
        and not any(part in frame.filename for part in _MACHINERY)
    ]
    shown = traceback.format_list(frames[-_MOST:])
    last = traceback.format_exception_only(error)
    return "Traceback (most recent call last):\n" + "".join([*shown, *last]).rstrip()


def reason(error: BaseException) -> str:
    """Return the first sentence of what an exception goes back to, in plain text."""
    return _ESCAPES.sub("", headline(_chain(error)[-1])).partition(". Please feel free")[0][:_LONG]


def own_line(error: BaseException) -> str:
    """Return the innermost line outside of libraries that an exception came through."""
    for item in reversed(_chain(error)):
        for frame in reversed(traceback.extract_tb(item.__traceback__)):
            ours = frame.filename.startswith((_OURS, "<"))
            if not ours and not any(part in frame.filename for part in _LIBRARIES):
                return f"{Path(frame.filename).name}:{frame.lineno}: {frame.line}"
    # TorchScript names the place in its text, innermost frame first.
    for name, number in _IN_TEXT.findall(str(_chain(error)[-1])):
        if not any(part in name for part in _LIBRARIES):
            text = linecache.getline(name, int(number)).strip()
            return f"{Path(name).name}:{number}: {text}"
    return ""


def _chain(error: BaseException) -> list[BaseException]:
    """Return an exception and those that it was raised from, the first cause last."""
    found = [error]
    while found[-1].__cause__ is not None and found[-1].__cause__ not in found:
        found.append(found[-1].__cause__)
    return found


def _imported(place: str, folder: Path) -> ModuleType:
    sys.path.insert(0, str(folder.resolve()))
    importlib.invalidate_caches()
    if not place.endswith(".py"):
        return _by_name(place)
    path = (folder / place).resolve()
    if not path.is_file():
        raise UsageError(f"there is no file {place}")
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{place} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    loader = spec.loader
    guarded(f"importing {place} raised", lambda: loader.exec_module(module))
    return module


def _by_name(place: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            raise UsageError(
                f"there is no module {place!r} here; run npugate where `import {place}` works, or "
                "name the file: path/to/file.py:callable"
            ) from error
        raise UsageError(f"importing {place} raised {headline(error)}\n{trace(error)}") from error
    except (Exception, SystemExit) as error:
        raise UsageError(f"importing {place} raised {headline(error)}\n{trace(error)}") from error
