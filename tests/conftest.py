from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import coverage
import pytest

from tests.forked_lines import ForkedLines

SNAPSHOTS = Path(__file__).parent / "fixtures" / "snapshots"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-snapshots",
        action="store_true",
        help="rewrite tests/fixtures/snapshots/ with what the code gives now",
    )


@pytest.hookimpl(trylast=True)  # after the table of the coverage
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say each reason why tests were skipped in one line, with how many they are.

    pytest's own summary (``-rs``, which ``-ra`` has in it) has a line for each place in the tests.
    """
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"skipped {count}: {reason}", yellow=True)


@pytest.hookimpl(trylast=True)  # after pytest-cov, which starts to measure in a worker then
def pytest_sessionstart(session: pytest.Session) -> None:
    measured = coverage.Coverage.current()
    if measured is not None:
        session.config.pluginmanager.register(ForkedLines(measured))


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the file of this name, or write the file with --update-snapshots."""

    def compare(name: str, actual: str) -> None:
        path = SNAPSHOTS / name
        if request.config.getoption("--update-snapshots"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(actual, encoding="utf-8", newline="\n")
        assert path.exists(), f"no {path.name}: run pytest --update-snapshots and review it"
        assert actual == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture(scope="session")
def torch_loaded() -> None:
    """Load what exports, which children of this process then have: see tests/torch_extra.py."""
    importlib.import_module("npugate.export.pytorch")


@pytest.fixture
def uncovered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what measures coverage out of child processes: it imports modules of its own."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(autouse=True)
def own_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test write its log where an earlier one has listened."""
    monkeypatch.setattr("npugate.log._stream", None)
