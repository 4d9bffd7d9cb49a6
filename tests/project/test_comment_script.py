"""The steps of the composite action, with an engine that runs the program without a container."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.github_api import Api, Token, serving

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests" / "fixtures" / "models"
BAD, CLEAN = "rppg_4d_fp32_dynamo.onnx", "rppg_stm32_clean_fp32.onnx"
EVENTS = ROOT / "tests" / "fixtures" / "events"

ENGINE = "#!/bin/sh\nexec '{}' '{}' \"$@\"\n"
STAND_IN = ROOT / "tools" / "standin_engine.py"

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")


class Job:
    """A job on a runner: the steps of action.yml one after the other."""

    def __init__(self, folder: Path, api: Api) -> None:
        self.folder = folder
        self.record = folder / "record"
        self.state = folder / "state"
        self.workspace = folder / "workspace"
        bin_folder = folder / "bin"
        for path in (self.state, self.workspace, bin_folder):
            path.mkdir()
        engine = bin_folder / "docker"
        engine.write_text(ENGINE.format(sys.executable, STAND_IN))
        engine.chmod(0o755)
        self.environment = {
            "PATH": f"{bin_folder}:{os.defpath}:/usr/local/bin",
            "HOME": str(folder),
            "STANDIN_RECORD": str(self.record),
            "NPUGATE_STATE": str(self.state),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(EVENTS / "branch.json"),
            "GITHUB_API_URL": api.url,
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_SHA": "c" * 40,
            "GITHUB_RUN_ID": "100",
            "GITHUB_RUN_ATTEMPT": "1",
            "INPUT_IMAGE": "npugate:test",
            "INPUT_MODELS": ".",
            "INPUT_COMMENT": "true",
        }

    def step(self, script: str, **more: str) -> str:
        done = subprocess.run(
            ["bash", str(ROOT / "scripts" / script)],
            env=self.environment | more, cwd=self.folder, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def check(self) -> str:
        (self.folder / "output").unlink(missing_ok=True)
        shutil.rmtree(self.state / "out", ignore_errors=True)  # each run has a folder of its own
        return self.step("run-container.sh")

    def comment(self, **more: str) -> str:
        return self.step("comment.sh", **{"GITHUB_TOKEN": "ghs_good", **more})

    @property
    def verdict(self) -> str:
        lines = (self.folder / "output").read_text().splitlines()
        return lines[next(n for n, x in enumerate(lines) if x.startswith("verdict<<")) + 1]

    @property
    def calls(self) -> list[dict]:
        return [json.loads(line) for line in self.record.read_text().splitlines()]


@pytest.fixture
def api():
    with serving(Api()) as found:
        yield found


@pytest.fixture
def job(tmp_path, api):
    return Job(tmp_path, api)


def put(job, *names):
    for path in job.workspace.iterdir():
        path.unlink()
    for name in names:
        shutil.copyfile(MODELS / name, job.workspace / name)


def test_the_check_has_no_token_and_the_comment_has_no_model(job, api):
    put(job, BAD)
    job.environment["GITHUB_TOKEN"] = "ghs_of_the_runner"
    job.check()
    assert job.verdict == "fail"
    assert "the comment: created" in job.comment()
    check, comment = job.calls
    assert (check["command"], comment["command"]) == (["action"], ["comment"])
    assert check["image"] == comment["image"] == "npugate:test"
    assert ["--network", "none"] in check["options"]
    assert "GITHUB_TOKEN" not in str(check)
    mounts = [value for flag, value in comment["options"] if flag == "--mount"]
    assert len(mounts) == 2
    assert all(mount.endswith(",readonly") for mount in mounts)
    assert str(job.workspace) not in str(comment)
    assert "ghs_good" not in str(job.calls)
    assert ["--cap-drop", "ALL"] in comment["options"]


def test_summary_and_comment_say_the_same_of_a_bad_and_then_of_a_clean_model(job, api):
    for number, (name, verdict) in enumerate([(BAD, "fail"), (CLEAN, "pass")]):
        put(job, name)
        (job.folder / "summary.md").unlink(missing_ok=True)
        job.check()
        job.comment(GITHUB_RUN_ID=str(100 + number))
        assert job.verdict == verdict
        (body,) = api.bodies()
        summary = (job.folder / "summary.md").read_text("utf-8")
        assert summary.strip() in body
        assert ("flowchart TB" in body) == (verdict == "fail")
    assert [method for method, _ in api.wrote()] == ["POST", "PATCH"]


@pytest.mark.parametrize("event", ["fork", "dependabot"])
def test_a_read_only_token_costs_no_verdict(job, api, event):
    api.tokens["ghs_reads"] = Token(may_write=False)
    put(job, BAD)
    job.check()
    path = str(EVENTS / f"{event}.json")
    out = job.comment(GITHUB_TOKEN="ghs_reads", GITHUB_EVENT_PATH=path)
    assert "::notice title=npugate::no comment on the pull request" in out
    assert job.verdict == "fail"
    assert api.bodies() == []


def test_a_check_that_could_not_start_leaves_a_notice_and_no_comment(job, api):
    out = job.comment()
    assert "::notice title=npugate::no comment on the pull request: the check found no" in out
    assert api.requests == []


def test_a_check_that_left_no_report_takes_back_what_was_told(job, api):
    put(job, CLEAN)
    job.check()
    job.comment()
    shutil.rmtree(job.state / "out" / "npugate-report")
    job.comment(GITHUB_RUN_ID="101")
    (body,) = api.bodies()
    assert "## ❌ npugate: ERROR" in body


def test_without_the_file_of_the_event_there_is_a_notice(job, api):
    put(job, CLEAN)
    job.check()
    assert "::notice" in job.comment(GITHUB_EVENT_PATH=str(job.folder / "gone"))
    assert api.requests == []
