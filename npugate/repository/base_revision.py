"""The models as they are on the base branch, for a comparison with what is checked.

Only blobs are read from git, unfiltered, into a folder of our own. Files that a model names are
made as long as they are there and hold nothing: a check looks at no more of external data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from npugate.errors import UsageError
from npugate.model import filetype
from npugate.repository import git
from npugate.repository.discover import Candidate

_CHANGES: Final = ".changes"
LONGEST: Final = 2**40  # bytes of a file without blocks that every file system takes


def from_git(
    root: Path,
    revision: str,
    candidates: Iterable[Candidate],
    folder: Path,
    environment: Mapping[str, str],
) -> Mapping[str, Path]:
    """Write the base versions of models below a folder; return them by the path of today.

    Args:
        root: top of the repository.
        revision: the base; compared is with the point where it and HEAD parted.
        candidates: the models of today; one that is not in the base has no entry.
        folder: empty; gets the files.
        environment: for git.

    Raises:
        UsageError: the revision does not exist.
        GitError: git cannot tell.
    """
    commit = git.parted(root, revision, environment)
    moved = {c.path: c.previous for c in git.changes(root, revision, environment)}
    found: dict[str, Path] = {}
    for candidate in candidates:
        name = candidate.previous or moved.get(candidate.path) or candidate.path
        sizes = git.sizes(root, commit, str(PurePosixPath(name).parent), environment)
        if name not in sizes:
            continue
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(git.blob(root, commit, name, environment))
        for sibling in named_in(place.read_bytes(), PurePosixPath(name).parent, sizes):
            beside = folder / sibling
            if not beside.exists():
                beside.parent.mkdir(parents=True, exist_ok=True)
                size = _length(root, commit, sibling, sizes[sibling], environment)
                with beside.open("wb") as file:
                    file.truncate(size)
        found[candidate.path] = place
    return found


def named_in(model: bytes, parent: PurePosixPath, paths: Iterable[str]) -> list[str]:
    """Return the files below a model's folder whose names occur in it, its weights among them."""
    found: list[str] = []
    for path in paths:
        name = PurePosixPath(path).relative_to(parent).as_posix()
        if not name.lower().endswith(".onnx") and name.encode("utf-8", "surrogateescape") in model:
            found.append(path)
    return found


def _length(root: Path, commit: str, path: str, size: int, environment: Mapping[str, str]) -> int:
    """Return the bytes of a file, or of what it stands for when it is a Git LFS pointer."""
    if size > filetype.POINTER_BYTES:
        return size
    stands_for = filetype.lfs_size(git.blob(root, commit, path, environment))
    return size if stands_for is None else min(stands_for, LONGEST)


def from_folder(folder: Path, candidates: Iterable[Candidate]) -> Mapping[str, Path]:
    """Return the base versions that somebody else put below a folder, by the path of today.

    Args:
        folder: with the old models by their old paths. Where it also holds ``.changes``, as
            ``git diff --name-status -z`` wrote it, a model that is neither in there nor in the
            folder is its own base.
        candidates: the models of today.

    Raises:
        UsageError: ``.changes`` is something else.
    """
    listed = folder / _CHANGES
    moved: dict[str, str] | None = None
    if listed.is_file():
        try:
            moved = {c.path: c.previous for c in git.recorded(listed.read_bytes())}
        except ValueError as error:
            raise UsageError(f"{listed} cannot be read: {error}") from error
    found: dict[str, Path] = {}
    for candidate in candidates:
        place = folder / (candidate.previous or (moved or {}).get(candidate.path) or candidate.path)
        if place.is_file():
            found[candidate.path] = place
        elif moved is not None and candidate.path not in moved:
            found[candidate.path] = candidate.file
    return found


def is_readable(place: Path) -> bool:
    """Tell whether a base version is the model itself, not a Git LFS pointer to it."""
    with place.open("rb") as file:
        return filetype.lfs_pointer(file.read(filetype.POINTER_BYTES)) is None
