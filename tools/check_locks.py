"""Show that a fresh machine can install the lock files: ``make locks-check``.

::

    python tools/check_locks.py [--pip VERSION]... [--no-gate]

A lock that was installed yesterday can fail today without a commit: files vanish from an index,
and an old pip looks at what came out since. So each lock is installed into throw-away environments
of the running Python, without a cache: once beginning with the pip of the first release of this
Python, the oldest that it met, and once with the newest pip that a first release brought. Then
``make gate`` runs in a fresh clone of the last commit, with the pip that this Python's venv brings.

Needs git, make and the package index, and only the standard library: a fresh machine has no more.
Ends with 0 when all was installed, 1 when not, and 2 for a Python or a pip that it does not know.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
# The pip in the first release of each Python that is supported, and the hash of its wheel.
FIRST_PIPS: Final = {
    (3, 11): ("22.3", "1daab4b8d3b97d1d763caeb01a4640a2250a0ea899e257b1e44b9eded91e15ab"),
    (3, 12): ("23.2.1", "7ccf472345f20d35bdc9d1841ff5f313260c2c33fe417f48c30ac46cccabf5be"),
    (3, 13): ("24.2", "2cd581cf58ab7fcfca4ce8efa6dcacd0de5bf8d0a3eb9ec927e07405f4d9e2a2"),
    (3, 14): ("25.2", "6d67a2b4e7f14d8b31b8b52648866fa717f45a1eb70e83002f4331d07e953717"),
}
# What is installed together, in this order, by the Makefile and the workflows.
TOGETHER: Final = (("build", "run", "dev"), ("validate",), ("release",), ("lock",), ("site",))
# What `make validate` has set for itself and a make in a clone must not take over.
_OF_MAKE: Final = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MODELS"}
_MOST_OUTPUT: Final = 4000  # characters of a command that failed


def main(arguments: Sequence[str]) -> int:
    """Install everything, say how it went, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument(
        "--pip", action="append", metavar="VERSION", help="begin with this pip alone; repeatable"
    )
    parser.add_argument("--no-gate", action="store_true", help="leave the fresh clone out")
    options = parser.parse_args(arguments)
    try:
        pips = first_pips(sys.version_info[:2], options.pip)
    except ValueError as error:
        parser.error(str(error))
    failed = []
    with tempfile.TemporaryDirectory(prefix="npugate-locks-") as name:
        for version, digest in pips.items():
            for locks in TOGETHER:
                failed += _try(_installing(Path(name), version, digest, locks), Path(name))
        if not options.no_gate:
            failed += _try(_gate(Path(name)), Path(name))
    _say(*(f"failed: {step}" for step in failed))
    return 1 if failed else 0


def first_pips(python: tuple[int, int], wanted: Sequence[str] | None) -> Mapping[str, str]:
    """Return the versions of pip to begin with, each with the hash of its wheel.

    Without a wish these are the oldest and the newest that this Python meets.

    Raises:
        ValueError: The locks are not for this Python, or a wanted pip never met it.
    """
    if python not in FIRST_PIPS:
        supported = ", ".join(f"{major}.{minor}" for major, minor in FIRST_PIPS)
        found = f"{python[0]}.{python[1]}"
        raise ValueError(f"the locks are for Python {supported}; this is {found}")
    # Those of older Pythons may not even start here: pip 22.3 does not on Python 3.12.
    known = {version: digest for key, (version, digest) in FIRST_PIPS.items() if key >= python}
    versions = [*known]
    chosen = [versions[0], versions[-1]] if wanted is None else wanted
    unknown = [version for version in chosen if version not in known]
    if unknown:
        raise ValueError(f"pip {unknown[0]} is unknown; for this Python: {', '.join(known)}")
    return {version: known[version] for version in chosen}


def _installing(
    folder: Path, version: str, digest: str, locks: Sequence[str]
) -> Iterator[tuple[str, Path, Sequence[str | Path]]]:
    """Yield the steps of one environment: what a step does, where it runs, its command."""
    venv, first = folder / "venv", folder / "first-pip.txt"
    pip = (venv / "bin" / "python", "-m", "pip")
    first.write_text(f"pip=={version} --hash=sha256:{digest}\n", encoding="utf-8")
    yield "make an environment", ROOT, (sys.executable, "-m", "venv", "--clear", venv)
    yield f"pip {version}", ROOT, (*pip, "install", "--require-hashes", "-r", first)
    for lock in locks:
        after = f"{lock}.lock, beginning with pip {version}"
        yield after, ROOT, (ROOT / "tools" / "install_locks.sh", venv, lock)
        yield f"pip check of {after}", ROOT, (*pip, "check")
    if "dev" in locks:  # torch is large: the versions are looked up, as `make test` installs them
        export = [f"requirements/export.{end}" for end in ("in", "lock")]
        looked_up = (*pip, "install", "--dry-run", "-r", export[0], "-c", export[1])
        yield f"export.lock, looked up, beginning with pip {version}", ROOT, looked_up


def _gate(folder: Path) -> Iterator[tuple[str, Path, Sequence[str | Path]]]:
    """Yield the steps of ``make gate`` in a fresh clone of the last commit."""
    clone = folder / "clone"
    yield "clone the last commit", ROOT, ("git", "clone", "--quiet", ROOT, clone)
    yield "make gate in a fresh clone", clone, ("make", "gate", f"PYTHON={sys.executable}")


def _try(steps: Iterator[tuple[str, Path, Sequence[str | Path]]], folder: Path) -> list[str]:
    """Run steps up to the first that fails, without any cache; return that one's name, if any."""
    inherited = {name: value for name, value in os.environ.items() if name not in _OF_MAKE}
    environment = {
        **inherited,
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PIP_NO_CACHE_DIR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    for name, where, command in steps:
        begin = time.monotonic()
        done = subprocess.run(  # noqa: S603 - the steps above
            command, cwd=where, env=environment, capture_output=True, text=True, check=False
        )
        word = f"exit status {done.returncode}" if done.returncode else "ok"
        _say(f"{time.monotonic() - begin:6.1f} s  {name}: {word}")
        if done.returncode:
            _say(done.stdout[-_MOST_OUTPUT:], done.stderr[-_MOST_OUTPUT:])
            return [name]
    return []


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
