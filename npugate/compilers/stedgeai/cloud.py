"""ST's Developer Cloud: sign in, upload, analyse or measure on a board, fetch the result.

Experimental: it follows the routes that ST's own open client uses, and is proved against a server
of ours on the loopback interface, never against ST's. The model leaves your machine.

Credentials come from the environment only: ``STM32AI_ACCESS_TOKEN``, or ``STM32AI_USERNAME`` and
``STM32AI_PASSWORD`` with ``STM32AI_CLIENT_ID``, the id that ST's open client signs in with.
``STM32AI_URL`` and ``STM32AI_SSO_URL`` name other servers,
``STM32AI_BOARD`` asks for a measurement on that board.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from npugate.compilers.stedgeai import invocation, web
from npugate.compilers.stedgeai.invocation import BackEnd, Request
from npugate.compilers.stedgeai.record import FILE_BYTES, Ended, Output
from npugate.compilers.stedgeai.web import Account, CloudError, Session
from npugate.errors import NpugateError, UsageError

BASE: Final = "https://stedgeai-dc.st.com"
SSO: Final = "https://sso.st.com"

_POLL_SECONDS: Final = 2.0
_VERSIONS: Final = "/assets/versions.json"


class _Cloud(Struct, frozen=True):
    """What a call needs.

    Attributes:
        endpoint: path of the service of one version.
        board: name of the board to measure on; empty to analyse only.
    """

    session: Session
    endpoint: str
    version: str
    board: str
    sleep: Callable[[float], None] = time.sleep


def open_cloud(
    environment: Mapping[str, str], sleep: Callable[[float], None] = time.sleep
) -> BackEnd:
    """Sign in and choose the newest version that has the NPU compiler.

    Raises:
        UsageError: there are no credentials.
        CloudError: the server refuses or does not answer.
    """
    session = Session(environment.get("STM32AI_URL") or BASE)
    token = environment.get("STM32AI_ACCESS_TOKEN", "")
    if not token:
        token = web.sign_in(session, _account(environment))
    session.token = token
    version, endpoint = _newest(session)
    board = environment.get("STM32AI_BOARD", "")
    cloud = _Cloud(session, endpoint, version, board, sleep)
    return BackEnd("cloud", version, partial(_compile, cloud))


def _account(environment: Mapping[str, str]) -> Account:
    names = ("STM32AI_CLIENT_ID", "STM32AI_USERNAME", "STM32AI_PASSWORD")
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise UsageError(
            "--stedgeai cloud needs STM32AI_ACCESS_TOKEN in the environment, or all of "
            f"{', '.join(names)}; missing: {', '.join(missing)}"
        )
    client, user, password = (environment[name] for name in names)
    return Account(environment.get("STM32AI_SSO_URL") or SSO, client, user, password)


def _newest(session: Session) -> tuple[str, str]:
    """Return the version and the path of its service."""
    rows = session.get(_VERSIONS)
    found = [
        row
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict) and row.get("supportsNeuralArt") and row.get("version")
    ]
    if not found:
        raise CloudError("the cloud offers no version with the NPU compiler")
    row = next((row for row in found if row.get("isLatest")), found[-1])
    version = str(row["version"])
    return version, f"/api/{quote(str(row.get('endpoint') or version).strip('/'))}/stm32ai"


def _compile(cloud: _Cloud, request: Request) -> Output:
    start = monotonic()
    try:
        data = request.model.read_bytes()
        if request.beside:
            raise CloudError("a model with weights in other files cannot be sent")
        result = _asked(cloud, request, data)
    except NpugateError as error:
        return Output("cloud", Ended.NOT_STARTED, reason=f"the cloud gave no result: {error}")
    except OSError as error:
        return Output("cloud", Ended.NOT_STARTED, reason=f"the model cannot be read: {error}")
    failure = result.get("error")
    if failure:
        text = f"ST Edge AI Core v{cloud.version}\n{_words(failure)}\n".encode()
        return Output("cloud", Ended.EXIT, 255, text, {}, cloud.version, "", monotonic() - start)
    files = {
        name: json.dumps(part).encode()
        for name, part in (
            ("network_c_info.json", result.get("info")),
            ("network_report.json", result.get("report")),
        )
        if isinstance(part, dict)
    }
    return Output("cloud", Ended.EXIT, 0, b"", files, cloud.version, "", monotonic() - start)


def _words(failure: object) -> str:
    """Return a failure in words, in a form that is read like the tool's own."""
    text = failure if isinstance(failure, str) else json.dumps(failure)
    return text[:FILE_BYTES]


def _asked(cloud: _Cloud, request: Request, data: bytes) -> Mapping[str, object]:
    name = f"{invocation.stem(request.model)}.onnx"
    settings = {
        "model": name,
        "target": invocation.TARGET,
        "stNeuralArt": request.profile.partition("@")[0] or "default",
        "inputDataType": request.shape.input_type or None,
        "outputDataType": request.shape.output_type or None,
        "inputsChPosition": request.shape.input_position or None,
        "outputsChPosition": request.shape.output_position or None,
    }
    arguments = {key: value for key, value in settings.items() if value is not None}
    deadline = monotonic() + request.seconds
    if cloud.board:
        return _measured(cloud, arguments, name, data, deadline)
    body = cloud.session.upload(
        f"{cloud.endpoint}/analyze", {"args": json.dumps(arguments)}, {"model": (name, data)}
    )
    run = _text(body, "runtimeId")
    return _polled(cloud, f"{cloud.endpoint}/run/{quote(run, safe='')}", deadline)


def _measured(
    cloud: _Cloud, arguments: Mapping[str, object], name: str, data: bytes, deadline: float
) -> Mapping[str, object]:
    """Upload the model, run it on a board, return what the board said."""
    cloud.session.upload("/api/file/files/models", {}, {"file": (name, data)})
    board = quote(cloud.board.lower(), safe="")
    body = cloud.session.post(f"/api/benchmark/benchmark/{board}", arguments)
    run = _text(body, "benchmarkId")
    found = _polled(cloud, f"/api/benchmark/benchmark/{quote(run, safe='')}", deadline)
    inner = found.get("benchmark")
    return inner if isinstance(inner, dict) else found


def _polled(cloud: _Cloud, path: str, deadline: float) -> Mapping[str, object]:
    """Ask until there is a result.

    Raises:
        CloudError: the time is over.
    """
    while monotonic() < deadline:
        body = cloud.session.get(path)
        if not isinstance(body, dict):
            raise CloudError(f"{path}: no object")
        state = str(body.get("state", "")).lower()
        if state == "error":
            return {"error": body.get("message") or body.get("error") or "no reason given"}
        result = body.get("result")
        if isinstance(result, dict):
            return result
        if state == "done":
            return body
        cloud.sleep(_POLL_SECONDS)
    raise CloudError("no result in time")


def _text(body: object, key: str) -> str:
    value = body.get(key) if isinstance(body, dict) else None
    if not isinstance(value, str) or not value:
        raise CloudError(f"the answer has no {key}")
    return value
