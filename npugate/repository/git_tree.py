"""What a commit holds, as git listed it: its files, its links, its submodules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Final

from msgspec import Struct

from npugate.repository import links
from npugate.repository.links import Way

_ROW: Final = re.compile(rb"([0-7]{6}) ([a-z]+) ([0-9a-f]{40,64}) +([0-9]+|-)\t(.+)", re.DOTALL)
_HEADER: Final = re.compile(rb"([0-9a-f]{40,64}) (?:([a-z]+) ([0-9]{1,19})|missing)")
_LINK: Final = "120000"
_SUBMODULE: Final = "160000"


class Entry(Struct, frozen=True):
    """A file of a commit.

    Attributes:
        mode: as git writes it, ``100644``.
        oid: of its object.
        size: bytes.
    """

    mode: str
    oid: str
    size: int = 0

    @property
    def is_file(self) -> bool:
        """True for a plain file: no link, no other repository."""
        return self.mode.startswith("100")

    @property
    def is_link(self) -> bool:
        """True for a symbolic link."""
        return self.mode == _LINK


class Tree:
    """The files of a commit by path; a name that is no UTF-8 has surrogates, as ``os.fsdecode``."""

    def __init__(self, entries: Mapping[str, Entry], texts: Mapping[str, str]) -> None:
        """Remember the entries.

        Args:
            entries: by path.
            texts: of links, by their object; a link without one leads nowhere.
        """
        self.entries = entries
        self._texts = texts

    @cached_property
    def _folders(self) -> frozenset[str]:
        return frozenset(
            path[:at] for path in self.entries for at, sign in enumerate(path) if sign == "/"
        )

    def _link(self, path: str) -> str | None:
        entry = self.entries.get(path)
        if entry is None or not entry.is_link:
            return None
        return self._texts.get(entry.oid, "/")  # one that cannot be read leads nowhere

    def way(self, path: str, *, last: bool = True) -> Way:
        """Return where a path leads in this tree."""
        return links.follow(path, self._link, last=last)

    def place(self, path: str) -> str | None:
        """Return the entry that a path is, its folders without links; None when there is none."""
        found = self.way(path, last=False).path
        return found if found is not None and found in self.entries else None

    def file(self, path: str) -> str | None:
        """Return the plain file that a path leads to; None when it leads to none."""
        found = self.way(path).path
        entry = self.entries.get(found) if found is not None else None
        return found if entry is not None and entry.is_file else None

    def folder(self, path: str) -> str | None:
        """Return the folder that a path leads to, ``""`` for the top; None for no folder."""
        found = self.way(path).path
        return found if found == "" or found in self._folders else None

    def submodule(self, path: str) -> str | None:
        """Return the submodule that a path lies in; None when it lies in none."""
        found = self.way(path).path or ""
        for at, sign in enumerate(found):
            entry = self.entries.get(found[:at]) if sign == "/" else None
            if entry is not None and entry.mode == _SUBMODULE:
                return found[:at]
        return None

    def below(self, folder: str) -> Iterator[str]:
        """Yield the entries below a folder, ``""`` for the top, by their path from the top."""
        start = f"{folder}/" if folder else ""
        return (path for path in self.entries if path.startswith(start))

    def links(self) -> Iterator[str]:
        """Yield the paths of all links."""
        return (path for path, entry in self.entries.items() if entry.is_link)


def read(listing: bytes, links_read: bytes) -> Tree:
    """Read a tree.

    Args:
        listing: of ``git ls-tree -r -l -z``.
        links_read: of ``git cat-file --batch`` for the links.

    Raises:
        ValueError: it is something else.
    """
    entries: dict[str, Entry] = {}
    for row in listing.split(b"\0"):
        if not row:
            continue
        match = _ROW.fullmatch(row)
        if match is None:
            raise ValueError("this is not what `git ls-tree -r -l -z` prints")
        mode, _, oid, size, path = match.groups()
        name = path.decode("utf-8", "surrogateescape")
        entries[name] = Entry(mode.decode(), oid.decode(), int(size) if size != b"-" else 0)
    return Tree(entries, texts(links_read))


def texts(output: bytes) -> dict[str, str]:
    """Read what ``git cat-file --batch`` printed; return the contents by object.

    Raises:
        ValueError: it is something else.
    """
    found: dict[str, str] = {}
    at = 0
    while at < len(output):
        end = output.find(b"\n", at)
        match = _HEADER.fullmatch(output[at : max(end, at)])
        if match is None:
            raise ValueError("this is not what `git cat-file --batch` prints")
        at = end + 1
        if match[2] is not None:
            size = int(match[3])
            found[match[1].decode()] = output[at : at + size].decode("utf-8", "surrogateescape")
            at += size + 1
    return found


def written(entries: Mapping[str, Entry]) -> bytes:
    """Return a listing as ``git ls-tree -r -l -z`` prints it."""
    rows = (
        f"{entry.mode} {'commit' if entry.mode == _SUBMODULE else 'blob'} {entry.oid} "
        f"{'-' if entry.mode == _SUBMODULE else entry.size:>7}\t{path}\0"
        for path, entry in entries.items()
    )
    return "".join(rows).encode("utf-8", "surrogateescape")


def batch(contents: Iterable[tuple[str, bytes]]) -> bytes:
    """Return contents by object as ``git cat-file --batch`` prints them."""
    return b"".join(b"%s blob %d\n%s\n" % (oid.encode(), len(data), data) for oid, data in contents)
