"""Workflow commands: the lines through which a step talks to the GitHub runner."""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
# The percent sign comes first: it starts every escape that follows.
_DATA: Final = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))
_PROPERTY: Final = (*_DATA, (":", "%3A"), (",", "%2C"))


def workflow_command(name: str, message: str, /, **properties: str | int | None) -> str:
    """Return one workflow command, without a newline at its end.

    The runner cuts a message at 4,096 characters and shows ten commands of a kind for each step.

    Args:
        name: for example ``error``, ``warning``, ``notice``, ``group``.
        message: any text; line breaks are kept by the runner.
        properties: for example ``file``, ``line``, ``title``; None and empty ones are left out.

    Raises:
        ValueError: the name or a property's name is no word, and so would change the command.
    """
    for word in (name, *properties):
        if not _WORD.fullmatch(word):
            raise ValueError(f"{word!r} is no name of a workflow command or property")
    given = {key: str(value) for key, value in properties.items() if value not in (None, "")}
    listed = ",".join(f"{key}={_replaced(value, _PROPERTY)}" for key, value in given.items())
    return f"::{name}{' ' if listed else ''}{listed}::{_replaced(message, _DATA)}"


def _replaced(text: str, table: tuple[tuple[str, str], ...]) -> str:
    for old, new in table:
        text = text.replace(old, new)
    return text
