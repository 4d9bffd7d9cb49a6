"""HTTP for the Developer Cloud: JSON in and out, bounded, the token for one host only."""

from __future__ import annotations

import html.parser
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage
from http.cookiejar import CookieJar
from typing import IO, Final
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from npugate.errors import NpugateError

CALLBACK: Final = "/api/user_service/login/callback"

_SECONDS: Final = 60.0
_ANSWER_BYTES: Final = 64 * 1024 * 1024
_REDIRECTS: Final = 10
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_MOVED: Final = frozenset({301, 302, 303, 307, 308})


class CloudError(NpugateError):
    """The cloud refuses, does not answer, or answers something else than documented."""


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect by itself: each is looked at first."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        """Return none."""


class Session:
    """Calls to one server; the token goes there and nowhere else, and into no message."""

    def __init__(self, base: str) -> None:
        """Take the server's address; it must be https unless it is this machine."""
        self.base = checked(base).rstrip("/")
        self.token = ""
        self._opener = urllib.request.build_opener(
            _Stay, urllib.request.HTTPCookieProcessor(CookieJar())
        )

    def get(self, path: str) -> object:
        """Return the JSON that a path answers.

        Raises:
            CloudError: it refuses, does not answer, or answers no JSON.
        """
        return self._json(path, None, {})

    def post(self, path: str, body: Mapping[str, object]) -> object:
        """Send JSON and return the JSON of the answer, as ``get`` does."""
        return self._json(path, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def form(self, path: str, values: Mapping[str, str]) -> object:
        """Send a form and return the JSON of the answer, as ``get`` does."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._json(path, urlencode(values).encode(), kind)

    def upload(
        self, path: str, values: Mapping[str, str], parts: Mapping[str, tuple[str, bytes]]
    ) -> object:
        """Send a form with files and return the JSON of the answer, as ``get`` does."""
        mark = secrets.token_hex(16)
        body = b"".join(_pieces(mark, values, parts))
        return self._json(path, body, {"Content-Type": f"multipart/form-data; boundary={mark}"})

    def _json(self, path: str, data: bytes | None, headers: dict[str, str]) -> object:
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        _, _, body = self.open(f"{self.base}{path}", data, headers)
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise CloudError(f"{path}: the answer is no JSON") from error

    def open(
        self, address: str, data: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, str, bytes]:
        """Make one call; return its status, where it redirects to, and its body.

        Raises:
            CloudError: it refuses or does not answer.
        """
        path = urlsplit(address).path
        request = urllib.request.Request(checked(address), data, dict(headers))  # noqa: S310 - checked above
        try:
            with self._opener.open(request, timeout=_SECONDS) as answer:
                return answer.status, "", _body(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in _MOVED:
                    return error.code, error.headers.get("Location", ""), b""
                raise CloudError(f"{path}: status {error.code}") from None
        except (OSError, HTTPException, ValueError) as error:
            raise CloudError(f"{path}: {type(error).__name__}") from None


def checked(address: str) -> str:
    """Return an address that a credential may be sent to.

    Raises:
        CloudError: it is neither https nor this machine.
    """
    parts = urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return address
    raise CloudError(f"{parts.scheme}://{parts.hostname or ''}: only https is used")


def _body(answer: IO[bytes]) -> bytes:
    body = answer.read(_ANSWER_BYTES + 1)
    if len(body) > _ANSWER_BYTES:
        raise CloudError("the answer is too long")
    return body


def _pieces(
    mark: str, values: Mapping[str, str], parts: Mapping[str, tuple[str, bytes]]
) -> list[bytes]:
    found: list[bytes] = []
    for name, value in values.items():
        head = f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        found.append(f"{head}{value}\r\n".encode())
    for name, (filename, data) in parts.items():
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        found += [head.encode(), data, b"\r\n"]
    return [*found, f"--{mark}--\r\n".encode()]


class _Form(html.parser.HTMLParser):
    """The first form of a page: where it goes and its hidden fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.hidden: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        if tag == "form" and self.action is None:
            self.action = found.get("action", "")
        is_hidden = found.get("type") == "hidden" or found.get("name") == "lt"
        if tag == "input" and is_hidden and found.get("name"):
            self.hidden[found["name"]] = found.get("value", "")


@dataclass(frozen=True, slots=True)  # no Struct: these leave secrets out of their repr
class Account:
    """Who signs in, and as which program; no text is ever made of it.

    Attributes:
        sso: address of the sign-in server.
        client: id of the program, as ST gave it to its own client.
    """

    sso: str
    client: str = field(repr=False)
    user: str = field(repr=False)
    password: str = field(repr=False)


def sign_in(session: Session, account: Account) -> str:
    """Sign in as ST's own client does, by its login page; return the access token.

    Raises:
        CloudError: the page is another than expected, or the password is refused.
    """
    callback = f"{session.base}{CALLBACK}"
    query = {
        "response_type": "code",
        "client_id": account.client,
        "scope": "openid",
        "redirect_uri": callback,
        "response_mode": "query",
    }
    start = f"{checked(account.sso).rstrip('/')}/as/authorization.oauth2?{urlencode(query)}"
    address, page = _followed(session, start, None, callback)
    form = _Form()
    form.feed(page.decode("utf-8", "replace"))
    if form.action is None:
        raise CloudError("the login page has no form")
    who = {"username": account.user, "password": account.password, "_eventId": "Login"}
    fields = {**form.hidden, **who}
    target = urljoin(address, form.action)
    if _owner(target) != _owner(account.sso):
        raise CloudError("the login page sends the password to another host")
    address, _ = _followed(session, target, urlencode(fields).encode(), callback)
    code = parse_qs(urlsplit(address).query).get("code", [""])[0]
    if not code:
        raise CloudError("the login was refused")
    body = session.form(CALLBACK, {"redirect_url": callback, "code": code})
    token = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(token, str) or not token:
        raise CloudError("the login gave no token")
    return token


def _owner(address: str) -> str:
    """Return whose host it is, ``st.com`` for ``my.st.com``; an address in numbers is itself."""
    host = urlsplit(address).hostname or ""
    return host if host in _LOOPBACK else ".".join(host.split(".")[-2:])


def _followed(session: Session, address: str, data: bytes | None, stop: str) -> tuple[str, bytes]:
    """Follow redirects up to the callback, which is not called; return the last page."""
    for _ in range(_REDIRECTS):
        status, location, body = session.open(address, data, {})
        if status not in _MOVED:
            return address, body
        address, data = urljoin(address, location), None
        if address.startswith(stop):
            return address, b""
    raise CloudError("the login redirects without end")
