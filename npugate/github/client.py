"""A client of GitHub's REST API: the few calls that we need, and every way they go wrong.

The token goes to the API's own address and nowhere else. What GitHub refuses for now is tried
again within one budget of time; a call that creates something is not, when it is unknown whether it
was carried out: whoever asked has to look first.
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from email.message import Message
from typing import Final, Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

from msgspec import Struct, field

from npugate import __version__
from npugate.errors import NpugateError

MAX_PAGES: Final = 100
PER_PAGE: Final = 100
_BLOCK: Final = 65_536
_TRIES: Final = 4
_REDIRECTS: Final = 3
_SOCKET_SECONDS: Final = 20.0
_ANSWER_SECONDS: Final = 60.0  # for one answer, however slowly it trickles
_PATIENCE: Final = 300.0  # for everything that one client does, waiting included
_UNSPECIFIED_WAIT: Final = 60.0  # what GitHub asks for when it names no time
_OK, _MOVED, _REFUSED, _BROKEN = 200, 300, 400, 500
_FORBIDDEN, _TOO_MANY = 403, 429
_KEEPS_METHOD: Final = frozenset({301, 307, 308})
_REPEATABLE: Final = frozenset({"GET", "PATCH", "DELETE"})
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_NEXT: Final = re.compile(r'<([^<>]+)>\s*;[^,<]*\brel="?next"?')
_MESSAGE_LIMIT: Final = 300

_RATE_LIMIT: Final = "GitHub's rate limit is reached"


class Purpose(Struct, frozen=True):
    """What a client is for.

    Attributes:
        advice: what to say of a refusal, by its status.
        most_bytes: of one answer.
    """

    advice: Mapping[int, str]
    most_bytes: int = 16 * 1024**2


COMMENTING: Final = Purpose(
    {
        401: "the token is not accepted",
        403: "the token may not do this; it takes `permissions: pull-requests: write`, which pull "
        "requests from forks and of Dependabot do not get",
        404: "it is not there, or the token may not see it (`permissions: pull-requests: read`)",
    }
)


class ApiError(NpugateError):
    """GitHub did not do what it was asked.

    Attributes:
        status: of the answer; 0 when there was none.
        is_unsure: True when it may have been carried out all the same.
    """

    def __init__(self, reason: str, status: int = 0, *, is_unsure: bool = False) -> None:
        """Keep the status beside the reason."""
        super().__init__(reason)
        self.status = status
        self.is_unsure = is_unsure


class Clock(Struct, frozen=True):
    """Time, and the passing of it.

    Attributes:
        now: seconds that only grow.
        date: seconds since 1970.
        sleep: waits so many seconds.
    """

    now: Callable[[], float] = time.monotonic
    date: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class _Answer(Struct, frozen=True):
    """What came back.

    Attributes:
        status: 0 when nothing did.
        reason: why there is no answer, or no whole one; empty for a whole one.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    data: bytes = b""
    reason: str = ""


class _Body(Protocol):
    def read1(self, size: int, /) -> bytes: ...


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follow nothing by itself: urllib would send the token along."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: object,
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> None:
        """Make no request of a redirection."""


class Client:
    """One run's connection to the API."""

    def __init__(self, base: str, token: str, clock: Clock, purpose: Purpose = COMMENTING) -> None:
        """Remember where to and as whom.

        Args:
            base: address of the API, ``GITHUB_API_URL``.
            token: sent with every request.
            clock: measures and waits.
            purpose: what it is for.

        Raises:
            ApiError: the address or the token cannot be used.
        """
        self.base = base.rstrip("/")
        if urlsplit(self.base).scheme not in {"http", "https"} or not urlsplit(self.base).hostname:
            raise ApiError("GITHUB_API_URL is no address of an API")
        if not _TOKEN.fullmatch(token):
            raise ApiError("there is no usable token in the environment (GITHUB_TOKEN)")
        self.clock = clock
        self.purpose = purpose
        self._token = token
        self._deadline = clock.now() + _PATIENCE
        self._opener = urllib.request.build_opener(_Stay)

    def get(self, path: str) -> object:
        """Return what is at a path.

        Raises:
            ApiError: it cannot be had.
        """
        return self._value(self._send("GET", self.base + path, None))

    def send(self, method: str, path: str, body: Mapping[str, object] | None = None) -> object:
        """Send a request that changes something; return what GitHub made of it.

        Raises:
            ApiError: it was refused; or, ``is_unsure``, it is unknown.
        """
        return self._value(self._send(method, self.base + path, body))

    def pages(self, path: str) -> Iterator[Mapping[str, object]]:
        """Yield the items of a list, page after page.

        Raises:
            ApiError: a page cannot be had, or there are more than ``MAX_PAGES``.
        """
        url = f"{self.base}{path}?per_page={PER_PAGE}"
        for _ in range(MAX_PAGES):
            answer = self._send("GET", url, None)
            items = self._value(answer)
            if not isinstance(items, list):
                raise ApiError(f"GitHub's answer for {path} is no list", answer.status)
            yield from (item for item in items if isinstance(item, dict))
            following = _NEXT.search(answer.headers.get("link", ""))
            if not following:
                return
            url = self._own(urljoin(url, following[1]))
        raise ApiError(f"{path} has more than {MAX_PAGES} pages; the rest was not looked at")

    def _value(self, answer: _Answer) -> object:
        return json.loads(answer.data) if answer.data else None

    def _send(self, method: str, url: str, body: Mapping[str, object] | None) -> _Answer:
        """Ask until there is an answer that counts."""
        redirects = tries = 0
        while True:
            answer = self._exchange(method, url, body)
            tries += 1
            if _OK <= answer.status < _MOVED and not answer.reason:
                return answer
            if _MOVED <= answer.status < _REFUSED and redirects < _REDIRECTS:
                redirects += 1
                url = self._redirected(method, url, answer)
            elif _is_limited(answer) and tries < _TRIES:
                self._wait(_asked_wait(answer, self.clock.date()), answer)
            elif _is_broken(answer) and method in _REPEATABLE and tries < _TRIES:
                self._wait(2.0 ** (tries - 1), answer)
            else:
                raise self._error(
                    answer, is_unsure=_is_broken(answer) and method not in _REPEATABLE
                )

    def _wait(self, seconds: float, answer: _Answer) -> None:
        if self.clock.now() + seconds > self._deadline:
            raise self._error(answer)
        self.clock.sleep(seconds)

    def _redirected(self, method: str, url: str, answer: _Answer) -> str:
        if method != "GET" and answer.status not in _KEEPS_METHOD:
            raise self._error(answer)
        return self._own(urljoin(url, answer.headers.get("location", "")))

    def _own(self, url: str) -> str:
        """Return an address if the token may go there.

        Raises:
            ApiError: it is another host's, or another port's or scheme's.
        """
        if _origin(urlsplit(url)) != _origin(urlsplit(self.base)):
            raise ApiError("GitHub's answer leads to another host, which gets no token")
        return url

    def _exchange(self, method: str, url: str, body: Mapping[str, object] | None) -> _Answer:
        request = urllib.request.Request(  # noqa: S310  # the scheme was checked
            url,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "User-Agent": f"npugate/{__version__}",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            method=method,
        )
        until = min(self.clock.now() + _ANSWER_SECONDS, self._deadline)
        seconds = max(0.001, min(_SOCKET_SECONDS, until - self.clock.now()))
        try:
            try:
                response = self._opener.open(request, timeout=seconds)
            except urllib.error.HTTPError as error:  # an answer, too
                response = error
            with closing(response):
                return self._read(response, response.status, response.headers, until)
        except (OSError, http.client.HTTPException) as error:
            return _Answer(0, reason=f"{type(error).__name__}: {error}")

    def _read(self, body: _Body, status: int, headers: Message, until: float) -> _Answer:
        """Read a body whole; say so where it is not."""
        found = {name.lower(): str(value) for name, value in headers.items()}
        parts: list[bytes] = []
        size = 0
        reason = ""
        while part := body.read1(_BLOCK):
            parts.append(part)
            size += len(part)
            if size > self.purpose.most_bytes:
                reason = f"it is longer than {self.purpose.most_bytes} bytes"
                return _Answer(status, found, reason=reason)
            if self.clock.now() > until:
                return _Answer(status, found, reason="it took too long")
        data = b"".join(parts)
        if found.get("content-length", str(size)) != str(size):
            reason = "it was cut off"
        elif data and status < _MOVED:
            reason = _json_fault(data)
        return _Answer(status, found, data, reason)

    def _error(self, answer: _Answer, *, is_unsure: bool = False) -> ApiError:
        if answer.status == 0:
            return ApiError(f"GitHub does not answer: {answer.reason}", 0, is_unsure=is_unsure)
        parts = [f"GitHub answers {answer.status}"]
        if answer.reason:
            parts.append(answer.reason)
        elif _is_limited(answer):
            parts.append(_RATE_LIMIT)
        elif answer.status in self.purpose.advice:
            parts.append(self.purpose.advice[answer.status])
        elif answer.status >= _BROKEN:
            parts.append("it has a fault of its own; run the job again")
        told = f"{': '.join(parts)}{_message(answer)}"
        return ApiError(told, answer.status, is_unsure=is_unsure)


def _json_fault(data: bytes) -> str:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return "it is no JSON"
    return ""


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    default = 443 if parts.scheme == "https" else 80
    return parts.scheme, parts.hostname, parts.port or default


def _is_limited(answer: _Answer) -> bool:
    """Tell whether it is only too early; a plain 403 says that it is not allowed at all."""
    if answer.status == _TOO_MANY:
        return True
    headers = answer.headers
    return answer.status == _FORBIDDEN and (
        "retry-after" in headers
        or headers.get("x-ratelimit-remaining") == "0"
        or b"rate limit" in answer.data[:_BLOCK].lower()
    )


def _asked_wait(answer: _Answer, date: float) -> float:
    """Return how many seconds GitHub asks to wait."""
    after = answer.headers.get("retry-after", "")
    if after.isdecimal():
        return float(after[:9])
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        return max(1.0, float(reset[:12]) - date + 1)
    return _UNSPECIFIED_WAIT


def _is_broken(answer: _Answer) -> bool:
    """Tell whether GitHub failed, rather than refused."""
    return answer.status == 0 or answer.status >= _BROKEN or bool(answer.reason)


def _message(answer: _Answer) -> str:
    """Return what GitHub says about it, in brackets."""
    try:
        value = json.loads(answer.data)
    except (ValueError, RecursionError):
        return ""
    message = value.get("message") if isinstance(value, dict) else None
    return f" ({message[:_MESSAGE_LIMIT]})" if isinstance(message, str) else ""
