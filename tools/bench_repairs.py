"""What a repair costs: CPU and peak memory, against loading the file and against a simplifier.

    python tools/bench_repairs.py [--models FOLDER|FILE|LIST ...] [--runs N] [--simplifier PYTHON]

Processes are measured as tools/bench.py does. Programs:

- ``load``: ``python -c "import onnx; onnx.load(f)"``;
- ``surgery``: every repair that a finding calls for, applied and not proved; of it ``alone`` is the
  CPU without start-up, reading and first check: edits, checker, inference and rules on the result;
- ``fix``: ``npugate fix --dry-run``, the proof included;
- ``onnxsim``: ``onnxsim f out``, where ``--simplifier`` names the Python that has it; it proves
  nothing.

Only models that a repair changes are of interest; without ``--models``: the committed rPPG exports
and a chain of 20,000 nodes with an open batch.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

import context

_SURGERY: Final = """
import gc, os, sys, time
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the program and its children do
from pathlib import Path
sys.path.insert(0, {root!r})
import onnx
from npugate.facts import Facts
from npugate.limits import Limits
from npugate.model.reader import load
from npugate.repair import gate
from npugate.repair.context import RepairContext
from npugate.report.values import Verification
from npugate.rules import check, registry
from npugate.sandbox import pool
from npugate.surgery.results import RepairOptions
from npugate.target import profiles
gc.set_threshold(*pool.COLLECT_AT)
rules, limits, profile = registry.rules(), Limits(), profiles.load("stm32n6")
path = Path(sys.argv[1])
facts = Facts(load(path, "m", limits), limits)
chosen = tuple(rules)
hits = check.run(facts, rules, chosen, profile, lambda _stage: None).hits
gate.verify = lambda *_, **_rest: Verification(equal=True)
on = RepairContext(rules, chosen, registry.repairs(), profile, RepairOptions(), limits)
model = onnx.load(path)
start = time.process_time()
gate.repair_model(model, facts, hits, on)
Path(sys.argv[2]).write_text(str(time.process_time() - start))
"""
_ALONE: Final = "alone"  # the file that the surgery writes its own CPU seconds to
_CHAIN: Final = 20_000
_OPEN: Final = """
import sys, onnx
model = onnx.load(sys.argv[1])
model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"  # gives a repair its work
onnx.save(model, sys.argv[1])
"""


def main(arguments: Sequence[str], out: TextIO) -> int:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--simplifier", help="a Python that has onnxsim installed")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        models = list(context.models(chosen.models, None)) if chosen.models else _own(Path(scratch))
        programs = {
            "load": ((sys.executable, "-c", context.LOAD), ()),
            "surgery": (
                (sys.executable, "-c", _SURGERY.format(root=str(context.ROOT))),
                (str(Path(scratch, _ALONE)),),
            ),
            "fix": ((sys.executable, str(context.ROOT / "entrypoint.py"), "fix", "--dry-run"), ()),
        }
        if chosen.simplifier:
            tool = str(Path(chosen.simplifier).parent / "onnxsim")
            programs["onnxsim"] = ((tool,), (str(Path(scratch, "out.onnx")),))
        names = " | ".join(programs)
        out.write(
            f"| model | MB | {names} | alone | surgery / load | alone / load | fix / onnxsim |\n"
        )
        out.write(f"|---|---|{'---|' * len(programs)}---|---|---|---|\n")
        for model in models:
            out.write(_row(model, programs, chosen.runs, Path(scratch, _ALONE)) + "\n")
            out.flush()
    return 0


def _own(folder: Path) -> list[Path]:
    fixtures = context.ROOT / "tests" / "fixtures" / "models"
    chain = next(path for path in context.generate(folder) if str(_CHAIN) in path.name)
    # In a process of its own: a child is told to have had the memory of its parent at least.
    subprocess.run([sys.executable, "-c", _OPEN, chain], check=True)  # noqa: S603  # our own program
    return [*sorted(fixtures.glob("rppg_4d*.onnx")), chain]


def _row(
    model: Path,
    programs: dict[str, tuple[tuple[str, ...], tuple[str, ...]]],
    runs: int,
    alone: Path,
) -> str:
    """Measure one model; every program takes its turn in each run."""
    costs: dict[str, list[context.Cost]] = {name: [] for name in programs}
    told: list[float] = []
    for counted in range(runs + 1):
        for name, (command, rest) in programs.items():
            cost = context.measure((*command, str(model), *rest), model.parent)
            if counted:
                costs[name].append(cost)
        told.append(float(alone.read_text("utf-8")))
    edits = statistics.median(told)
    cpu = {name: statistics.median(item.cpu for item in each) for name, each in costs.items()}
    peak = {name: statistics.median(item.peak for item in each) for name, each in costs.items()}
    cells = [f"{cpu[name]:.2f} s / {peak[name]:.0f} MiB" for name in programs]
    against = f"{cpu['fix'] / cpu['onnxsim']:.2f}" if "onnxsim" in cpu else ""
    size = model.stat().st_size / 1e6
    ratio = f"{cpu['surgery'] / cpu['load']:.2f} | {edits / cpu['load']:.2f}"
    first = f"{model.name} | {size:.1f} | {' | '.join(cells)} | {edits:.2f} s"
    return f"| {first} | {ratio} | {against} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout))
