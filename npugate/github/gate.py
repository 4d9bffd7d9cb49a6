"""What judges a change may be part of it: say so, where a reviewer looks first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from npugate.errors import UsageError
from npugate.repository.git import Change
from npugate.settings import config

_CONFIGURATIONS: Final = frozenset({"npugate.toml", "pyproject.toml"})
_WORKFLOWS: Final = PurePosixPath(".github/workflows")
_NAMED: Final = 5
_LONGEST: Final = 60  # characters of a value that is shown
_NONE: Final = ".none.toml"  # an empty configuration, for a base that has none


def touched(changes: Iterable[Change], named: Iterable[str]) -> list[str]:
    """Return the paths among the changes that have a say in the verdict.

    Args:
        changes: of the pull request, deleted and renamed files included.
        named: files that the inputs or the configuration name: a configuration, a baseline, a
            target file.
    """
    own = {str(PurePosixPath(name)) for name in named if name}
    found: dict[str, None] = {}
    for change in changes:
        for path in filter(None, (change.path, change.previous)):
            place = PurePosixPath(path)
            is_workflow = place.parent == _WORKFLOWS or place.name in {"action.yml", "action.yaml"}
            if place.name in _CONFIGURATIONS or is_workflow or path in own:
                found[path] = None
    return list(found)


def notice(paths: list[str], differences: Iterable[str] = ()) -> str:
    """Return the sentence that opens the summary and the comment; empty when there is none."""
    if not paths:
        return ""
    changed = list(differences)
    said = f" ({_listed(changed)})" if changed else ""
    return (
        f"this change edits what judges it: {_listed(paths)}{said}; look at that before the verdict"
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


def of_base(settings: Path, given: str) -> Path:
    """Return the base branch's configuration, an empty one where it has none.

    Args:
        settings: what ``scripts/list-models.sh`` kept of the base.
        given: the input ``config``.

    Raises:
        UsageError: the input names a file that the base does not have.
    """
    found = file_of(settings, given)
    if found is None and given:
        raise UsageError(f"config-from: base: the base branch has no {given}")
    return found or settings / _NONE


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
