"""Read JSON and TOML of strangers: nothing that they can hold is deeper than our stack.

The parsers of the standard library end in ``RecursionError`` on deep nesting, and what they do
take may be too deep to be shown in an error. Whatever is wrong here is a ``ValueError``.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from typing import Final

_DEEPEST: Final = 60
_TOML_BYTES: Final = 1 << 20
_QUOTED: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""|\'{3}.*?\'{3}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|\#[^\n]*''', re.DOTALL
)
_LONG_KEY: Final = re.compile(rf"(?<![\w-])(?:[\w-]+[ \t]*\.[ \t]*){{{_DEEPEST}}}")
_TOO_DEEP: Final = f"it is nested more than {_DEEPEST} deep"


def json_value(data: bytes | str) -> object:
    """Return what a JSON document says.

    Raises:
        ValueError: it is no JSON, or nested too deep.
    """
    try:
        value: object = json.loads(data)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    _check_depth(value)
    return value


def toml_table(data: bytes) -> dict[str, object]:
    """Return what a TOML document says.

    Raises:
        ValueError: it is no UTF-8 or no TOML, or nested too deep.
    """
    if len(data) > _TOML_BYTES:
        raise ValueError(f"it has more than {_TOML_BYTES} bytes")
    text = data.decode()
    # A key of n parts takes the parser n * n steps: hours for one that fills a small file.
    if _LONG_KEY.search(_QUOTED.sub("q", text)):
        raise ValueError(_TOO_DEEP)
    try:
        table = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    _check_depth(table)
    return table


def _check_depth(value: object) -> None:
    """Go down level by level: dotted keys and headers of TOML nest without any recursion."""
    level: list[object] = [value]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
