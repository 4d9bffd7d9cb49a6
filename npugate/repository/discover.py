"""Find the models to check: by paths, folders, globs, a list, or what git tracks or saw change."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from msgspec import Struct, field
from msgspec.structs import replace

from npugate.beneath import is_gits_name
from npugate.errors import UsageError
from npugate.repository import git
from npugate.repository.delta import Delta
from npugate.repository.git import Change, GitError
from npugate.repository.git_tree import Tree

SUFFIX: Final = ".onnx"
_SKIPPED: Final = frozenset({"node_modules", "venv", "__pycache__", "site-packages"})
MAGIC: Final = re.compile(r"[*?\[]")
_LOOKS_ESCAPED: Final = re.compile(r"\\(?=x[0-9a-f]{2})")
_NAMED: Final = 5


class Candidate(Struct, frozen=True):
    """A model to check.

    Attributes:
        file: the file to read.
        path: the name to report: from the repository's root, else from the working directory;
            forward slashes; bytes that are no UTF-8 escaped. No two files have one.
        name: the same, not escaped: what git knows it by.
        previous: its ``name`` before a rename that ``changed_since`` saw; else ``""``.
        fault: why the file may not be read; ``""`` when it may.
    """

    file: Path
    path: str
    name: str = ""
    previous: str = ""
    fault: str = ""


class Search(Struct, frozen=True):
    """What to look for, and where.

    Attributes:
        cwd: the folder that relative paths start from.
        patterns: files, folders and globs; empty for the default.
        files_from: a file of names, ``-`` for ``stdin``; None for no such list.
        changed_since: a revision; only models that differ from it are kept.
        changes_from: a file with what ``git diff --name-status -z`` said elsewhere, for where there
            is no git; only models that it names are kept.
        tree: what the base of ``changes_from`` holds; None where it is not known.
        allow_empty: True when it is no error to find nothing.
        environment: for git.
        stdin: read for ``files_from`` ``-``.
        notify: told what is left out.
    """

    cwd: Path
    patterns: Sequence[str] = ()
    files_from: str | None = None
    changed_since: str | None = None
    changes_from: str | None = None
    tree: Tree | None = None
    allow_empty: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: BinaryIO | None = None
    notify: Callable[[str], None] = lambda _: None


def discover(search: Search) -> tuple[Candidate, ...]:
    """Return the models to check, sorted by reported path, each path once.

    A link is a model of its own, checked at the link's path.

    With ``changed_since`` or ``changes_from`` the outcome may be empty: a change that touches no
    model is no mistake.

    Raises:
        UsageError: a path does not exist, the revision is unknown, or there is no model at all and
            ``allow_empty`` is not set.
    """
    return changed(every(search), search)


def every(search: Search) -> tuple[Candidate, ...]:
    """Return the models that there are, changed or not; otherwise as ``discover``."""
    cwd = search.cwd.resolve()
    root = git.root_above(cwd) or cwd
    found = list(_unique(_files(search, cwd, root), root))
    if not found and not search.allow_empty:
        raise UsageError(_nothing(search))
    return tuple(sorted(found, key=lambda candidate: candidate.path))


def changed(found: Sequence[Candidate], search: Search) -> tuple[Candidate, ...]:
    """Return those that changed, where the search asks for these, else all.

    Raises:
        UsageError: the revision is unknown, or the list of changes is damaged.
    """
    if search.changed_since is None and search.changes_from is None:
        return tuple(found)
    cwd = search.cwd.resolve()
    delta, since = _delta(search, cwd, git.root_above(cwd) or cwd)
    kept = tuple(
        replace(candidate, previous=delta.previous(candidate.name))
        for candidate in found
        if delta.touches(candidate.name)
    )
    if not kept:
        search.notify(f"no model has changed since {since}")
    return kept


def _nothing(search: Search) -> str:
    if search.files_from is not None:
        where = f"--files-from {search.files_from}"
    elif search.patterns:
        where = ", ".join(shown(pattern) for pattern in search.patterns[:_NAMED])
    else:
        where = "the working directory and the folders below it"
    return f"no ONNX model found in {where}; name one, or pass --allow-empty"


def shown(name: str) -> str:
    """Return a file name as text: what is no UTF-8 is escaped, and what looks like that is, too."""
    plain = _LOOKS_ESCAPED.sub(r"\\x5c", name)
    return os.fsencode(plain).decode("utf-8", "backslashreplace")


def _files(search: Search, cwd: Path, root: Path) -> Iterator[Path]:
    names = list(search.patterns)
    if search.files_from is not None:
        names += _listed(search, cwd)
    if not names and search.files_from is None:
        yield from _default(search, cwd, root)
    for name in names:
        yield from _named(name, cwd, root)


def _listed(search: Search, cwd: Path) -> list[str]:
    """Read a list of names, one a line, or separated by NUL where there is any."""
    if search.files_from == "-":
        if search.stdin is None:
            raise UsageError("--files-from -: there is no standard input")
        data = search.stdin.read()
    else:
        try:
            data = (cwd / str(search.files_from)).read_bytes()
        except (OSError, ValueError) as error:
            raise UsageError(f"--files-from {search.files_from}: {error}") from error
    parts = data.split(b"\0") if b"\0" in data else data.replace(b"\r\n", b"\n").split(b"\n")
    return [os.fsdecode(part) for part in parts if part]


def _default(search: Search, cwd: Path, root: Path) -> Iterator[Path]:
    """Yield what git tracks below the working directory; without git, what a walk finds."""
    if (root / ".git").exists():
        try:
            names = git.tracked(cwd, search.environment)
        except GitError as error:
            search.notify(f"{error}; looking through the folders instead")
        else:
            yield from _present(names, cwd, search.notify)
            return
    yield from _walk(cwd)


def _present(names: Sequence[str], cwd: Path, notify: Callable[[str], None]) -> Iterator[Path]:
    absent = 0
    for name in names:
        path = cwd / name
        if not os.path.lexists(path):
            absent += 1
        else:
            yield path
    if absent:
        notify(f"{absent} models that git tracks are not in the work tree and are left out")


def _named(name: str, cwd: Path, root: Path) -> Iterator[Path]:
    try:
        path = cwd / name
        if os.path.lexists(path):
            is_folder = path.is_dir() and not leaves(path, root)
            yield from _walk(path) if is_folder else (path,)
            return
    except (OSError, ValueError) as error:
        raise UsageError(f"{shown(name)!r} cannot be looked at: {error}") from error
    if not MAGIC.search(name):
        raise UsageError(f"{shown(name)} does not exist")
    yield from _glob(name, cwd)


def leaves(path: Path, root: Path) -> bool:
    """Tell whether a path inside the root ends outside of it, through a symbolic link."""
    place = Path(os.path.normpath(path))
    if not place.is_relative_to(root):
        return False  # it was named outside of the root to begin with
    return not Path(os.path.realpath(place)).is_relative_to(root)


def _fault(path: Path, root: Path) -> str:
    """Say why a file may not be read; a link becomes a finding at its own path."""
    return "it is a symbolic link that leaves the repository" if leaves(path, root) else ""


def _glob(pattern: str, cwd: Path) -> Iterator[Path]:
    """Yield the models that a glob matches; ``**`` is any number of folders, links not followed."""
    parts = PurePosixPath(pattern).parts
    fixed = next(index for index, part in enumerate(parts) if MAGIC.search(part))
    base = cwd.joinpath(*parts[:fixed])
    if not base.is_dir():
        return
    wanted = parts[fixed:]
    hidden = any(part.startswith(".") for part in wanted)
    for path in _walk(base, hidden=hidden):
        if matches_parts(path.relative_to(base).parts, wanted):
            yield path


def matches_parts(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Match the parts of a path with those of a glob; ``**`` is any number of folders."""
    if not wanted:
        return not parts
    if wanted[0] == "**" and matches_parts(parts, wanted[1:]):
        return True
    if not parts:
        return False
    if wanted[0] == "**":
        return matches_parts(parts[1:], wanted)
    return fnmatchcase(parts[0], wanted[0]) and matches_parts(parts[1:], wanted[1:])


def _walk(folder: Path, *, hidden: bool = False) -> Iterator[Path]:
    """Yield the models below a folder; linked folders are not entered, they could go in circles."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in _SKIPPED and _is_visible(name, hidden=hidden)
        )
        for name in sorted(files):
            if not name.lower().endswith(SUFFIX) or not _is_visible(name, hidden=hidden):
                continue
            yield Path(place, name)


def is_walked(parts: Sequence[str], *, hidden: bool) -> bool:
    """Tell whether a walk from a folder comes upon a file below it, a model by its name."""
    *folders, name = parts
    return (
        name.lower().endswith(SUFFIX)
        and not set(folders) & _SKIPPED
        and all(_is_visible(part, hidden=hidden) for part in parts)
    )


def _is_visible(name: str, *, hidden: bool) -> bool:
    return not is_gits_name(name) and (hidden or not name.startswith("."))


def _unique(files: Iterable[Path], root: Path) -> Iterator[Candidate]:
    """Yield each path once."""
    for path in dict.fromkeys(Path(os.path.normpath(file)) for file in files):
        name = Path(os.path.relpath(path, root)).as_posix()
        yield Candidate(path, shown(name), name, fault=_fault(path, root))


def _delta(search: Search, cwd: Path, root: Path) -> tuple[Delta, str]:
    """Return what changed, and since when."""
    if search.changes_from is not None:
        return Delta(_recorded(cwd / search.changes_from), root, search.tree), "the base"
    revision = search.changed_since or ""
    top = git.root_above(cwd)
    if top is None:
        raise UsageError(f"--changed-since {revision}: {cwd} is in no git repository")
    try:
        commit = git.parted(top, revision, search.environment)
        tree = git.tree(top, commit, search.environment)
        return Delta(git.changes(top, revision, search.environment), top, tree), revision
    except GitError as error:
        raise UsageError(f"--changed-since {revision}: {error}") from error


def _recorded(list_file: Path) -> list[Change]:
    try:
        return git.recorded(list_file.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"--changes-from {list_file}: {error}") from error
