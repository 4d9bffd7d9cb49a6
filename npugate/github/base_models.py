"""The sub-command ``npugate base``: fetch the base of a change through GitHub's API.

It is for checkouts whose git has no way to the base: made without credentials in a private
repository, or made without git. It runs in a step of its own, with a token and the network, and
reads no model: what the base holds is written to files as it comes. Without permission or answer it
says so and ends with 0; the check then counts every finding as new.

Beside ``GITHUB_*`` it reads ``NPUGATE_BASE``, the commit that the event is against,
``NPUGATE_HEAD``, the commit that is checked out, ``NPUGATE_FETCHED``, the folder that it writes to,
and ``NPUGATE_LISTED``, a folder with what git says of the checkout, if there is git: ``head``, of
``git ls-tree -r -l -z``, and the paths that differ from it, ``touched`` and ``deleted``.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, TextIO

from msgspec import Struct

from npugate import escape
from npugate.errors import NpugateError
from npugate.github import event, log, places
from npugate.github.client import ApiError, Client, Clock, Purpose
from npugate.github.trees import Blobs, Entry, listed, tree_of
from npugate.repository import base_revision

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NONE: Final = re.compile(r"0+")
_PARENTS: Final = 2  # of the merge that GitHub tests
_NOT_THERE: Final = 404
_SETTINGS: Final = (".toml", ".json", ".mpool")
_SETTING_BYTES: Final = 2**20
_MOST_SETTINGS: Final = 200  # that differ from the checkout's, each a request
_PURPOSE: Final = Purpose(
    {
        401: "the token is not accepted",
        403: "the token may not do this; it takes `permissions: contents: read`",
        404: "it is not there, or the token may not see it (`permissions: contents: read`)",
    },
    most_bytes=160 * 2**20,  # a file of 100 MiB, the most that git hosting takes, in base64
)


class _Work(Struct, frozen=True):
    """What is fetched, and where to.

    Attributes:
        old: entries of the base by path.
        new: entries of the checkout by path; one that differs from its commit has no object.
        folder: gets ``changes``, ``base`` and ``settings``.
    """

    old: Mapping[str, Entry]
    new: Mapping[str, Entry]
    blobs: Blobs
    folder: Path


def main(environment: Mapping[str, str], stdout: TextIO, clock: Clock) -> int:
    """Fetch the base that the event names; return 0.

    Args:
        environment: of the process.
        stdout: the step's log, where GitHub reads its commands.
        clock: measures and waits.
    """
    try:
        commit = _fetch(environment, clock)
        stdout.write(f"compared with {commit}, through the API\n")
    except (NpugateError, OSError) as error:
        told = f"the commit to compare with is not to be had: {error}"
        stdout.write(log.line("notice", f"{told}; with fetch-depth: 2 in the checkout step it is"))
    except Exception as error:  # noqa: BLE001  # the edge: the check goes on without a base
        stdout.write(log.quoted(escape.log_document(traceback.format_exc())))
        told = f"the base cannot be fetched, by a fault of npugate: {error!r}"
        stdout.write(log.line("warning", told))
    return 0


def _fetch(environment: Mapping[str, str], clock: Clock) -> str:
    repository = places.repository(environment)
    if not repository:
        raise ApiError("GITHUB_REPOSITORY names no repository")
    address = environment.get("GITHUB_API_URL") or "https://api.github.com"
    client = Client(address, environment.get("GITHUB_TOKEN", ""), clock, _PURPOSE)
    here = f"/repos/{repository}"
    head = environment.get("NPUGATE_HEAD") or environment.get("GITHUB_SHA", "")
    commit = _base(client, here, head, environment)
    old = tree_of(client, here, commit)
    folder = Path(environment["NPUGATE_FETCHED"])
    given = Path(environment["NPUGATE_LISTED"])
    new = _checkout(given) if (given / "head").is_file() else tree_of(client, here, head)
    work = _Work(old, new, Blobs(client, here), folder)
    changes = list(_changes(work))
    _keep_models(work, changes)
    _keep_settings(work, given)
    recorded = "".join(f"{change}\0" for row in changes for change in row).encode(
        "utf-8", "surrogateescape"
    )
    (folder / "base/.changes").write_bytes(recorded)
    (folder / "changes").write_bytes(recorded)  # the last: with it there is a base
    return commit


def _base(client: Client, here: str, head: str, environment: Mapping[str, str]) -> str:
    """Return the commit to compare with, as the script of the first step finds it with git.

    Raises:
        ApiError: there is none, or it is the checkout itself.
    """
    happened = event.read(environment)
    if not _COMMIT.fullmatch(head):
        raise ApiError("the commit that is checked out is not known")
    if happened.name == "pull_request" and head == environment.get("GITHUB_SHA"):
        parents = _parents(client.get(f"{here}/git/commits/{head}"))
        if len(parents) == _PARENTS:  # the merge that GitHub tests; the base comes first
            return parents[0]
    given = environment.get("NPUGATE_BASE") or happened.base
    if not _COMMIT.fullmatch(given) or _NONE.fullmatch(given):
        raise ApiError("the event names no commit to compare with")
    if given == head:
        raise ApiError("the event's base is the commit that is checked out")
    try:
        found = client.get(f"{here}/compare/{given}...{head}?per_page=1")
    except ApiError as error:
        if error.status != _NOT_THERE:
            raise
        return given  # no common history, or not there at all: its tree will tell
    return _sha(_at(found, "merge_base_commit")) or given


def _parents(commit: object) -> list[str]:
    found = commit.get("parents") if isinstance(commit, dict) else None
    return [_sha(parent) for parent in found] if isinstance(found, list) else []


def _at(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _sha(value: object) -> str:
    """Return a commit's name.

    Raises:
        ApiError: it is none; it becomes part of an address.
    """
    sha = _at(value, "sha")
    if sha is None:
        return ""
    if not isinstance(sha, str) or not _COMMIT.fullmatch(sha):
        raise ApiError("GitHub's answer names a commit that is none")
    return sha


def _checkout(given: Path) -> dict[str, Entry]:
    """Return what is checked out: the commit's entries, and what the workflow made of them."""
    entries = listed((given / "head").read_bytes())
    entries |= dict.fromkeys(_paths(given / "touched"), Entry("", "", 0))
    for path in _paths(given / "deleted"):
        entries.pop(path, None)
    return entries


def _paths(file: Path) -> list[str]:
    return file.read_bytes().decode("utf-8", "surrogateescape").split("\0")[:-1]


def _changes(work: _Work) -> Iterator[tuple[str, ...]]:
    """Yield what differs, as ``git diff --name-status`` does.

    A file that was moved and edited is a deleted one and a new one, for the API does not compare
    contents.
    """
    old, new = work.old, work.new
    gone = [path for path in old if path not in new]
    moved = {old[path].sha: path for path in reversed(gone) if old[path].sha}
    taken: set[str] = set()
    for path in sorted(new):
        entry = new[path]
        before = moved.get(entry.sha, "") if path not in old else ""
        if path in old:
            if entry != old[path]:
                yield "M", path
        elif before and before not in taken:
            taken.add(before)
            yield "R100", before, path
        else:
            yield "A", path
    yield from (("D", path) for path in gone if path not in taken)


def _keep_models(work: _Work, changes: list[tuple[str, ...]]) -> None:
    """Write the models of the base that changed, or whose weights may have."""
    (work.folder / "base").mkdir()
    near: set[PurePosixPath] = set()
    wanted: set[str] = set()
    for status, path, *_ in changes:
        if status == "A":
            continue
        if _is_model(path):
            wanted.add(path)
        else:  # weights lie below the folder of their model
            near.update(PurePosixPath(path).parents)
    for path in work.old:
        if _is_model(path) and (path in wanted or PurePosixPath(path).parent in near):
            _keep_model(work, path)


def _is_model(path: str) -> bool:
    return path.lower().endswith(".onnx")


def _keep_model(work: _Work, path: str) -> None:
    entry = work.old[path]
    if not entry.is_file:
        return
    data = work.blobs.read(entry)
    parent = PurePosixPath(path).parent
    _write(work.folder / "base", path, data)
    below = "" if parent == PurePosixPath() else f"{parent}/"
    beside = [
        other for other, found in work.old.items() if found.is_file and other.startswith(below)
    ]
    for sibling in base_revision.named_in(data, parent, beside):
        _write(work.folder / "base", sibling, b"", work.blobs.length(work.old[sibling]))


def _keep_settings(work: _Work, given: Path) -> None:
    """Write what may judge the models; of what the checkout has unchanged, only the names.

    ``same`` lists these, for the script that called: its git has them.
    """
    folder = work.folder / "settings"
    folder.mkdir()
    (folder / ".none.toml").touch()
    has_git = (given / "head").is_file()
    same: list[str] = []
    differ: list[str] = []
    for path, entry in work.old.items():
        if path.lower().endswith(_SETTINGS) and entry.is_file and entry.size <= _SETTING_BYTES:
            (same if has_git and work.new.get(path) == entry else differ).append(path)
    if len(differ) > _MOST_SETTINGS:
        raise ApiError(f"more than {_MOST_SETTINGS} files with settings differ from the base's")
    for path in differ:
        _write(folder, path, work.blobs.read(work.old[path]))
    names = "".join(f"{path}\0" for path in same)
    (work.folder / "same").write_bytes(names.encode("utf-8", "surrogateescape"))


def _write(folder: Path, path: str, data: bytes, size: int | None = None) -> None:
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as file:
        file.write(data)
        if size is not None:
            file.truncate(size)
