"""Verify that a repaired model computes what the original does.

Both run in onnxruntime without optimisations, on one thread, on the same seeded inputs. Compared
are the outputs of the model and, more telling, the output of every rewritten region: a sigmoid or
an average behind a region hides an error that is plain at its edge. Where the repaired model takes
one sample of a batch, the samples are drawn one by one, and some of them are changed while others
are held: what the others come to may not move.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import numpy as np
from msgspec.structs import replace
from onnx import ModelProto, TensorProto

from npugate.facts.graph import Array
from npugate.proof import samples
from npugate.proof.comparison import Comparison
from npugate.proof.models import Models
from npugate.proof.quantized import MOST_STEPS
from npugate.proof.samples import KINDS, SEEDS, Port, Sample
from npugate.proof.sessions import CannotRunError
from npugate.proof.shared_weights import SharedWeights
from npugate.proof.tally import Pair, Tally, UnequalError
from npugate.report.values import Verification
from npugate.surgery.shapes import known_of
from npugate.surgery.weight_store import WeightStore

_MOST_SHOWN: Final = 64  # region outputs compared in one pair of sessions
_FULL_WORK: Final = 200_000_000  # multiply-accumulates of a model that gets every sample
_REACTION: Final = 1e-6  # relative change of an output that counts as a reaction to the input


def verify(  # noqa: PLR0913 - two models and their proof; only the repairs give all of it
    original: ModelProto,
    repaired: ModelProto,
    pairs: Sequence[Pair] = (),
    data: Mapping[str, Array] | None = None,
    per_sample: int = 1,
    work: int = 0,
    *,
    store: WeightStore | None = None,
) -> Verification:
    """Compare two models.

    Args:
        original: the reference; symbolic dimensions take the repaired model's.
        repaired: its inputs are all static.
        pairs: inner tensors to compare besides the outputs.
        data: a user's inputs, T[*dims] or T[N, *dims] by name; used besides the generated ones.
        per_sample: samples of the original's batch, when the repaired model takes one at a time.
        work: multiply-accumulates of one run; a large model gets fewer samples, never none.
        store: holds the weights that the models refer to.

    Returns:
        ``equal`` is None when nothing could be compared; ``reason`` then says why.
    """
    models = Models(original, repaired, pairs, per_sample, SharedWeights(store))
    try:
        ports = _ports(models)
        chosen = _chosen(ports, _count(work), data, 1 if per_sample == 1 else 2 * per_sample)
    except ValueError as error:
        return Verification(equal=None, reason=str(error))
    tally = Tally()
    outputs = [Pair(info.name, info.name) for info in repaired.graph.output]
    try:
        for chunk in _chunks(_inner(models, pairs)):
            comparison = Comparison(models, ports, [*chunk, *outputs])
            for number, sample in enumerate(chosen):
                comparison.hold(sample, number, tally)
    except UnequalError as error:
        return _verdict(tally, equal=False, reason=str(error))
    except CannotRunError as error:
        return _verdict(tally, equal=None, reason=str(error))
    gap = _gap(tally, outputs)
    return _verdict(tally, equal=None if gap else True, reason=gap)


def _chosen(
    ports: Sequence[Port], count: int, data: Mapping[str, Array] | None, parts: int
) -> list[Sample]:
    """Return the samples, with twice as many parts as a batch has: half of them replace the others.

    Args:
        ports: the inputs.
        count: of the generated samples.
        data: a user's inputs, T[*dims] or T[N, *dims] by name.
        parts: sets of inputs in each sample.
    """
    chosen = list(samples.generated(ports, count, parts=parts))
    return chosen if data is None else chosen + samples.given(ports, data, parts)


def _inner(models: Models, pairs: Sequence[Pair]) -> list[Pair]:
    """Return the inner tensors to compare: the rewritten ones, and every integer one."""
    found = {pair.repaired: pair for pair in pairs}
    for name in models.integers:
        if name not in models.cuts:
            found.setdefault(name, Pair(name, models.links.get(name, name)))
    return list(found.values())


def _gap(tally: Tally, outputs: Sequence[Pair]) -> str:
    """Say what was not compared although it had to be; empty when everything was."""
    told = [label for label in tally.failed if label.startswith("inputs[")]
    if told or not tally.samples:
        reasons = [tally.failed[label] for label in told] or list(tally.failed.values())
        return reasons[0] if reasons else "nothing was run"
    missing = [pair.repaired for pair in outputs if pair.repaired not in tally.compared]
    if missing:
        return f"output {missing[0]!r} of the original is not finite on any sample"
    return ""


def _verdict(tally: Tally, *, equal: bool | None, reason: str = "") -> Verification:
    notes = list(tally.notes)
    if tally.failed:
        notes.append(f"the original fails on {len(tally.failed)} of the generated samples")
    if equal:
        notes += [
            f"output {name!r} hardly reacts to the inputs: a weak proof"
            for name, values in tally.seen.items()
            if len(values) > 1 and not any(_reacts(values[0], other) for other in values[1:])
        ]
    return Verification(
        equal,
        len(tally.samples),
        len(tally.compared),
        tally.error,
        tally.limit,
        reason,
        tuple(notes),
        steps=tally.steps,
        most_steps=MOST_STEPS if tally.steps else 0.0,
    )


def _reacts(left: Array, right: Array) -> bool:
    if left.dtype.kind in "OSU" or left.shape != right.shape:
        return not np.array_equal(left, right)
    wide = left.astype(np.float64), right.astype(np.float64)
    return not np.allclose(*wide, rtol=_REACTION, atol=0, equal_nan=True)


def _count(work: int) -> int:
    """Return how many samples a model gets: fewer the more one run costs."""
    full = len(KINDS) * len(SEEDS)
    if work <= _FULL_WORK:
        return full
    return max(len(KINDS) // 2, min(len(KINDS), full * _FULL_WORK // work))


def _ports(models: Models) -> list[Port]:
    """Return the inputs of the repaired model.

    Raises:
        ValueError: one is not static, or of a type that there is not.
    """
    model = models.repaired
    weights = {item.name for item in model.graph.initializer}
    known = known_of(info for info in model.graph.input if info.name not in weights)
    limits, spans = samples.bounds(model), samples.spans(model)
    ports: list[Port] = []
    for name, item in known.items():
        if item.static is None or not item.dtype:
            raise ValueError(f"input {name!r} of the repaired model is not static")
        if item.dtype not in TensorProto.DataType.values():
            raise ValueError(f"input {name!r} is of type {item.dtype}, which is none of ONNX")
        port = Port(name, item.dtype, item.static, span=spans.get(name))
        port = replace(port, shared=models.per_sample > 1 and not models.is_batched(port))
        ports.append(replace(port, bound=limits[name]) if name in limits else port)
    return ports


def _chunks(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """Cut the inner tensors into bunches; at least one, so that outputs are always compared."""
    rest = iter(pairs)
    first = list(islice(rest, _MOST_SHOWN))
    yield first
    while more := list(islice(rest, _MOST_SHOWN)):
        yield more
