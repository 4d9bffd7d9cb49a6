import faulthandler
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from npugate.limits import Limits
from npugate.sandbox import pool
from npugate.sandbox.pool import Died, Done, Raised, run, stage

LIMITS = Limits(seconds=20.0, memory_bytes=256 << 20)
ROOT = Path(__file__).parents[2]


def crash(number=signal.SIGABRT):
    faulthandler.disable()  # pytest's would print where, which is no news here
    os.kill(os.getpid(), number)


def one(work, limits=LIMITS):
    return run(lambda _: work(), [None], limits)[0]


def test_results_come_in_the_order_of_the_items():
    assert run(lambda n: n * n, range(7), LIMITS, jobs=3) == [Done(n * n) for n in range(7)]


def test_no_items_give_no_results():
    assert run(str, [], LIMITS) == []


def test_each_item_has_a_process_of_its_own():
    pids = [outcome.value for outcome in run(lambda _: os.getpid(), range(4), LIMITS, jobs=2)]
    assert len({*pids, os.getpid()}) == 5


def test_a_result_larger_than_a_pipe_arrives_whole():
    outcomes = run(lambda n: bytes([n]) * 3_000_000, range(4), LIMITS, jobs=4)
    assert outcomes == [Done(bytes([n]) * 3_000_000) for n in range(4)]


def test_a_crash_is_put_down_to_the_stage_and_node_it_happened_in():
    def work():
        stage("checker")
        stage("shape inference", "node 'conv'")
        crash(signal.SIGSEGV)

    assert one(work) == Died("shape inference", "node 'conv'", "it crashed (SIGSEGV)")


def test_a_long_or_strange_detail_does_not_hurt():
    def work():
        stage("s" * 10_000, "\udcff\0\1" * 10_000)
        crash()

    outcome = one(work)
    assert (outcome.stage, outcome.reason) == ("s" * 2000, "it crashed (SIGABRT)")


def test_a_stage_outside_of_a_child_does_nothing():
    stage("checker")
    assert pool._note is None


def test_an_exception_comes_back_as_its_traceback():
    outcome = one(lambda: {}["absent"])
    assert isinstance(outcome, Raised)
    assert "KeyError: 'absent'" in outcome.text


def test_leaving_the_interpreter_is_an_exception_too():
    assert isinstance(one(lambda: sys.exit(3)), Raised)


def test_a_result_that_is_no_data_is_an_exception():
    assert "a function is no data to send" in one(lambda: lambda: None).text


def test_memory_is_bounded_and_the_stage_known():
    def work():
        stage("folding", "n")
        return len(bytearray(1 << 30))

    assert one(work) == Died("folding", "n", "it ran out of memory")
    assert one(lambda: len(bytearray(64 << 20))) == Done(64 << 20)


def test_a_child_that_hangs_is_ended_with_everything_it_started(tmp_path):
    pids = tmp_path / "pids"

    def work():
        stage("inlining")
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        pids.write_text(str(child.pid))
        child.wait()

    start = time.monotonic()
    assert one(work, Limits(seconds=1.0)) == Died("inlining", "", "it took longer than 1 s")
    assert time.monotonic() - start < 3
    assert not is_running(int(pids.read_text()))


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_a_crash_is_seen_though_a_grandchild_keeps_the_pipe_open():
    def work():
        if os.fork() == 0:
            time.sleep(600)
        crash()

    start = time.monotonic()
    assert one(work).reason == "it crashed (SIGABRT)"
    assert time.monotonic() - start < 5


def test_one_bad_item_leaves_the_others_alone():
    def work(n):
        if n == 1:
            crash()
        return n

    outcomes = run(work, range(4), LIMITS, jobs=2)
    assert [type(outcome) for outcome in outcomes] == [Done, Died, Done, Done]


def test_progress_is_told_once_for_each_item():
    seen = []
    run(lambda n: n, range(5), LIMITS, jobs=2, progress=seen.append)
    assert sorted(seen) == list(range(5))


def test_no_child_and_no_file_descriptor_is_left():
    before = len(list(Path("/proc/self/fd").iterdir()))
    run(lambda n: n, range(5), LIMITS, jobs=2)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_what_a_child_prints_stays_out_of_standard_output():
    script = """
        import os
        from npugate.sandbox.pool import run
        from npugate.limits import Limits
        print("report")
        run(lambda n: os.write(1, b"noise"), [1, 2], Limits())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("report\n", "noisenoise")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_children_and_then_the_program(number, status, tmp_path):
    script = f"""
        import os, signal, sys, time
        from pathlib import Path
        from npugate.sandbox.pool import run
        from npugate.limits import Limits
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
        def work(n):
            file = Path({str(tmp_path)!r}) / f"{{n}}.tmp"
            file.write_text(str(os.getpid()))
            file.rename(file.with_suffix(".pid"))
            time.sleep(600)
        try:
            run(work, [1, 2], Limits(seconds=600.0), jobs=2)
        except KeyboardInterrupt:
            sys.exit(130)
    """
    program = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT)
    deadline = time.monotonic() + 20
    while len(list(tmp_path.glob("*.pid"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    program.send_signal(number)
    assert program.wait(20) == status
    children = [int(file.read_text()) for file in tmp_path.glob("*.pid")]
    assert len(children) == 2
    assert not any(map(is_running, children))


def test_without_fork_the_work_is_done_here_and_that_is_admitted(monkeypatch):
    assert pool.enforced()
    monkeypatch.delattr(os, "fork")
    assert not pool.enforced()
    seen = []
    outcomes = run(lambda n: 1 // n, [1, 0], LIMITS, progress=seen.append)
    assert outcomes[0] == Done(1)
    assert "ZeroDivisionError" in outcomes[1].text
    assert seen == [0, 1]


def test_a_child_costs_much_less_than_an_interpreter():
    costs = subprocess.run(
        [sys.executable, "-c", CHILD_AND_INTERPRETER], check=True, capture_output=True, text=True
    )
    child, interpreter = map(float, costs.stdout.split())
    assert child < interpreter / 2


CHILD_AND_INTERPRETER = """
import os, subprocess, sys
from npugate.sandbox.pool import run
from npugate.limits import Limits

def spent(work):
    before = sum(os.times()[:4])
    work()
    return sum(os.times()[:4]) - before

def start_interpreters():
    for _ in range(20):
        subprocess.run([sys.executable, "-c", "import json, argparse, tomllib"], check=True)

print(spent(lambda: run(lambda n: n, range(20), Limits(), jobs=1)), spent(start_interpreters))
"""
