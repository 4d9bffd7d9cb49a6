"""What forked children of the tests run is counted, and no line that nobody ran."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = """
def child(way):
    if way == 1:
        return "one"
    return "other"

def nobody():
    return None
"""
CONFTEST = "from tests.conftest import pytest_sessionstart\n"
TESTS = """
import os, code_here

def test_children():
    for way in (1, 2):
        if not (pid := os.fork()):
            code_here.child(way)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "workers"])
def test_lines_of_forked_children_are_counted(tmp_path, monkeypatch, workers):
    if workers:
        pytest.importorskip("xdist")
    (tmp_path / "code_here.py").write_text(CODE)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    inherited = (
        "COVERAGE_PROCESS_CONFIG",
        "COVERAGE_FILE",
        "PYTEST_ADDOPTS",
        "PYTEST_XDIST_WORKER",
    )
    for name in inherited:
        monkeypatch.delenv(name, raising=False)
    measure = ("--cov=code_here", "--cov-branch", "--cov-report=json:lines.json")
    done = subprocess.run(
        (sys.executable, "-m", "pytest", *measure, *workers, "-o", f"pythonpath=. {ROOT}"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "lines.json").read_bytes())["files"]["code_here.py"]
    assert found["missing_lines"] == [8]
    assert found["missing_branches"] == []
    assert [path.name for path in tmp_path.glob(".coverage*")] == [".coverage"]
