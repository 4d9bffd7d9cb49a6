"""A server on the loopback interface that behaves as ST's open client expects of the cloud."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "token-of-the-test"
VERSIONS = [
    {"version": "8.1.0", "endpoint": "8.1.0", "isLatest": False, "supportsNeuralArt": False},
    {"version": "2.2.0", "endpoint": "2.2.0", "isLatest": False, "supportsNeuralArt": True},
    {"version": "4.0.1", "endpoint": "4.0.1", "isLatest": True, "supportsNeuralArt": True},
]


class Cloud(ThreadingHTTPServer):
    """The server and what it saw.

    Attributes:
        seen: (method, path, headers, body) of each call.
        answer: the last word about a run.
        polls: how often a run is still busy before that.
        form_action: where the login page sends the password.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen = []
        self.answer = {"state": "done", "result": {}}
        self.polls = 2
        self.form_action = "/cas/login"
        self.broken = ""

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Cloud

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._serve(b"")

    def do_POST(self):
        self._serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _serve(self, body):
        place = urlsplit(self.path)
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        if self.server.broken and self.server.broken in place.path:
            self._send(500, b"secret stack trace", "text/plain")
        elif place.path.startswith(("/as/", "/cas/")):
            self._login(place, body)
        elif place.path == "/assets/versions.json":
            self._json(VERSIONS)
        elif place.path == "/api/user_service/login/callback":
            self._json({"access_token": TOKEN} if b"code=the-code" in body else {})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, b"", "text/plain")
        else:
            self._work(place.path)

    def _login(self, place, body):
        if place.path == "/as/authorization.oauth2":
            back = parse_qs(place.query)["redirect_uri"][0]
            self._send(302, b"", "text/html", f"/cas/login?back={back}")
        elif self.command == "GET":
            page = (
                f'<html><form id="f" action="{self.server.form_action}" method="post">'
                '<input name="lt" value="LT&amp;1"/><input type="hidden" name="x" value="y">'
            )
            self._send(200, page.encode(), "text/html")
        elif parse_qs(body.decode()).get("password") == ["right"]:
            back = f"{self.server.address}/api/user_service/login/callback"
            self._send(302, b"", "text/html", f"{back}?code=the-code")
        else:
            self._send(200, b"wrong", "text/html")

    def _work(self, path):
        if path.endswith("/analyze"):
            self._json({"runtimeId": "run/1"})
        elif path == "/api/file/files/models":
            self._json({"upload": True})
        elif self.command == "POST":
            self._json({"benchmarkId": "b1"})
        elif self.server.polls:
            self.server.polls -= 1
            self._json({"state": "in_queue"})
        else:
            self._json(self.server.answer)

    def _json(self, value):
        self._send(200, json.dumps(value).encode(), "application/json")

    def _send(self, status, body, kind, location=""):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)
