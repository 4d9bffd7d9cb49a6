"""Change one thing in repaired models, and see whether the proof tells; the test of the proof.

    python tools/mutate_proofs.py [--count 600] [--seed 0] [--models FOLDER]

Random networks, float and in QDQ form, are repaired; in a copy of the result one weight, bias,
scale, zero point, axis, bound, shape or attribute is changed, and the copy is held against the
original by the proof that the repairs go through. Whether the change matters is judged apart from
it, on independent samples: floats that move by more than 1e-4 of the range of their output; behind
a quantiser, more than one element in a hundred (at least one) that moves, or one that moves by more
than a step. Prints a table, ends with status 1 when a mutant that matters was accepted, and names
it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any, Final, TextIO

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the checkout's npugate, installed or not

import fuzz_repairs  # noqa: E402  # after the path is set
import numpy as np  # noqa: E402 - after the path is set
from fuzz_repairs import FLOAT, STEPS, Gate, samples  # noqa: E402 - after the path is set
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper  # noqa: E402 - after the path is set
from quantized_form import session_of  # noqa: E402 - after the path is set

from npugate.proof.tally import Pair, pairs  # noqa: E402 - after the path is set
from npugate.proof.verify import verify  # noqa: E402 - after the path is set
from npugate.repair import gate as gate_module  # noqa: E402 - after the path is set
from npugate.report.values import Verification  # noqa: E402 - after the path is set
from npugate.surgery.lineage import Lineage  # noqa: E402 - after the path is set
from npugate.surgery.linking import names_in  # noqa: E402 - after the path is set

Array = np.ndarray[Any, np.dtype[Any]]
_EACH: Final = 6  # mutants of one repaired model
_STEP: Final = 1.001
_SEEDS: Final = 3
_FACTORS: Final = (0.5, 0.9, 0.99, 0.999, 1.001, 1.01, 1.1, 2.0, -1.0)
_SUMMING: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_LINEAR: Final = frozenset({"QuantizeLinear", "DequantizeLinear"})
_BIAS: Final = 2
STATES: Final = ("refused", "accepted", "refused, within", "accepted, within", "moves nothing")


def main(arguments: Sequence[str], out: TextIO) -> int:
    """Make the mutants and judge the proof; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=600, help="mutants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", type=Path, help="keep mutants that were accepted here")
    given = parser.parse_args(arguments)
    start, rows = time.monotonic(), dict[str, Counter[str]]()
    accepted = 0
    for label, kind, state, trio in mutants(given.seed, given.count):
        row = rows.setdefault(kind, Counter())
        row["mutants"] += 1
        row[state] += 1
        if state == "accepted":
            accepted += 1
            out.write(f"accepted: {label}\n")
            out.flush()
            if given.models is not None:
                given.models.mkdir(parents=True, exist_ok=True)
                for name, model in zip(("original", "repaired", "mutant"), trio, strict=True):
                    path = given.models / f"{accepted:03d}_{name}.onnx"
                    path.write_bytes(model.SerializeToString())
    out.writelines(f"{line}\n" for line in table(rows))
    out.write(f"{time.monotonic() - start:.0f} s\n")
    return 1 if accepted else 0


Trio = tuple[ModelProto, ModelProto, ModelProto]


def mutants(seed: int, count: int) -> Iterator[tuple[str, str, str, Trio]]:
    """Yield (label, kind of mutant, what became of it, the models) until there are enough."""
    gate, made, proof = Gate(), 0, _Recorder()
    vars(gate_module)["verify"] = proof  # the same, and it notes what is paired
    for name, number, model in fuzz_repairs.models(seed, 100 * count):
        if name.startswith("mixing"):
            continue  # most are not repaired
        if not fuzz_repairs.runs(model, number):
            continue
        proof.links.clear()
        repaired = gate.repaired(model).model
        if repaired is None:
            continue
        form = "QDQ" if name.endswith("QDQ") else "float"
        rng = np.random.default_rng(number)
        for _ in range(_EACH):
            made += 1
            if made > count:
                return
            mutant = ModelProto.FromString(repaired.SerializeToString())
            what, where = _changed(mutant, rng)
            state = judged((model, repaired, mutant), dict(proof.links), number)
            yield (
                f"{name}, seed {number}: {where}",
                f"{form}: {what}",
                state,
                (
                    model,
                    repaired,
                    mutant,
                ),
            )


class _Recorder:
    """The proof, which notes under what name the original has each tensor of a repaired model."""

    def __init__(self) -> None:
        """Know of no tensor."""
        self.links: dict[str, str] = {}

    def __call__(
        self,
        original: ModelProto,
        repaired: ModelProto,
        found: Sequence[Pair] = (),
        *rest: Any,  # noqa: ANN401 - whatever the proof takes
        **options: Any,  # noqa: ANN401 - as above
    ) -> Verification:
        self.links.update((pair.repaired, pair.original) for pair in found)
        return verify(original, repaired, found, *rest, **options)


def judged(trio: Trio, links: dict[str, str], seed: int) -> str:
    """Say what the proof and independent samples make of a mutant.

    Args:
        trio: original, repaired model and mutant.
        links: names that the original has for tensors of the repaired model.
        seed: of the samples.
    """
    original, repaired, mutant = trio
    per_sample = _per_sample(original, mutant)
    found = pairs(original, mutant, Lineage(frozenset(names_in(original)), links))
    try:
        told = verify(original, mutant, found, per_sample=per_sample).equal
    except Exception:  # noqa: BLE001 - in the gate, a fault of the proof drops the result
        told = False
    word = "accepted" if told else "refused"
    how = _moved(repaired, mutant, seed)
    if how == "nothing":
        return "moves nothing"
    return f"{word}, within" if how == "within" else word


def _per_sample(original: ModelProto, mutant: ModelProto) -> int:
    old, new = (next(iter(fuzz_repairs.inputs(model).values())) for model in (original, mutant))
    return int(np.prod(old) // np.prod(new))


def _moved(repaired: ModelProto, mutant: ModelProto, seed: int) -> str:
    """Return how far a mutant moves an output: ``nothing``, ``within`` or ``beyond``."""
    try:
        session, honest = session_of(mutant), session_of(repaired)
        runs = [
            (honest.run(None, feeds), session.run(None, feeds))
            for feeds in (samples(repaired, 500 * seed + index) for index in range(_SEEDS))
        ]
    except Exception:  # noqa: BLE001 - it does not load or run: that is as far as it gets
        return "beyond"
    is_quantized = any(node.op_type == "QuantizeLinear" for node in repaired.graph.node)
    worst = "nothing"
    names = [info.name for info in repaired.graph.output]
    for wanted, got in runs:
        for name, left, right in zip(names, wanted, got, strict=True):
            how = _gap(left, right, fuzz_repairs.step_of(repaired, name) if is_quantized else None)
            worst = max(worst, how, key=("nothing", "within", "beyond").index)
    return worst


def _gap(left: Array, right: Array, step: float | None) -> str:
    if left.shape != right.shape:
        return "beyond"
    wide, other = (array.reshape(-1).astype(np.float64) for array in (left, right))
    if np.array_equal(wide, other, equal_nan=True):
        return "nothing"
    gap = np.abs(wide - other)
    if not np.isfinite(gap).all():
        return "beyond"
    near = max(FLOAT * float(np.ptp(wide)), fuzz_repairs.ROUNDING * float(np.abs(wide).max()))
    off = int((gap > near).sum())
    if step is None or not off:
        return "beyond" if off else "within"
    small = not step or float(gap.max()) <= step * _STEP + near
    return "within" if small and off <= ceil(STEPS * gap.size) else "beyond"


Change = Callable[[ModelProto, np.random.Generator], str]


def _changed(model: ModelProto, rng: np.random.Generator) -> tuple[str, str]:
    """Change one thing; return its kind, and what it was."""
    order = [list(_CHANGES)[int(index)] for index in rng.permutation(len(_CHANGES))]
    for name in order:
        where = _CHANGES[name](model, rng)
        if where:
            return name, where
    raise AssertionError("a model without anything to change")


def _pick(rng: np.random.Generator, items: Sequence[Any]) -> Any:  # noqa: ANN401 - of any list
    return items[int(rng.integers(len(items)))]


def _constants(model: ModelProto) -> dict[str, TensorProto]:
    return {item.name: item for item in model.graph.initializer}


def _operands(
    model: ModelProto, wanted: Callable[[NodeProto, int], bool]
) -> list[tuple[NodeProto, int, TensorProto]]:
    constants = _constants(model)
    return [
        (node, at, constants[name])
        for node in model.graph.node
        for at, name in enumerate(node.input)
        if name in constants and wanted(node, at) and int(np.prod(constants[name].dims)) > 0
    ]


def _put(model: ModelProto, node: NodeProto, at: int, value: Array) -> None:
    """Change a constant where it is, or give one node another: then others keep the old one."""
    if value.size % 2:  # as good as a coin
        _constants(model)[node.input[at]].CopyFrom(numpy_helper.from_array(value, node.input[at]))
        return
    name = f"{node.input[at]}_changed"
    model.graph.initializer.append(numpy_helper.from_array(value, name))
    node.input[at] = name


def _element(
    model: ModelProto, rng: np.random.Generator, wanted: Callable[[NodeProto, int], bool]
) -> str:
    """Change one element of a constant, or all that have its first index."""
    found = _operands(model, wanted)
    if not found:
        return ""
    node, at, tensor = _pick(rng, found)
    value = np.array(numpy_helper.to_array(tensor))
    index = tuple(int(rng.integers(size)) for size in value.shape)
    place = index[:1] if value.ndim and rng.random() < 0.4 else index  # noqa: PLR2004 - a share
    if value.dtype.kind == "f":
        factor = float(_pick(rng, _FACTORS))
        value[place] = value[place] * value.dtype.type(factor)
        if not value[place].any():
            value[place] = value.dtype.type(0.01)
        how = f"times {factor}"
    elif value.dtype.kind in "iu":
        ends, move = np.iinfo(value.dtype), int(_pick(rng, (-3, -1, 1, 3)))
        value[place] = np.clip(value[place].astype(np.int64) + move, ends.min, ends.max)
        how = f"plus {move}"
    else:
        return ""
    _put(model, node, at, value)
    return f"{node.op_type} {node.name} input {at} {list(place)} {how}"


def _weight(model: ModelProto, rng: np.random.Generator) -> str:
    dequantized = _behind_weights(model)
    return _element(
        model,
        rng,
        lambda node, at: (
            (node.op_type in _SUMMING and at == 1)
            or (node.op_type == "DequantizeLinear" and at == 0 and node.output[0] in dequantized)
        ),
    )


def _behind_weights(model: ModelProto) -> set[str]:
    return {name for node in model.graph.node if node.op_type in _SUMMING for name in node.input}


def _bias(model: ModelProto, rng: np.random.Generator) -> str:
    return _element(model, rng, lambda node, at: node.op_type in _SUMMING and at == _BIAS)


def _operand(model: ModelProto, rng: np.random.Generator) -> str:
    kinds = {"Add", "Mul", "Sub", "Max", "PRelu", "BatchNormalization", "InstanceNormalization"}
    return _element(model, rng, lambda node, _at: node.op_type in kinds)


def _scale(model: ModelProto, rng: np.random.Generator) -> str:
    return _element(model, rng, lambda node, at: node.op_type in _LINEAR and at == 1)


def _zero_point(model: ModelProto, rng: np.random.Generator) -> str:
    return _element(model, rng, lambda node, at: node.op_type in _LINEAR and at == _BIAS)


def _bound(model: ModelProto, rng: np.random.Generator) -> str:
    kinds = {"Slice", "Gather", "Pad", "CumSum", "Tile", "GatherND", "Split"}
    return _element(model, rng, lambda node, at: node.op_type in kinds and at > 0)


def _shape(model: ModelProto, rng: np.random.Generator) -> str:
    """Turn round the order of two sizes of a Reshape."""
    found = _operands(model, lambda node, at: node.op_type == "Reshape" and at == 1)
    if not found:
        return ""
    node, at, tensor = _pick(rng, found)
    value = np.array(numpy_helper.to_array(tensor))
    first, second = (int(rng.integers(value.size)) for _ in range(2))
    value[[first, second]] = value[[second, first]]
    _put(model, node, at, value)
    return f"{node.op_type} {node.name} swaps {first} and {second}"


def _attribute(model: ModelProto, rng: np.random.Generator) -> str:
    """Change a number of an attribute by one, a float by a factor."""
    found = [
        (node, item)
        for node in model.graph.node
        for item in node.attribute
        if item.name not in {"to", "dtype", "allowzero"} and (item.ints or item.type in {1, 2})
    ]
    if not found:
        return ""
    node, item = _pick(rng, found)
    if item.type == 1:
        item.f *= float(_pick(rng, _FACTORS))
        return f"{node.op_type} {node.name} {item.name} is {item.f}"
    if item.ints:
        at = int(rng.integers(len(item.ints)))
        if item.name == "perm":
            other = int(rng.integers(len(item.ints)))
            item.ints[at], item.ints[other] = item.ints[other], item.ints[at]
        else:
            item.ints[at] = max(item.ints[at] + int(_pick(rng, (-1, 1))), 0)
        return f"{node.op_type} {node.name} {item.name} is {list(item.ints)}"
    item.i += int(_pick(rng, (-1, 1)))
    return f"{node.op_type} {node.name} {item.name} is {item.i}"


def _operator(model: ModelProto, rng: np.random.Generator) -> str:
    """Take another operator of the same form."""
    found = [node for node in model.graph.node if node.op_type in _TWINS]
    if not found:
        return ""
    node = _pick(rng, found)
    old, node.op_type = node.op_type, _TWINS[node.op_type]
    if node.op_type == "LeakyRelu":
        del node.attribute[:]
        node.attribute.append(helper.make_attribute("alpha", float(_pick(rng, (0.001, 0.01, 0.1)))))
    return f"{old} {node.name} is {node.op_type}"


_TWINS: Final[Mapping[str, str]] = {
    "Add": "Sub",
    "AveragePool": "MaxPool",
    "GlobalAveragePool": "GlobalMaxPool",
    "Mul": "Add",
    "ReduceMax": "ReduceMean",
    "ReduceMean": "ReduceMax",
    "Relu": "LeakyRelu",
    "Sub": "Add",
    "Tanh": "Sigmoid",
}
_CHANGES: Final[Mapping[str, Change]] = {
    "weight": _weight,
    "bias": _bias,
    "operand": _operand,
    "scale": _scale,
    "zero point": _zero_point,
    "bound": _bound,
    "shape": _shape,
    "axis or attribute": _attribute,
    "operator": _operator,
}


def table(rows: Mapping[str, Counter[str]]) -> Iterator[str]:
    """Yield a table in Markdown."""
    yield f"| change | mutants | {' | '.join(STATES)} |"
    yield "|---" + "|--:" * (1 + len(STATES)) + "|"
    total: Counter[str] = Counter()
    for name, row in sorted(rows.items()):
        total.update(row)
        yield _row(name, row)
    yield _row("all", total)


def _row(name: str, row: Counter[str]) -> str:
    return f"| {name} | {' | '.join(str(row[key]) for key in ('mutants', *STATES))} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout))
