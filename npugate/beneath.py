"""Open what a stranger's text names: plain files below a folder, by no link, and nothing of git's.

A model, a trace or a configuration of a pull request can name any file. Each folder on the way is
opened by the one before it, never by a path, so that nothing can be put in place between the look
and the reading. git's own folder holds credentials: it is refused under every name that some file
system takes for ``.git``, and wherever else a repository's data lies.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

_FOLDER: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Characters that HFS+ leaves out of a name before it compares.
_IGNORED: Final = dict.fromkeys(
    (*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF)
)
_SHORT: Final = re.compile(r"GIT~[0-9]+")  # how FAT and NTFS abbreviate it
_GITS: Final = "is in git's own folder, which is never read"


class RefusedError(ValueError):
    """A file may not be read; the text says why, as what follows the file's name."""


def is_gits_name(name: str) -> bool:
    """Return whether some file system takes a name for ``.git``."""
    bare = name.translate(_IGNORED).partition(":")[0].rstrip(" .").upper()
    return bare == ".GIT" or _SHORT.fullmatch(bare) is not None


def refuse_gits(path: Path) -> None:
    """Refuse a path that leads, through links too, into git's own folder.

    Raises:
        RefusedError: it does.
    """
    real = Path(os.path.realpath(path))
    parts = real.parts[_own(real.parent) :]
    if any(is_gits_name(part) for part in parts):
        raise RefusedError(_GITS)


def look(folder: Path, name: str) -> os.stat_result:
    """Return the status of a plain file below a folder; it is not opened.

    Args:
        folder: links are followed up to here.
        name: from there on; as a path with forward slashes.

    Raises:
        RefusedError: a link is on the way, it is no plain file or has a second hard link, or it is
            git's.
        OSError: it is not there, or cannot be looked at.
    """
    with _parent(folder, name) as (parent, last):
        return _checked(os.stat(last, dir_fd=parent, follow_symlinks=False))


@contextmanager
def opened(folder: Path, name: str) -> Iterator[int]:
    """Open a plain file below a folder for reading; otherwise as ``look``."""
    with _parent(folder, name) as (parent, last):
        before = _checked(os.stat(last, dir_fd=parent, follow_symlinks=False))
        descriptor = os.open(last, _FILE, dir_fd=parent)
    try:
        after = _checked(os.fstat(descriptor))
        if not os.path.samestat(before, after):
            raise RefusedError("was replaced while it was opened")
        yield descriptor
    finally:
        os.close(descriptor)


def read(folder: Path, name: str, most_bytes: int) -> bytes:
    """Return what a plain file below a folder holds; otherwise as ``look``.

    Raises:
        RefusedError: also when it holds more than ``most_bytes``.
    """
    with opened(folder, name) as fd, os.fdopen(fd, "rb", closefd=False) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise RefusedError(f"has more than {most_bytes} bytes")
    return data


@contextmanager
def resolved(path: Path) -> Iterator[int]:
    """Open a plain file that a user named, through links, but nothing of git's.

    Raises:
        RefusedError: it is no plain file, or git's.
        OSError: it is not there, or cannot be opened.
    """
    real = Path(os.path.realpath(path))
    with _entered(real.parent) as parent:
        if is_gits_name(real.name):
            raise RefusedError(_GITS)
        _plain(os.stat(real.name, dir_fd=parent, follow_symlinks=False))
        descriptor = os.open(real.name, _FILE, dir_fd=parent)
    try:
        _plain(os.fstat(descriptor))
        yield descriptor
    finally:
        os.close(descriptor)


def _checked(status: os.stat_result) -> os.stat_result:
    """Refuse what may be another file under a new name; nothing but the link count tells."""
    _plain(status)
    if status.st_nlink > 1:
        raise RefusedError(f"is a hard link, one of {status.st_nlink}: replace it by a copy")
    return status


def _plain(status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise RefusedError("is a symbolic link")
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError("is no plain file")


@contextmanager
def _parent(folder: Path, name: str) -> Iterator[tuple[int, str]]:
    """Yield the open folder that a file is in, and the file's own name."""
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise RefusedError("leads out of its folder")
    if any(is_gits_name(part) for part in parts):
        raise RefusedError(_GITS)
    with _entered(Path(os.path.realpath(folder))) as start:
        place = os.dup(start)
        try:
            for part in parts[:-1]:
                place = _step(place, part)
                _refuse_repository(place)
            yield place, parts[-1]
        finally:
            os.close(place)


@contextmanager
def _entered(real: Path) -> Iterator[int]:
    """Open a folder whose path has no link; one that has been put in since is refused."""
    own = _own(real)
    if any(is_gits_name(part) for part in real.parts[own:]):
        raise RefusedError(_GITS)
    place = os.open(real.anchor, _FOLDER)
    try:
        for part in real.parts[1:]:
            place = _step(place, part)
        yield place
    finally:
        os.close(place)


def _step(place: int, part: str) -> int:
    """Return a folder in an open one, which is closed; it stays open when this fails."""
    if stat.S_ISLNK(os.stat(part, dir_fd=place, follow_symlinks=False).st_mode):
        raise RefusedError("lies behind a symbolic link")
    inner = os.open(part, _FOLDER, dir_fd=place)
    os.close(place)
    return inner


def _refuse_repository(place: int) -> None:
    """Refuse a folder that holds what a repository's own folder does, whatever it is called."""
    if _has(place, "HEAD") and (
        (_has(place, "objects") and _has(place, "refs")) or _has(place, "commondir")
    ):
        raise RefusedError(_GITS)


def _has(place: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=place, follow_symlinks=False)
    except OSError:
        return False
    return True


def _own(folder: Path) -> int:
    """Return how many parts of a path lead to the work tree that a folder is in.

    Where that lies is no concern of ours: git makes work trees below another's ``.git``, too.
    """
    parts: Sequence[str] = folder.parts
    for length in range(len(parts), 0, -1):
        if os.path.lexists(Path(*parts[:length], ".git")):
            return length
    return 0
