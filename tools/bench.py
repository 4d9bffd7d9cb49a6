"""What a check costs: CPU time and peak memory of whole processes, against loading the file.

    python tools/bench.py [--models FOLDER|FILE|LIST ...] [--sample N] [--runs N] [--peer PYTHON]
                          [--generated] [--output FILE]

Every measurement is a process of its own from a cold interpreter with warm file caches: one run
that is not counted, then ``--runs``. CPU is user and system time of the process and of the children
that it waited for; memory is the largest resident size of any one of them, both as the kernel
accounts for them (``wait4``). Where there is ``/proc``, the run that is not counted also samples
what the process and its children hold together, each shared page once (``Pss``). The programs take
turns on each model, so that a machine which drifts hits them alike; compare ratios, not seconds.
Programs:

- ``load``: ``python -c "import onnx; onnx.load(f)"``, the floor of every tool in Python;
- ``infer``: the same with ``onnx.shape_inference.infer_shapes``;
- ``check``: ``npugate check f``, every rule on;
- ``trtcheck``: the nearest peer, where ``--peer`` names the Python that has it installed.

Without ``--models``: the committed fixtures. ``--generated`` (on without ``--models``) adds a model
of 500 MB, chains of 5,000, 10,000 and 20,000 nodes, and twenty models in one call.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TextIO

ROOT: Final = Path(__file__).resolve().parent.parent
FIXTURES: Final = (ROOT / "tests" / "fixtures" / "models", ROOT / "examples")
CHAINS: Final = (5_000, 10_000, 20_000)
HEAVY_MB: Final = 500
TOGETHER: Final = 20
_BIG_BYTES: Final = 20_000_000
_SAMPLE_SECONDS: Final = 0.002
_LONG: Final = 30  # rows; of a longer table only the notable ones are printed
_NOT_KEPT: Final = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
LOAD: Final = "import sys, onnx; m = onnx.load(sys.argv[1])"
_INFER: Final = LOAD + "; onnx.shape_inference.infer_shapes(m)"

# Run in a child: onnx must not grow this process, whose size a child's peak starts from.
_MAKE: Final = """
import sys, numpy, onnx
from onnx import TensorProto, helper, numpy_helper
folder, megabytes, *chains = sys.argv[1:]
value = lambda name, *dims: helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
def save(name, nodes, first, last, weights=()):
    graph = helper.make_graph(nodes, name, [first], [last], weights)
    opsets = [helper.make_opsetid("", 14)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), f"{folder}/{name}.onnx")
for count in map(int, chains):
    nodes = [helper.make_node("Relu", [f"v{i}"], [f"v{i + 1}"], name=f"n{i}") for i in range(count)]
    save(f"chain_{count}", nodes, value("v0", 1, 8), value(f"v{count}", 1, 8))
side, layers = 2500, max(1, int(megabytes) // 25)
rng = numpy.random.default_rng(0)
weights = [
    numpy_helper.from_array(rng.random((side, side), numpy.float32), f"w{i}") for i in range(layers)
]
nodes = [helper.make_node("Gemm", [f"v{i}", f"w{i}"], [f"v{i + 1}"]) for i in range(layers)]
save(f"heavy_{megabytes}mb", nodes, value("v0", 1, side), value(f"v{layers}", 1, side), weights)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process took.

    Attributes:
        cpu: seconds, user and system, children included.
        peak: MiB of its largest process.
        wall: seconds.
        status: exit status; negative, the signal.
        together: MiB of the process and its children, shared pages once; 0 where not sampled.
    """

    cpu: float
    peak: float
    wall: float
    status: int
    together: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """Medians for one model, by program."""

    model: str
    size_bytes: int
    costs: Mapping[str, Cost]


def main(arguments: Sequence[str], out: TextIO, log: TextIO) -> int:
    """Measure as the arguments say."""
    chosen = _parser().parse_args(arguments)
    files = list(models(chosen.models or FIXTURES, chosen.sample))
    with tempfile.TemporaryDirectory() as folder:
        together: list[Path] = []
        if chosen.generated or not chosen.models:
            files += generate(Path(folder))
            together = _copies(Path(folder) / "together")
        programs = _programs(chosen.peer)
        rows = []
        for number, model in enumerate(files, 1):
            log.write(f"{number}/{len(files)} {model.name}\n")
            rows.append(_row(model, programs, chosen.runs))
        report = _report(rows, chosen.runs)
        if together:
            report += _together(together, chosen.runs)
    if chosen.output:
        Path(chosen.output).write_text(report, encoding="utf-8")
    else:
        out.write(report)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--models", nargs="+", type=Path, help="folders, .onnx files, or lists of paths, one a line"
    )
    add("--sample", type=int, help="this many of the models, evenly over their ranks by size")
    add("--runs", type=int, default=5, help="that are counted, for each model and program")
    add("--peer", help="a Python that has trtcheck installed")
    add("--generated", action="store_true", help="add the generated models to --models")
    add("--output", help="write the table here instead of to standard output")
    return parser


def models(places: Sequence[Path], sample: int | None) -> Iterator[Path]:
    """Return the models in folders, files and lists, smallest first; a sample of them evenly."""
    found: dict[str, Path] = {}
    for place in places:
        if place.is_dir():
            files: Iterable[Path] = place.rglob("*.onnx")
        elif place.suffix == ".onnx":
            files = [place]
        else:
            files = (place.parent / line for line in place.read_text("utf-8").split("\n") if line)
        found |= {str(file): file for file in files}
    if not found:
        sys.exit("bench: no model found")
    resolved = (file.resolve() for file in found.values())
    ranked = sorted(resolved, key=lambda file: (file.stat().st_size, str(file)))
    if sample is None or sample >= len(ranked):
        return iter(ranked)
    step = len(ranked) / sample
    return (ranked[int((number + 1) * step) - 1] for number in range(sample))


def generate(folder: Path) -> list[Path]:
    """Write the chains and the heavy model."""
    counts = [str(count) for count in CHAINS]
    command = [sys.executable, "-c", _MAKE, str(folder), str(HEAVY_MB), *counts]
    subprocess.run(command, check=True)  # noqa: S603  # our own program
    chains = [folder / f"chain_{count}.onnx" for count in CHAINS]
    return [*chains, folder / f"heavy_{HEAVY_MB}mb.onnx"]


def _copies(folder: Path) -> list[Path]:
    """Write one small model twenty times, for the cost of many in one call."""
    folder.mkdir()
    data = min(FIXTURES[0].glob("*.onnx"), key=lambda file: file.stat().st_size).read_bytes()
    files = [folder / f"m{number:02}.onnx" for number in range(TOGETHER)]
    for file in files:
        file.write_bytes(data)
    return files


def _programs(peer: str | None) -> dict[str, tuple[str, ...]]:
    programs: dict[str, tuple[str, ...]] = {
        "load": (sys.executable, "-c", LOAD),
        "infer": (sys.executable, "-c", _INFER),
        "check": (sys.executable, str(ROOT / "entrypoint.py"), "check"),
    }
    if peer:
        # The script beside the interpreter, not its `-m` form: what a user would call.
        programs["trtcheck"] = (str(Path(peer).parent / "trtcheck"), "--format", "json")
    return programs


def _row(model: Path, programs: Mapping[str, tuple[str, ...]], runs: int) -> Row:
    taken: dict[str, list[Cost]] = {name: [] for name in programs}
    together: dict[str, float] = {}
    for counted in range(runs + 1):
        for name, command in programs.items():
            cost = measure((*command, str(model)), model.parent, sample=not counted)
            if counted:
                taken[name].append(cost)
            else:
                together[name] = cost.together
    costs = {name: replace(_median(taken[name]), together=together[name]) for name in programs}
    return Row(model.name, model.stat().st_size, costs)


def measure(command: Sequence[str], folder: Path, *, sample: bool = False) -> Cost:
    """Run a command to its end, in the model's folder."""
    start = time.perf_counter()
    # A checkout whose bytecode is never kept would be compiled anew at each start, unlike a wheel.
    environment = {key: os.environ[key] for key in os.environ if key not in _NOT_KEPT}
    with subprocess.Popen(  # noqa: S603  # one of the programs above
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        together = (
            _together_peak(child.pid)
            if sample and Path("/proc/self/smaps_rollup").exists()
            else 0.0
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    scale = 1024 if sys.platform != "darwin" else 1024 * 1024  # kibibytes; bytes on macOS
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(cpu, usage.ru_maxrss / scale, wall, child.returncode, together)


def _together_peak(pid: int) -> float:
    """Sample a process and its children until it ends; return the largest sum, in MiB."""
    largest = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        largest = max(largest, sum(_held_kib(process) for process in (pid, *_children(pid))))
        time.sleep(_SAMPLE_SECONDS)
    return largest / 1024


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []  # it has ended


def _held_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0  # it has ended
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.cpu for cost in costs),
        statistics.median(cost.peak for cost in costs),
        statistics.median(cost.wall for cost in costs),
        max((cost.status for cost in costs), key=abs),
    )


def _report(rows: Sequence[Row], runs: int) -> str:
    names = list(rows[0].costs)
    setting = f"{len(rows)} models, {runs} runs each, Python {platform.python_version()}"
    columns = (
        "median CPU s|max CPU s|median wall s|median peak MiB|max peak MiB"
        "|CPU / load|peak / load|all processes / load"
    )
    lines = [
        f"{setting}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}.",
        "",
        f"| program | {columns.replace('|', ' | ')} |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_summary(name, rows) for name in names),
        "",
        "| model | MB | "
        + " | ".join(f"{name} CPU s / MiB" for name in names)
        + " | check / load CPU | peak | digest s |",
        "|---" * (len(names) + 5) + "|",
        *(_line(row) for row in rows if len(rows) <= _LONG or _notable(row)),
        "",
    ]
    return "\n".join(lines) + _failures(rows)


def _notable(row: Row) -> bool:
    """Tell whether a row of a long table is printed: large, or dear."""
    heavy = row.size_bytes > _BIG_BYTES
    return heavy or row.costs["check"].cpu > 2 * row.costs["load"].cpu


def _summary(name: str, rows: Sequence[Row]) -> str:
    costs = [row.costs[name] for row in rows]
    cpu = statistics.median(row.costs[name].cpu / row.costs["load"].cpu for row in rows)
    peak = statistics.median(row.costs[name].peak / row.costs["load"].peak for row in rows)
    sampled = [row for row in rows if row.costs[name].together and row.costs["load"].together]
    together = [row.costs[name].together / row.costs["load"].together for row in sampled]
    cells = (
        f"{statistics.median(c.cpu for c in costs):.3f}",
        f"{max(c.cpu for c in costs):.3f}",
        f"{statistics.median(c.wall for c in costs):.3f}",
        f"{statistics.median(c.peak for c in costs):.1f}",
        f"{max(c.peak for c in costs):.1f}",
        f"{cpu:.2f}",
        f"{peak:.2f}",
        f"{statistics.median(together):.2f}" if together else "-",
    )
    return f"| {name} | " + " | ".join(cells) + " |"


def _line(row: Row) -> str:
    cells = [f"{cost.cpu:.2f} / {cost.peak:.0f}" for cost in row.costs.values()]
    load, check = row.costs["load"], row.costs["check"]
    cells += [f"{check.cpu / load.cpu:.2f}", f"{check.peak / load.peak:.2f}"]
    cells.append(f"{_digest_seconds(row.size_bytes):.2f}")
    return f"| {row.model} | {row.size_bytes / 1e6:.2f} | " + " | ".join(cells) + " |"


def _digest_seconds(size_bytes: int) -> float:
    """Return the CPU time that SHA-256 of so many bytes takes on this machine."""
    block = bytes(1 << 20)
    start = time.process_time()
    digest = hashlib.sha256()
    for _ in range(16):
        digest.update(block)
    return (time.process_time() - start) / (16 << 20) * size_bytes


def _failures(rows: Sequence[Row]) -> str:
    """Say what ended otherwise than a program that gave an answer: 0, or 1 for findings."""
    found = [
        f"- {name} on {row.model}: status {cost.status}"
        for row in rows
        for name, cost in row.costs.items()
        if cost.status not in ((0, 1) if name in {"check", "trtcheck"} else (0,))
    ]
    return "\n".join(["", "Ended without an answer:", "", *found, ""]) if found else ""


def _together(files: Sequence[Path], runs: int) -> str:
    check = (sys.executable, str(ROOT / "entrypoint.py"), "check")
    sets = {"one model": [files[0]], "twenty, one call": files, "twenty, --jobs 1": files}
    lines = ["", "| check of | CPU s | wall s | peak MiB |", "|---|---|---|---|"]
    for name, chosen in sets.items():
        extra = ("--jobs", "1") if "--jobs" in name else ()
        command = (*check, *extra, *map(str, chosen))
        cost = _median([measure(command, files[0].parent) for _ in range(runs + 1)][1:])
        lines.append(f"| {name} | {cost.cpu:.3f} | {cost.wall:.3f} | {cost.peak:.1f} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr))
