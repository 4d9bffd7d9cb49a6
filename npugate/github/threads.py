"""Comments that are written once and updated in place from then on.

A comment is ours when its first line is the hidden marker and its author is who we are; everybody
can write the marker. The API has no "create unless it is there", so whoever got no clear answer
looks again before writing a second time, and a second one that is there nevertheless goes away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct, field

from npugate.github.client import ApiError, Client
from npugate.sha256 import sha256

BODY_LIMIT: Final = 65_536  # characters; we keep to it in bytes
BOT: Final = "github-actions[bot]"
_SETTLE_SECONDS: Final = 5.0  # until a comment that was written is listed
_PACE_SECONDS: Final = 1.0  # GitHub's advice between things that notify people
_ATTEMPTS: Final = 2
_ORDER: Final = re.compile(r"<!-- run ([0-9]{1,20})\.([0-9]{1,20}) -->")

Order = tuple[int, int]
"""Number of a run and of its attempt: what a later one has more of."""


class Thread(Struct, frozen=True):
    """Where comments of one kind are.

    Attributes:
        listing: path of the list, which new ones are posted to.
        single: path below which each is, by its number.
    """

    listing: str
    single: str


class Comment(Struct, frozen=True):
    """A comment of ours, as it is on GitHub."""

    number: int
    body: str

    @property
    def marker(self) -> str:
        """Its first line."""
        return self.body.partition("\n")[0].rstrip("\r")

    @property
    def order(self) -> Order:
        """Of the run that wrote it; zeros when it does not say."""
        lines = self.body.splitlines()
        found = _ORDER.fullmatch(lines[1].strip()) if len(lines) > 1 else None
        return (int(found[1]), int(found[2])) if found else (0, 0)


class Draft(Struct, frozen=True):
    """A comment as it should be.

    Attributes:
        marker: its first line.
        body: all of it.
        fields: what else a new one needs.
        order: of the run; zeros where two runs at once do no harm.
    """

    marker: str
    body: str
    fields: Mapping[str, object] = field(default_factory=dict)
    order: Order = (0, 0)


def order_line(order: Order) -> str:
    """Return the hidden second line, which says what run wrote a comment."""
    return f"<!-- run {order[0]}.{order[1]} -->"


def conversation(repository: str, number: int) -> Thread:
    """Return the conversation of a pull request."""
    base = f"/repos/{repository}/issues"
    return Thread(f"{base}/{number}/comments", f"{base}/comments")


def review(repository: str, number: int) -> Thread:
    """Return the comments on files of a pull request."""
    base = f"/repos/{repository}/pulls"
    return Thread(f"{base}/{number}/comments", f"{base}/comments")


def marker(kind: str, *names: str) -> str:
    """Return the hidden first line; whatever the names hold, it is one HTML comment."""
    key = sha256("\0".join(names).encode("utf-8", "backslashreplace"))[:16]
    return f"<!-- npugate {kind} {key} -->"


def author(client: Client) -> str:
    """Return the login under which the token writes.

    A job's own token may not ask that, and writes as ``BOT``.

    Raises:
        ApiError: the question was not answered.
    """
    try:
        user = client.get("/user")
    except ApiError as error:
        if error.status in {403, 404}:
            return BOT
        raise
    login = user.get("login") if isinstance(user, dict) else None
    return login if isinstance(login, str) and login else BOT


def ours(client: Client, thread: Thread, login: str, kind: str) -> list[Comment]:
    """Return our comments of one kind, oldest first.

    Raises:
        ApiError: the list cannot be had whole.
    """
    found = list(_ours(client, thread, login, f"<!-- npugate {kind} "))
    return sorted(found, key=lambda comment: comment.number)


def _ours(client: Client, thread: Thread, login: str, start: str) -> Iterator[Comment]:
    for item in client.pages(thread.listing):
        user, body, number = item.get("user"), item.get("body"), item.get("id")
        writer = user.get("login") if isinstance(user, dict) else None
        if not isinstance(body, str) or not isinstance(number, int):
            continue
        if body.startswith(start) and str(writer).lower() == login.lower():
            yield Comment(number, body)


class Writer(Struct, frozen=True):
    """Writes the drafts of one kind into one thread.

    Attributes:
        login: under which we write.
        kind: first word of the markers.
    """

    client: Client
    thread: Thread
    login: str
    kind: str

    def put(self, draft: Draft, known: list[Comment]) -> str:
        """Make the thread hold a draft exactly once; return what was done.

        Args:
            draft: as it should be.
            known: our comments of this kind, as ``ours`` found them.

        Raises:
            ApiError: GitHub refused, or never answered.
        """
        same = [comment for comment in known if comment.marker == draft.marker]
        if not same:
            same = self._create(draft)
            if not same:
                return "created"
        latest = max(same, key=lambda comment: comment.order)
        body = latest.body if latest.order > draft.order else draft.body
        self._remove(same[1:])
        # GitHub may hand a body back with other line ends.
        if same[0].body.replace("\r\n", "\n").rstrip() == body.rstrip():
            return "unchanged"
        self.client.send("PATCH", f"{self.thread.single}/{same[0].number}", {"body": body})
        return "updated"

    def _create(self, draft: Draft) -> list[Comment]:
        """Post a draft; return what is there when that is more than the draft, or was not clear."""
        for attempt in range(_ATTEMPTS):
            try:
                self.client.send("POST", self.thread.listing, {**draft.fields, "body": draft.body})
            except ApiError as error:
                if not error.is_unsure:
                    raise
                self.client.clock.sleep(_SETTLE_SECONDS)
                same = self._look(draft)
                if same:
                    return same
                if attempt + 1 == _ATTEMPTS:
                    raise
            else:
                self.client.clock.sleep(_PACE_SECONDS)
                return self._twins(draft)
        return []

    def _twins(self, draft: Draft) -> list[Comment]:
        """Return the comments of two runs that began at once; nothing when there is one."""
        if draft.order == (0, 0):
            return []
        try:
            same = self._look(draft)
        except ApiError:
            return []  # it is written; a surplus that was not seen is the next run's to remove
        return same if len(same) > 1 else []

    def _look(self, draft: Draft) -> list[Comment]:
        found = ours(self.client, self.thread, self.login, self.kind)
        return [comment for comment in found if comment.marker == draft.marker]

    def _remove(self, surplus: list[Comment]) -> None:
        """Delete what two runs at once, or a late answer, have written twice."""
        for comment in surplus:
            try:
                self.client.send("DELETE", f"{self.thread.single}/{comment.number}")
            except ApiError as error:
                if error.status != 404:  # noqa: PLR2004  # it is gone already
                    raise
