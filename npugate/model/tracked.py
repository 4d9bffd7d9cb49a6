"""What git tracks, as ``git ls-files --stage -z`` says: asked of its output without parsing it all.

A list of a hundred thousand files is ten megabytes, of which a run needs a few rows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from msgspec import Struct, field

from npugate.model import filetype

_HEAD: Final = re.compile(rb"(\d{6}) ([0-9a-f]{40}|[0-9a-f]{64}) [0-3]")
_ROWS: Final = re.compile(rb"(?:\d{6} (?:[0-9a-f]{40}|[0-9a-f]{64}) [0-3]\t[^\0]+\0)*+")
_PYTHON: Final = re.compile(rb"\.[pP][yY]\0")
_REGULAR: Final = frozenset({"100644", "100755"})
_SUBMODULE: Final = "160000"
_SUBMODULE_ROW: Final = b"160000 "  # or a name like it: then each row is looked at
_OBJECT: Final = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64}) blob ([0-9]{1,19})\n")


class Entry(Struct, frozen=True):
    """A row of git's index.

    Attributes:
        mode: six octal digits; 120000 is a link, 160000 a submodule.
        blob: the object's name, hex.
    """

    mode: str
    blob: str

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, no link and no submodule."""
        return self.mode in _REGULAR


class Pointer(Struct, frozen=True):
    """What a file under Git LFS stands for.

    Attributes:
        oid: sha256 of the file's content, hex.
        size_bytes: of that content.
    """

    oid: str
    size_bytes: int


class Tracked(Struct, frozen=True):
    """The files that git tracks in some work trees.

    Attributes:
        lists: what ``git ls-files --stage -z`` said, by the top of each work tree, a real path.
        exempt: absolute paths of models whose weights need not be tracked.
    """

    lists: Mapping[Path, bytes] = field(default_factory=dict)
    exempt: frozenset[str] = frozenset()

    @classmethod
    def recorded(cls, top: Path, output: bytes) -> Self:
        """Read a list that was made elsewhere.

        Raises:
            ValueError: it is cut off, or something else.
        """
        if _ROWS.fullmatch(output) is None:
            raise ValueError("this is not what `git ls-files --stage -z` prints")
        return cls({Path(os.path.realpath(top)): output})

    def entry(self, path: Path) -> Entry | None:
        """Return the row of a file; of one with several, a conflict, one that is no file wins.

        Args:
            path: absolute.
        """
        found = None
        for top, rows in self._holding(path):
            for entry in _entries(rows, os.fsencode(path.relative_to(top).as_posix())):
                found = entry
                if not entry.is_file:
                    return entry
        return found

    def is_file(self, path: Path) -> bool:
        """Return whether a path without links is a regular file to git."""
        entry = self.entry(path)
        return entry is not None and entry.is_file

    def binds(self, file: Path) -> bool:
        """Return whether git must track the weights of a model, as it does the model."""
        return bool(self.lists) and _absolute(file) not in self.exempt and self.holds(file)

    def holds(self, file: Path) -> bool:
        """Return whether a file is the repository's: tracked as it is named or as it really is.

        One in a submodule is, too, whether or not the submodule's files are known.
        """
        return any(self._holds(Path(path)) for path in {_absolute(file), os.path.realpath(file)})

    def python(self, root: Path) -> Iterator[str] | None:
        """Return the Python files at and below a folder, from there; no links.

        None when nothing is known of what git tracks there.
        """
        known = [top for top in self.lists if top.is_relative_to(root)]
        return self._python(root, known) if known else None

    def _python(self, root: Path, known: Iterable[Path]) -> Iterator[str]:
        for top in known:
            for name in _python(self.lists[top]):
                yield (top / name).relative_to(root).as_posix()

    def _holding(self, path: Path) -> Iterator[tuple[Path, bytes]]:
        """Yield the lists that can have a path."""
        return ((top, rows) for top, rows in self.lists.items() if path.is_relative_to(top))

    def _holds(self, path: Path) -> bool:
        if self.entry(path) is not None or self._holds_other_case(path):
            return True
        if not any(_SUBMODULE_ROW in rows for _, rows in self._holding(path)):
            return False
        places = (self.entry(parent) for parent in path.parents)
        return any(place is not None and place.mode == _SUBMODULE for place in places)

    def _holds_other_case(self, path: Path) -> bool:
        """Return whether a name is tracked in other letters where the system sees no difference."""
        other = path.with_name(path.name.swapcase())
        try:
            if other == path or not other.samefile(path):
                return False
        except OSError:
            return False
        return any(
            re.search(rb"\t" + re.escape(_name(path, top)) + rb"\0", rows, re.IGNORECASE)
            for top, rows in self._holding(path)
        )


class Beside:
    """What a model may read beside itself; worked out when it first names a file."""

    def __init__(self, tracked: Tracked, file: Path) -> None:
        """Remember what git tracks, and the model."""
        self._tracked = tracked
        self._file = file

    def allows(self, place: Path) -> bool:
        """Return whether a file may be read for it; ``place`` is a path without links."""
        return not self._is_bound or self._tracked.is_file(place)

    @cached_property
    def _is_bound(self) -> bool:
        return self._tracked.binds(self._file)


def _absolute(file: Path) -> str:
    return os.path.abspath(file)  # noqa: PTH100  # Path.absolute keeps `..`


def _name(path: Path, top: Path) -> bytes:
    return os.fsencode(path.relative_to(top).as_posix())


def _entries(rows: bytes, name: bytes) -> Iterator[Entry]:
    wanted = b"\t" + name + b"\0"
    at = rows.find(wanted)
    while at >= 0:
        # A name may have tabs: only what follows the row's head is one.
        head = _HEAD.fullmatch(rows, rows.rfind(b"\0", 0, at) + 1, at)
        if head is not None:
            yield Entry(head[1].decode(), head[2].decode())
        at = rows.find(wanted, at + 1)


def _python(rows: bytes) -> Iterator[str]:
    for end in _PYTHON.finditer(rows):
        start = rows.rfind(b"\0", 0, end.start()) + 1
        head, _, name = rows[start : end.end() - 1].partition(b"\t")
        if head.startswith(b"100") and head.endswith(b" 0"):
            yield os.fsdecode(name)


def pointers(output: bytes) -> Mapping[str, Pointer]:
    """Return the blobs that are Git LFS pointers, from the output of ``git cat-file --batch``.

    Returns:
        what each stands for, by the blob's name; a blob that is no pointer has no entry.

    Raises:
        ValueError: it is cut off, or something else.
    """
    found: dict[str, Pointer] = {}
    at = 0
    while at < len(output):
        head = _OBJECT.match(output, at)
        end = head.end() + int(head[2]) if head else 0
        if head is None or output[end : end + 1] != b"\n":
            raise ValueError("this is not what `git cat-file --batch` prints")
        pointer = filetype.lfs_identity(output[head.end() : end])
        if pointer is not None:
            found[head[1].decode()] = Pointer(*pointer)
        at = end + 1
    return found
