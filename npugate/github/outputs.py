"""Write the files through which a step hands values to the runner."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path


def render(values: Mapping[str, str | int]) -> str:
    """Return the lines for ``GITHUB_OUTPUT``, each value between two random delimiters.

    A delimiter that cannot be guessed keeps a value from ending early and setting others.

    Raises:
        ValueError: a name holds what the file's grammar gives a meaning to.
    """
    delimiter = f"npugate-{secrets.token_hex(16)}"
    lines = []
    for name, value in values.items():
        if not name.replace("-", "").isalnum():
            raise ValueError(f"{name!r} is no name of an output")
        lines.append(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")
    return "".join(lines)


def append(path: str, text: str) -> None:
    """Append to one of the runner's files; an empty path, outside of GitHub, is left alone."""
    if not path:
        return
    with Path(path).open("a", encoding="utf-8", newline="\n", errors="backslashreplace") as file:
        file.write(text)
