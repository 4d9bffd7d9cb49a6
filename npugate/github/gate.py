"""What judges a change may be part of it: say so, where a reviewer looks first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from npugate.gitfiles import Change

_CONFIGURATIONS: Final = frozenset({"npugate.toml", "pyproject.toml"})
_WORKFLOWS: Final = PurePosixPath(".github/workflows")
_NAMED: Final = 5


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


def notice(paths: list[str]) -> str:
    """Return the sentence that opens the summary and the comment; empty when there is none."""
    if not paths:
        return ""
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return (
        f"this change edits what judges it: {', '.join(paths[:_NAMED])}{more}; "
        "look at that before the verdict"
    )
