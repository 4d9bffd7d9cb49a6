"""What a change touches: which models are not what they were, by whatever way that came about."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from npugate.repository import links
from npugate.repository.git import Change
from npugate.repository.git_tree import Tree
from npugate.repository.links import Way

_SIDE_SUFFIXES: Final = (".data", "_data", ".bin", ".weights")
ATTRIBUTES: Final = ".gitattributes"
"""Says what a checkout makes of the files below its folder: the model, or a pointer to it."""

_BLOCK: Final = 1 << 20
_MOST_SEARCHES: Final = 20_000  # names times blocks; a model beyond counts as touched
_SEPARATORS: Final = re.compile(rb"/(?:\.?/)+")


class Delta:
    """The paths that differ from the base, and what follows for a model."""

    def __init__(self, changes: Iterable[Change], root: Path, tree: Tree | None = None) -> None:
        """Remember the changes.

        Args:
            changes: from the top of the repository.
            root: the top, as it is checked out.
            tree: of the base; None where it is not known.
        """
        self._root = root
        self._tree = tree
        self._ways: dict[str, Way] = {}
        self._previous: dict[str, str] = {}
        self._paths: set[str] = set()
        for change in changes:
            self._previous[change.path] = change.previous or self._previous.get(change.path, "")
            self._paths.update(filter(None, (change.path, change.previous)))

    def previous(self, name: str) -> str:
        """Return what a file was called before it was renamed, else ``""``."""
        return self._previous.get(name, "")

    def way(self, name: str) -> Way:
        """Return where a path leads in the work tree."""
        if name not in self._ways:
            self._ways[name] = links.follow(name, self._link)
        return self._ways[name]

    def touches(self, name: str) -> bool:
        """Tell whether a model may be another than in the base.

        It is when it, a link or a submodule on its way, what it leads to, or a file that it may
        keep weights in has changed; and when the base has no such model at all.
        """
        way = self.way(name)
        if way.path is None or any(self._is_changed(path) for path in (name, *way.touched)):
            return True
        return self._moved(name, way.path) or self._side_files(name)

    def _is_changed(self, path: str) -> bool:
        """Tell whether a path, a folder on its way, or what a checkout makes of it has changed."""
        places = list(_and_above(path))
        attributes = (f"{place}/{ATTRIBUTES}" for place in places)
        return ATTRIBUTES in self._paths or any(p in self._paths for p in (*places, *attributes))

    def _moved(self, name: str, now: str) -> bool:
        if self._tree is None:
            return False
        then = self._tree.way(name).path
        if then != now:
            return True
        return self._tree.file(name) is None and self._tree.submodule(name) is None

    def _side_files(self, name: str) -> bool:
        """Tell whether one of the changed files holds weights of a model.

        By its name (``net.onnx.data``), or because the model names it. That is a search through
        the model's bytes: it can only find too many, and a model too many is checked for nothing.
        """
        folder, _, own = name.rpartition("/")
        near = {folder, self.way(folder).path or folder}
        found = {path for place in near for path in self._below(place) if path != own}
        if not found:
            return False
        stem = own.rpartition(".")[0]
        sides = {part + suffix for part in (own, stem) for suffix in _SIDE_SUFFIXES}
        return bool(found & sides) or mentions(self._root / name, found)

    def _below(self, folder: str) -> Iterator[str]:
        """Yield the changed paths below a folder, relative to it."""
        start = f"{folder}/" if folder else ""
        return (path[len(start) :] for path in self._paths if path.startswith(start))

    def _link(self, path: str) -> str | None:
        place = self._root / path
        try:
            text = str(place.readlink())
        except (OSError, ValueError):
            return None  # no link; what it is, its reader says
        inside = f"{self._root}/"
        if text.startswith(inside):
            return "../" * path.count("/") + text[len(inside) :]
        return text


def _and_above(path: str) -> Iterator[str]:
    """Yield a path and the folders that it is in."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def plain(data: bytes) -> bytes:
    """Return bytes with every separator of folders spelled as one slash: ``a/./b`` is ``a/b``."""
    return _SEPARATORS.sub(b"/", data)


def mentions(model: Path, names: Iterable[str]) -> bool:
    """Tell whether a model may name one of these files, however it spells the way to it.

    Args:
        model: the file; one that cannot be read counts, so that its reader says what is wrong.
        names: relative to the model's folder.
    """
    wanted = [plain(os.fsencode(name)) for name in names]
    try:
        if len(wanted) * (model.stat().st_size // _BLOCK + 1) > _MOST_SEARCHES:
            return True
        overlap = max(map(len, wanted), default=1)
        return any(name in block for block in _blocks(model, overlap) for name in wanted)
    except (OSError, ValueError):
        return True


def _blocks(file: Path, overlap: int) -> Iterator[bytes]:
    """Yield the plain bytes of a file in blocks that overlap."""
    tail = b""
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            text = plain(tail + block)
            yield text
            tail = text[-overlap - 2 :]  # and a separator that the next block may go on with
