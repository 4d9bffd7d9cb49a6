"""A change may edit the settings that it is checked with: say so where a reviewer looks first."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from msgspec import Struct

from npugate.errors import UsageError
from npugate.repository.delta import Delta
from npugate.repository.git import Change
from npugate.repository.git_tree import Tree
from npugate.repository.links import Way, follow
from npugate.settings import config

_CONFIGURATIONS: Final = frozenset({"npugate.toml", "pyproject.toml"})
_WORKFLOWS: Final = PurePosixPath(".github/workflows")
_NAMED: Final = 5
_LONGEST: Final = 60  # characters of a value that is shown
_MOST_FILES: Final = 100  # that name each other
_MOST_BYTES: Final = 1 << 20
_PATH: Final = re.compile(r'"([^"\\\n]+\.(?:mpool|mdesc|json|ini|toml))"')


class Files(Struct, frozen=True):
    """The files of a checkout or of its base, and where their links lead.

    Attributes:
        top: the folder that they are below.
        way: of a path from the top.
    """

    top: Path
    way: Callable[[str], Way]


def checkout(top: Path) -> Files:
    """Return the files of a checkout."""
    return Files(top, Delta((), top.resolve()).way)


def of_tree(top: Path, tree: Tree | None) -> Files:
    """Return the files that were kept of a base.

    Args:
        top: where they were put, a link as what it leads to.
        tree: what the base holds; None where that is not known.
    """
    return Files(top, tree.way if tree is not None else lambda path: follow(path, lambda _: None))


class Policies(Struct, frozen=True):
    """What the inputs name; empty for what they do not.

    Attributes:
        config: the configuration.
        files: a target, a board.
        profile: of the vendor's compiler, ``NAME@FILE``.
    """

    config: str = ""
    files: tuple[str, ...] = ()
    profile: str = ""


def touched(changes: Iterable[Change], places: Iterable[Files], given: Policies) -> list[str]:
    """Return the paths among the changes that have a say in the verdict.

    Args:
        changes: of the pull request, deleted and renamed files included.
        places: of the checkout and of its base: what a configuration of either names counts, and
            every link on the way to it.
        given: what the inputs name.
    """
    own = {path for files in places for path in _reached(files, given)}
    found: dict[str, None] = {}
    for change in changes:
        for path in filter(None, (change.path, change.previous)):
            if PurePosixPath(path).name in _CONFIGURATIONS or is_workflow(path) or path in own:
                found[path] = None
    return list(found)


def is_workflow(path: str) -> bool:
    """Tell whether a path says how the gate is run, but not what models are checked with."""
    place = PurePosixPath(path)
    return place.parent == _WORKFLOWS or place.name in {"action.yml", "action.yaml"}


def _reached(files: Files, given: Policies) -> Iterator[str]:
    """Yield every path that has a say: of files, of links to them, of folders that they are in."""
    names = {*_CONFIGURATIONS, given.config, *given.files}
    names.update(_named_from(given.config, named(files.top, given.config)))
    if not given.config:
        for usual in _CONFIGURATIONS:
            names.update(named(files.top, usual))
    waiting = [name for name in names if name]
    if "@" in given.profile:
        place = given.profile.partition("@")[2]
        inside = Path(place).is_absolute() and Path(place).is_relative_to(files.top)
        waiting.append(str(Path(place).relative_to(files.top)) if inside else place)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or len(seen) > _MOST_FILES:
            continue
        seen.add(name)
        for path in (os.path.normpath(name), *files.way(name).touched):
            yield path
            yield from (str(folder) for folder in PurePosixPath(path).parents)
        waiting += _named_from(name, _mentioned(files.top / name))


def _named_from(name: str, found: Iterable[str]) -> list[str]:
    """Return names that a file says from its own folder, from the top."""
    folder = name.rpartition("/")[0]
    return [f"{folder}/{other}" if folder else other for other in found]


def _mentioned(file: Path) -> list[str]:
    """Return the files that a target or a profile of the compiler names; none of a broken one."""
    try:
        if file.suffix == ".toml":
            target = config.table(file).get("target")
            base = target.get("extends") if isinstance(target, dict) else None
            return [base] if isinstance(base, str) and base.endswith(".toml") else []
        if file.suffix == ".json" and file.stat().st_size <= _MOST_BYTES:
            return _PATH.findall(file.read_text("utf-8", "replace"))
    except (OSError, ValueError, UsageError):
        return []  # whoever is to read it says so
    return []


def notice(paths: list[str], differences: Iterable[str] = ()) -> str:
    """Return the sentence that opens the summary and the comment; empty when there is none."""
    if not paths:
        return ""
    changed = list(differences)
    said = f" ({_listed(changed)})" if changed else ""
    return (
        f"this change edits what it is checked with: {_listed(paths)}{said}; review that before "
        "you trust the verdict"
    )


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return ", ".join(words[:_NAMED]) + more


def file_of(folder: Path, given: str) -> Path | None:
    """Return the configuration that holds in a folder; None where there is none.

    Args:
        folder: top of a checkout, or what was kept of one.
        given: the input ``config``; empty looks for the usual names.
    """
    if given:
        return folder / given if (folder / given).is_file() else None
    return config.find(folder, folder)


def named(folder: Path, given: str) -> list[str]:
    """Return what a configuration names, its baseline, boards and targets, as in the file."""
    return [value for value in _texts(_table(folder, given)) if value]


def _texts(table: Mapping[str, object]) -> Iterator[str]:
    sections = table.get("models")
    tables = [table, *(sections if isinstance(sections, list) else ())]
    for item in tables:
        for key in ("baseline", "board", "target"):
            value = item.get(key) if isinstance(item, dict) else None
            if isinstance(value, str):
                yield value


def differences(old: Path, new: Path, given: str) -> Iterator[str]:
    """Yield how the settings of a checkout differ from those of its base, a phrase a key.

    Args:
        old: what was kept of the base.
        new: the checkout.
        given: the input ``config``.
    """
    before, after = _table(old, given), _table(new, given)
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            yield f"{key}: {_shown(before.get(key))} → {_shown(after.get(key))}"


def _table(folder: Path, given: str) -> Mapping[str, object]:
    """Return the settings of a folder; none where the file is broken, which the check reports."""
    try:
        file = file_of(folder, given)
        return config.table(file) if file else {}
    except UsageError:
        return {}


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return f"{len(value)} {'entry' if len(value) == 1 else 'entries'}"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
