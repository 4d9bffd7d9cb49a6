"""Verify that a repaired model computes what the original does.

Both run in onnxruntime without optimisations, on one thread, on the same seeded inputs. Compared
are the outputs of the model and, more telling, the output of every rewritten region: a sigmoid or
an average behind a region hides an error that is plain at its edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final

import numpy as np
from msgspec import Struct, field
from onnx import ModelProto

from npugate.facts.graph import Array
from npugate.proof import samples
from npugate.proof.compare import Difference, any_finite, difference, is_float, leaves
from npugate.proof.samples import KINDS, SEEDS, Port, Sample
from npugate.proof.sessions import CannotRunError, Session
from npugate.proof.shared_weights import Lender
from npugate.report.values import Verification
from npugate.surgery.shapes import known_of
from npugate.surgery.weight_store import WeightStore

_MOST_SHOWN: Final = 64  # region outputs compared in one pair of sessions
_FULL_WORK: Final = 200_000_000  # multiply-accumulates of a model that gets every sample
_REACTION: Final = 1e-6  # relative change of an output that counts as a reaction to the input


class Pair(Struct, frozen=True):
    """A tensor of the repaired model and the one of the original whose elements it holds."""

    repaired: str
    original: str


class _Tally(Struct):
    samples: set[str] = field(default_factory=set)
    compared: set[str] = field(default_factory=set)
    error: float = 0.0
    limit: float = 0.0
    notes: dict[str, None] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seen: dict[str, list[Array]] = field(default_factory=dict)


class _UnequalError(Exception):
    """A tensor differs, or the repaired model does not run; the text says which and how."""


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
        pairs: inner tensors to compare beside the outputs.
        data: a user's inputs, by name; used beside the generated ones.
        per_sample: samples of the original's batch, when the repaired model takes one at a time.
        work: multiply-accumulates of one run; a large model gets fewer samples, never none.
        store: has the weights that the models have tickets for.

    Returns:
        ``equal`` is None when nothing could be compared; ``reason`` then says why.
    """
    try:
        ports = _ports(repaired)
        chosen = [*samples.generated(ports, _count(work))]
        if data is not None:
            chosen += samples.given(ports, data)
    except ValueError as error:
        return Verification(equal=None, reason=str(error))
    tally = _Tally()
    outputs = [Pair(info.name, info.name) for info in repaired.graph.output]
    lender = Lender(store)
    try:
        for chunk in _chunks([] if per_sample > 1 else list(pairs)):
            comparison = _Comparison(original, repaired, [*chunk, *outputs], per_sample, lender)
            for sample in chosen:
                comparison.hold(sample, tally)
    except _UnequalError as error:
        return _verdict(tally, equal=False, reason=str(error))
    except CannotRunError as error:
        return _verdict(tally, equal=None, reason=str(error))
    gap = _gap(tally, outputs)
    return _verdict(tally, equal=None if gap else True, reason=gap)


def _gap(tally: _Tally, outputs: Sequence[Pair]) -> str:
    """Say what was not compared although it had to be; empty when everything was."""
    told = [label for label in tally.failed if label.startswith("inputs[")]
    if told or not tally.samples:
        reasons = [tally.failed[label] for label in told] or list(tally.failed.values())
        return reasons[0] if reasons else "nothing was run"
    missing = [pair.repaired for pair in outputs if pair.repaired not in tally.compared]
    if missing:
        return f"output {missing[0]!r} of the original is not finite on any sample"
    return ""


class _Comparison:
    """Both models loaded, with the same tensors shown."""

    def __init__(
        self,
        original: ModelProto,
        repaired: ModelProto,
        pairs: Sequence[Pair],
        per_sample: int,
        lender: Lender,
    ) -> None:
        self._original = original
        self._pairs = pairs
        self._per_sample = per_sample
        self._lender = lender
        self._shown = [pair.original for pair in pairs]
        try:
            self._before = Session(original, self._shown, lender=lender)
        except CannotRunError as error:
            raise CannotRunError(f"onnxruntime refuses the original: {error}") from error
        try:
            shown = [pair.repaired for pair in pairs]
            self._after = Session(repaired, shown, lender=lender)
        except CannotRunError as error:
            raise _UnequalError(f"the repaired model does not load: {error}") from error
        self._other: Session | None = None
        self._shapes = _declared(original)

    def hold(self, sample: Sample, tally: _Tally) -> None:
        """Run a sample through both and compare.

        Raises:
            _UnequalError: a tensor differs, or the repaired model fails where the original runs.
        """
        feeds = self._feeds(sample)
        try:
            before = self._before.run(feeds)
        except CannotRunError as error:
            tally.failed.setdefault(sample.label, f"the original fails on {sample.label}: {error}")
            return  # numbers that it does not accept, such as sizes: other samples may be
        noise: dict[str, Array] = {}

        def noise_of(name: str) -> float:
            if not noise:
                noise.update(self._other_kernels().run(feeds))
            parts = zip(leaves(before[name]), leaves(noise[name]), strict=False)
            return max((_noise(left, right) for left, right in parts), default=0.0)

        for index in range(self._per_sample):
            after = self._repaired(self._part(sample.feeds, index), sample.label)
            for pair in self._pairs:
                wanted, got = leaves(before[pair.original]), leaves(after[pair.repaired])
                if len(wanted) != len(got):
                    raise _UnequalError(f"{pair.repaired!r} has {len(got)} parts on {sample.label}")
                for left, right in zip(wanted, got, strict=True):
                    reference = self._slice(left, right, index)
                    found = difference(reference, right, partial(noise_of, pair.original))
                    _count_in(tally, pair, sample, found, reference)

    def _repaired(self, feeds: Mapping[str, Array], label: str) -> Mapping[str, Array]:
        try:
            return self._after.run(feeds)
        except CannotRunError as error:
            raise _UnequalError(f"the repaired model fails on {label}: {error}") from error

    def _feeds(self, sample: Sample) -> Mapping[str, Array]:
        """Give the original its own shapes; a batch is made of different samples."""
        feeds: dict[str, Array] = {}
        for name, array in sample.feeds.items():
            dims = self._shapes.get(name)
            if self._is_batched(name, array):
                parts = [self._part({name: array}, i)[name] for i in range(self._per_sample)]
                feeds[name] = np.concatenate(parts)
            elif dims is not None and len(dims) != array.ndim:
                feeds[name] = array.reshape([dim if isinstance(dim, int) else 1 for dim in dims])
            else:
                feeds[name] = array
        return feeds

    def _part(self, feeds: Mapping[str, Array], index: int) -> Mapping[str, Array]:
        """Return one sample of the batch: the same values, rolled on."""
        if self._per_sample == 1:
            return feeds
        return {
            name: np.roll(array.reshape(-1), index * (array.size // 3 + 1)).reshape(array.shape)
            if self._is_batched(name, array)
            else array
            for name, array in feeds.items()
        }

    def _is_batched(self, name: str, array: Array) -> bool:
        """Tell whether the original takes an input of all samples, the repaired model of one."""
        dims = self._shapes.get(name)
        if self._per_sample == 1 or not array.ndim or dims == ():
            return False
        first = dims[0] if dims else None
        return not isinstance(first, int) or first == self._per_sample * len(array)

    def _slice(self, whole: Array, one: Array, index: int) -> Array:
        """Return a sample's block of the leading axis; all of what does not hang on the samples."""
        if self._per_sample == 1 or not whole.ndim or whole.shape == one.shape:
            return whole
        block = whole.shape[0] // self._per_sample
        return whole[index * block : (index + 1) * block]

    def _other_kernels(self) -> Session:
        if self._other is None:
            whole = self._lender.whole(self._original)
            self._other = Session(whole, self._shown, optimised=True)
        return self._other


def _count_in(
    tally: _Tally, pair: Pair, sample: Sample, found: Difference, reference: Array
) -> None:
    if not found.is_equal:
        how = found.fault or f"max |d| {found.error:.3g} > {found.limit:.3g}"
        raise _UnequalError(f"{pair.repaired!r} differs on {sample.label}: {how}")
    tally.samples.add(sample.label)
    if is_float(reference) and not any_finite(reference):
        tally.notes[f"{pair.original!r} is not finite on {sample.label}"] = None
        return
    tally.compared.add(pair.repaired)
    tally.error = max(tally.error, found.error)
    tally.limit = max(tally.limit, found.limit)
    if pair.repaired == pair.original:
        tally.seen.setdefault(pair.original, []).append(reference.reshape(-1)[:64].copy())


def _noise(left: Array, right: Array) -> float:
    if left.shape != right.shape or left.size == 0:
        return 0.0
    gap = np.abs(left.astype(np.float64) - right.astype(np.float64))
    return float(np.max(gap[np.isfinite(gap)], initial=0.0))


def _verdict(tally: _Tally, *, equal: bool | None, reason: str = "") -> Verification:
    notes = list(tally.notes)
    if tally.failed:
        notes.append(f"the original does not take {len(tally.failed)} of the generated samples")
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


def _ports(model: ModelProto) -> list[Port]:
    weights = {item.name for item in model.graph.initializer}
    known = known_of(info for info in model.graph.input if info.name not in weights)
    limits = samples.bounds(model)
    ports: list[Port] = []
    for name, item in known.items():
        if item.static is None or not item.dtype:
            raise ValueError(f"input {name!r} of the repaired model is not static")
        port = Port(name, item.dtype, item.static)
        ports.append(Port(name, item.dtype, item.static, limits[name]) if name in limits else port)
    return ports


def _declared(model: ModelProto) -> Mapping[str, tuple[int | str | None, ...] | None]:
    return {name: item.shape for name, item in known_of(model.graph.input).items()}


def _chunks(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """Cut the inner tensors into bunches; at least one, so that outputs are always compared."""
    rest = iter(pairs)
    first = list(islice(rest, _MOST_SHOWN))
    yield first
    while more := list(islice(rest, _MOST_SHOWN)):
        yield more
