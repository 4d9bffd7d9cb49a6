"""The proof against mutants of repaired models, and repairs against networks that mix samples.

Small seeded runs of the two commands; docs/proofs.md has the figures of the long ones.
"""

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


def run(tool, *arguments):
    command = [sys.executable, TOOLS / tool, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rows(text):
    """Return the last row of a table, by the names of its columns."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return dict(zip(lines[0][1:], map(int, lines[-1][1:]), strict=True))


def test_no_mutant_that_matters_passes_the_proof():
    result = run("mutate_proofs.py", "--count", "72", "--seed", "50")
    assert result.returncode == 0, result.stdout + result.stderr
    total = rows(result.stdout)
    assert total["mutants"] == 72
    assert total["accepted"] == 0
    assert total["refused"] > 30  # else the mutants would prove nothing


def test_a_proof_that_looks_at_nothing_is_told(tmp_path):
    """The command that tests the proof, held against one that always says yes."""
    script = tmp_path / "blind.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(TOOLS)!r})\n"
        "import mutate_proofs\n"
        "from npugate.report.values import Verification\n"
        "mutate_proofs.verify = lambda *_, **__: Verification(equal=True)\n"
        "sys.exit(mutate_proofs.main(['--count', '12'], sys.stdout))\n",
        encoding="utf-8",
    )
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    assert "accepted: " in result.stdout


def test_random_networks_are_repaired_right_or_not_at_all():
    result = run("fuzz_repairs.py", "--count", "48", "--seed", "1200")
    assert result.returncode == 0, result.stdout + result.stderr
    total = rows(result.stdout)
    assert (total["models"], total["wrong"], total["failed"]) == (48, 0, 0)
    assert total["equal"] > 30
    assert total["take-one-sample"] > 5


@pytest.mark.parametrize("mixing", [False, True])
def test_what_is_taken_apart_are_the_networks_that_do_not_mix(mixing):
    sys.path.insert(0, str(TOOLS))
    try:
        import batch_models  # noqa: PLC0415 - a tool, not a module of the package
        import fuzz_repairs  # noqa: PLC0415 - another tool
    finally:
        sys.path.remove(str(TOOLS))
    gate = fuzz_repairs.Gate()
    applied = sum(
        "take-one-sample" in gate.tried(batch_models.network(seed, mixing=mixing), seed).applied
        for seed in range(10)
    )
    assert applied <= 2 if mixing else applied >= 9  # a mixing step may come to nothing
