"""The comments on a pull request, against an API on the loopback with its limits and bad days."""

import copy
import json
import re

import pytest
from msgspec.structs import replace

from npugate.github import log, pages, places, threads
from npugate.report.values import Report
from npugate.reporters import REPORTERS
from tests.comment_step import ARTIFACT, Step, api, no_proxy, step
from tests.github_api import BODY_LIMIT, PATH, Api, Fault, Token, serving
from tests.reporters.test_hostile_names import BLOB, assert_page_is_inert
from tests.sample_report import ALL_HOSTILE, CLEAN, HOSTILE, REPORT, conv, hostile, of

__all__ = ["api", "no_proxy", "step"]

CONVERSATION = f"{PATH}/issues/7/comments"
MARKER = threads.marker("comment", "")
OWN_LINKS = re.compile(
    r"\[(the run|all reports)\]\(https://github\.com/o/r/actions/runs/100(/artifacts/5)?\)"
)


# -- one comment, kept up to date ----------------------------------------------------------------


def test_the_first_run_writes_the_comment_and_the_next_updates_it(api, step):
    step.run(REPORT)
    assert step.body.startswith(f"{MARKER}\n<!-- run 100.1 -->\n\n## ❌ npugate: FAIL\n")
    assert f"[all reports]({ARTIFACT})" in step.body
    assert "[the run](https://github.com/o/r/actions/runs/100)" in step.body
    assert f"commit <code>{'a' * 12}</code>" in step.body
    assert (
        f"https://github.com/o/r/blob/{'c' * 40}/examples/rppg/model_4d_stm32.py#L27" in step.body
    )
    step.run(CLEAN, GITHUB_RUN_ID="101")
    assert "## ✅ npugate: PASS" in step.body
    assert [method for method, _ in api.wrote()] == ["POST", "PATCH"]


def test_the_comment_says_what_the_summary_says(step):
    step.run(REPORT)
    page = REPORTERS["markdown"](REPORT)
    told = re.sub(r"\[(<code>[^<]*</code>)\]\([^)]*\)", r"\1", step.body)
    assert page.strip() in told


@pytest.mark.parametrize("name", ["", "leg-1", "a--b", "x" * 64])
def test_each_name_has_its_own_comment(api, step, name):
    step.run(REPORT, INPUT_NAME="other")
    step.run(REPORT, INPUT_NAME=name)
    step.run(REPORT, INPUT_NAME=name, GITHUB_RUN_ID="101")
    assert len(api.bodies()) == 2
    for body in api.bodies():
        assert re.fullmatch(r"<!-- npugate comment [0-9a-f]{16} -->", body.splitlines()[0])


def test_only_our_own_comment_is_updated(api, step):
    stranger = api.say(f"{MARKER}\nmine", login="stranger")
    quoted = api.say(f"> {MARKER}\nsee above")
    other = api.say(f"{threads.marker('comment', 'leg')}\nanother leg")
    before = [dict(item) for item in (stranger, quoted, other)]
    step.run(REPORT)
    assert [stranger, quoted, other] == before
    assert len(api.bodies()) == 4


def test_a_token_of_a_person_or_another_app_writes_under_its_own_name(api, step):
    api.tokens["ghp_person"] = Token(login="Maintainer", is_app=False)
    bot = api.say(f"{MARKER}\nof the job's own token")
    for number in ("100", "101"):
        step.run(REPORT, GITHUB_TOKEN="ghp_person", GITHUB_RUN_ID=number)
    assert bot["body"].endswith("of the job's own token")
    assert [c["user"]["login"] for c in api.issue.values()].count("Maintainer") == 1


def test_forty_pages_of_comments_are_looked_through(api, step):
    for number in range(3_950):
        api.say(f"comment {number}", login=f"user{number % 7}")
    step.run(REPORT)
    assert len(api.bodies()) == 3_951
    step.run(CLEAN, GITHUB_RUN_ID="101")
    assert len(api.bodies()) == 3_951
    assert "PASS" in step.body


def test_a_run_that_was_overtaken_leaves_the_later_verdict(api, step):
    step.run(CLEAN, GITHUB_RUN_ID="101")
    assert "a later run has written it" in step.run(REPORT, GITHUB_RUN_ID="100")
    assert "PASS" in step.body
    step.run(REPORT, GITHUB_RUN_ID="101", GITHUB_RUN_ATTEMPT="2")
    assert "FAIL" in step.body
    step.run(CLEAN, GITHUB_RUN_ID="101", GITHUB_RUN_ATTEMPT="1")
    assert "FAIL" in step.body


@pytest.mark.parametrize("first", [REPORT, CLEAN])
def test_two_checks_of_one_run_without_a_name_do_not_hide_the_one_that_fails(api, step, first):
    step.run(first)
    out = step.run(REPORT if first is CLEAN else CLEAN)
    assert "FAIL" in step.body
    assert "::notice" in out
    assert "an input `name` of its own" in out
    assert len(api.bodies()) == 1


@pytest.mark.parametrize(("other", "verdict"), [("99.1", "FAIL"), ("101.1", "PASS")])
def test_of_two_runs_that_begin_at_once_one_comment_is_left_with_the_later_verdict(
    api, step, other, verdict
):
    api.after = lambda: api.say(f"{MARKER}\n<!-- run {other} -->\n\n## npugate: PASS\n")
    step.run(REPORT)
    assert f"npugate: {verdict}" in step.body


def test_what_two_runs_at_once_wrote_twice_becomes_one(api, step):
    first = api.say(f"{MARKER}\n<!-- run 9.1 -->\n")
    api.say(f"{MARKER}\n<!-- run 10.1 -->\n")
    step.run(REPORT)
    assert step.body == first["body"]


@pytest.mark.parametrize(
    ("wanted", "report", "count"),
    [
        ("true", REPORT, 1),
        ("true", CLEAN, 1),
        ("true", replace(CLEAN, models=()), 0),
        ("failures", REPORT, 1),
        ("failures", CLEAN, 0),
        ("off", REPORT, 0),
        ("false", REPORT, 0),
    ],
)
def test_a_comment_begins_when_there_is_something_to_tell(api, step, wanted, report, count):
    step.run(report, INPUT_COMMENT=wanted)
    assert len(api.bodies()) == count


@pytest.mark.parametrize("wanted", ["true", "failures"])
@pytest.mark.parametrize("report", [CLEAN, replace(CLEAN, models=())], ids=["clean", "none"])
def test_a_comment_that_is_there_is_brought_up_to_date(step, wanted, report):
    step.run(REPORT)
    step.run(report, INPUT_COMMENT=wanted, GITHUB_RUN_ID="101")
    assert "## ✅ npugate: PASS" in step.body


# -- what it trusts ------------------------------------------------------------------------------


FORGED = json.loads(REPORTERS["json"](REPORT))
FORGED["exit_code"] = 0


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (None, "the check left no report"),
        (b"{", "cannot be trusted&#58; it is no JSON"),
        (json.dumps(FORGED).encode(), "contradicts itself&#58; exit code 0"),
        (Report.failure_of("1", "no target 'x'", 2), "no target &#39;x&#39;"),
    ],
    ids=["missing", "no JSON", "forged", "usage"],
)
def test_a_run_without_a_verdict_leaves_no_old_pass_standing(step, report, reason):
    step.run(CLEAN)
    step.run(report, GITHUB_RUN_ID="101")
    assert "## ❌ npugate: ERROR" in step.body
    assert reason in step.body


def test_a_report_that_is_a_link_is_not_followed(step, tmp_path):
    (tmp_path / "secret").write_bytes(REPORTERS["json"](CLEAN).encode())
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "secret")
    step.run(CLEAN, NPUGATE_REPORT=str(link))
    assert "the check left no report" in step.body


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_name_injects_nothing_into_the_comment(api, step, attack):
    api.files = [{"filename": HOSTILE[attack], "status": "modified"}]
    step.run(hostile(HOSTILE[attack]), INPUT_FILE_COMMENTS="true")
    for body in (step.body, *api.bodies("review")):
        assert len(body.encode()) <= BODY_LIMIT
        first, *lines = body.splitlines()
        assert re.fullmatch("<!-- npugate (comment|file) [0-9a-f]{16} -->", first)
        page = "\n".join(lines).removeprefix("<!-- run 100.1 -->\n")
        assert "<!--" not in page
        page = OWN_LINKS.sub("", page)
        page = page.replace(f"https://github.com/o/r/blob/{'c' * 40}", BLOB)
        assert_page_is_inert(page, drawings=page.count("```mermaid"))
    commands = [line for line in step.out.splitlines() if line.lstrip().startswith("::")]
    assert all(line.startswith("::notice title=npugate::") for line in commands)


def test_a_report_of_hundreds_of_models_fits_into_one_comment(step):
    models = tuple(
        replace(of(*(conv(i) for i in range(30))).models[0], path=f"models/{n}-{'模' * 60}.onnx")
        for n in range(900)
    )
    step.run(replace(REPORT, models=models))
    assert len(step.body.encode()) <= BODY_LIMIT
    assert "Left out to keep this short" in step.body
    assert step.body.count("<details>") == step.body.count("</details>")
    assert f"[all reports]({ARTIFACT})" in step.body


@pytest.mark.parametrize("limit", range(2_600, 3_400, 20))
def test_marker_and_links_count_against_the_limit(limit, monkeypatch):
    monkeypatch.setattr(threads, "BODY_LIMIT", limit)
    models = tuple(replace(CLEAN.models[0], path=f"{n}.onnx") for n in range(200))
    here = {
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "o/r",
        "NPUGATE_ARTIFACT_URL": f"https://github.com/o/r/{'x' * 400}",
        "GITHUB_RUN_ID": "1",
    }
    report = replace(REPORT, models=(*REPORT.models, *models))
    body = pages.sticky(report, "x" * 64, here).body
    assert len(body.encode()) <= limit


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/o/r/x",
        "https://github.com/o/r.evil/x",
        "https://github.com/o/r/../../x",
        "https://github.com/o/r/x) [y](https://evil.example",
        "javascript:alert(1)",
        "",
    ],
)
def test_an_address_that_is_not_the_repositorys_is_no_link(address):
    here = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r"}
    assert places.artifact({**here, "NPUGATE_ARTIFACT_URL": address}) == ""


@pytest.mark.parametrize("name", ["", "o", "o/r/x", "o/../r", "../r", "o/r?x=1", "o/.."])
def test_a_repository_has_an_owner_and_a_name(name):
    assert places.repository({"GITHUB_REPOSITORY": name}) == ""


# -- less permission, other places ---------------------------------------------------------------


@pytest.mark.parametrize("event", ["fork", "deleted-fork", "dependabot"])
def test_a_token_that_may_only_read_ends_in_a_notice(api, step, event):
    api.tokens["ghs_reads"] = Token(may_write=False)
    out = step.run(REPORT, event, GITHUB_TOKEN="ghs_reads", INPUT_FILE_COMMENTS="true")
    assert api.bodies() == []
    assert out.count("::notice title=npugate::no comment on the pull request") == 1
    assert "pull-requests: write" in out


def test_a_private_repository_that_the_token_does_not_see_ends_in_a_notice(api, step):
    api.tokens["ghs_blind"] = Token(may_read=False, may_write=False)
    out = step.run(REPORT, "private", GITHUB_TOKEN="ghs_blind")
    assert "404" in out
    assert "::notice" in out


@pytest.mark.parametrize("event", ["branch", "private"])
def test_a_branch_of_the_same_repository_gets_its_comment(step, event):
    step.run(REPORT, event)
    assert "FAIL" in step.body


def test_an_enterprise_server_is_asked_at_its_own_address(tmp_path):
    with serving(Api(prefix="/api/v3")) as api:
        step = Step(api, tmp_path)
        for _ in range(120):
            api.say("talk", login="dev")
        server = {"GITHUB_SERVER_URL": "https://ghes.example"}
        for number in ("100", "101"):
            step.run(REPORT, "enterprise-server", GITHUB_RUN_ID=number, **server)
        assert "(https://ghes.example/o/r/actions/runs/101)" in step.body
        assert "all reports" not in step.body  # the artifact's address is another server's


@pytest.mark.parametrize("token", ["", "ghs_wrong"])
def test_no_token_or_a_wrong_one_ends_in_a_notice(api, step, token):
    out = step.run(REPORT, GITHUB_TOKEN=token)
    assert "::notice" in out
    assert "ghs_wrong" not in out
    assert api.bodies() == []


def test_an_event_without_a_pull_request_asks_nobody(api, step, tmp_path):
    (tmp_path / "push.json").write_text('{"before": "", "after": ""}')
    step.run(REPORT, GITHUB_EVENT_PATH=str(tmp_path / "push.json"))
    assert api.requests == []


def test_a_fault_of_ours_costs_no_job(step, monkeypatch):
    def broken(*_arguments):
        raise ZeroDivisionError("x\n::error::y")

    monkeypatch.setattr(pages, "sticky", broken)
    out = step.run(REPORT)
    assert "::warning title=npugate::no comment on the pull request because of a bug" in out
    assert "\n::error::y" not in out


# -- bad days ------------------------------------------------------------------------------------

BAD_DAYS = {
    "the author is not told": [Fault("GET", "/user", status=502, times=2)],
    "the list breaks off": [Fault("GET", CONVERSATION, cut=1)],
    "the list is slow to come": [Fault("GET", CONVERSATION, status=504, times=3)],
    "too early": [Fault("POST", status=429, headers={"Retry-After": "30"})],
    "a second limit": [Fault("POST", status=403, body={"message": "secondary rate limit"})],
    "502 and written": [Fault("POST", status=502, is_done=True)],
    "502 and not written": [Fault("POST", status=502)],
    "no answer and written": [Fault("POST", drop=True, is_done=True)],
    "no answer and not written": [Fault("POST", drop=True)],
    "half an answer": [Fault("POST", cut=4)],
    "written, then the list breaks off": [
        Fault("POST", status=500, is_done=True),
        Fault("GET", CONVERSATION, status=500, times=0),
    ],
}


@pytest.mark.parametrize("day", BAD_DAYS)
def test_on_a_bad_day_the_comment_is_right_and_there_once(api, step, day):
    api.faults = [copy.copy(fault) for fault in BAD_DAYS[day]]
    step.run(REPORT)
    assert "FAIL" in step.body
    api.faults = [Fault("PATCH", status=502, times=2, is_done=True), Fault("PATCH", drop=True)]
    step.run(CLEAN, GITHUB_RUN_ID="101")
    assert "PASS" in step.body


def test_an_unclear_answer_is_looked_at_again_before_a_second_try(api, step):
    api.faults = [Fault("POST", status=502, is_done=True)]
    step.run(REPORT)
    assert [method for method, _ in api.wrote()].count("POST") == 1
    assert step.time.slept == [5.0]


def test_a_service_that_stays_down_is_told_and_nothing_is_posted_twice(api, step):
    api.faults = [Fault("POST", status=502, times=100)]
    out = step.run(REPORT)
    assert "::notice" in out
    assert "502" in out
    assert [method for method, _ in api.wrote()] == ["POST", "POST"]


def test_when_the_list_cannot_be_read_nothing_is_posted(api, step):
    api.faults = [Fault("GET", CONVERSATION, status=500, times=100)]
    step.run(REPORT)
    assert api.wrote() == []


def test_a_second_look_that_fails_takes_nothing_back(api, step):
    api.after = lambda: api.faults.append(Fault("GET", CONVERSATION, status=500, times=100))
    assert "the comment: created" in step.run(REPORT)
    assert "FAIL" in step.body


def test_when_it_cannot_be_seen_whether_it_was_written_nothing_is_posted_again(api, step):
    api.faults = [
        Fault("GET", CONVERSATION, status=200, body=[]),
        Fault("POST", status=502, is_done=True),
        Fault("GET", CONVERSATION, status=500, times=100),
    ]
    out = step.run(REPORT)
    assert "::notice" in out
    assert len(api.bodies()) == 1
    assert [method for method, _ in api.wrote()] == ["POST"]


def test_a_surplus_that_is_gone_already_is_no_failure(api, step):
    for number in (9, 10):
        api.say(f"{MARKER}\n<!-- run {number}.1 -->\n")
    api.faults = [Fault("DELETE", status=404)]
    assert "updated" in step.run(REPORT)


def test_the_token_goes_nowhere_but_to_the_api(api, step):
    out = step.run(ALL_HOSTILE, INPUT_FILE_COMMENTS="true")
    assert "ghs_good" not in out
    assert "ghs_good" not in "".join([*api.bodies(), *api.bodies("review")])
    assert log.line("notice", "x") == "::notice title=npugate::x\n"
