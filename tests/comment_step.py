"""The comment step of a job, against an API on the loopback."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from npugate.github import comment, places
from npugate.report.documentation import Documentation
from npugate.report.values import Report
from npugate.reporters import REPORTERS
from tests.github.test_client import Time, no_proxy
from tests.github_api import Api, serving

__all__ = ["no_proxy"]

EVENTS = Path(__file__).parent / "fixtures" / "events"
RUN = {"GITHUB_RUN_ID": "100", "GITHUB_RUN_ATTEMPT": "1"}
ARTIFACT = "https://github.com/o/r/actions/runs/100/artifacts/5"


class Step:
    """The comment step of one run."""

    def __init__(self, api: Api, folder: Path) -> None:
        self.api = api
        self.folder = folder
        self.time = Time()
        self.out = ""

    def run(self, report: Report | bytes | None, event: str = "branch", **environment: str) -> str:
        path = self.folder / "npugate.json"
        path.unlink(missing_ok=True)
        if report is not None:
            data = report if isinstance(report, bytes) else REPORTERS["json"](report).encode()
            path.write_bytes(data)
        runner = {
            "GITHUB_API_URL": self.api.url,
            "GITHUB_TOKEN": "ghs_good",
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_SHA": "c" * 40,
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(EVENTS / f"{event}.json"),
            "NPUGATE_REPORT": str(path),
            "NPUGATE_ARTIFACT_URL": ARTIFACT,
            **RUN,
        }
        stdout = io.StringIO()
        assert comment.main(runner | environment, stdout, self.time.clock()) == 0
        self.out = stdout.getvalue()
        return self.out

    @property
    def body(self) -> str:
        """The only comment of ours."""
        ours = [body for body in self.api.bodies() if body.startswith("<!-- npugate")]
        assert len(ours) == 1
        return ours[0]


@pytest.fixture
def api():
    with serving(Api()) as found:
        yield found


@pytest.fixture
def step(api, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "OF_SITE", Documentation())  # whatever the setting is
    return Step(api, tmp_path)
