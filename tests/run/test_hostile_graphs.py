"""Graphs that once made the program fail itself, hang or fill the memory: each gets a finding."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from npugate import cli
from npugate.facts import Facts
from npugate.limits import Limits
from npugate.model.reader import read
from npugate.repository.discover import Candidate
from npugate.rules import check, registry
from npugate.run import cases, worker
from npugate.settings.options import CheckSettings
from npugate.target import boards, profiles
from npugate.target.predicates.layout import slices_batch
from tests.evidence import FOLDER, needs_evidence
from tests.hostile.graphs import GRAPHS, sliced

ROOT = Path(__file__).parents[2]
NAMES = {rule.id: rule.name for rule in registry.rules().values()}
CRASHED = "rule-crashed"
HEAVY = [
    name
    for name in GRAPHS
    if any(word in name for word in ("2^31", "2^40", "Einsum", "kernel", "heads"))
]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graphs")
    for index, (data, _) in enumerate(GRAPHS.values()):
        (folder / f"{index:03}.onnx").write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        place = folder / "out.json"
        status = cli.main(["check", "--quiet", "--report", f"json={place}", "."])
    report = json.loads(place.read_text())
    models = {model["path"]: model for model in report["models"]}
    return status, report, {name: models[f"{i:03}.onnx"] for i, name in enumerate(GRAPHS)}


def test_the_run_ends_without_a_fault_of_its_own(reports):
    status, report, models = reports
    assert (status, report["crashed"]) == (1, False)
    assert len(models) == len(GRAPHS)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_fault_is_named_where_the_file_is_at_fault(name, reports):
    found = {NAMES[finding["rule"]] for finding in reports[2][name]["findings"]}
    assert CRASHED not in found
    rule = GRAPHS[name][1]
    assert not rule or rule in found


@pytest.mark.parametrize("name", GRAPHS)
def test_no_rule_fails_on_it(name, tmp_path, monkeypatch):
    """A rule that cannot judge a refused file says so; here none may have to."""
    if name in HEAVY:
        pytest.skip("wants the bounds of a child: see below")
    monkeypatch.setattr(check, "is_refused", lambda _: False)
    file = tmp_path / "m.onnx"
    file.write_bytes(GRAPHS[name][0])
    rules = registry.rules()
    target = profiles.load("stm32n6", None)
    target = replace(target, board=boards.load(boards.DEFAULT_BOARD))
    job = worker.Job(
        Candidate(file, "m.onnx"), target, cases.chosen_by(CheckSettings(), rules), CheckSettings()
    )
    found = worker.examine(job, rules, Limits())
    assert found.tracebacks == ()


# From a small process: a program counts the memory of the one that it was forked from as its own.
MEASURED = """
import os, subprocess, sys
program = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(program.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""


@pytest.mark.parametrize("name", HEAVY)
def test_it_costs_neither_time_nor_memory(name, tmp_path):
    (tmp_path / "m.onnx").write_bytes(GRAPHS[name][0])
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, sys.executable, "-m", "npugate", "check", "m.onnx"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    status, seconds, memory = map(float, done.stdout.splitlines()[-1].split())
    assert status in {0, 1}
    assert seconds < 5  # of processor time: other work slows the clock
    assert time.monotonic() - start < 60
    assert memory < 400 << 10


FIXABLE = [name for name in GRAPHS if "data type" in name or "function" in name]


@pytest.mark.parametrize("name", FIXABLE)
def test_repairs_take_it_or_leave_it(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.onnx").write_bytes(GRAPHS[name][0])
    assert cli.main(["fix", "--dry-run", "--select", ",".join(registry.repairs()), "m.onnx"]) == 1
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name in GRAPHS if "data type" in name])
def test_quantize_says_which_input_it_cannot_feed(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.onnx").write_bytes(GRAPHS[name][0])
    asked = ["quantize", "m.onnx", "--random-calibration", "--output", "q.onnx"]
    assert cli.main(asked) == 2
    told = capsys.readouterr().err
    assert told.startswith("npugate: error: ")
    assert "Traceback" not in told


@needs_evidence("cases", "hostile")
def test_cases_found_elsewhere_end_as_they_should():
    """Run the files that reports of faults came with, where they are at hand."""
    files = sorted((FOLDER / "cases" / "hostile").glob("*.onnx"))
    assert files
    for command in ("check", "estimate"):
        assert cli.main([command, "--quiet", *map(str, files)]) in {0, 1}


def test_a_slice_that_is_declared_a_scalar_is_no_slice_of_the_batch():
    """Inference leaves a declared shape where it refuses a file as a whole."""
    facts = Facts(read(sliced(starts=[1], axes=[0]).SerializeToString(), "m.onnx", Limits()))
    (node,) = facts.main.nodes
    node.outputs[0].shape = ()
    assert slices_batch(node, {}) is None
