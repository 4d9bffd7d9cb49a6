"""The models as they are on the base branch, for a comparison with what is checked.

Only blobs are read from git, unfiltered, into a folder of our own. Files that a model names are
made as long as they are there and hold nothing: a check looks at no more of external data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from msgspec import Struct

from npugate.errors import UsageError
from npugate.model import filetype
from npugate.repository import git, git_tree
from npugate.repository.delta import Delta, plain
from npugate.repository.discover import Candidate
from npugate.repository.git import Change
from npugate.repository.git_tree import Tree
from npugate.sha256 import hasher

_CHANGES: Final = ".changes"
_TREE: Final = ".tree"
_LINKS: Final = ".links"
_BLOCK: Final = 1 << 20
LONGEST: Final = 2**40  # bytes of a file without blocks that every file system takes


class Base(Struct, frozen=True):
    """The base of a change, as far as it is known.

    Attributes:
        place: of a path of the base: where its old version was put; None when it was not.
        tree: files of the base; None where they are unknown.
        changes: what differs from it; None where that is unknown.
    """

    place: Callable[[str], Path | None]
    tree: Tree | None = None
    changes: tuple[Change, ...] | None = None


def from_git(root: Path, revision: str, folder: Path, environment: Mapping[str, str]) -> Base:
    """Return the base that git knows; the versions that are asked for are written.

    Args:
        root: top of the repository.
        revision: the base; compared is with the point where it and HEAD parted.
        folder: empty; gets the files.
        environment: for git.

    Raises:
        UsageError: the revision does not exist.
        GitError: git cannot tell, here or when a version is asked for.
    """
    commit = git.parted(root, revision, environment)
    tree = git.tree(root, commit, environment)
    changes = tuple(git.changes(root, revision, environment))

    def place(path: str) -> Path | None:
        entry, file = tree.place(path), tree.file(path)
        if entry is None or file is None:
            return None
        put = folder / entry
        data = git.blob(root, commit, file, environment)
        put.parent.mkdir(parents=True, exist_ok=True)
        put.write_bytes(data)
        parent = entry.rpartition("/")[0]
        for sibling in named_in(data, parent, tree.below(parent)):
            _stand_in(folder / sibling, partial(length, sibling))
        return put

    def length(path: str) -> int | None:
        found = tree.entries[path]
        if not found.is_file:
            return None
        if found.size > filetype.POINTER_BYTES:
            return min(found.size, LONGEST)
        stands_for = filetype.lfs_size(git.blob(root, commit, path, environment))
        return found.size if stands_for is None else min(stands_for, LONGEST)

    return Base(place, tree, changes)


def _stand_in(place: Path, length: Callable[[], int | None]) -> None:
    """Make a file as long as the one that it stands for; a link for a link."""
    if place.exists() or place.is_symlink():
        return
    size = length()
    place.parent.mkdir(parents=True, exist_ok=True)
    if size is None:
        place.symlink_to(place.name)  # a reader refuses every link, and needs not follow it
        return
    with place.open("wb") as file:
        file.truncate(size)


def named_in(model: bytes, parent: str, paths: Iterable[str]) -> list[str]:
    """Return the files below a model's folder whose names occur in it, its weights among them.

    Args:
        model: its bytes.
        parent: the folder; ``""`` for the top.
        paths: below that folder, from the top.
    """
    text = plain(model)
    start = len(parent) + 1 if parent else 0
    return [path for path in paths if path[start:].encode("utf-8", "surrogateescape") in text]


def from_folder(folder: Path) -> Base:
    """Return the base that somebody else put below a folder.

    Args:
        folder: with the old models by their old paths. Where it also holds ``.changes``, as
            ``git diff --name-status -z`` wrote it, a model that these do not touch is its own
            base. Where it holds ``.tree`` and ``.links``, as ``git ls-tree -r -l -z`` and
            ``git cat-file --batch`` wrote them, what these do not have is new.

    Raises:
        UsageError: one of these files is something else.
    """

    def place(path: str) -> Path | None:
        entry = path if tree is None else tree.place(path)
        if entry is None or PurePosixPath(entry).parts[:1] in {(_CHANGES,), (_TREE,), (_LINKS,)}:
            return None
        put = folder / entry
        return put if put.is_file() and not put.is_symlink() else None

    tree: Tree | None = None
    changes: tuple[Change, ...] | None = None
    try:
        if (folder / _TREE).is_file():
            tree = git_tree.read((folder / _TREE).read_bytes(), (folder / _LINKS).read_bytes())
        if (folder / _CHANGES).is_file():
            changes = tuple(git.recorded((folder / _CHANGES).read_bytes()))
    except (OSError, ValueError) as error:
        raise UsageError(f"what {folder} says of the base cannot be read: {error}") from error
    return Base(place, tree, changes)


def versions(
    base: Base, candidates: Iterable[Candidate], root: Path, was_judged: Callable[[str], bool]
) -> Mapping[str, Path]:
    """Return the base versions of models by the path of today; one that is new has none.

    Args:
        base: where they come from.
        candidates: the models of today.
        root: top of the repository.
        was_judged: whether a path was among those that are checked; a model that comes from
            elsewhere is new.
    """
    delta = None if base.changes is None else Delta(base.changes, root, base.tree)
    found: dict[str, Path] = {}
    for candidate in candidates:
        before = previous(candidate, delta)
        if before and not was_judged(before):
            continue
        if delta is not None and not before and not delta.touches(candidate.name):
            found[candidate.path] = candidate.file
            continue
        place = base.place(before or candidate.name)
        if place is not None:
            is_same = _stands_for(place, candidate.file)
            found[candidate.path] = candidate.file if is_same else place
    return found


def _stands_for(place: Path, file: Path) -> bool:
    """Tell whether a base version is a Git LFS pointer to a file as it is today."""
    with place.open("rb") as opened:
        pointer = filetype.lfs_target(opened.read(filetype.POINTER_BYTES))
    if pointer is None:
        return False
    digest, size = pointer
    try:
        if not file.is_file() or file.stat().st_size != size:
            return False
        with file.open("rb") as opened:
            found = hasher(size)
            while block := opened.read(_BLOCK):
                found.update(block)
    except OSError:
        return False  # its reader says what is wrong with it
    return found.hexdigest() == digest


def previous(candidate: Candidate, delta: Delta | None) -> str:
    """Return what a model was called in the base, else ``""``."""
    return candidate.previous or (delta.previous(candidate.name) if delta else "")


def is_readable(place: Path) -> bool:
    """Tell whether a base version is the model itself, not a Git LFS pointer to it."""
    with place.open("rb") as file:
        return filetype.lfs_pointer(file.read(filetype.POINTER_BYTES)) is None
