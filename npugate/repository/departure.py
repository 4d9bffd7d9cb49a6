"""Models that leave the gate: checked on the base, and with the change checked no more."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePosixPath

from npugate.report.values import Departed
from npugate.repository.base_revision import Base
from npugate.repository.discover import MAGIC, SUFFIX, Search, is_walked, matches_parts, shown
from npugate.repository.git_tree import Tree


def judged(search: Search, tree: Tree, root: Path) -> frozenset[str]:
    """Return the paths of the base that the same search would find in it.

    Args:
        search: where models are looked for. A list of names is taken for all that git tracks.
        tree: of the base.
        root: top of the repository.
    """
    top = PurePosixPath(os.path.relpath(search.cwd.resolve(), root)).as_posix()
    top = "" if top == "." else top
    if not search.patterns:
        every = tree.below(top)
        return frozenset(path for path in every if path.lower().endswith(SUFFIX))
    found: set[str] = set()
    for pattern in search.patterns:
        found.update(_named(os.path.normpath(f"{top}/{pattern}".lstrip("/")), pattern, tree))
    return frozenset(found)


def _named(path: str, pattern: str, tree: Tree) -> Iterator[str]:
    if path.startswith("../") or Path(pattern).is_absolute():
        return  # outside of the repository, of which the base says nothing
    if tree.place(path) is not None and tree.folder(path) is None:
        yield path
    elif tree.folder(path) is not None:
        yield from _below("" if path == "." else path, tree, hidden=False)
    elif MAGIC.search(path):
        parts = PurePosixPath(path).parts
        fixed = next(index for index, part in enumerate(parts) if MAGIC.search(part))
        start, wanted = "/".join(parts[:fixed]), parts[fixed:]
        hidden = any(part.startswith(".") for part in wanted)
        for name in _below(start, tree, hidden=hidden):
            rest = PurePosixPath(name).relative_to(start or ".").parts
            if matches_parts(rest, wanted):
                yield name


def _below(start: str, tree: Tree, *, hidden: bool) -> Iterator[str]:
    """Yield the models that a walk finds below a folder; linked folders are not entered."""
    folder = tree.folder(start)
    if folder is None:
        return
    for path in tree.below(folder):
        rest = path[len(folder) + 1 :] if folder else path
        if is_walked(PurePosixPath(rest).parts, hidden=hidden):
            yield f"{start}/{rest}" if start else rest


def departed(
    base: Base,
    before: Collection[str],
    now: Collection[str],
    root: Path,
    is_excluded: Callable[[str], bool],
) -> tuple[Departed, ...]:
    """Return the models that were checked and are checked no more, sorted by path.

    Args:
        base: what is known of it.
        before: names of the models that were checked.
        now: names of those that are.
        root: top of the repository.
        is_excluded: tells of a name of today.
    """
    moved = {change.previous: change.path for change in base.changes or () if change.previous}
    gone = sorted(name for name in before if name not in now and moved.get(name) not in now)
    return tuple(
        Departed(shown(name), _reason(name, moved.get(name, ""), root, is_excluded))
        for name in gone
    )


def _reason(name: str, moved: str, root: Path, is_excluded: Callable[[str], bool]) -> str:
    if moved:
        why = " which is excluded" if is_excluded(moved) else ""
        return f"renamed to {shown(moved)}{',' if why else ''}{why}"
    if not os.path.lexists(root / name):
        return "deleted"
    if is_excluded(name):
        return "excluded"
    return "not among the paths that are checked"
