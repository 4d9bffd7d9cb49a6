"""Compare what two checkouts report of the same models: every format, byte for byte.

For changes that must change no report, such as moving modules:

    python tools/compare_reports.py OLD/.venv/bin/npugate NEW/.venv/bin/npugate MODELS...

JUnit is compared without its times. Exit status 1 when a format differs; its first lines are shown.
"""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

FORMATS: Final = ("text", "json", "junit", "sarif", "markdown", "gitlab", "html")
_TIME: Final = re.compile(rb' time="[0-9.]+"')
_SHOWN: Final = 20  # lines of a difference


def reports(program: str, models: Sequence[str], folder: Path) -> dict[str, bytes]:
    """Return what a program writes of the models, by format, with its exit codes."""
    places = {form: folder / form for form in FORMATS}
    found: dict[str, bytes] = {}
    for command in ("check", "estimate"):
        arguments = [program, command, *models, "--verbose"]
        if command == "check":
            arguments += [f"--report={form}={place}" for form, place in places.items()]
        else:
            arguments += ["--format", "json"]
        done = subprocess.run(arguments, capture_output=True, check=False)  # noqa: S603 - a list
        found[f"{command}: exit code"] = str(done.returncode).encode()
        found[f"{command}: standard output"] = done.stdout
    found |= {form: place.read_bytes() for form, place in places.items()}
    found["junit"] = _TIME.sub(b"", found["junit"])
    return found


def differences(old: dict[str, bytes], new: dict[str, bytes]) -> Iterator[str]:
    """Yield the first lines of each difference."""
    for name, before in old.items():
        if before != new[name]:
            sides = [data.decode("utf-8", "replace").splitlines() for data in (before, new[name])]
            yield f"{name} differs"
            yield from list(difflib.unified_diff(*sides, "old", "new", lineterm="", n=0))[:_SHOWN]


def main() -> int:
    """Compare and say what differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("old", help="the program of one checkout")
    parser.add_argument("new", help="the program of the other")
    parser.add_argument("models", nargs="+", help="files and folders")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        old = reports(chosen.old, chosen.models, Path(one))
        new = reports(chosen.new, chosen.models, Path(two))
    lines = list(differences(old, new))
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sizes = sum(map(len, old.values()))
    sys.stdout.write(f"{len(old)} outputs, {sizes} bytes: {'different' if lines else 'equal'}\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
