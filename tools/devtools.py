"""A headless Chromium over a pair of pipes: navigate, run a program, take a picture."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_ANSWER_SECONDS: Final = 60.0
_DRAWN: Final = "new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)))"
_POLL_SECONDS: Final = 0.02
_READ, _WRITE = 3, 4  # the descriptors on which the browser listens and answers


class BrowserError(Exception):
    """The browser did not do what it was asked."""


def find() -> str | None:
    """Return the path of a browser; None when there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page of a browser that was started for it.

    Attributes:
        complaints: what the page wrote to its console, or threw, since it was opened.
        requests: addresses that it asked for.
    """

    def __init__(self, program: str, width: int = 1400, height: int = 1000) -> None:
        """Start the browser; nothing of a profile is kept."""
        # Its own children may still write there for a moment after it has ended.
        self._folder = tempfile.TemporaryDirectory("npugate-page", ignore_cleanup_errors=True)
        there, self._out = os.pipe()
        self._in, back = os.pipe()
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        options += [f"--window-size={width},{height}", f"--user-data-dir={self._folder.name}"]
        self._process = subprocess.Popen(  # noqa: S603 - the browser that was found, and our options
            [
                "/bin/sh",
                "-c",
                f'exec "$0" "$@" {_READ}<&{there} {_WRITE}>&{back}',
                program,
                *options,
            ],
            pass_fds=(there, back),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(there)
        os.close(back)
        self._number = 0
        self._left = b""
        self._session = ""
        self._loaded = False
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def __enter__(self) -> Self:
        """Return the browser."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        os.close(self._out)
        self._process.terminate()
        self._process.wait()
        os.close(self._in)
        self._folder.cleanup()

    def ask(self, method: str, **parameters: Any) -> Mapping[str, Any]:  # noqa: ANN401 - JSON
        """Send a command and return its answer.

        Raises:
            BrowserError: it refused, or was silent for a minute.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < until:
            told = self._next()
            if told.get("id") == self._number:
                if "error" in told:
                    raise BrowserError(f"{method}: {told['error']['message']}")
                found: Mapping[str, Any] = told["result"]
                return found
            self._note(told)
        raise BrowserError(f"{method}: no answer")

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            data = os.read(self._in, 1 << 20)
            if not data:
                raise BrowserError("the browser ended")
            self._left += data
        line, _, self._left = self._left.partition(b"\0")
        told: dict[str, Any] = json.loads(line)
        return told

    def _note(self, told: Mapping[str, Any]) -> None:
        method, parameters = told.get("method", ""), told.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            detail = parameters["exceptionDetails"]
            self.complaints.append(detail.get("exception", {}).get("description", detail["text"]))
        elif method == "Runtime.consoleAPICalled":
            texts = (str(item.get("value", "")) for item in parameters["args"])
            self.complaints.append(f"{parameters['type']}: {' '.join(texts)}")
        elif method == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])

    def open(self, page: Path) -> float:
        """Open a file and return the seconds until it had drawn itself.

        Raises:
            BrowserError: it never did.
        """
        self.complaints.clear()
        self.requests.clear()
        self._loaded = False
        start = time.monotonic()
        self.ask("Page.navigate", url=page.resolve().as_uri())
        while time.monotonic() - start < _ANSWER_SECONDS:
            if self.run("document.documentElement?.dataset.ready ?? ''") and self._loaded:
                self.run(_DRAWN)
                return time.monotonic() - start
            if self.complaints and self._loaded:
                raise BrowserError("; ".join(self.complaints))
            time.sleep(_POLL_SECONDS)
        raise BrowserError("the page was not ready in a minute")

    def run(self, program: str) -> Any:  # noqa: ANN401 - whatever the program returns
        """Run a program in the page and return its value.

        Raises:
            BrowserError: it threw.
        """
        told = self.ask(
            "Runtime.evaluate", expression=program, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in told:
            detail = told["exceptionDetails"]
            raise BrowserError(detail.get("exception", {}).get("description", detail["text"]))
        return told["result"].get("value")

    def becomes(self, program: str) -> bool:
        """Tell whether a program returns true within a second."""
        until = time.monotonic() + 1
        while time.monotonic() < until:
            if self.run(program) is True:
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def dark(self, *, on: bool) -> None:
        """Make the system prefer dark pages, or light ones."""
        value = "dark" if on else "light"
        features = [{"name": "prefers-color-scheme", "value": value}]
        self.ask("Emulation.setEmulatedMedia", features=features)
        self.run(_DRAWN)

    def picture(self, path: Path, element: str = "body") -> None:
        """Write the whole page, or the first element of a selector, as a PNG."""
        place = "[box.x + scrollX, box.y + scrollY, box.width, box.height]"
        found = f"document.querySelector({json.dumps(element)}).getBoundingClientRect()"
        box = self.run(f"(() => {{ const box = {found}; return {place}; }})()")
        clip = {"x": box[0], "y": box[1], "width": box[2], "height": min(box[3], 8000), "scale": 1}
        told = self.ask("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(told["data"]))
