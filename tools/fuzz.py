"""Look for a file on which npugate fails itself, takes too long or takes too much.

    python tools/fuzz.py check [--count 100000] [--seconds 1800] [--seed 0] [--keep DIR] [MODEL ...]
    python tools/fuzz.py fix   [--count 20000] ...
    python tools/fuzz.py reader [--seconds 60] ...
    python tools/fuzz.py batch [--count 500] [--seed 0]

``check`` and ``fix`` damage models (``fuzz_models.py``: the small ones among the files given, the
examples of all rules and repairs, and the networks of ``random_models.py``) and examine each as the
program does: read, facts, every rule, estimate; ``fix`` with every repair, too. Many files share a
child, so that one takes milliseconds; a file of which a child died, or that was slow or large
there, is then given to the program itself, alone. What counts, and ends with status 1:

- exit status 3, and any exception in a rule, though the program tells it as the file's fault;
- more than 5 s of processor time, or more than 512 MiB, for the whole of the program.

``--keep`` holds the offending files and ``state.json``, from which the next run with the same seed
goes on. ``reader`` holds the two ways of reading a file against each other, see ``fuzz_reader.py``;
``batch`` is ``fuzz_batch.py``.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TextIO

import msgspec
from msgspec import Struct, field

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the checkout's npugate, installed or not

from npugate.limits import Limits  # noqa: E402  # the same
from npugate.repository.discover import Candidate  # noqa: E402  # the same
from npugate.rules import check, registry  # noqa: E402  # after the path is set
from npugate.rules.testing import model_from_text  # noqa: E402  # the same
from npugate.rules.values import Rule  # noqa: E402  # the same
from npugate.run import cases, warming, worker  # noqa: E402  # after the path is set
from npugate.sandbox import pool  # noqa: E402  # after the path is set
from npugate.sandbox.pool import Done  # noqa: E402  # the same
from npugate.settings.options import CheckSettings, RepairRequest  # noqa: E402  # the same
from npugate.target import boards, profiles  # noqa: E402  # the same
from tools import fuzz_batch, fuzz_reader, random_models  # noqa: E402  # the same
from tools.fuzz_models import Source  # noqa: E402  # the same

SECONDS: Final = 5.0
MEBIBYTES: Final = 512
_SUSPECT_SECONDS: Final = 1.0  # of processor time in a shared child: looked at alone
_SUSPECT_MEBIBYTES: Final = 300  # more than the child had before the file
_BATCH: Final = 250
_RANDOM: Final = 60  # networks of each kind
_SMALL_BYTES: Final = 1 << 18
_COUNTS: Final = {"check": 100_000, "fix": 20_000}


class Fault(Struct, frozen=True):
    """A file that must not be.

    Attributes:
        kind: ``raised``, ``exit 3``, ``slow``, ``large``.
        where: the place of the exception, or the figure.
    """

    number: int
    kind: str
    where: str


class State(Struct):
    """How far a run has come."""

    mode: str
    seed: int
    following: int = 0
    seconds: float = 0.0
    alone: int = 0
    slowest: float = 0.0
    largest: float = 0.0
    verdicts: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


class Looked(Struct, frozen=True):
    """What became of one file in a shared child."""

    number: int
    verdict: str
    seconds: float
    mebibytes: float
    raised: str = ""


class Plan(Struct, frozen=True):
    """What is done with each file."""

    mode: str
    seed: int
    source: Source
    rules: dict[str, Rule]
    job: worker.Job
    folder: Path


def _plan(mode: str, seed: int, models: Sequence[Path], folder: Path) -> Plan:
    check.is_refused = lambda _: False  # a rule that fails on a damaged file is to be mended
    rules = dict(registry.rules())
    target = profiles.load("stm32n6", None)
    target = msgspec.structs.replace(target, board=boards.load(boards.DEFAULT_BOARD))
    check_settings = CheckSettings()
    repair_request = RepairRequest(registry.repairs()) if mode == "fix" else None
    candidate = Candidate(folder / "m.onnx", "m.onnx")
    chosen = cases.chosen_by(check_settings, rules)
    job = worker.Job(candidate, target, chosen, check_settings, repair_request=repair_request)
    return Plan(mode, seed, Source(list(seeds(models))), rules, job, folder)


def seeds(models: Sequence[Path]) -> Iterator[bytes]:
    """Yield models to start from."""
    for path in models:
        if path.stat().st_size < _SMALL_BYTES:
            yield path.read_bytes()
    yield from fuzz_reader.seeds(())
    texts = [
        text
        for rule in registry.rules().values()
        for e in rule.examples
        for text in (e.bad, e.good)
    ]
    texts += [repair.example for repair in registry.repairs().values() if repair.example]
    for text in texts:
        try:
            yield model_from_text(text).SerializeToString()
        except Exception:  # noqa: BLE001, S112  # an example in prose
            continue
    for number in range(_RANDOM):
        yield random_models.program(number).SerializeToString()
        yield random_models.cnn(number).SerializeToString()


def look(numbers: Sequence[int], plan: Plan, done: list[Looked]) -> list[Looked]:
    """Examine some files in this process; called in a child."""
    file, at = plan.folder / f"{os.getpid()}.onnx", plan.folder / f"at-{numbers[0]}"
    candidate = Candidate(file, "m.onnx")
    job = msgspec.structs.replace(plan.job, candidate=candidate)
    for number in numbers:
        at.write_text(str(number))
        file.write_bytes(plan.source.file(number, plan.seed))
        selected = (
            frozenset(job.repair_request.repairs)
            if job.repair_request is not None and number % 2
            else None
        )
        if job.repair_request is not None:
            job = msgspec.structs.replace(
                job, repair_request=msgspec.structs.replace(job.repair_request, selected=selected)
            )
        before = _forget_peak()
        start = time.process_time()
        verdict, raised = _examined(job, plan)
        seconds = time.process_time() - start
        done.append(Looked(number, verdict, seconds, _peak() - before, raised))
    file.unlink()
    return done


def _examined(job: worker.Job, plan: Plan) -> tuple[str, str]:
    """Return the verdict on the file, and the last line of our own in a traceback."""
    limits = Limits(seconds=60.0)
    try:
        found = worker.examine(job, plan.rules, limits)
    except MemoryError:
        return "no memory", ""
    except Exception:  # noqa: BLE001  # any failure at all is what is looked for
        return "raised", _place(pool.log.traceback())
    if found.tracebacks:
        return "raised", _place(found.tracebacks[0])
    outcomes = found.repaired.report.outcomes if found.repaired is not None else ()
    for outcome in outcomes:
        if outcome.reason.startswith("npugate itself failed"):
            return "raised", f"{outcome.repair}: {outcome.reason}"
    if found.unreadable:
        return "unreadable", ""
    return ("fail" if any(hit.severity >= 3 for _, hit in found.hits) else "pass"), ""  # noqa: PLR2004  # the level of an error


def _place(traceback: str) -> str:
    lines = [line.strip() for line in traceback.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("File") and str(ROOT) in line]
    where = ours[-1].replace(str(ROOT) + "/", "") if ours else "?"
    return f"{where}: {lines[-1][:160] if lines else '?'}"


def _forget_peak() -> float:
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    """Return the most memory since ``_forget_peak``, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def run(plan: Plan, state: State, options: argparse.Namespace, out: TextIO) -> None:
    """Go on until the count or the time is reached."""
    end = time.monotonic() + options.seconds
    started, before = time.monotonic(), state.seconds
    warming.warm(plan.rules, plan.job.target)
    while state.following < options.count and time.monotonic() < end:
        last = min(state.following + _BATCH * options.jobs, options.count)
        step = -(-(last - state.following) // options.jobs)
        parts = [range(n, min(n + step, last)) for n in range(state.following, last, step)]
        for looked in _all(parts, plan, options.jobs):
            _note(looked, plan, state, options.keep, out)
        state.following = last
        state.seconds = before + time.monotonic() - started
        options.keep.mkdir(parents=True, exist_ok=True)
        (options.keep / "state.json").write_bytes(msgspec.json.encode(state))


def _all(parts: Sequence[range], plan: Plan, jobs: int) -> Iterator[Looked]:
    """Look at every number; one of which a child died comes back without figures."""
    waiting = [range(part.start, part.stop) for part in parts]
    while waiting:
        limits = Limits(seconds=1800.0, memory_bytes=4 << 30)
        work = partial(_part, plan=plan)
        outcomes = pool.run(work, waiting, limits, jobs, kind=list[Looked])
        rest = []
        for part, outcome in zip(waiting, outcomes, strict=True):
            if isinstance(outcome, Done):
                yield from outcome.value
                continue
            at = int((plan.folder / f"at-{part.start}").read_text())
            yield Looked(at, "died", 0.0, 0.0)
            rest += [range(part.start, at), range(at + 1, part.stop)]
        waiting = [part for part in rest if part]


def _part(part: range, plan: Plan) -> list[Looked]:
    return look(part, plan, [])


def _note(looked: Looked, plan: Plan, state: State, keep: Path, out: TextIO) -> None:
    state.verdicts[looked.verdict] = state.verdicts.get(looked.verdict, 0) + 1
    fault = Fault(looked.number, "raised", looked.raised) if looked.raised else None
    suspect = looked.verdict in {"died", "no memory"} or looked.seconds > _SUSPECT_SECONDS
    if fault is None and (suspect or looked.mebibytes > _SUSPECT_MEBIBYTES):
        state.alone += 1
        fault = alone(looked.number, plan, state)
    if fault is None:
        return
    state.faults.append(fault)
    keep.mkdir(parents=True, exist_ok=True)
    data = plan.source.file(fault.number, plan.seed)
    (keep / f"{plan.mode}-{plan.seed}-{fault.number}.onnx").write_bytes(data)
    out.write(f"{fault.number}: {fault.kind}: {fault.where}\n")
    out.flush()


def alone(number: int, plan: Plan, state: State) -> Fault | None:
    """Give one file to the program itself; return what is wrong with what it did."""
    file = plan.folder / "alone.onnx"
    file.write_bytes(plan.source.file(number, plan.seed))
    command = [sys.executable, "-m", "npugate", plan.mode, "--quiet", file.name]
    command += ["--dry-run"] if plan.mode == "fix" else []
    if plan.mode == "fix" and number % 2:
        command += ["--select", ",".join(registry.repairs())]
    process = subprocess.Popen(  # noqa: S603  # our own program
        command,
        cwd=plan.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # noqa: TID251  # of the program that it runs
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(process.pid, signal.SIGKILL))
    signal.alarm(400)
    _, status, usage = os.wait4(process.pid, 0)
    signal.alarm(0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds, mebibytes = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    state.slowest, state.largest = max(state.slowest, seconds), max(state.largest, mebibytes)
    if process.returncode not in {0, 1, 2}:
        return Fault(number, "exit 3", f"status {process.returncode}")
    if seconds > SECONDS:
        return Fault(number, "slow", f"{seconds:.1f} s of processor time")
    if mebibytes > MEBIBYTES:
        return Fault(number, "large", f"{mebibytes:.0f} MiB")
    return None


def report(state: State, out: TextIO) -> int:
    """Write the figures; return the exit status."""
    verdicts = ", ".join(f"{count} {name}" for name, count in sorted(state.verdicts.items()))
    out.write(
        f"{state.mode}: {state.following} files of seed {state.seed} in {state.seconds:.0f} s: "
        f"{verdicts}\n{state.alone} given to the program alone: at most {state.slowest:.1f} s "
        f"of processor time, {state.largest:.0f} MiB\n"
    )
    kinds = Counter((fault.kind, fault.where) for fault in state.faults)
    out.writelines(f"{count:6} {kind}: {where}\n" for (kind, where), count in kinds.most_common())
    out.write(f"faults: {len(state.faults)}\n")
    return 1 if state.faults else 0


def main(arguments: Sequence[str], out: TextIO) -> int:
    """Parse the command line and fuzz."""
    if arguments[:1] == ["reader"]:
        return fuzz_reader.main(arguments[1:], out)
    if arguments[:1] == ["batch"]:
        return fuzz_batch.main(arguments[1:], out)
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("mode", choices=("check", "fix", "reader", "batch"))
    parser.add_argument("--count", type=int)
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=pool.default_jobs())
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"))
    parser.add_argument("--only", type=int, action="append", help="look at these files alone")
    parser.add_argument("models", nargs="*", type=Path)
    options = parser.parse_args(arguments)
    options.count = options.count or _COUNTS[options.mode]
    models = options.models or sorted((ROOT / "tests" / "fixtures").rglob("*.onnx"))
    with TemporaryDirectory(prefix="npugate-fuzz-") as folder:
        plan = _plan(options.mode, options.seed, models, Path(folder))
        state = State(options.mode, options.seed)
        for number in options.only or ():
            _note(look([number], plan, [])[0], plan, state, options.keep, out)
        if options.only:
            return report(state, out)
        place = options.keep / "state.json"
        if place.exists():
            held = msgspec.json.decode(place.read_bytes(), type=State)
            if (held.mode, held.seed) == (state.mode, state.seed):
                state = held
        run(plan, state, options, out)
        return report(state, out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout))
