"""The sub-command ``npugate base``: fetch the base of a change through GitHub's API.

It is for checkouts whose git has no way to the base: made without credentials in a private
repository, or made without git. It runs in a step of its own, with a token and the network, and
reads no model: what the base holds is written to files as it comes. Without permission or answer it
says so and ends with 0; the check then counts every finding as new.

Beside ``GITHUB_*`` it reads ``NPUGATE_BASE``, the commit that the event is against,
``NPUGATE_HEAD``, the commit that is checked out, ``NPUGATE_FETCHED``, the folder that it writes to,
and ``NPUGATE_LISTED``, a folder with what git says of the checkout, if there is git: ``head``, of
``git ls-tree -r -l -z``, ``links``, of ``git cat-file --batch`` for its links, and the paths that
differ from it, ``touched`` and ``deleted``.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, TextIO

from msgspec import Struct

from npugate import escape
from npugate.errors import NpugateError
from npugate.github import event, log, places
from npugate.github.client import ApiError, Client, Clock, Purpose
from npugate.github.trees import Blobs, Entry, listed, tree_of
from npugate.repository import base_revision, git_tree
from npugate.repository.delta import ATTRIBUTES
from npugate.repository.git_tree import Tree

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NONE: Final = re.compile(r"0+")
_PARENTS: Final = 2  # of the merge that GitHub tests
_NOT_THERE: Final = 404
_SETTINGS: Final = (".toml", ".json", ".mpool")
_SETTING_BYTES: Final = 8 * 2**20
_NONE_TOML: Final = ".none.toml"
_OURS: Final = frozenset({".changes", ".tree", ".links"})
_LINK: Final = "120000"
_MOST_LINKS: Final = 100  # that the checkout does not have, each a request
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
        tree: the base, with its links.
        links: their texts, as ``git cat-file --batch`` prints them.
    """

    old: Mapping[str, Entry]
    new: Mapping[str, Entry]
    blobs: Blobs
    folder: Path
    tree: Tree
    links: bytes


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
        told = f"the commit to compare with is not available: {error}"
        stdout.write(log.line("notice", f"{told}; with fetch-depth: 2 in the checkout step it is"))
    except Exception as error:  # noqa: BLE001  # the edge: the check goes on without a base
        stdout.write(log.quoted(escape.log_document(traceback.format_exc())))
        told = f"the base cannot be fetched because of a bug in npugate: {error!r}"
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
    few = Blobs(client, here)
    links = _links(old, given, few)
    entries = {path: git_tree.Entry(e.mode, e.sha, e.size) for path, e in old.items() if e.sha}
    tree = Tree(entries, git_tree.texts(links))
    _keep_settings(_Work(old, new, few, folder, tree, links), given)
    # A change with more models than can be fetched must not lose the settings, too.
    work = _Work(old, new, Blobs(client, here), folder, tree, links)
    changes = list(_changes(work))
    _keep_models(work, changes)
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


def _links(old: Mapping[str, Entry], given: Path, blobs: Blobs) -> bytes:
    """Return the texts of links, of those that the checkout has for nothing.

    A link whose text is not available leads nowhere, and what is behind it is new.
    """
    known = (given / "links").read_bytes() if (given / "links").is_file() else b""
    have = git_tree.texts(known)
    missing = {e.sha: e for e in old.values() if e.mode == _LINK and e.sha not in have}
    wanted = list(missing.items())[:_MOST_LINKS]
    return known + git_tree.batch((sha, blobs.read(entry)) for sha, entry in wanted)


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
    """Write the models of the base that changed, or whose weights may have, or behind links."""
    folder = work.folder / "base"
    folder.mkdir()
    (folder / ".tree").write_bytes(git_tree.written(work.tree.entries))
    (folder / ".links").write_bytes(work.links)
    changed = {path for _, *paths in changes for path in paths}
    old = [path for status, path, *_ in changes if status != "A"]
    wanted = {path for path in old if _is_model(path)} | _linked(work.tree, changed)
    near = {parent for path in old for parent in PurePosixPath(path).parents}
    # Below these, a checkout makes other files of what git holds.
    below = {file.parent for file in (PurePosixPath(c) for c in changed) if file.name == ATTRIBUTES}
    for path in work.old:
        parent = PurePosixPath(path).parent
        above = (parent, *parent.parents)
        is_near = parent in near or any(place in below for place in above)
        if _is_model(path) and (path in wanted or is_near):
            _keep_model(work, path)


def _linked(tree: Tree, changed: Collection[str]) -> set[str]:
    """Return the models behind links that lead elsewhere now, or to something that changed."""
    found: set[str] = set()
    for link in tree.links():
        way = tree.way(link)
        if any(place in changed for place in way.touched):
            found.update({link} if _is_model(link) else ())
            if (folder := tree.folder(link)) is not None:
                found.update(path for path in tree.below(folder) if _is_model(path))
    return found


def _is_model(path: str) -> bool:
    return path.lower().endswith(".onnx")


def _keep_model(work: _Work, path: str) -> None:
    file = work.tree.file(path)
    if file is None or PurePosixPath(path).parts[0] in _OURS:
        return
    data = work.blobs.read(work.old[file])
    place = work.folder / "base" / path
    place.unlink(missing_ok=True)  # of the length of weights
    _write(work.folder / "base", path, data)
    parent = path.rpartition("/")[0]
    for sibling in base_revision.named_in(data, parent, work.tree.below(parent)):
        beside = work.folder / "base" / sibling
        if beside.exists() or beside.is_symlink():
            continue
        if work.old[sibling].is_file:
            _write(work.folder / "base", sibling, b"", work.blobs.length(work.old[sibling]))
        elif work.tree.entries[sibling].is_link:
            beside.parent.mkdir(parents=True, exist_ok=True)
            beside.symlink_to(beside.name)


def _keep_settings(work: _Work, given: Path) -> None:
    """Write the settings of the base; of files that the checkout has unchanged, only the names.

    ``same`` lists these, for the script that called: its git has them. It is written last: where
    it is, the settings are whole.
    """
    folder = work.folder / "settings"
    folder.mkdir()
    has_git = (given / "head").is_file()
    same: list[str] = []
    differ: list[tuple[str, Entry]] = []
    for path, file in sorted(_settings(work.tree), key=lambda pair: _importance(pair[0])):
        entry = work.old[file]
        if entry.size > _SETTING_BYTES or PurePosixPath(path).parts[0] == _NONE_TOML:
            continue
        if has_git and path == file and work.new.get(path) == entry:
            same.append(path)
        else:
            differ.append((path, entry))
    # Files beyond the limit are left out: a configuration that names one gets an error.
    read: dict[str, bytes] = {}
    for path, entry in differ[:_MOST_SETTINGS]:
        if entry.sha not in read:
            read[entry.sha] = work.blobs.read(entry)
        _write(folder, path, read[entry.sha])
    (folder / _NONE_TOML).touch()
    names = "".join(f"{path}\0" for path in same)
    (work.folder / "same").write_bytes(names.encode("utf-8", "surrogateescape"))


def _settings(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield the paths of settings, each with the file that it leads to."""
    for path in tree.entries:
        folder = tree.folder(path) if tree.entries[path].is_link else None
        if folder is not None:
            below = (name for name in tree.below(folder) if name.lower().endswith(_SETTINGS))
            found = ((f"{path}/{name[len(folder) + 1 :]}", tree.file(name)) for name in below)
            yield from ((name, file) for name, file in found if file is not None)
        elif path.lower().endswith(_SETTINGS) and (target := tree.file(path)) is not None:
            yield path, target


def _importance(path: str) -> int:
    """Return the place of a setting among others: what a gate begins with comes first."""
    name = PurePosixPath(path).name
    if name in {"npugate.toml", "pyproject.toml"}:
        return 0
    return 2 if name.lower().endswith(".json") else 1


def _write(folder: Path, path: str, data: bytes, size: int | None = None) -> None:
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as file:
        file.write(data)
        if size is not None:
            file.truncate(size)
