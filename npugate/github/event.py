"""What happened on GitHub that started this run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from npugate import nesting
from npugate.errors import NpugateError

_NONE: Final = "0" * 40  # what GitHub writes for "there is no such commit"


class EventError(NpugateError):
    """The event's file is missing or is not what GitHub writes."""


class Event(Struct, frozen=True):
    """The event, as far as a check needs it. Empty strings mean "does not apply".

    Attributes:
        name: for example ``pull_request``, ``push``, ``merge_group``.
        number: of the pull request; None for other events.
        base: commit that the change is against.
        head: last commit of the change.
        is_fork: True when a pull request comes from another repository, whose token may only read.
    """

    name: str
    number: int | None = None
    base: str = ""
    head: str = ""
    is_fork: bool = False


def read(environment: Mapping[str, str]) -> Event:
    """Read the event from ``GITHUB_EVENT_NAME`` and the file at ``GITHUB_EVENT_PATH``.

    Raises:
        EventError: the file cannot be read or is no JSON object.
    """
    name = environment.get("GITHUB_EVENT_NAME", "")
    path = environment.get("GITHUB_EVENT_PATH", "")
    if not path:
        return Event(name)
    try:
        payload = nesting.json_value(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise EventError(f"the event's file {path} cannot be read: {error}") from error
    if not isinstance(payload, dict):
        raise EventError(f"the event's file {path} holds no object")
    return _event(name, payload)


def _event(name: str, payload: Mapping[str, object]) -> Event:
    if "pull_request" in payload:
        return _pull_request(name, payload)
    if "merge_group" in payload:
        return Event(
            name,
            base=_text(payload, "merge_group", "base_sha"),
            head=_text(payload, "merge_group", "head_sha"),
        )
    return Event(name, base=_text(payload, "before"), head=_text(payload, "after"))


def _pull_request(name: str, payload: Mapping[str, object]) -> Event:
    number = _at(payload, "pull_request", "number")
    head = _text(payload, "pull_request", "head", "repo", "full_name")
    here = _text(payload, "pull_request", "base", "repo", "full_name")
    return Event(
        name,
        number=number if isinstance(number, int) else None,
        base=_text(payload, "pull_request", "base", "sha"),
        head=_text(payload, "pull_request", "head", "sha"),
        # The head's repository is null when the fork was deleted meanwhile.
        is_fork=head.lower() != here.lower(),
    )


def _at(payload: object, *keys: str) -> object:
    for key in keys:
        payload = payload.get(key) if isinstance(payload, dict) else None
    return payload


def _text(payload: object, *keys: str) -> str:
    found = _at(payload, *keys)
    return found if isinstance(found, str) and found != _NONE else ""
