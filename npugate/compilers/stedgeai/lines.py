"""From the bytes that the tool printed to clean lines, one list for each call of it.

CubeMX puts a time stamp before each line; the progress bar writes over itself with carriage returns
and may have a message after it; AI Studio and the cloud print other programs' output in between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_CUBEMX: Final = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[\w+\] [\w$.]+:\d+ - ?")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PROGRESS: Final = re.compile(r"^PASS: +\d+%\|.*?\| *\d+/\d+ \[[^\]]*\]")
_VERSION: Final = re.compile(r"ST Edge AI Core v(\d+\.\d+\.\d+\S*(?: [0-9a-f]{6,})?)")


def clean(data: bytes | str) -> Iterator[str]:
    r"""Yield the lines without time stamps, colours, progress bars and carriage returns.

    Bytes that are no UTF-8 become ``\xNN``: the tool prints paths as the system has them.
    """
    text = data if isinstance(data, str) else data.decode("utf-8", "backslashreplace")
    for raw in text.split("\n"):
        line = _COLOUR.sub("", _CUBEMX.sub("", raw))
        for piece in line.split("\r"):
            yield _PROGRESS.sub("", piece).rstrip()


def version_in(line: str) -> str:
    """Return the tool's version where a line names it, else nothing."""
    match = _VERSION.search(line)
    return match[1] if match else ""


def calls(data: bytes | str) -> list[list[str]]:
    """Split an output at each line that names the tool's version; what comes first is a part."""
    parts: list[list[str]] = [[]]
    for line in clean(data):
        if version_in(line):
            parts.append([])
        parts[-1].append(line)
    return [part for part in parts if any(line.strip() for line in part)]
