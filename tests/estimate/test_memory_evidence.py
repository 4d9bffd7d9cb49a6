"""The memory estimate against real reports; the files are other people's and lie elsewhere."""

import sys
from pathlib import Path

import pytest

from tests.evidence import FOLDER, needs_evidence

pytestmark = needs_evidence("groundtruth")
TOOLS = str(Path(__file__).resolve().parents[2] / "tools")


@pytest.fixture(scope="module")
def accuracy():
    sys.path.insert(0, TOOLS)
    try:
        import accuracy_memory  # noqa: PLC0415 - a tool, not a package

        return accuracy_memory
    finally:
        sys.path.remove(TOOLS)


def test_every_pool_file_of_the_evidence_is_read(accuracy):
    files = sorted((FOLDER / "groundtruth").rglob("*.mpool"))
    assert len(files) >= 18
    for file in files:
        board = accuracy.boards.load(str(file))
        assert 448 * 1024 <= board.on_chip_bytes <= 2816 * 1024, file


def test_estimates_of_reported_models_are_near(accuracy):
    cases = list(accuracy._of_reports(FOLDER / "groundtruth"))
    assert len(cases) == 7
    reports = [case for case in cases if case.source == "report"]
    assert accuracy._quantile([abs(c.weights / c.real_weights - 1) for c in reports], 0.5) < 0.03
    assert accuracy._quantile([abs(c.planned / c.real - 1) for c in reports], 0.5) < 0.1
    assert all(case.bound <= case.real for case in cases)


def test_the_compilers_own_buffers_are_laid_out_as_it_does(accuracy):
    for name in accuracy._PLANS:
        text = (FOLDER / "groundtruth" / name).read_text(encoding="utf-8")
        buffers, real = accuracy._buffers(accuracy.json.loads(text))
        board = accuracy.boards.load("stm32n6570-dk")
        ours = sum(accuracy.planner.place(buffers, board).used.values())
        assert abs(ours / real - 1) < 0.03, name


def test_no_published_network_that_spills_is_said_to_fit(accuracy):
    cases = list(accuracy._of_table(FOLDER / "design"))
    spilling = [case for case in cases if case.real_external]
    assert len(spilling) >= 8
    assert [case.name for case in spilling if case.fit is accuracy.Fit.FITS] == []
    fits = [case for case in cases if not case.real_external]
    assert [case.name for case in fits if case.fit is not accuracy.Fit.FITS] == []
    assert accuracy._quantile([abs(c.planned / c.real - 1) for c in cases], 0.5) < 0.1
    assert all(case.bound <= case.real for case in cases)
