"""Stand in for a container engine: ``run`` starts npugate from this checkout, in no container.

For tests of what the action hands to its containers where no engine answers. Only the variables
that ``--env`` names reach the program; nothing else of a container is imitated. Called as

    engine_without_containers.py RECORD [API] -- ENGINE ARGUMENTS

it writes each run to RECORD, a JSON object a line, and has the program ask API for GitHub's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_ENTRYPOINT: Final = Path(__file__).resolve().parents[1] / "entrypoint.py"
_TAKE_A_VALUE: Final = frozenset(
    {
        "--network", "--cap-drop", "--security-opt", "--tmpfs", "--pids-limit", "--user",
        "--mount", "--workdir", "--env", "--userns",
    }
)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Do what the engine is told, as far as the action needs it; return its status."""
    place = list(arguments).index("--")
    record, *api = arguments[:place]
    command, *rest = arguments[place + 1 :]
    if command != "run":
        return 0  # it answers, and it has every image
    options: list[tuple[str, str]] = []
    while rest[0].startswith("-"):
        flag = rest.pop(0)
        options.append((flag, rest.pop(0) if flag in _TAKE_A_VALUE else ""))
    image, *program = rest
    with Path(record).open("a", encoding="utf-8") as file:
        run = {"image": image, "command": program, "options": options}
        file.write(json.dumps(run) + "\n")
    given = _environment([value for flag, value in options if flag == "--env"])
    given |= {"GITHUB_API_URL": api[0]} if api and "GITHUB_API_URL" in given else {}
    words = [sys.executable, str(_ENTRYPOINT), *program]
    return subprocess.run(words, env=given, check=False).returncode  # noqa: S603  # ours


def _environment(named: Sequence[str]) -> dict[str, str]:
    """Return the variables of the program, by what ``--env`` said."""
    mine = os.environ  # noqa: TID251  # it hands on what it is told to
    found = {"PATH": mine.get("PATH", os.defpath)}
    for word in named:
        name, equals, value = word.partition("=")
        if equals or name in mine:
            found[name] = value if equals else mine[name]
    return found


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
