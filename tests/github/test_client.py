"""The REST client against an API on the loopback that has its bad days."""

import threading

import pytest

from npugate.github.client import MAX_PAGES, ApiError, Client, Clock, Purpose
from tests.github_api import PATH, Api, Fault, Token, serving

COMMENTS = f"{PATH}/issues/7/comments"
EMPTY = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1800000030"}


class Time:
    """A clock that only a sleep moves."""

    def __init__(self, step: float = 0.0) -> None:
        self.passed = 0.0
        self.step = step
        self.slept: list[float] = []

    def clock(self) -> Clock:
        return Clock(self._now, lambda: 1_800_000_000.0 + self.passed, self._sleep)

    def _now(self) -> float:
        self.passed += self.step
        return self.passed

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += seconds


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def api():
    with serving(Api()) as found:
        yield found


@pytest.fixture
def passing():
    return Time()


@pytest.fixture
def client(api, passing):
    return Client(api.url, "ghs_good", passing.clock())


def test_a_value_is_read_and_written(api, client):
    made = client.send("POST", COMMENTS, {"body": "hello"})
    assert api.bodies() == ["hello"]
    assert list(client.pages(COMMENTS)) == [made]
    assert set(api.secrets) == {"Bearer ghs_good"}


def test_forty_pages_are_read_whole(api, client):
    for number in range(3_950):
        api.say(f"comment {number}", login="someone")
    assert len(list(client.pages(COMMENTS))) == 3_950
    assert len(api.requests) == 40


def test_a_list_without_end_is_no_list_that_was_looked_through(api, client):
    link = {"Link": f'<{api.url}{COMMENTS}>; rel="next"'}
    api.faults = [Fault("GET", status=200, headers=link, body=[], times=1_000)]
    with pytest.raises(ApiError, match=f"more than {MAX_PAGES} pages"):
        list(client.pages(COMMENTS))


@pytest.mark.parametrize(
    ("fault", "waited"),
    [
        (Fault("POST", status=429, headers={"Retry-After": "7"}), [7.0]),
        (Fault("POST", status=403, headers={"Retry-After": "7"}), [7.0]),
        (Fault("POST", status=429), [60.0]),
        (
            Fault("POST", status=403, body={"message": "You exceeded a secondary rate limit."}),
            [60.0],
        ),
        (Fault("POST", status=403, headers=EMPTY), [31.0]),
    ],
)
def test_a_rate_limit_is_waited_for_as_long_as_asked(api, client, passing, fault, waited):
    api.faults = [fault]
    client.send("POST", COMMENTS, {"body": "once"})
    assert passing.slept == waited
    assert api.bodies() == ["once"]


def test_a_limit_that_lasts_longer_than_a_job_waits_is_told(api, client, passing):
    api.faults = [Fault("GET", status=429, headers={"Retry-After": "3600"})]
    with pytest.raises(ApiError, match="rate limit is reached") as caught:
        client.get(COMMENTS)
    assert (caught.value.status, passing.slept) == (429, [])


def test_a_refusal_is_not_tried_again_and_says_what_to_do(api, passing):
    api.tokens["ghs_reads"] = Token(may_write=False)
    client = Client(api.url, "ghs_reads", passing.clock())
    with pytest.raises(ApiError, match=r"403.*pull-requests: write.*not accessible") as caught:
        client.send("POST", COMMENTS, {"body": "x"})
    assert (caught.value.status, caught.value.is_unsure) == (403, False)
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", status=500, times=2),
        Fault("GET", status=503, times=2, body=[1]),
        Fault("GET", cut=3, times=2),
        Fault("GET", cut=0, times=2),
        Fault("GET", drop=True, times=2),
    ],
    ids=["500", "503", "truncated", "empty", "dropped"],
)
def test_a_question_is_asked_again_when_the_answer_is_broken(api, client, passing, fault):
    api.say("there")
    api.faults = [fault]
    assert [item["body"] for item in client.pages(COMMENTS)] == ["there"]
    assert passing.slept == [1.0, 2.0]


def test_a_question_is_asked_four_times_at_most(api, client, passing):
    api.faults = [Fault("GET", status=502, times=100)]
    with pytest.raises(ApiError, match="502: it has a fault of its own"):
        client.get(COMMENTS)
    assert len(api.requests) == 4
    assert passing.slept == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", status=502, is_done=True),
        Fault("POST", status=500),
        Fault("POST", cut=5),
        Fault("POST", drop=True, is_done=True),
    ],
    ids=["502 but done", "500", "truncated", "dropped"],
)
def test_what_creates_something_is_not_repeated_when_nobody_knows(api, client, passing, fault):
    api.faults = [fault]
    with pytest.raises(ApiError) as caught:
        client.send("POST", COMMENTS, {"body": "x"})
    assert caught.value.is_unsure
    assert len(api.requests) == 1
    assert passing.slept == []


def test_an_answer_that_does_not_come_ends_the_wait(api):
    passing = Time()
    client = Client(api.url, "ghs_good", passing.clock())
    passing.passed = 299.9  # of the 300 seconds that a client has
    done = threading.Event()
    api.faults = [Fault("GET", hold=done, times=9)]
    with pytest.raises(ApiError, match="does not answer"):
        client.get(COMMENTS)
    done.set()


def test_an_answer_that_trickles_ends_the_wait(api):
    api.say("x" * 300_000)
    client = Client(api.url, "ghs_good", Time(step=40.0).clock())
    with pytest.raises(ApiError, match="took too long"):
        client.get(COMMENTS)


def test_an_answer_without_end_is_not_kept(api, passing):
    client = Client(api.url, "ghs_good", passing.clock(), Purpose({}, most_bytes=1_000))
    api.say("x" * 2_000)
    with pytest.raises(ApiError, match="longer than 1000 bytes"):
        client.get(COMMENTS)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirection_to_another_host_gets_no_token(api, client, status):
    with serving(Api()) as other:
        to = {"Location": f"{other.url}{COMMENTS}"}
        api.faults = [Fault(method, status=status, headers=to) for method in ("GET", "POST")]
        with pytest.raises(ApiError, match="another host"):
            client.get(COMMENTS)
        with pytest.raises(ApiError, match="302" if status == 302 else "another host"):
            client.send("POST", COMMENTS, {"body": "x"})
        assert other.requests == []


def test_a_next_page_on_another_host_gets_no_token(api, client):
    with serving(Api()) as other:
        link = {"Link": f'<{other.url}{COMMENTS}?page=2>; rel="next"'}
        api.faults = [Fault("GET", status=200, headers=link, body=[])]
        with pytest.raises(ApiError, match="another host"):
            list(client.pages(COMMENTS))
        assert other.requests == []


def test_a_repository_that_moved_is_followed_on_the_same_host(api, client):
    to = {"Location": COMMENTS}
    api.faults = [
        Fault("GET", "/old", status=301, headers=to),
        Fault("POST", "/old", status=307, headers=to),
    ]
    client.send("POST", "/old", {"body": "x"})
    assert [item["body"] for item in client.get("/old")] == ["x"]


def test_a_creation_is_not_turned_into_a_question(api, client):
    api.faults = [Fault("POST", status=302, headers={"Location": COMMENTS})]
    with pytest.raises(ApiError, match="302"):
        client.send("POST", COMMENTS, {"body": "x"})
    assert len(api.requests) == 1


def test_redirections_in_a_circle_end(api, client):
    to = {"Location": "/circle"}
    api.faults = [Fault("GET", "/circle", status=301, headers=to, times=100)]
    with pytest.raises(ApiError, match="301"):
        client.get("/circle")
    assert len(api.requests) == 4


@pytest.mark.parametrize("token", ["", " ", "a b", "a\nX-Evil: 1", "ä"])
def test_a_token_that_is_none_is_not_sent_and_not_shown(token, passing):
    with pytest.raises(ApiError, match="no usable token") as caught:
        Client("https://api.example", token, passing.clock())
    assert not token.strip() or token not in str(caught.value)


@pytest.mark.parametrize("base", ["", "file:///etc/passwd", "ftp://x", "api.github.com"])
def test_only_the_web_is_an_api(base, passing):
    with pytest.raises(ApiError, match="GITHUB_API_URL"):
        Client(base, "ghs_good", passing.clock())


def test_no_failure_shows_the_token(api, passing):
    client = Client(api.url, "ghs_secret", passing.clock())
    with pytest.raises(ApiError, match="not accepted") as caught:
        client.get(COMMENTS)
    assert "ghs_secret" not in str(caught.value)


def test_an_answer_that_is_no_list_is_none(api, client):
    api.faults = [Fault("GET", status=200, body={"message": "x"})]
    with pytest.raises(ApiError, match="is no list"):
        list(client.pages(COMMENTS))
