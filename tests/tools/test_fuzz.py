"""The fuzzer: the same file for the same number, it goes on where it was, and it finds a fault."""

import faulthandler
import io
import json
import os

import pytest
from google.protobuf.message import DecodeError
from msgspec.structs import replace
from onnx import ModelProto

from npugate.rules import check, registry
from tools import fuzz
from tools.fuzz_models import Source


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """The fuzzer wants every failing rule: put back what it changes for that."""
    monkeypatch.setattr(check, "is_refused", check.is_refused)


def ran(folder, *arguments):
    out = io.StringIO()
    status = fuzz.main([*arguments, "--jobs", "1", "--keep", str(folder)], out)
    return status, out.getvalue()


def test_a_file_follows_from_its_number():
    seeds = list(fuzz.seeds(()))
    one, two = Source(seeds), Source(seeds)
    files = [one.file(number, 5) for number in range(40)]
    assert [two.file(number, 5) for number in reversed(range(40))] == files[::-1]
    assert len(set(files)) > 35
    assert [one.file(number, 6) for number in range(40)] != files
    assert sum(1 for data in files if parses(data)) > 20


def parses(data):
    try:
        return bool(ModelProto.FromString(data).graph.node)
    except DecodeError:
        return False


def test_a_run_finds_nothing_and_the_next_goes_on(tmp_path):
    status, told = ran(tmp_path, "check", "--count", "60")
    assert (status, "check: 60 files" in told, "faults: 0" in told) == (0, True, True)
    status, told = ran(tmp_path, "check", "--count", "90")
    assert (status, "check: 90 files" in told) == (0, True)
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["following"] == sum(state["verdicts"].values()) == 90


def test_repairs_are_fuzzed_too(tmp_path):
    status, told = ran(tmp_path, "fix", "--count", "4")
    assert (status, "fix: 4 files" in told) == (0, True), told


def test_a_rule_that_raises_is_found_and_its_file_kept(tmp_path, monkeypatch):
    def broken(facts, target):
        if facts.main.nodes:
            raise KeyError("planted")
        yield from ()

    key, rule = next((key, rule) for key, rule in registry.rules().items() if key == "NPU101")
    rules = {**registry.rules(), key: replace(rule, check=broken)}
    monkeypatch.setattr(registry, "rules", lambda: rules)
    status, told = ran(tmp_path, "check", "--count", "20")
    assert status == 1
    assert "KeyError: 'planted'" in told
    kept = list(tmp_path.glob("check-0-*.onnx"))
    assert kept
    number = int(kept[0].stem.rpartition("-")[2])
    assert kept[0].read_bytes() == Source(list(fuzz.seeds(models()))).file(number, 0)


def models():
    return sorted((fuzz.ROOT / "tests" / "fixtures").rglob("*.onnx"))


def test_a_file_that_kills_its_child_is_given_to_the_program_alone(tmp_path, monkeypatch):
    """Of the program alone nothing is patched: it takes the file, so there is no fault."""

    def deadly(facts, target):
        if len(facts.main.nodes) > 1:
            faulthandler.disable()  # its lines are no news here
            os.abort()
        yield from ()

    rules = registry.rules()
    key = next(key for key, rule in rules.items() if key == "NPU101")
    changed = {**rules, key: replace(rules[key], check=deadly)}
    monkeypatch.setattr(registry, "rules", lambda: changed)
    monkeypatch.setattr(fuzz.warming, "warm", lambda *_: None)
    monkeypatch.setattr(fuzz, "MEBIBYTES", 1 << 20)  # a program counts what forks it, torch for one
    status, told = ran(tmp_path, "check", "--count", "8")
    state = json.loads((tmp_path / "state.json").read_text())
    assert (status, state["following"]) == (0, 8), told
    assert state["verdicts"]["died"] == state["alone"] > 0
    assert 0 < state["slowest"] < 5
