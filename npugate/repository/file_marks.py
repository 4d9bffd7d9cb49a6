"""Note what a file is, to tell later whether another one stands in its place."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from npugate.errors import UsageError


class Mark(Struct, frozen=True):
    """A file as it was.

    Attributes:
        name: from the folder that it was looked for in.
        status: size, time of the last change in nanoseconds, inode.
    """

    name: str
    status: tuple[int, int, int]


def marks(folder: Path, names: Iterable[str]) -> tuple[Mark, ...]:
    """Note files below a folder as they are now.

    Raises:
        UsageError: one cannot be looked at.
    """
    return tuple(Mark(name, _status(folder / name)) for name in names)


def changed(folder: Path, noted: Iterable[Mark]) -> bool:
    """Tell whether one of the files is not what was noted.

    Raises:
        UsageError: one cannot be looked at any more.
    """
    return any(_status(folder / mark.name) != mark.status for mark in noted)


def _status(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    return found.st_size, found.st_mtime_ns, found.st_ino
