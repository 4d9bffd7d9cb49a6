"""Hold what `check` calls a contradiction against what onnxruntime refuses, over mutated models.

    python tools/differential.py [--cases 300] [--mutants 20] [--seed 0] [--models FOLDER ...]

Each case is a node test of onnx's own backend tests, or a model of a folder; a mutant is one
change to it (`mutations.py`), and the model as it is counts, too. onnxruntime loads and runs each
once, what is named a second time without optimisation (it drops nodes that it does not need), and
the rules that name contradictions judge it. Prints a table, then the mutants on which
both disagree. Ends with status 1 when `check` passes 1 % or more of what onnxruntime refuses, or
names what it runs.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import signal
import sys
import tempfile
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, TextIO

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the checkout's npugate, installed or not

import numpy as np  # noqa: E402  # after the path is set
import onnx  # noqa: E402  # after the path is set
import onnxruntime as ort  # noqa: E402  # after the path is set
from msgspec import Struct  # noqa: E402  # after the path is set
from msgspec.json import Decoder, Encoder  # noqa: E402  # after the path is set
from onnx import ModelProto  # noqa: E402  # after the path is set
from onnxruntime.capi import onnxruntime_pybind11_state as states  # noqa: E402  # after the path is set

from npugate import relations  # noqa: E402  # after the path is set
from npugate.errors import ModelError  # noqa: E402  # after the path is set
from npugate.facts import Facts  # noqa: E402  # after the path is set
from npugate.limits import Limits  # noqa: E402  # after the path is set
from npugate.model.reader import load  # noqa: E402  # after the path is set
from npugate.rules import registry  # noqa: E402  # after the path is set
from npugate.rules.values import Rule  # noqa: E402  # after the path is set
from npugate.target import profiles  # noqa: E402  # after the path is set
from npugate.target.values import Target  # noqa: E402  # after the path is set
from tools.mutations import (  # noqa: E402  # after the path is set
    Feeds,
    Mutant,
    NotApplicableError,
    forget_shapes,
    freeze,
    mutate,
)

NAMING: Final = (
    "contradicting-parameter",
    "shape-inference-failed",
    "invalid-model",
    "undefined-value",
    "tensor-data-mismatch",
)
"""Rules whose finding says that a model contradicts itself or the standard."""
RAISED: Final = "a rule raised"
UNCHANGED: Final = -1  # number of the model as it is, among its mutants
_KERNEL: Final = ("could not find an implementation", "not implemented", "not supported")
_KERNEL_TOO: Final = ("unsupported", "only support", "currently only", "is not a registered")
_PER_CASE: Final = 0.85  # share of the inputs of a node test that become constants
_LIMIT: Final = 0.01
_SECONDS: Final = 20
_MODEL_BYTES: Final = 8 << 20
_SHOWN: Final = 160
_REFUSALS: Final = (RuntimeError, ValueError, TypeError, states.RuntimeException)


class Case(Struct, frozen=True):
    """A model that runs, and values for its inputs."""

    name: str
    model: ModelProto
    feeds: Feeds


class Row(Struct, frozen=True):
    """What became of one mutant.

    Attributes:
        case: name of the model that was changed.
        number: of the mutant among those of its model.
        what: the change.
        theirs: ``runs``, ``refuses``, ``kernel`` (it has none) or ``ends`` (the process).
        reason: onnxruntime's words.
        named: what the rules say; empty when they name nothing.
        unknown: what would have to be known for a judgement.
    """

    case: str
    number: int
    what: str
    theirs: str
    reason: str
    named: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def rules(self) -> frozenset[str]:
        """The rules that named the mutant."""
        return frozenset(text.partition(":")[0] for text in self.named)

    @property
    def state(self) -> str:
        """Both answers in one word for the table."""
        ours = "named" if self.named else "unknown" if self.unknown else "passed"
        if self.named and self.named[0].startswith(RAISED):
            return "runs, named"  # wrong, whatever onnxruntime makes of it
        return f"{self.theirs}, {ours}"


def main(arguments: Sequence[str], out: TextIO) -> int:
    """Run the mutants; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--mutants", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", type=Path, nargs="*", default=[])
    parser.add_argument("--only", default="", help="names of cases that contain this")
    parser.add_argument("--rows", type=Path, help="add every mutant to this file")
    given = parser.parse_args(arguments)
    _rules(), _target()  # once, for the children to share
    chosen = [case for case in cases(given.models) if given.only in case.name]
    random.Random(given.seed).shuffle(chosen)  # noqa: S311 - a sample, no secret
    rows: list[Row] = []
    for case in chosen[: given.cases]:
        found = judge(case, given.mutants, given.seed)
        rows += found
        if given.rows:
            with given.rows.open("ab") as file:
                file.writelines(Encoder().encode(row) + b"\n" for row in found)
    return report(rows, out)


def report(rows: Sequence[Row], out: TextIO) -> int:
    """Print the table and the disagreements; return the exit status."""
    states = Counter(row.state for row in rows)
    out.write(f"{len(rows)} mutants of {len({row.case for row in rows})} models\n")
    out.writelines(f"  {count:6} {state}\n" for state, count in sorted(states.items()))
    refused = sum(count for state, count in states.items() if state.startswith("refuses"))
    known = refused - states["refuses, unknown"]
    missed, wrong = states["refuses, passed"], states["runs, named"]
    out.write(f"passed of what is refused: {missed} of {known}, {missed / max(known, 1):.2%}\n")
    out.write(f"named of what runs: {wrong}\n")
    rules = Counter(rule for row in rows if row.state == "runs, named" for rule in row.rules)
    out.writelines(f"  {count:6} by {rule}\n" for rule, count in sorted(rules.items()))
    for row in rows:
        if row.state in {"refuses, passed", "runs, named"}:
            said = row.reason or "; ".join(row.named)
            out.write(f"{row.state}: {row.case}: {row.what}: {said[:_SHOWN]}\n")
    return 1 if wrong or missed >= _LIMIT * max(known, 1) else 0


def cases(folders: Sequence[Path]) -> Iterator[Case]:
    """Yield the node tests of onnx, or, where folders are given, the models in them."""
    if not folders:
        yield from _node_tests()
    for folder in folders:
        for file in sorted(folder.rglob("*.onnx")):
            case = _model(file)
            if case is not None:
                yield case


def _node_tests() -> Iterator[Case]:
    from onnx.backend.test.case.node import collect_testcases  # noqa: PLC0415 - takes seconds

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    for test in found:
        if test.model is None or not test.data_sets or _empty(test.data_sets[0][0]):
            continue
        names = [info.name for info in test.model.graph.input]
        yield Case(test.name, test.model, dict(zip(names, test.data_sets[0][0], strict=False)))


def _empty(values: Sequence[Any]) -> bool:
    """Tell whether a value has no elements: a size of 0 is read as unknown."""
    return any(isinstance(value, np.ndarray) and not value.size for value in values)


def _model(file: Path) -> Case | None:
    if file.stat().st_size > _MODEL_BYTES:
        return None
    try:
        model = onnx.load(file)
    except Exception:  # noqa: BLE001 - a broken file of a corpus is no case, whatever it raises
        return None
    weights = {item.name for item in model.graph.initializer}
    feeds: Feeds = {}
    rng = np.random.default_rng(0)
    for info in model.graph.input:
        if info.name in weights:
            continue
        tensor = info.type.tensor_type
        if not tensor.elem_type or tensor.elem_type == onnx.TensorProto.STRING:
            return None
        shape = [max(dim.dim_value, 1) for dim in tensor.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        feeds[info.name] = rng.random(shape).astype(dtype)
    return Case(f"{file.parent.name}/{file.name}", model, feeds)


def judge(case: Case, mutants: int, seed: int) -> list[Row]:
    """Judge the mutants of one model, in child processes: onnxruntime dies of some."""
    rows: list[Row] = []
    start = 0
    while start < mutants:
        found = _in_child(case, range(start, mutants), seed)
        if found is None:
            break
        rows += found
        start = max(found[-1].number + 1, start + 1) if found else start + 1
        if found and found[-1].theirs != "ends":
            break
    return [row for row in rows if row.theirs != "skipped"]


def _in_child(case: Case, numbers: range, seed: int) -> list[Row] | None:
    """Return the rows until the child ended; None when the model does not run as it is."""
    there, here = os.pipe()
    child = os.fork()
    if not child:
        os.close(there)
        with os.fdopen(here, "wb", buffering=0) as pipe:
            _work(case, numbers, seed, pipe)
        os._exit(0)
    os.close(here)
    lines = _lines(there, child)
    os.close(there)
    os.waitpid(child, 0)
    if lines[:1] != [b"ready"]:
        return None
    rows = [Decoder(Row).decode(line) for line in lines[1:]]
    finished = [row for row in rows if row.theirs != "pending"]
    if rows and rows[-1].theirs == "pending":
        last = rows[-1]
        finished.append(
            Row(last.case, last.number, last.what, "ends", "", last.named, last.unknown)
        )
    return finished


def _lines(pipe: int, child: int) -> list[bytes]:
    """Read until the child ends, or is silent for too long and is ended."""
    data = b""
    while True:
        ready, _, _ = select.select([pipe], [], [], _SECONDS)
        if not ready:
            os.kill(child, signal.SIGKILL)
        block = os.read(pipe, 1 << 16)
        if not block:
            return data.split(b"\n")[:-1]
        data += block


def _work(case: Case, numbers: range, seed: int, pipe: Any) -> None:  # noqa: ANN401 - a raw file
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # what onnxruntime prints although it was told not to
    plain = ModelProto()
    plain.CopyFrom(case.model)
    forget_shapes(plain)
    if run(plain, case.feeds)[0] != "runs":
        return
    pipe.write(b"ready\n")
    if not numbers.start:
        named, unknown = _answer(plain)
        row = Row(case.name, UNCHANGED, "nothing", "runs", "", named, unknown)
        pipe.write(Encoder().encode(row) + b"\n")
    for number in numbers:
        mutant = _mutant(case, number, seed)
        if mutant is None:
            row = Row(case.name, number, "", "skipped", "", (), ())
        else:
            named, unknown = _answer(mutant.model)
            row = Row(case.name, number, mutant.what, "pending", "", named, unknown)
            pipe.write(Encoder().encode(row) + b"\n")
            theirs, reason = run(mutant.model, mutant.feeds)
            if theirs == "runs" and named:  # perhaps only since a node was optimised away
                theirs, reason = run(mutant.model, mutant.feeds, optimised=False)
            row = Row(case.name, number, mutant.what, theirs, reason, named, unknown)
        pipe.write(Encoder().encode(row) + b"\n")


def _answer(model: ModelProto) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what `ours` does; a rule that raises says so as a wrong name."""
    try:
        return ours(model)
    except Exception as error:  # noqa: BLE001 - it would end the child without a word
        return (f"{RAISED} {error!r}",), ()


def _mutant(case: Case, number: int, seed: int) -> Mutant | None:
    rng = np.random.default_rng([seed, number, zlib.crc32(case.name.encode())])
    base = ModelProto()
    base.CopyFrom(case.model)
    feeds = case.feeds if base.graph.initializer else freeze(base, case.feeds, rng, _PER_CASE)
    try:
        return mutate(base, feeds, rng)
    except NotApplicableError:
        return None


def run(model: ModelProto, feeds: Feeds, *, optimised: bool = True) -> tuple[str, str]:
    """Load and run a model once; return what onnxruntime did and its words."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        wanted = {value.name for value in session.get_inputs()}
        session.run(None, {name: value for name, value in feeds.items() if name in wanted})
    except (*_REFUSALS, *_states()) as error:
        text = " ".join(str(error).split())
        kernel = any(words in text.lower() for words in (*_KERNEL, *_KERNEL_TOO))
        return "kernel" if kernel else "refuses", text
    return "runs", ""


def _states() -> tuple[type[Exception], ...]:
    """Return the exceptions of onnxruntime, which have no common base but Exception."""
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
    more = ("EPFail", "NoSuchFile", "NoModel", "EngineError", "ModelLoaded")
    return tuple(getattr(states, name) for name in (*names, *more) if hasattr(states, name))


@cache
def _rules() -> tuple[Rule, ...]:
    return tuple(rule for rule in registry.rules().values() if rule.name in NAMING)


@cache
def _target() -> Target:
    return profiles.load("stm32n6")


def ours(model: ModelProto) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the rules name, and what would have to be known to judge the rest."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(model.SerializeToString())
        try:
            facts = Facts(load(file, file.name, Limits()))
        except ModelError as error:
            return (f"{error.rule}: {error}",), ()
    rules, target = _rules(), _target()
    named = [f"{rule.name}: {hit.message}" for rule in rules for hit in rule.check(facts, target)]
    return tuple(named), tuple(relations.unknown(facts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout))
