"""The client of ST's cloud, against a server of ours that behaves as their client expects."""

import json

import pytest

from npugate.compilers.stedgeai import cloud, info, verdict
from npugate.compilers.stedgeai.invocation import Request, Shape
from npugate.compilers.stedgeai.web import CloudError
from npugate.errors import UsageError
from npugate.report.compiled import Asked, State
from tests import stedgeai_tool as tool
from tests.stedgeai_cloud import TOKEN, Cloud
from tests.stedgeai_tool import SAMPLES

INFO = json.loads((SAMPLES / "sample_c_info.json").read_text())


@pytest.fixture
def server():
    with Cloud() as running:
        yield running


@pytest.fixture
def model(tmp_path):
    return tool.model(tmp_path / "my net.onnx")


def account(server, password="right"):  # noqa: S107 - it opens nothing
    return {
        "STM32AI_URL": server.address,
        "STM32AI_SSO_URL": server.address,
        "STM32AI_CLIENT_ID": "client",
        "STM32AI_USERNAME": "somebody",
        "STM32AI_PASSWORD": password,
    }


def token(server, **more):
    return {"STM32AI_URL": server.address, "STM32AI_ACCESS_TOKEN": TOKEN, **more}


def opened(environment):
    return cloud.open_cloud(environment, sleep=lambda _seconds: None)


def test_a_password_is_turned_into_a_token_as_sts_own_client_does(server):
    back_end = opened(account(server))
    assert (back_end.name, back_end.version) == ("cloud", "4.0.1")
    logins = [body for _, path, _, body in server.seen if path == "/cas/login"]
    assert logins == [b"lt=LT%261&x=y&username=somebody&password=right&_eventId=Login"]
    assert not any("right" in path for _, path, _, _ in server.seen), "never in an address"


def test_a_wrong_password_is_told_without_it(server):
    with pytest.raises(CloudError, match="the login was refused") as raised:
        opened(account(server, "wrong-password"))
    assert "wrong-password" not in str(raised.value)


@pytest.mark.parametrize("action", ["https://evil.example/login", "https://127.0.0.1.example/"])
def test_a_login_page_that_sends_the_password_elsewhere_is_refused(server, action):
    server.form_action = action
    with pytest.raises(CloudError, match="to another host"):
        opened(account(server))
    assert not any(b"right" in body for _, _, _, body in server.seen)


def test_credentials_that_are_missing_are_named():
    with pytest.raises(UsageError, match="missing: STM32AI_CLIENT_ID, STM32AI_PASSWORD"):
        opened({"STM32AI_USERNAME": "somebody"})


def test_a_token_is_sent_over_https_only():
    with pytest.raises(CloudError, match="only https"):
        opened({"STM32AI_URL": "http://example.com", "STM32AI_ACCESS_TOKEN": TOKEN})


def test_an_analysis_is_polled_and_read(server, model):
    server.answer = {"state": "done", "result": {"info": INFO, "report": {"report_version": 1.1}}}
    back_end = opened(token(server))
    output = back_end.compile(Request(model, shape=Shape(input_type="uint8"), profile="fast@x"))
    assert (output.back_end, output.status, output.version) == ("cloud", 0, "4.0.1")
    assert info.read(output.files["network_c_info.json"]).weights == 41473
    (form,) = [body for _, path, _, body in server.seen if path.endswith("/analyze")]
    assert b'filename="my_net.onnx"' in form
    assert b'{"model": "my_net.onnx", "target": "stm32n6", "stNeuralArt": "fast", ' in form
    assert b'"inputDataType": "uint8"' in form
    assert model.read_bytes() in form
    assert server.polls == 0
    paths = [path for _, path, _, _ in server.seen]
    assert paths[-1] == "/api/4.0.1/stm32ai/run/run%2F1"
    answer = verdict.verdict_of(Asked("a", model), output)
    assert answer.compiled.state is State.COMPILED


def test_a_failure_of_the_cloud_is_judged_as_one_of_the_tool(server, model):
    server.answer = {"state": "error", "message": "INTERNAL ERROR: Mismatch in channel position"}
    output = opened(token(server)).compile(Request(model))
    answer = verdict.verdict_of(Asked("a", model), output)
    assert answer.compiled.state is State.REFUSED
    assert answer.compiled.known == ("channel-position",)


def test_a_board_is_asked_where_one_is_named(server, model):
    server.answer = {
        "state": "done",
        "benchmark": {
            "info": {**INFO, "aton_execution_time": [{"duration_ms": 1.5, "counters": [1, 2, 3]}]}
        },
    }
    output = opened(token(server, STM32AI_BOARD="STM32N6570-DK")).compile(Request(model))
    assert info.read(output.files["network_c_info.json"]).timing.milliseconds == 1.5
    calls = [(method, path) for method, path, _, _ in server.seen]
    assert ("POST", "/api/benchmark/benchmark/stm32n6570-dk") in calls
    assert ("POST", "/api/file/files/models") in calls


@pytest.mark.parametrize("broken", ["/analyze", "/run/"])
def test_a_server_that_fails_is_no_verdict_and_its_words_stay_out(server, model, broken):
    server.broken = broken
    output = opened(token(server)).compile(Request(model))
    answer = verdict.verdict_of(Asked("a", model), output)
    assert answer.compiled.state is State.NOT_RUN
    assert "status 500" in answer.compiled.reason
    assert "stack trace" not in answer.compiled.reason
    assert TOKEN not in answer.compiled.reason
    assert answer.hits == ()


def test_a_run_that_never_ends_is_given_up(server, model):
    server.polls = 10**9
    output = opened(token(server)).compile(Request(model, seconds=0.2))
    assert "no result in time" in output.reason


def test_a_wrong_token_is_no_verdict(server, model):
    output = opened({**token(server), "STM32AI_ACCESS_TOKEN": "other"}).compile(Request(model))
    assert "status 401" in output.reason


def test_weights_beside_the_model_are_not_sent(server, model):
    output = opened(token(server)).compile(Request(model, beside=("w.bin",)))
    assert "weights in other files" in output.reason


def test_a_server_that_is_not_there_is_told():
    with pytest.raises(CloudError, match="URLError"):
        opened({"STM32AI_URL": "http://127.0.0.1:9", "STM32AI_ACCESS_TOKEN": TOKEN})
