"""What a commit holds, by GitHub's API: the list of its files, and their contents."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final

from msgspec import Struct

from npugate.github.client import ApiError, Client
from npugate.model import filetype
from npugate.repository.base_revision import LONGEST

_OBJECT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LINE: Final = re.compile(
    r"([0-7]{6}) (blob|commit|tree) ([0-9a-f]{40,64}) +([0-9]+|-)\t(.+)", re.DOTALL
)
_LONG_NAME: Final = 64
_MOST_BYTES: Final = 512 * 2**20
_MOST_REQUESTS: Final = 600  # of the thousand that a repository's token has in an hour


class Entry(Struct, frozen=True):
    """A file of a commit.

    Attributes:
        mode: as git writes it, ``100644``; empty when the file is not as any commit has it.
        sha: of its object.
        size: bytes.
    """

    mode: str
    sha: str
    size: int

    @property
    def is_file(self) -> bool:
        """True for a plain file: no link, no other repository."""
        return self.mode.startswith("100")


class Blobs:
    """Contents of files, within limits.

    Every read raises ApiError when the content cannot be had, or the limits are reached.
    """

    def __init__(self, client: Client, here: str) -> None:
        """Remember whom to ask; ``here`` is ``/repos/OWNER/NAME``."""
        self._client = client
        self._here = here
        self._bytes = self._requests = 0

    def read(self, entry: Entry) -> bytes:
        """Return the content of a file."""
        self._bytes += entry.size
        self._requests += 1
        if self._bytes > _MOST_BYTES or self._requests > _MOST_REQUESTS:
            raise ApiError("the base has more changed models than are fetched through the API")
        found = self._client.get(f"{self._here}/git/blobs/{entry.sha}")
        content = found.get("content") if isinstance(found, dict) else None
        if not isinstance(content, str) or not isinstance(found, dict):
            raise ApiError("GitHub's answer holds no content")
        if found.get("encoding") != "base64":
            raise ApiError("GitHub's answer holds a content in another form than base64")
        try:
            data = base64.b64decode("".join(content.split()), validate=True)
        except binascii.Error as error:
            raise ApiError(f"GitHub's answer holds no content: {error}") from error
        if len(data) != entry.size:
            raise ApiError(f"GitHub's answer holds {len(data)} bytes of {entry.size}")
        if _name_of(data, entry.sha) != entry.sha:
            raise ApiError("GitHub's answer holds another content than the tree names")
        return data

    def length(self, entry: Entry) -> int:
        """Return the bytes of a file, or of what it stands for when it is a Git LFS pointer."""
        if entry.size > filetype.POINTER_BYTES:
            return min(entry.size, LONGEST)
        stands_for = filetype.lfs_size(self.read(entry))
        return entry.size if stands_for is None else min(stands_for, LONGEST)


def _name_of(data: bytes, like: str) -> str:
    """Return git's name of a content, by SHA-1 or, where the name is that long, by SHA-256."""
    kind = "sha256" if len(like) == _LONG_NAME else "sha1"
    digest = hashlib.new(kind, f"blob {len(data)}\0".encode(), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def tree_of(client: Client, here: str, commit: str) -> dict[str, Entry]:
    """Return the files of a commit by path.

    Raises:
        ApiError: they cannot be had, not all of them, or a path would lead elsewhere.
    """
    found = client.get(f"{here}/git/trees/{commit}?recursive=1")
    rows = found.get("tree") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(rows, list):
        raise ApiError("GitHub's answer holds no tree")
    if found.get("truncated") is not False:
        raise ApiError("the repository has more files than GitHub's API lists at once")
    entries: dict[str, Entry] = {}
    for row in rows:
        path, entry = _entry(row)
        if entry is not None:
            entries[path] = entry
    return entries


def _entry(row: object) -> tuple[str, Entry | None]:
    if not isinstance(row, dict):
        raise ApiError("GitHub's answer holds no tree")
    path, mode, sha, size = (row.get(key) for key in ("path", "mode", "sha", "size"))
    if not isinstance(path, str) or not isinstance(mode, str) or not isinstance(sha, str):
        raise ApiError("GitHub's answer holds no tree")
    if not _OBJECT.fullmatch(sha) or "\0" in path or not _is_below(path):
        raise ApiError("GitHub's answer names a file that no tree can hold")
    if row.get("type") == "tree":
        return path, None
    return path, Entry(mode, sha, size if isinstance(size, int) and size >= 0 else 0)


def _is_below(path: str) -> bool:
    """Tell whether a path stays below the folder that it is written to."""
    return not {"", ".", ".."} & set(path.split("/"))


def listed(output: bytes) -> dict[str, Entry]:
    """Read what ``git ls-tree -r -l -z`` printed.

    Raises:
        ApiError: it is something else.
    """
    entries: dict[str, Entry] = {}
    for line in output.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        match = _LINE.fullmatch(line)
        if match is None:
            raise ApiError("this is not what `git ls-tree -r -l -z` prints")
        mode, _, sha, size, path = match.groups()
        entries[path] = Entry(mode, sha, int(size) if size != "-" else 0)
    return entries
