"""A GitHub API on the loopback: what comments need of it, with its limits and its bad days."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

BODY_LIMIT = 65_536
PATH = "/repos/o/r"


def _git(root: Path, *words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True).stdout


def _commit(root, name):
    parents = _git(root, "rev-parse", f"{name}^{{commit}}^@").decode().split()
    return {"sha": name, "parents": [{"sha": parent} for parent in parents]}


def _compare(root, name):
    base, _, head = name.partition("...")
    merged = _git(root, "merge-base", base, head).decode().strip()
    return {"merge_base_commit": {"sha": merged}, "files": []}


def _tree(root, name):
    rows = []
    for line in _git(root, "ls-tree", "-r", "-t", "-l", "-z", name).decode().split("\0")[:-1]:
        about, path = line.split("\t", 1)
        mode, kind, sha, size = about.split()
        row = {"path": path, "mode": mode, "type": kind, "sha": sha}
        rows.append(row | ({"size": int(size)} if size != "-" else {}))
    return {"sha": name, "tree": rows, "truncated": False}


def _blob(root, name):
    data = _git(root, "cat-file", "blob", name)
    content = base64.encodebytes(data).decode()  # in lines, as GitHub writes it
    return {"sha": name, "size": len(data), "content": content, "encoding": "base64"}


OBJECTS = {"git/commits": _commit, "compare": _compare, "git/trees": _tree, "git/blobs": _blob}


@dataclass
class Token:
    """Who asks, and what they may do."""

    login: str = "github-actions[bot]"
    may_read: bool = True
    may_write: bool = True
    is_app: bool = True  # may not ask who it is


@dataclass
class Fault:
    """What goes wrong with one request.

    Attributes:
        method, path: of the requests it is for; the path is a pattern.
        status: answered instead.
        is_done: whether the request is carried out all the same.
        times: how often.
        cut: the real answer, but only so much of its body.
        drop: the connection ends without an answer.
        hold: the answer waits for this.
        body: answered instead of a message.
    """

    method: str
    path: str = ".*"
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    is_done: bool = False
    times: int = 1
    cut: int | None = None
    drop: bool = False
    hold: threading.Event | None = None
    body: object = None


@dataclass
class Api:
    """A repository ``o/r`` with pull requests, behind an address on the loopback."""

    tokens: dict[str, Token] = field(default_factory=lambda: {"ghs_good": Token()})
    issue: dict[int, dict] = field(default_factory=dict)
    review: dict[int, dict] = field(default_factory=dict)
    files: list[dict] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    seen: list[tuple[str, dict]] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    prefix: str = ""  # GHES: /api/v3
    head: str = "a" * 40
    url: str = ""
    after: Callable[[], None] | None = None  # called once, when something was created
    number: int = 1_000
    repository: Path | None = None  # whose commits, trees and blobs are told

    def say(self, body: str, login: str = "github-actions[bot]", where: str = "issue", **more):
        """Write a comment as somebody did before the run."""
        self.number += 1
        comment = {"id": self.number, "body": body, "user": {"login": login, "type": "Bot"}, **more}
        getattr(self, where)[self.number] = comment
        return comment

    def bodies(self, where: str = "issue") -> list[str]:
        return [comment["body"] for comment in getattr(self, where).values()]

    def wrote(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.requests if method != "GET"]


@contextmanager
def serving(api: Api) -> Iterator[Api]:
    """Serve an API until the block ends."""

    class Handler(_Handler):
        state = api

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_port}{api.prefix}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Api

    def log_message(self, *args) -> None:
        """Stay quiet."""

    def _handle(self) -> None:
        api = self.state
        parts = urlsplit(self.path)
        path = parts.path.removeprefix(api.prefix)
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        api.requests.append((self.command, path))
        api.secrets.append(self.headers.get("Authorization", ""))
        if body is not None:
            api.seen.append((path, body))
        fault = next(
            (
                f
                for f in api.faults
                if f.times and f.method == self.command and re.fullmatch(f.path, path)
            ),
            None,
        )
        if fault is None:
            self._answer(*self._respond(path, parse_qs(parts.query), body))
            return
        fault.times -= 1
        real = (500, {}, None)
        if fault.is_done or fault.cut is not None:
            real = self._respond(path, parse_qs(parts.query), body)
        if fault.hold is not None:
            fault.hold.wait(10)
        if fault.drop or fault.hold:
            self.close_connection = True
        elif fault.cut is not None:
            self._answer(*real, cut=fault.cut)
        else:
            told = {"message": "a bad day"} if fault.body is None else fault.body
            self._answer(fault.status, fault.headers, told)

    do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815  # the names http.server calls

    def _answer(self, status, headers, value, cut=None) -> None:
        data = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if cut is not None:
            data = data[:cut]
            self.close_connection = True
        self.wfile.write(data)

    def _respond(self, path, query, body):
        token = self.state.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        refusal = self._refusal(path, token)
        if refusal is not None:
            return refusal
        if path == "/user":
            return 200, {}, {"login": token.login}
        if self.command == "GET":
            found = self._object(path.removeprefix(f"{PATH}/"))
            return self._list(path, query) if found is None else found
        if self.command == "POST":
            return self._create(path, body, token)
        return self._change(path, body)

    def _refusal(self, path, token):
        if token is None:
            return 401, {}, {"message": "Bad credentials"}
        if not self.headers.get("User-Agent") or "vnd.github" not in self.headers.get("Accept", ""):
            return 415, {}, {"message": "headers"}
        is_user = path == "/user"
        if not is_user and not token.may_read:
            return 404, {}, {"message": "Not Found"}
        if (is_user and token.is_app) or (self.command != "GET" and not token.may_write):
            return 403, {}, {"message": "Resource not accessible by integration"}
        return None

    def _object(self, path):
        """Answer for what a repository holds, by git; None when something else is asked for."""
        root = self.state.repository
        kind, _, name = path.rpartition("/")
        if root is None or kind not in OBJECTS:
            return None
        try:
            return 200, {}, OBJECTS[kind](root, name)
        except subprocess.CalledProcessError:
            return 404, {}, {"message": "Not Found"}

    def _list(self, path, query):
        api = self.state
        lists = {
            f"{PATH}/issues/7/comments": list(api.issue.values()),
            f"{PATH}/pulls/7/comments": list(api.review.values()),
            f"{PATH}/pulls/7/files": api.files[:3000],
        }
        if path not in lists:
            return 404, {}, {"message": "Not Found"}
        items = lists[path]
        size = min(int(query.get("per_page", ["30"])[0]), 100)
        page = int(query.get("page", ["1"])[0])
        links = {}
        if page * size < len(items):
            following = f"{api.url}{path}?per_page={size}&page={page + 1}"
            last = f"{api.url}{path}?per_page={size}&page={-(-len(items) // size)}"
            links = {"Link": f'<{following}>; rel="next", <{last}>; rel="last"'}
        return 200, links, items[(page - 1) * size : page * size]

    def _create(self, path, body, token):
        api = self.state
        text = body.get("body") if isinstance(body, dict) else None
        if not isinstance(text, str) or not text or len(text) > BODY_LIMIT:
            return 422, {}, {"message": "Body is too long (maximum is 65536 characters)"}
        after, api.after = api.after, None
        if after is not None:
            after()
        if path == f"{PATH}/issues/7/comments":
            return 201, {}, api.say(text, token.login)
        if path != f"{PATH}/pulls/7/comments":
            return 404, {}, {"message": "Not Found"}
        named = {item["filename"] for item in api.files[:3000]}
        if body.get("subject_type") != "file" or set(body) - {
            "body", "commit_id", "path", "subject_type",
        }:  # fmt: skip
            return 422, {}, {"message": "line is missing"}
        if body.get("commit_id") != api.head or body.get("path") not in named:
            return 422, {}, {"message": "path could not be resolved"}
        return 201, {}, api.say(text, token.login, "review", path=body["path"])

    def _change(self, path, body):
        api = self.state
        match = re.fullmatch(rf"{PATH}/(issues|pulls)/comments/(\d+)", path)
        there = {"issues": api.issue, "pulls": api.review}[match[1]] if match else {}
        number = int(match[2]) if match else 0
        if number not in there:
            return 404, {}, {"message": "Not Found"}
        if self.command == "DELETE":
            del there[number]
            return 204, {}, None
        if not isinstance(body.get("body"), str) or len(body["body"]) > BODY_LIMIT:
            return 422, {}, {"message": "Body is too long (maximum is 65536 characters)"}
        there[number]["body"] = body["body"]
        return 200, {}, there[number]
