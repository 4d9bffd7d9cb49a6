"""What one call of the compiler left behind, before it is read; kept with --record."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from npugate import atomic_write as writing
from npugate import nesting
from npugate.errors import UsageError

OUTPUT_BYTES: Final = 8 * 1024 * 1024
"""Most of the tool's output that is kept: half from the beginning, half from the end."""
FILE_BYTES: Final = 64 * 1024 * 1024
MARK: Final = b"\n[npugate: the middle of the output is left out]\n"

_WANTED: Final = re.compile(
    r"(?:\w[\w-]*_)?c_info\.json|\w[\w-]*_report\.(?:txt|json)|[\w.-]+\.mpool"
)
_META: Final = "run.json"
_STDOUT: Final = "stdout.txt"
_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")


class Ended(StrEnum):
    """How the call ended."""

    EXIT = "exit"
    TIME_OUT = "time-out"
    TOO_MUCH_OUTPUT = "too-much-output"
    NOT_STARTED = "not-started"


class Output(Struct, frozen=True):
    """What a back end brings back.

    Attributes:
        back_end: ``cli``, ``container``, ``cloud`` or ``replay``.
        status: the tool's exit status; None when it did not exit by itself.
        stdout: standard output and error together, bounded.
        files: the reports that it wrote, by name.
        version: as ``--version`` says; empty when it was not asked.
        reason: why there is no output, in a sentence.
        seconds: wall time.
    """

    back_end: str
    ended: Ended
    status: int | None = None
    stdout: bytes = b""
    files: Mapping[str, bytes] = field(default_factory=dict)
    version: str = ""
    reason: str = ""
    seconds: float = 0.0


class Tail:
    """Collects bytes and keeps the beginning and the end, so that memory stays bounded."""

    def __init__(self, limit: int = OUTPUT_BYTES) -> None:
        """Keep up to so many bytes."""
        self._half = limit // 2
        self._head = bytearray()
        self._end: deque[bytes] = deque()
        self._held = 0
        self.total = 0

    def add(self, chunk: bytes) -> None:
        """Take a piece of the output."""
        self.total += len(chunk)
        room = self._half - len(self._head)
        self._head += chunk[:room]
        if chunk[room:]:
            self._end.append(chunk[room:])
            self._held += len(chunk) - room
        while self._end and self._held - len(self._end[0]) >= self._half:
            self._held -= len(self._end.popleft())

    def bytes(self) -> bytes:
        """Return what was kept, with a mark where something is missing."""
        end = b"".join(self._end)[-self._half :]
        missing = self.total > len(self._head) + len(end)
        return bytes(self._head) + (MARK if missing else b"") + end


def is_wanted(name: str) -> bool:
    """Tell whether a file that the tool wrote is one that is read."""
    return _WANTED.fullmatch(name) is not None


def collected(folders: Iterable[Path]) -> dict[str, bytes]:
    """Return the reports in these folders, by name; links and huge files are left out."""
    found: dict[str, bytes] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            is_plain = path.is_file() and not path.is_symlink()
            if is_wanted(path.name) and is_plain and path.stat().st_size <= FILE_BYTES:
                found.setdefault(path.name, path.read_bytes())
    return found


def save(folder: Path, path: str, output: Output) -> None:
    """Keep an output below a folder, under the reported path of its model.

    Raises:
        UsageError: it cannot be written.
    """
    place = folder / slug(path)
    meta = {
        "model": path,
        "ended": output.ended.value,
        "status": output.status,
        "version": output.version,
        "reason": output.reason,
        "back_end": output.back_end,
        "seconds": round(output.seconds, 3),
        "files": sorted(output.files),
    }
    writing.write_text(place / _META, json.dumps(meta, indent=2) + "\n")
    writing.write_bytes(place / _STDOUT, output.stdout)
    for name, data in output.files.items():
        writing.write_bytes(place / name, data)


def load(folder: Path, path: str) -> Output | None:
    """Return the output that was kept for a model; None where there is none.

    Raises:
        UsageError: what is there is damaged.
    """
    place = folder / slug(path)
    try:
        if not (place / _META).is_file():
            return None
        meta: Any = nesting.json_value((place / _META).read_bytes())
        return Output(
            "replay",
            Ended(meta["ended"]),
            meta["status"],
            (place / _STDOUT).read_bytes(),
            {name: (place / name).read_bytes() for name in meta["files"] if is_wanted(name)},
            str(meta["version"]),
            str(meta["reason"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"the record in {place} is damaged: {error!r}") from error


def slug(path: str) -> str:
    """Return a folder's name for a reported path; it has no separator and no leading dot."""
    return _NAME.sub("_", path.replace("/", "__")).strip(".")[-120:] or "model"
