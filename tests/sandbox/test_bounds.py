"""Bounds on what one model, all models together, and a child of a dead parent may take."""

import contextlib
import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import Struct
from onnx import TensorProto, helper, numpy_helper

from npugate import cli
from npugate.facts import Facts
from npugate.limits import Limits
from npugate.model.reader import read
from npugate.run import tries
from npugate.run.packed import Packed
from npugate.sandbox import confine, pool, transfer
from npugate.sandbox.pool import Died, Done, Raised
from tests.hostile import cases

ROOT = Path(__file__).parents[2]
LIMITS = Limits(seconds=20.0, memory_bytes=256 << 20)


class Pair(Struct, frozen=True):
    name: str
    size: int


def is_running(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


PROGRAM = """
    import os, sys, time
    from pathlib import Path
    from npugate.limits import Limits
    from npugate.sandbox import task
    from npugate.sandbox.pool import run
    def work(n=0):
        file = Path(sys.argv[1]) / f"{n}.tmp"
        file.write_text(str(os.getpid()))
        file.rename(file.with_suffix(".pid"))
        DO
    RUN
"""
ASLEEP = "time.sleep(600)"
BUSY = "[0 for _ in iter(int, 1)]"
WRITING = "return bytes(200_000_000)"
MANY = "run(work, [1, 2], Limits(seconds=600.0), jobs=2)"
ONE = "task.run(work, Limits(seconds=600.0), bytes)"


@pytest.mark.parametrize("do", [ASLEEP, BUSY, WRITING])
@pytest.mark.parametrize(("start", "count"), [(MANY, 2), (ONE, 1)])
def test_no_child_outlives_a_parent_that_is_killed(do, start, count, tmp_path):
    text = textwrap.dedent(PROGRAM).replace("DO", do).replace("RUN", start)
    if do == WRITING:  # a parent that has stopped reads nothing: the child waits in its pipe
        text = text.replace("file.rename", "os.kill(os.getppid(), 19); file.rename")
    program = subprocess.Popen([sys.executable, "-c", text, str(tmp_path)], cwd=ROOT)
    expected = 1 if do == WRITING else count
    assert until(lambda: len(list(tmp_path.glob("*.pid"))) >= expected, 60)
    children = [int(file.read_text()) for file in tmp_path.glob("*.pid")]
    if do == WRITING:
        time.sleep(0.5)
    assert all(map(is_running, children))
    program.kill()
    program.wait(20)
    ended = until(lambda: not any(map(is_running, children)), 1.0)
    for child in filter(is_running, children):
        os.kill(child, signal.SIGKILL)
    assert ended


def test_a_child_holds_no_end_of_a_pipe_that_its_parent_reads():
    before = set(open_pipes())

    def work(_):
        time.sleep(0.2)  # so that both are there
        return [pipe for pipe in open_pipes() if pipe not in before]

    one, two = (outcome.value for outcome in pool.run(work, [1, 2], LIMITS, jobs=2))
    assert (len(one), len(two)) == (1, 1)  # the end to write to
    assert one != two


def open_pipes():
    for link in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(FileNotFoundError):
            if str(link.readlink()).startswith("pipe:"):
                yield str(link.readlink())


class Evil:
    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def sent(data, monkeypatch, kind):
    monkeypatch.setattr(transfer, "encode", lambda _: data)
    return pool.run(lambda _: None, [0], LIMITS, kind=kind)[0]


def test_what_a_child_sends_is_not_unpickled(tmp_path, monkeypatch):
    outcome = sent(pickle.dumps((0, Evil(tmp_path / "made"))), monkeypatch, Pair)
    assert isinstance(outcome, Raised)
    assert "no result" in outcome.text
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        transfer.encode({"name": "a"}),
        transfer.encode({"name": 1, "size": 2}),
        transfer.encode({"name": "a", "size": 2})[:-1],
        transfer.encode({"name": "a", "size": 2}) + b"\0",
        b"\x91" * 1_000_000 + b"\xc0",
        b"\xdd\xff\xff\xff\xff",
        b"\x82\xa4name\xa2\xff\xfe\xa4size\x01",
    ],
)
def test_a_result_of_another_shape_is_refused(data, monkeypatch):
    assert isinstance(sent(data, monkeypatch, Pair), Raised)


def test_nesting_without_a_schema_is_bounded(monkeypatch):
    assert isinstance(sent(b"\x91" * 1_000_000 + b"\xc0", monkeypatch, Any), Raised)


def test_a_result_comes_back_as_its_type():
    value = Pair("a", 2)
    assert pool.run(lambda _: value, [0], LIMITS, kind=Pair) == [Done(value)]


def test_absurd_numbers_and_half_characters_can_be_sent():
    value = transfer.decode(transfer.encode([Pair("\udc80", 10**30)]), list[Pair])
    assert value == [Pair("\\udc80", 2**63 - 1)]


def test_a_result_larger_than_allowed_is_not_taken():
    limits = Limits(seconds=20.0, result_bytes=1000)
    outcome = pool.run(bytes, [900, 1_000_000], limits, jobs=1)
    assert outcome[0] == Done(bytes(900))
    assert outcome[1] == Died("", "", "its result has more than 1000 bytes")


def test_children_that_do_not_fit_together_wait_for_each_other(monkeypatch):
    monkeypatch.setattr(confine, "machine_bytes", lambda: 3 * LIMITS.memory_bytes)

    def work(_):
        time.sleep(0.3)
        return time.monotonic()

    start = time.monotonic()
    ends = [out.value - start for out in pool.run(work, range(6), LIMITS, jobs=6)]
    assert sorted(ends)[3] - sorted(ends)[2] > 0.2  # three at a time
    monkeypatch.setattr(confine, "machine_bytes", lambda: 1)
    assert pool.run(str, [1], LIMITS) == [Done("1")]  # one alone always runs


def test_all_tries_of_a_model_share_one_deadline():
    def work(number):
        pool.stage(f"try {number}")
        time.sleep(600)

    start = time.monotonic()
    (pair,) = tries.settle(work, [0], lambda _: Limits(seconds=2.0), lambda item, _: item + 1)
    assert time.monotonic() - start < 4
    assert pair[1].outcome == Died("try 0", "", "it took longer than 2 s")


def test_a_try_that_dies_early_leaves_its_time_to_the_next():
    def work(number):
        if number < 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    limits = Limits(seconds=20.0)
    found = {
        ended.index: ended.outcome
        for _, ended in tries.settle(work, [0, 5], lambda _: limits, lambda item, _: item + 1)
    }
    assert found == {0: Done(2), 1: Done(5)}


def test_cpp_that_does_not_end_is_ended_by_its_processor_time():
    def work(_):
        pool.stage("shape inference")
        with confine.native(0.3, 64 << 20):
            while True:
                pass

    outcome = pool.run(work, [0], LIMITS)[0]
    assert outcome == Died("shape inference", "", "it used up its processor time")


def test_cpp_that_allocates_without_end_is_out_of_memory():
    def work(_):
        with confine.native(5.0, 64 << 20):
            bytearray(128 << 20)

    assert pool.run(work, [0], LIMITS)[0].reason == "it ran out of memory"


def test_a_bound_on_cpp_ends_with_it():
    def work(_):
        with confine.native(0.2, 64 << 20):
            pass
        end = time.process_time() + 0.5
        while time.process_time() < end:
            pass
        return len(bytearray(128 << 20))

    assert pool.run(work, [0], LIMITS)[0] == Done(128 << 20)


def test_what_partial_evaluation_computes_is_bounded_as_a_whole():
    count = 400
    nodes = [helper.make_node("Expand", ["one", "to"], [f"v{n}"]) for n in range(count)]
    graph = helper.make_graph(
        [*nodes, helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [
            numpy_helper.from_array(np.ones(1, np.int64), "one"),
            numpy_helper.from_array(np.array([65_536]), "to"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    facts = Facts(read(model.SerializeToString(), "m.onnx", Limits()))
    held = [t.constant.size for t in facts.tensors if t.constant is not None and t.producer]
    assert 200 < len(held) < count
    assert sum(held) <= 1 << 24


def test_packed_values_come_back_as_they_were():
    values = [Pair(str(n), n) for n in range(100)]
    packed = Packed(Pair, values)
    assert list(packed) == values
    assert (packed[3], packed[-1], list(packed[5:7]), len(packed)) == (
        values[3],
        values[-1],
        values[5:7],
        100,
    )
    assert list(Packed.of(Pair, [(1, values[1]), (0, values[0])])) == values[:2]


def reports_of(folder, jobs, monkeypatch):
    monkeypatch.chdir(folder)
    place = folder / f"{jobs}.json"
    assert cli.main(["check", "--quiet", "--jobs", jobs, "--report", f"json={place}", "."]) == 0
    report = json.loads(place.read_text())
    for model in report["models"]:
        model.pop("seconds", None)
    return report["models"]


def test_many_files_are_reported_as_few_are(tmp_path, monkeypatch):
    """More than are warmed up for and than are held unpacked, against each in a run of its own."""
    many, few = tmp_path / "many", tmp_path / "few"
    for folder, count in ((many, 70), (few, 5)):
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:02}.onnx").write_bytes(cases.good().SerializeToString())
    one, two = reports_of(many, "2", monkeypatch), reports_of(few, "1", monkeypatch)
    assert len(one) == 70
    assert one[:5] == two
    assert [model["path"] for model in one] == sorted(model["path"] for model in one)


def test_memory_does_not_grow_with_the_number_of_files(tmp_path):
    """Of 600 files as of 100: 40 KiB a report would be 20 MiB more."""
    peaks = []
    for count in (100, 600):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:03}.onnx").write_bytes(cases.good().SerializeToString())
        command = [sys.executable, "-m", "npugate", "check", "--quiet", "."]
        program = subprocess.Popen(command, cwd=folder, env={"PYTHONPATH": str(ROOT)})
        _, status, usage = os.wait4(program.pid, 0)
        program.returncode = os.waitstatus_to_exitcode(status)
        assert program.returncode == 0
        peaks.append(usage.ru_maxrss)
    assert peaks[1] - peaks[0] < 8 << 10


def chain(count):
    names = ["x", *(f"v{n}" for n in range(count - 1)), "y"]
    nodes = [helper.make_node("Relu", [a], [b]) for a, b in itertools.pairwise(names)]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, [1, 4])], [value("y", TensorProto.FLOAT, [1, 4])]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_quantize_says_at_once_that_a_model_has_too_many_nodes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("m.onnx").write_bytes(chain(20_000).SerializeToString())
    asked = ["quantize", "m.onnx", "--random-calibration", "--output", "q.onnx"]
    start = time.process_time()
    assert cli.main(asked) == 2
    told = capsys.readouterr().err
    assert "m.onnx has 20000 nodes" in told
    assert "minutes" in told
    assert "--timeout 4" in told
    assert not Path("q.onnx").exists()
    assert time.process_time() - start < 60


@pytest.mark.parametrize("dims", [(1 << 30,), (1, 1 << 24), (1 << 15, 1 << 15, 1 << 15)])
def test_a_small_file_with_large_tensors_is_not_run(dims, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = chain(2)
    for info in (*model.graph.input, *model.graph.output):
        del info.type.tensor_type.shape.dim[:]
        for dim in dims:
            info.type.tensor_type.shape.dim.add().dim_value = dim
    Path("m.onnx").write_bytes(model.SerializeToString())
    assert cli.main(["fix", "--dry-run", "--format", "json", "--select", "convert-opset", "."]) < 2
    (found,) = json.loads(capsys.readouterr().out)["models"]
    (outcome,) = found["repair"]["outcomes"]
    assert outcome["state"] == "declined"
    assert "than the" in outcome["reason"]


def test_memory_and_result_grow_with_the_file(tmp_path):
    small, large = tmp_path / "s.onnx", tmp_path / "l.onnx"
    small.write_bytes(b"x" * 100)
    large.write_bytes(b"x" * (1 << 20))
    most = Limits()
    little, much = tries.examining(small, most), tries.examining(large, most)
    assert little.memory_bytes < 512 << 20
    assert little.result_bytes < 32 << 20
    assert much.memory_bytes - little.memory_bytes == 24 * ((1 << 20) - 100)
    assert tries.examining(tmp_path / "none.onnx", most).memory_bytes < 512 << 20
    with large.open("ab") as file:
        file.truncate(1 << 32)
    assert tries.examining(large, most).memory_bytes == most.memory_bytes
    assert tries.mending(small, most).memory_bytes > little.memory_bytes
    (tmp_path / "l.data").write_bytes(b"x" * (1 << 20))
    assert tries.mending(small, most).memory_bytes >= (3 << 30) + (4 << 20)
