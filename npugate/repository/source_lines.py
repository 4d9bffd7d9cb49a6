"""Find the line of the checkout that a stack trace means.

A trace was written on another machine, perhaps for an older version of the file. So the path is
matched by its longest suffix that exists here, and the line must still read as it did: if it has
moved it is looked for, and if it is gone nothing is claimed. A trace without the text of its lines
(TorchScript's) has the name of the function, and that must still hold the line.

The line is printed in every report, and the trace is the model's: so only Python files that git
tracks are read, never a link and nothing below ``.git``.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

from npugate import beneath
from npugate.beneath import RefusedError
from npugate.findings.values import Frame, Source
from npugate.model.tracked import Tracked

_LIBRARY: Final = re.compile(r"(^|/)(site-packages|dist-packages|lib/python\d[^/]*)/")
_DEFINITION: Final = re.compile(r"(?:async\s+)?def\s+(\w+)")
_SKIPPED: Final = frozenset({"node_modules", "venv", "__pycache__", "site-packages"})
_MAX_BYTES: Final = 4 << 20
_MAX_FILES: Final = 50_000
_MAX_TEXT: Final = 500


class Checkout:
    """The Python files of a repository, looked up when the first finding asks."""

    def __init__(self, root: Path, tracked: Tracked | None = None) -> None:
        """Remember where to look.

        Args:
            root: of the repository; nothing outside of it is read.
            tracked: what git tracks; where that says nothing of the root, its folders are walked.
        """
        self._root = root.resolve()
        self._tracked = tracked or Tracked()
        self._lines: dict[str, list[str] | None] = {}

    def source(self, frames: Sequence[Frame]) -> Source | None:
        """Return the line that the innermost frame outside libraries means, if it is here."""
        for frame in frames:
            path = frame.file.replace("\\", "/")
            if not _LIBRARY.search(path):
                return self._locate(path, frame)
        return None

    def _locate(self, path: str, frame: Frame) -> Source | None:
        found = [
            place
            for candidate in self._candidates(path)
            if (place := self._line(candidate, frame)) is not None
        ]
        exact = [place for place in found if place.line == frame.line]
        chosen = exact or found
        return chosen[0] if len(chosen) == 1 else None

    def _candidates(self, path: str) -> list[str]:
        """Return the files that share the longest tail with a path, at least the name."""
        parts = PurePosixPath(path).parts
        same_name = self._by_name.get(parts[-1], ()) if parts else ()
        scored = [(_shared(parts, PurePosixPath(file).parts), file) for file in same_name]
        best = max((score for score, _ in scored), default=0)
        return [file for score, file in scored if score == best]

    def _line(self, file: str, frame: Frame) -> Source | None:
        lines = self._read(file)
        if lines is None:
            return None
        wanted = _essence(frame.text)
        if not wanted:
            held = _is_in(lines, frame.line, frame.function)
            return Source(file, frame.line, _shown(lines[frame.line - 1])) if held else None
        if 0 < frame.line <= len(lines) and _essence(lines[frame.line - 1]) == wanted:
            return Source(file, frame.line, _shown(lines[frame.line - 1]))
        moved = [number for number, line in enumerate(lines, 1) if _essence(line) == wanted]
        return Source(file, moved[0], _shown(lines[moved[0] - 1])) if len(moved) == 1 else None

    def _read(self, file: str) -> list[str] | None:
        if file not in self._lines:
            self._lines[file] = self._load(file)
        return self._lines[file]

    def _load(self, file: str) -> list[str] | None:
        try:
            data = beneath.read(self._root, file, _MAX_BYTES)
        except (OSError, RefusedError):
            return None  # a file that git tracks need not be in the work tree, or may be a link now
        return data.decode("utf-8", "replace").splitlines()

    @cached_property
    def _by_name(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for file in self._files():
            found[PurePosixPath(file).name].append(file)
        return found

    def _files(self) -> Iterable[str]:
        known = self._tracked.python(self._root)
        return self._walk() if known is None else known

    def _walk(self) -> Iterator[str]:
        count = 0
        for folder, folders, files in os.walk(self._root):
            folders[:] = sorted(f for f in folders if f not in _SKIPPED and not f.startswith("."))
            for name in sorted(files):
                if name.endswith(".py") and count < _MAX_FILES:
                    count += 1
                    yield Path(folder, name).relative_to(self._root).as_posix()


def _shared(left: Sequence[str], right: Sequence[str]) -> int:
    """Count the equal parts at the end of two paths."""
    count = 0
    for a, b in zip(reversed(left), reversed(right), strict=False):
        if a != b:
            break
        count += 1
    return count


def _is_in(lines: Sequence[str], number: int, function: str) -> bool:
    """Return whether a line has code, and the innermost function around it has this name."""
    if not 0 < number <= len(lines) or not _essence(lines[number - 1]):
        return False
    if function.startswith("<"):
        return True  # a module, a lambda or a comprehension: no line names it
    depth = _indent(lines[number - 1])
    for line in reversed(lines[: number - 1]):
        bare = line.strip()
        # A signature over several lines closes as far left as it opens.
        if not _essence(line) or bare[0] in ")]}" or _indent(line) >= depth:
            continue
        named = _DEFINITION.match(bare)
        if named:
            return named[1] == function
        depth = _indent(line)
    return False


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _essence(line: str) -> str:
    """Return a line without its comment and white space, for comparison only."""
    return "".join(line.partition("#")[0].split())


def _shown(line: str) -> str:
    return line.strip()[:_MAX_TEXT]
