"""Write a file whole or not at all: beside its destination, flushed to disk, then renamed.

Only a regular file is ever replaced. What a path leads to may be something else: a pipe, a device
or a descriptor that the caller handed over is written to as it is, and stays what it is; a
symbolic link, a socket, a disk and a folder are refused. A link is refused and not followed because
a checkout may hold a stranger's, and where it leads is not what was named.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from npugate.errors import UsageError

_HEAD: Final = 65_536  # bytes; weights have a zero in fewer
_STANDARD: Final = {"/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,6})")
# Nobody has opened the pipe for reading: without O_NONBLOCK that would be waited for, for ever.
_NO_READER: Final = "nobody reads from this pipe"
_WITHOUT_FSYNC: Final = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)


def write_text(path: Path, text: str) -> None:
    """Replace a file with a text in UTF-8; parent folders are made.

    Raises:
        UsageError: the place cannot be written, is a link, or has a file that is no text, such as
            a model; what stood there before is untouched.
    """
    if _descriptor(path) is None and _kind(path) == stat.S_IFREG and _is_data(path):
        raise UsageError(f"cannot write {path}: the file there is no text; choose another name")
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file with bytes, as ``write_text`` does."""
    write_parts(path, (data,))


def write_parts(path: Path, parts: Iterable[bytes], like: Path | None = None) -> None:
    """Replace a file with bytes that are made as they are written, otherwise as ``write_bytes``.

    Args:
        path: of the file.
        parts: its content.
        like: whose owner and mode a new file gets, where there is such a file.
    """
    try:
        check_place(path)
        if is_stream(path):
            with _stream(path) as descriptor:
                for part in parts:
                    _write_all(descriptor, part)
        else:
            _replace(path, parts, like)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {_reason(error)}") from error


def check_place(path: Path) -> None:
    """Tell early, before hours of work, that a place is none that is written to.

    Raises:
        UsageError: it is a link, or nothing that can be written, and what to do instead.
    """
    kind = stat.S_IFCHR if _descriptor(path) is not None else _kind(path)
    if kind == stat.S_IFLNK:
        raise UsageError(
            f"cannot write {path}: it is a symbolic link; name the file itself that it leads to"
        )
    what = {stat.S_IFDIR: "a folder", stat.S_IFSOCK: "a socket", stat.S_IFBLK: "a disk"}.get(kind)
    if what is not None:
        raise UsageError(f"cannot write {path}: it is {what}; name a file")


def is_stream(path: Path) -> bool:
    """Tell whether a place is written to as it is: a pipe, a device, an open descriptor."""
    return _descriptor(path) is not None or _kind(path) in {stat.S_IFIFO, stat.S_IFCHR}


def sync_folder(folder: Path) -> None:
    """Let the renames in a folder reach the disk before anything that is done next.

    Raises:
        OSError: the disk failed; not where the file system knows no such thing.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno in _WITHOUT_FSYNC:
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _WITHOUT_FSYNC:
            raise
    finally:
        os.close(descriptor)


def _replace(path: Path, parts: Iterable[bytes], like: Path | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not named after the file: a name that is as long as names may be leaves no room for more.
    descriptor, beside = tempfile.mkstemp(prefix=".npugate-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        _dress(Path(beside), path, like)
        Path(beside).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(beside).unlink()
        raise
    sync_folder(path.parent)


def _dress(made: Path, path: Path, like: Path | None) -> None:
    """Give a new file the mode and the owner of the one that it replaces."""
    model = next((place for place in (path, like) if place is not None and place.exists()), None)
    if model is None:
        made.chmod(0o666 & ~_umask())
        return
    status = model.stat()
    if hasattr(os, "chown") and (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        with contextlib.suppress(OSError):  # only root may, and a container runs as root
            os.chown(made, status.st_uid, status.st_gid)
    made.chmod(status.st_mode & 0o777)


def _descriptor(path: Path) -> int | None:
    """Return the open descriptor that a path is another name of; None of any other path."""
    name = str(path)
    if name in _STANDARD:
        return _STANDARD[name]
    found = _DESCRIPTOR.fullmatch(name)
    return int(found[1]) if found else None


def _kind(path: Path) -> int:
    """Return the type of a file, 0 of none; of a link to a pipe or device, that of its end."""
    try:
        kind = stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:
        return 0
    except ValueError as error:
        raise UsageError(f"cannot write {path}: {error}") from error
    except OSError as error:
        raise UsageError(f"cannot write {path}: {_reason(error)}") from error
    if kind != stat.S_IFLNK:
        return kind
    try:
        end = stat.S_IFMT(path.stat().st_mode)
    except OSError:  # it leads nowhere, or in a circle
        return kind
    return end if end in {stat.S_IFIFO, stat.S_IFCHR} else kind


@contextlib.contextmanager
def _stream(path: Path) -> Iterator[int]:
    """Open what is written to as it is; it is neither made nor cut nor waited for."""
    known = _descriptor(path)
    opened = os.dup(known) if known is not None else os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        if known is None:
            os.set_blocking(opened, True)
        yield opened
    finally:
        os.close(opened)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _reason(error: OSError) -> str:
    return _NO_READER if error.errno == errno.ENXIO else error.strerror or str(error)


def _is_data(path: Path) -> bool:
    """Tell whether a file is a model or other data, which no report may take the place of."""
    if path.suffix.lower() == ".onnx":
        return True
    try:
        with path.open("rb") as file:
            return b"\0" in file.read(_HEAD)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {_reason(error)}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
