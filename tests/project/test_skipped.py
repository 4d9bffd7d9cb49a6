"""A run says in one line that the evidence, and in one that torch, was not there for its tests."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
FILES = (
    "estimate/test_memory_evidence.py",
    "compilers/stedgeai/test_replay.py",
    "export/test_run.py",
)


def test_what_is_missing_is_told_once_with_how_many_tests_it_kept_from_running(tmp_path):
    missing = {"NPUGATE_EVIDENCE": str(tmp_path / "none"), "NPUGATE_EXPORT": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(TESTS / f for f in FILES)],
        cwd=TESTS.parent,
        env=os.environ | missing,  # noqa: TID251 - what the tests themselves run with
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line for line in done.stdout.splitlines() if line.lower().startswith("skipped")]
    evidence, torch = sorted(told, key=lambda line: "torch" in line)
    assert evidence.endswith(
        f": no evidence at {tmp_path / 'none'}: NPUGATE_EVIDENCE names its folder"
    )
    assert torch.endswith(": EXPORT=0 leaves torch out")
    counts = [int(line.removeprefix("skipped ").partition(":")[0]) for line in told]
    assert f"{sum(counts)} skipped" in done.stdout.splitlines()[-1]


def test_one_module_alone_knows_where_the_evidence_lies():
    knowing = {
        path.relative_to(TESTS).as_posix()
        for path in TESTS.rglob("*.py")
        if '"NPUGATE_EVIDENCE"' in path.read_text("utf-8")
    }
    assert knowing == {"evidence.py", "project/test_skipped.py"}
