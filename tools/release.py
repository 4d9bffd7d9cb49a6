"""The steps of a release that are more than a command; .github/workflows/release.yml calls them.

    python tools/release.py check 1.2.0 v1.1.0 v1.0.0    # may this commit become 1.2.0?
    python tools/release.py notes 1.2.0                  # its section of the changelog
    python tools/release.py pin ghcr.io/o/npugate:1.2.0@sha256:...
    python tools/release.py base                         # what the image is built on, NAME:TAG
    python tools/release.py based python:3.12-slim sha256:...   # the same, pinned
    python tools/release.py newest 1.2.0 v1.1.0 v2.0.0   # does the tag v1 move? true or false

``pin`` writes the image into ``action.yml`` and ``docker/action.yml`` of the checkout. Each command
ends with status 1 and a sentence when something is wrong, and changes nothing then.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO

ROOT: Final = Path(__file__).resolve().parents[1]
_VERSION: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
# By digest, always: a tag of a registry can be moved.
_IMAGE: Final = re.compile(r"[a-z0-9.-]+(/[a-z0-9._-]+)+:[\w.-]+@sha256:[0-9a-f]{64}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_BASE: Final = re.compile(r"[a-z0-9.:-]+(/[a-z0-9._-]+)*:[A-Za-z0-9_.-]+(@sha256:[0-9a-f]{64})?")
_FROM: Final = re.compile(r"^FROM +(\S+)$", re.MULTILINE)
_ARGUMENT: Final = re.compile(r"^ARG BASE_IMAGE=(\S+)$", re.MULTILINE)
_COMPOSITE: Final = re.compile(r'^( +NPUGATE_RELEASED_IMAGE: )"[^"]*".*$', re.MULTILINE)
_DOCKER: Final = re.compile(r"^( +image: )\S+.*$", re.MULTILINE)


class ReleaseError(Exception):
    """What stops the release, as a sentence."""


def check(root: Path, version: str, *tags: str) -> str:
    """Return a sentence when the checkout may become this version.

    Args:
        root: of the checkout.
        version: three numbers.
        tags: those that there are.

    Raises:
        ReleaseError: the version is no version, is taken, is not what the code says, or has no
            section in the changelog.
    """
    _numbers(version)
    if f"v{version}" in tags:
        raise ReleaseError(f"the tag v{version} is taken, and a release is never made again")
    code = (root / "npugate" / "__init__.py").read_text("utf-8")
    if f'\n__version__ = "{version}"\n' not in code:
        raise ReleaseError(f"npugate/__init__.py does not say {version}")
    return f"{version} can be released: {len(notes(root, version).splitlines())} lines of notes\n"


def notes(root: Path, version: str) -> str:
    """Return the section of a version in the changelog, without its heading.

    Raises:
        ReleaseError: there is no such section, or nothing in it.
    """
    _numbers(version)
    text = (root / "CHANGELOG.md").read_text("utf-8")
    heading = rf"^## {re.escape(version)}(?: [^\n]*)?$"
    found = re.search(rf"{heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise ReleaseError(f"CHANGELOG.md says nothing under '## {version}'")
    return found[1].strip() + "\n"


def pin(root: Path, image: str) -> str:
    """Write the image that a release runs into both actions.

    Raises:
        ReleaseError: the image has no digest, or an action has no place for it.
    """
    if not _IMAGE.fullmatch(image):
        raise ReleaseError(f"{image!r} is not NAME:TAG@sha256:DIGEST")
    written = {
        "action.yml": (_COMPOSITE, rf'\g<1>"{image}"'),
        "docker/action.yml": (_DOCKER, rf"\g<1>docker://{image}"),
    }
    changed = {}
    for name, (place, new) in written.items():
        changed[name], count = place.subn(new, (root / name).read_text("utf-8"))
        if count != 1:
            raise ReleaseError(f"{name} has {count} places for the image, not one")
    for name, text in changed.items():
        (root / name).write_text(text, "utf-8")
    return f"{' and '.join(changed)} run {image}\n"


def base(root: Path) -> str:
    """Return the name of the image that releases are built on.

    Raises:
        ReleaseError: the two places that say it do not agree.
    """
    (kept,) = _FROM.findall((root / "docker" / "base" / "Dockerfile").read_text("utf-8")) or ("",)
    (built,) = _ARGUMENT.findall((root / "Dockerfile").read_text("utf-8")) or ("",)
    if not kept or kept != built:
        raise ReleaseError(
            f"docker/base/Dockerfile says {kept or 'nothing'}, ARG BASE_IMAGE of the Dockerfile "
            f"{built or 'nothing'}: write the first into both"
        )
    return f"{kept}\n"


def based(_root: Path, name: str, digest: str) -> str:
    """Return an image with the digest that a registry gave for its tag.

    Raises:
        ReleaseError: the name has no tag, the digest is none, or the name has another one.
    """
    if not _BASE.fullmatch(name):
        raise ReleaseError(f"{name!r} is not NAME:TAG")
    if not _DIGEST.fullmatch(digest):
        raise ReleaseError(f"{digest!r} is no digest")
    tag, _, pinned = name.partition("@")
    if pinned and pinned != digest:
        raise ReleaseError(f"{name} was asked for, and the registry has {digest}")
    return f"{tag}@{digest}\n"


def newest(_root: Path, version: str, *tags: str) -> str:
    """Return whether a version is the newest of its major: a late patch moves no tag back."""
    mine = _numbers(version)
    others = [_numbers(tag[1:]) for tag in tags if _VERSION.fullmatch(tag[1:])]
    return (
        f"{'true' if all(mine >= other for other in others if other[0] == mine[0]) else 'false'}\n"
    )


def _numbers(version: str) -> tuple[int, ...]:
    if not _VERSION.fullmatch(version):
        raise ReleaseError(f"{version!r} is no version of three numbers, such as 1.2.0")
    return tuple(int(number) for number in version.split("."))


_COMMANDS: Final[Mapping[str, Callable[..., str]]] = {
    "check": check,
    "notes": notes,
    "pin": pin,
    "base": base,
    "based": based,
    "newest": newest,
}
_COUNTS: Final = {"notes": (1, 1), "pin": (1, 1), "base": (0, 0), "based": (2, 2)}
"""Fewest and most arguments, where there are not one or more."""


def main(arguments: Sequence[str], out: TextIO, log: TextIO, root: Path = ROOT) -> int:
    """Run one command.

    Args:
        arguments: its name, then its own.
        out: for what it returns.
        log: for what is wrong.
        root: of the checkout.
    """
    name, *rest = arguments or ("",)
    few, most = _COUNTS.get(name, (1, len(rest)))
    if name not in _COMMANDS or not few <= len(rest) <= most:
        log.write((__doc__ or "").partition("\n\n``pin``")[0] + "\n")
        return 2
    try:
        out.write(_COMMANDS[name](root, *rest))
    except ReleaseError as error:
        log.write(f"release: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr))
