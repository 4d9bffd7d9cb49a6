"""Read git's index without git, for machines and images that have a checkout and no program.

Versions 2 to 4, with names of objects by either hash. What needs a second file, or is of a kind
that this does not know, is refused: half a list would call files untracked that are not.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_HEAD: Final = struct.Struct(">4sII")
_MODE_AT: Final = 24  # after times, device and inode
_OBJECT_AT: Final = 40
_EXTENDED: Final = 0x4000
_PREFIXED: Final = 4  # the version from which names are compressed
_VERSIONS: Final = (2, 3, 4)
_LINK: Final = "gitdir: "
_ALIGNMENT: Final = 8


class IndexFileError(Exception):
    """The index cannot be read; the text says why."""


def rows(top: Path) -> bytes:
    """Return the index of a work tree as ``git ls-files --stage -z`` prints it.

    Raises:
        IndexFileError: there is none, it is damaged, or it is split into two files.
    """
    try:
        data = _file(top).read_bytes()
        return b"".join(_rows(data))
    except (OSError, ValueError, IndexError, struct.error) as error:
        raise IndexFileError(f"its index cannot be read: {error}") from error


def _file(top: Path) -> Path:
    own = top / ".git"
    if own.is_file():  # of a submodule or a second work tree
        text = own.read_bytes().decode("utf-8", "surrogateescape")
        if not text.startswith(_LINK):
            raise ValueError(".git is no link to a repository")
        own = top / text.removeprefix(_LINK).strip("\n")
    return own / "index"


def _rows(data: bytes) -> Iterator[bytes]:
    magic, version, count = _HEAD.unpack_from(data)
    if magic != b"DIRC" or version not in _VERSIONS:
        raise ValueError("it is of another version")
    width = _width(data)
    at, name = _HEAD.size, b""
    for _ in range(count):
        start = at
        (mode,) = struct.unpack_from(">I", data, at + _MODE_AT)
        blob = data[at + _OBJECT_AT : at + _OBJECT_AT + width]
        at += _OBJECT_AT + width
        (flags,) = struct.unpack_from(">H", data, at)
        at += 4 if flags & _EXTENDED else 2
        kept = 0
        if version == _PREFIXED:
            dropped, at = _number(data, at)
            kept = len(name) - dropped
        end = data.index(b"\0", at)
        if kept < 0 or end == at:
            raise ValueError("a name is damaged")
        name = name[:kept] + data[at:end]
        at = end + 1
        if version != _PREFIXED:
            at = start + -(-(at - start) // _ALIGNMENT) * _ALIGNMENT
        yield b"%06o %s %d\t%s\0" % (mode, blob.hex().encode(), flags >> 12 & 3, name)
    _check_extensions(data[at:-width])


def _width(data: bytes) -> int:
    """Return the bytes of an object's name, by the digest at the end; it may have been left out."""
    if data[-32:] == hashlib.sha256(data[:-32]).digest():
        return 32
    if data[-20:] not in {bytes(20), hashlib.sha1(data[:-20]).digest()}:  # noqa: S324  # git's own
        raise ValueError("its digest is another")
    return 20


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Read a number as git packs offsets; return it and where it ends."""
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = (value + 1 << 7) | (data[at] & 0x7F)
    return value, at + 1


def _check_extensions(data: bytes) -> None:
    """Refuse what an index must be understood with: a split one, and one with whole folders."""
    at = 0
    while at < len(data):
        name, size = data[at : at + 4], struct.unpack_from(">I", data, at + 4)[0]
        if not name[:1].isupper():
            raise ValueError(f"it has the extension {name!r}")
        at += 8 + size
