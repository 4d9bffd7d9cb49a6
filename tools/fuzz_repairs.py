"""Repair random networks, and hold what is written against the originals on independent samples.

    python tools/fuzz_repairs.py [--count 3000] [--seed 0] [--models FOLDER]

A third are networks on a batch, half of which mix its samples, by operators, misaligned axes,
branches and loops; a third are networks that run layers on a batch in the middle and programs of
high rank; every model comes in float and in QDQ form. Every repair is tried on each. The comparison
shares nothing with the proof inside npugate: the samples of a batch have scales and offsets of
their own, a repaired network that takes one sample is run once for each. Prints a table; ends with
status 1 when a result is wrong or the program failed, and names the seed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any, Final, TextIO

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the checkout's npugate, installed or not

import batch_models  # noqa: E402  # after the path is set
import numpy as np  # noqa: E402 - after the path is set
import random_models  # noqa: E402 - after the path is set
from msgspec import Struct  # noqa: E402 - after the path is set
from onnx import ModelProto, numpy_helper  # noqa: E402 - after the path is set
from onnxruntime import InferenceSession  # noqa: E402 - after the path is set
from quantized_form import quantized, session_of  # noqa: E402 - after the path is set

from npugate.facts import Facts  # noqa: E402 - after the path is set
from npugate.limits import Limits  # noqa: E402 - after the path is set
from npugate.repair.context import RepairContext  # noqa: E402 - after the path is set
from npugate.repair.gate import repair_model  # noqa: E402 - after the path is set
from npugate.repair.values import Repaired  # noqa: E402 - after the path is set
from npugate.rules import check, registry  # noqa: E402 - after the path is set
from npugate.settings.options import RepairRequest  # noqa: E402 - after the path is set
from npugate.surgery import structure  # noqa: E402 - after the path is set
from npugate.surgery.results import RepairOptions  # noqa: E402 - after the path is set
from npugate.target import profiles  # noqa: E402 - after the path is set
from tests.batched_models import random_model  # noqa: E402 - after the path is set

Array = np.ndarray[Any, np.dtype[Any]]
Feeds = Mapping[str, Array]
FLOAT: Final = 1e-4  # of the range of an output
STEPS: Final = 0.01  # share of the elements of a quantised output, at least one, a step off
_STEP: Final = 1.001
NOISE: Final = 8  # times what the original is off by itself, where its sums cancel
ROUNDING: Final = 4e-6  # of the largest element: what float32 does not tell apart in sums
_SCALES: Final = (0.3, 1.0, 2.0, 4.0)
_SEEDS: Final = 3  # of the samples that a result is compared on


class Result(Struct, frozen=True):
    """What became of one model.

    Attributes:
        state: ``equal``, ``nothing repaired``, ``wrong: ...``, ``failed: ...`` or ``does not run``.
        applied: names of the repairs that were applied.
    """

    state: str
    applied: tuple[str, ...] = ()


def main(arguments: Sequence[str], out: TextIO) -> int:
    """Repair the models of the seeds; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", type=Path, help="keep the models that are wrong or fail here")
    given = parser.parse_args(arguments)
    gate, start = Gate(), time.monotonic()
    rows: dict[str, Counter[str]] = {}
    bad = 0
    for name, seed, model in models(given.seed, given.count):
        found = gate.tried(model, seed)
        row = rows.setdefault(name, Counter())
        row["models"] += 1
        row[found.state.partition(":")[0]] += 1
        row.update(found.applied)
        if found.state.startswith(("wrong", "failed")):
            bad += 1
            out.write(f"{name}, seed {seed}: {found.state} ({', '.join(found.applied)})\n")
            out.flush()
            if given.models is not None:
                given.models.mkdir(parents=True, exist_ok=True)
                path = given.models / f"{name.replace(' ', '_')}_{seed}.onnx"
                path.write_bytes(model.SerializeToString())
    out.writelines(f"{line}\n" for line in table(rows))
    out.write(f"{time.monotonic() - start:.0f} s\n")
    return 1 if bad else 0


def models(seed: int, count: int) -> Iterator[tuple[str, int, ModelProto]]:
    """Yield (kind, seed, model): networks of three kinds in turn, each second one in QDQ form."""
    for number in range(seed, seed + count):
        kind, is_quantized = number % 6 // 2, bool(number % 2)
        if kind == 0:
            mixes = number % 12 < 6  # noqa: PLR2004 - half of them
            name = "mixing" if mixes else "per sample"
            model = batch_models.network(number, mixing=mixes)
        elif kind == 1:
            name, model = "batch inside", random_model(number)
        else:
            name, model = "high rank", random_models.program(number)
        yield (
            (f"{name}, QDQ", number, quantized(model, number))
            if is_quantized
            else (
                name,
                number,
                model,
            )
        )


def table(rows: Mapping[str, Counter[str]]) -> Iterator[str]:
    """Yield a table in Markdown."""
    states = ("equal", "nothing repaired", "wrong", "failed", "does not run")
    yield f"| kind | models | take-one-sample | fold-batch | {' | '.join(states)} |"
    yield "|---" + "|--:" * (3 + len(states)) + "|"
    total: Counter[str] = Counter()
    for name, row in sorted(rows.items()):
        total.update(row)
        yield _row(name, row, states)
    yield _row("all", total, states)


def _row(name: str, row: Counter[str], states: Sequence[str]) -> str:
    counts = [row[key] for key in ("models", "take-one-sample", "fold-batch", *states)]
    return f"| {name} | {' | '.join(map(str, counts))} |"


class Gate:
    """Every repair, as ``npugate fix --select`` with all of their names."""

    def __init__(self, toolchain: str | None = None) -> None:
        """Load rules and repairs."""
        rules = registry.rules()
        self._context = RepairContext(
            rules,
            tuple(rules),
            profiles.load("stm32n6", toolchain),
            Limits(),
            RepairRequest(registry.repairs(), RepairOptions(), frozenset(registry.repairs())),
        )

    def repaired(self, model: ModelProto) -> Repaired:
        """Repair a copy of a model."""
        copy = ModelProto.FromString(model.SerializeToString())
        for index, node in enumerate(copy.graph.node):
            node.name = node.name or f"n{index}"
        context = self._context
        facts = Facts(structure.skeleton(copy), context.limits)
        hits = check.run(facts, context.rules, context.chosen, context.target, context.stage).hits
        return repair_model(copy, facts, hits, context)[0]

    def tried(self, model: ModelProto, seed: int) -> Result:
        """Repair a model and compare the result."""
        if not runs(model, seed):
            return Result("does not run")
        try:
            found = self.repaired(model)
        except Exception as error:  # noqa: BLE001 - a fault to be told
            return Result(f"failed: {type(error).__name__}: {error}")
        outcomes = found.report.outcomes
        applied = tuple(item.repair for item in outcomes if item.state == "applied")
        crashed = [item.reason for item in outcomes if item.reason.startswith("npugate itself")]
        if crashed:
            return Result(f"failed: {crashed[0]}", applied)
        if found.model is None:
            return Result("nothing repaired")
        return Result(differs(model, found.model, seed) or "equal", applied)


def runs(model: ModelProto, seed: int) -> bool:
    """Tell whether onnxruntime takes a model and a sample."""
    try:
        session_of(model).run(None, samples(model, seed))
    except Exception:  # noqa: BLE001 - whatever onnxruntime raises
        return False
    return True


def differs(original: ModelProto, repaired: ModelProto, seed: int) -> str:
    """Say how a repaired model differs from its original on independent samples; "" if it does not.

    Floats may be off by 1e-4 of the range of their output, or by a few times what the original is
    off itself with other kernels, where its output is but rounding. Behind a quantiser one in a
    hundred elements, at least one, may be off by a step of it; where floats are computed behind
    the last quantiser, twice what the original is off itself with other kernels.
    """
    whole, one = session_of(original), session_of(repaired)
    for number in range(_SEEDS):
        feeds = samples(original, 1000 * seed + number)
        wanted = whole.run(None, feeds)
        got = _run(one, original, repaired, feeds)
        for name, left, right in zip(
            [o.name for o in whole.get_outputs()], wanted, got, strict=True
        ):
            fault = _fault(original, name, feeds, left, right)
            if fault:
                return f"wrong: {name!r}: {fault}"
    return ""


def samples(model: ModelProto, seed: int) -> dict[str, Array]:
    """Return inputs of a model: rows of the leading axis with scales and offsets of their own."""
    rng = np.random.default_rng([seed, 77])
    found: dict[str, Array] = {}
    for name, dims in inputs(model).items():
        rows = [
            rng.standard_normal(dims[1:]) * rng.choice([0.3, 1.0, 2.0, 4.0])
            + rng.uniform(-1.5, 1.5)
            for _ in range(dims[0])
        ]
        found[name] = np.stack(rows).astype(np.float32)
    return found


def inputs(model: ModelProto) -> dict[str, list[int]]:
    """Return the shapes of what is fed."""
    weights = {item.name for item in model.graph.initializer}
    return {
        info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        for info in model.graph.input
        if info.name not in weights
    }


def _run(
    session: InferenceSession, original: ModelProto, repaired: ModelProto, feeds: Feeds
) -> list[Array]:
    """Run a repaired model on what the original takes; sample by sample where it takes one."""
    old, new = inputs(original), inputs(repaired)
    parts = max(int(np.prod(dims)) // max(int(np.prod(new[key])), 1) for key, dims in old.items())
    if parts == 1:
        fed = {name: array.reshape(new[name]) for name, array in feeds.items()}
        return list(session.run(None, fed))
    rows = []
    for index in range(parts):
        fed = {
            name: array.reshape(parts, *new[name])[index] if old[name] != new[name] else array
            for name, array in feeds.items()
        }
        rows.append(session.run(None, fed))
    return [np.concatenate(part) for part in zip(*rows, strict=True)]


def _fault(original: ModelProto, name: str, feeds: Feeds, left: Array, right: Array) -> str:
    if left.size != right.size:
        return f"{right.shape} instead of {left.shape}"
    wide, other = (array.reshape(-1).astype(np.float64) for array in (left, right))
    gap, size = np.abs(wide - other), float(np.ptp(wide)) if wide.size else 0.0
    near = max(FLOAT * size, ROUNDING * float(np.abs(wide).max(initial=0)))
    off = gap > near
    if not off.any():
        return ""
    again = session_of(original, optimised=True).run([name], feeds)[0].reshape(-1)
    own = float(np.abs(wide - again).max())
    told = f"max |d| {gap.max():.3g} in {off.sum()} of {gap.size} elements, range {size:.3g}"
    if not any(node.op_type == "QuantizeLinear" for node in original.graph.node):
        return "" if gap.max() <= NOISE * own else told
    step = step_of(original, name)
    if step:
        few = off.sum() <= ceil(STEPS * gap.size) and gap.max() <= step * _STEP + near
        return "" if few else f"{told}, step {step:.3g}"
    return "" if gap.max() <= 2 * own + near else told


def step_of(model: ModelProto, name: str) -> float:
    """Return the scale of the quantiser that an output comes out of; 0 when there is none."""
    scales = {item.name: item for item in model.graph.initializer}
    makers = {output: node for node in model.graph.node for output in node.output}
    node = makers.get(name)
    while node is not None and node.op_type in {"Reshape", "Identity", "Transpose", "Relu"}:
        node = makers.get(node.input[0])
    if node is None or node.op_type != "DequantizeLinear":
        return 0.0
    return float(numpy_helper.to_array(scales[node.input[1]]).max())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout))
