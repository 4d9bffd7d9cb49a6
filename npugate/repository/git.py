"""Ask git which files there are and which have changed, without letting the repository run code.

The checkout may be a stranger's pull request, and a repository's configuration can name programs
that git starts: a file-system monitor, hooks, filters, external diffs, a transport for objects that
are missing. Each is switched off, or overruled by an empty command. In a container the checkout
usually belongs to another user, and git refuses to read it; as nothing in it can run, every folder
is declared safe.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from npugate.errors import UsageError
from npugate.repository import git_tree
from npugate.repository.git_tree import Tree

_SECONDS: Final = 60.0
_OPTIONS: Final = (
    "--no-pager",
    "-c", "safe.directory=*",
    "-c", "core.fsmonitor=false",
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.quotePath=false",
    # A checkout that changed hands or mounts has other owners and inodes; only time and size count.
    "-c", "core.checkStat=minimal",
    "-c", "core.trustctime=false",
)  # fmt: skip
_ENVIRONMENT: Final = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # unlike a setting, not to be overruled by the repository's
    "LC_ALL": "C",
}
_FILTERS: Final = r"^filter\..*\.(clean|smudge|process|required)$"
_SETTING: Final = "overruled "  # marks our own settings; GIT_ variables of the caller are dropped
_RENAMED: Final = ("R", "C")
_STATUS: Final = re.compile(r"[ADMTUX]|[RC]\d{1,3}")


class GitError(Exception):
    """git is missing, failed or took too long; the text says which."""


class Change(Struct, frozen=True):
    """A path that differs from a revision.

    Attributes:
        path: from the top of the repository; of a deleted file, where it was.
        previous: where it was before, when it was renamed; else ``""``.
    """

    path: str
    previous: str = ""


def root_above(folder: Path) -> Path | None:
    """Return the top of the work tree that a folder is in; found without git itself."""
    for place in (folder, *folder.parents):
        if (place / ".git").exists():
            return place
    return None


def tracked(folder: Path, environment: Mapping[str, str], pattern: str = "*.onnx") -> list[str]:
    """Return the files of one kind that git tracks below a folder, relative to it.

    Raises:
        GitError: git cannot tell.
    """
    return _names(_git(folder, environment, "ls-files", "-z", "--", f":(icase){pattern}"))


def tops(folders: Iterable[Path]) -> list[Path]:
    """Return the tops of the work trees that some folders are in, real paths, sorted."""
    places = {Path(os.path.realpath(folder)) for folder in folders}
    return sorted({top for place in places if (top := root_above(place)) is not None})


def index(top: Path, environment: Mapping[str, str]) -> bytes:
    """Return what git tracks in a work tree, submodules included: ``ls-files --stage -z``.

    Raises:
        GitError: neither git nor its index can tell.
    """
    try:
        return _git(top, environment, "ls-files", "--stage", "-z", "--recurse-submodules")
    except GitError as error:
        failure = error
    try:  # before git 2.36, or with a damaged submodule: the files of each are then unknown
        return _git(top, environment, "ls-files", "--stage", "-z")
    except GitError:
        pass
    from npugate.repository import git_index  # noqa: PLC0415 - loads openssl, for the few without git

    try:
        return git_index.rows(top)
    except git_index.IndexFileError as error:
        raise GitError(f"{failure}; {error}") from error


def changes(root: Path, revision: str, environment: Mapping[str, str]) -> list[Change]:
    """Return what differs between a revision and the work tree.

    Compared is with the point where the revision and HEAD parted, so that what others changed
    there since does not count; with the revision itself where history is too shallow to tell.

    Raises:
        UsageError: the revision does not exist.
        GitError: git cannot tell.
    """
    base = parted(root, revision, environment)
    diff = ("--no-ext-diff", "--no-textconv", "--name-status", "-z")
    staged = _git(root, environment, "diff-index", "--cached", "-M", *diff, base, "--")
    quiet = {**environment, **_without_filters(root, environment)}
    unstaged = _git(root, quiet, "diff-files", "--no-renames", *diff)
    return [*_changes(_names(staged)), *_changes(_names(unstaged))]


def parted(root: Path, revision: str, environment: Mapping[str, str]) -> str:
    """Return the commit where a revision and HEAD parted; the revision's where none is known.

    Raises:
        UsageError: the revision does not exist.
    """
    commit = _commit(root, revision, environment)
    try:
        return _git(root, environment, "merge-base", commit, "HEAD").decode().strip()
    except GitError:
        return commit


def tree(root: Path, commit: str, environment: Mapping[str, str]) -> Tree:
    """Return what a commit holds.

    Raises:
        GitError: git cannot tell.
    """
    listing = _git(root, environment, "ls-tree", "-r", "-l", "-z", "--full-tree", commit)
    try:
        entries = git_tree.read(listing, b"").entries
        oids = {entry.oid for entry in entries.values() if entry.is_link}
        asked = "".join(f"{oid}\n" for oid in sorted(oids)).encode()
        output = _git(root, environment, "cat-file", "--batch", given=asked) if oids else b""
        return Tree(entries, git_tree.texts(output))
    except ValueError as error:
        raise GitError(str(error)) from error


def blob(root: Path, commit: str, path: str, environment: Mapping[str, str]) -> bytes:
    """Return a file of a commit as git keeps it, unfiltered.

    Raises:
        GitError: there is no such file.
    """
    return _git(root, environment, "cat-file", "blob", f"{commit}:{path}")


def recorded(output: bytes) -> list[Change]:
    """Read what ``git diff --name-status -z`` printed.

    Raises:
        ValueError: it is cut off, or something else.
    """
    fields = _names(output)
    if any(not _STATUS.fullmatch(status) for status in _statuses(fields)):
        raise ValueError("this is not what `git diff --name-status -z` prints")
    return list(_changes(fields))


def _statuses(fields: Sequence[str]) -> Iterator[str]:
    at = 0
    while at < len(fields):
        status = fields[at]
        at += 3 if status.startswith(_RENAMED) else 2
        yield status if at <= len(fields) else ""


def renames_since(root: Path, file: Path, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the old paths, by the new ones, of what was renamed since a file was last committed.

    Raises:
        GitError: git cannot tell.
    """
    last = _git(root, environment, "log", "-1", "--format=%H", "--", str(file)).decode().strip()
    if not last:
        return {}
    try:
        found = changes(root, last, environment)
    except UsageError as error:
        raise GitError(str(error)) from error
    return {change.path: change.previous for change in found if change.previous}


def _without_filters(root: Path, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return settings that overrule every content filter of the repository with an empty one.

    git compares the content of a file whose time stamp is as young as the index, and would run
    it through the filter. Without, a filtered file may count as changed that is not.
    """
    try:
        names = _names(
            _git(root, environment, "config", "-z", "--name-only", "--get-regexp", _FILTERS)
        )
    except GitError:  # status 1: there is none
        return {}
    settings = {}
    for index, name in enumerate(dict.fromkeys(names)):
        settings[f"{_SETTING}KEY_{index}"] = name
        settings[f"{_SETTING}VALUE_{index}"] = "false" if name.endswith(".required") else ""
    return {**settings, f"{_SETTING}COUNT": str(len(settings) // 2)}


def _commit(root: Path, revision: str, environment: Mapping[str, str]) -> str:
    wanted = f"{revision}^{{commit}}"
    try:
        if revision.startswith("-"):
            raise GitError(f"{revision!r} is an option, not a revision")  # noqa: TRY301  # one message for both
        found = _git(
            root, environment, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted
        )
    except GitError as error:
        raise UsageError(
            f"--changed-since {revision}: git knows no such revision here; in a workflow, check "
            "out with `fetch-depth: 0`, or fetch the base branch"
        ) from error
    return found.decode().split()[-1]


def _changes(fields: Sequence[str]) -> Iterator[Change]:
    """Read ``status NUL path NUL``, with two paths for a rename or a copy."""
    rest = iter(fields)
    for status in rest:
        path = next(rest)
        if status.startswith(_RENAMED):
            yield Change(next(rest), previous=path)
        else:
            yield Change(path)


def _names(output: bytes) -> list[str]:
    return [os.fsdecode(name) for name in output.split(b"\0") if name]


def _git(
    folder: Path, environment: Mapping[str, str], *arguments: str, given: bytes = b""
) -> bytes:
    kept = {
        key.replace(_SETTING, "GIT_CONFIG_"): value
        for key, value in environment.items()
        if not key.startswith("GIT_")
    }
    try:
        done = subprocess.run(  # noqa: S603  # a list, no shell; the arguments are checked above
            ["git", *_OPTIONS, *arguments],  # noqa: S607  # the user's git is on the user's PATH
            cwd=folder,
            env=kept | _ENVIRONMENT,
            input=given,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {arguments[0]} took longer than {_SECONDS:g} s") from error
    except OSError as error:
        raise GitError(f"git cannot be started: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "backslashreplace").strip().splitlines()
        raise GitError(f"git {arguments[0]}: {said[-1] if said else 'failed'}")
    return done.stdout
