"""A stand-in for ``docker`` that runs npugate on this machine instead of in a container.

It is for `tools/validate_action.py` on machines without an engine: it takes the commands that
``scripts/run-container.sh`` gives to docker, and hands the program only the variables that the
command names. It isolates nothing.

Two variables are its own: ``STANDIN_RECORD``, a file that each run is written to as a line of JSON,
and ``STANDIN_API``, which the program gets as GitHub's API where it gets one at all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WITH_VALUE = frozenset(
    {
        "--network", "--cap-drop", "--security-opt", "--tmpfs", "--pids-limit", "--user", "--mount",
        "--workdir", "--env", "--env-file", "--userns", "--volume", "--add-host",
    }
)  # fmt: skip


def main(words: Sequence[str]) -> int:
    """Do what docker would; everything but ``run`` succeeds and does nothing."""
    if words[:1] != ["run"]:
        return 0
    # A stand-in for an edge: it hands on the environment as docker does.
    given = dict(os.environ)  # noqa: TID251 - a tool hands on what it was given
    environment = {"PATH": given["PATH"], "PYTHONPATH": str(ROOT)}
    folder, rest = ".", list(words[1:])
    options: list[tuple[str, str]] = []
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        value = rest.pop(0) if option in WITH_VALUE else ""
        options.append((option, value))
        if option == "--env":
            name, equals, text = value.partition("=")
            if equals or name in given:
                environment[name] = text if equals else given[name]
        elif option == "--workdir":
            folder = value
    if "STANDIN_RECORD" in given:
        with Path(given["STANDIN_RECORD"]).open("a", encoding="utf-8") as record:
            run = {"image": rest[0], "command": rest[1:], "options": options}
            record.write(json.dumps(run) + "\n")
    if "GITHUB_API_URL" in environment and "STANDIN_API" in given:
        environment["GITHUB_API_URL"] = given["STANDIN_API"]
    command = [sys.executable, str(ROOT / "entrypoint.py"), *rest[1:]]  # the first is the image
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode  # noqa: S603 - ours


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
