"""Run both models on a sample and hold every tensor of one against its original in the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np
from onnx import ModelProto

from npugate.facts.graph import Array
from npugate.proof import quantized
from npugate.proof.compare import MARGIN, Difference, difference, is_float, leaves, rounding
from npugate.proof.models import Models, Results
from npugate.proof.quantized import Cut
from npugate.proof.samples import Port, Sample
from npugate.proof.sessions import CannotRunError, Session
from npugate.proof.tally import Pair, Tally, UnequalError
from npugate.surgery.shapes import Known

_STEP: Final = 1.001  # a step of a quantiser, and the rounding of its two ends
_OWN: Final = 2  # times what the original is off by itself


class Comparison:
    """Both models loaded, with the same tensors shown."""

    def __init__(self, models: Models, ports: Sequence[Port], pairs: Sequence[Pair]) -> None:
        """Load both.

        Args:
            models: what to load.
            ports: inputs of the repaired model.
            pairs: tensors to compare, outputs among them.

        Raises:
            CannotRunError: onnxruntime refuses the original.
            UnequalError: it refuses the repaired model alone.
        """
        self._models, self._ports, self._pairs = models, ports, pairs
        cuts = models.cuts.values()
        self._shown = list(
            dict.fromkeys(
                [
                    *(pair.original for pair in pairs),
                    *(cut.original for cut in cuts),
                    *(cut.source for cut in cuts if cut.source),
                ]
            )
        )
        try:
            self._before = Session(models.original, self._shown, shared=models.weights)
        except CannotRunError as error:
            raise CannotRunError(f"onnxruntime refuses the original: {error}") from error
        try:
            shown = [pair.repaired for pair in pairs] + list(models.cuts)
            self._after = Session(models.repaired, shown, shared=models.weights)
        except CannotRunError as error:
            raise UnequalError(f"the repaired model does not load: {error}") from error
        self._fed: tuple[Session, dict[str, str]] | None = None
        self._other: tuple[Session, dict[str, str]] | None = None

    def hold(self, sample: Sample, number: int, tally: Tally) -> None:
        """Run a sample through both models and compare.

        Args:
            sample: feeds T[*dims] by input name; twice as many parts as there are samples in the
                batch, one when there is no batch.
            number: of the sample; says which of its parts are changed while others are held.
            tally: takes what was found.

        Raises:
            UnequalError: a tensor differs, or the repaired model fails where the original runs.
        """
        models = self._models
        parts = sample.parts[: models.per_sample]  # all that a batch has, without the spare ones
        feeds = models.feeds(parts, self._ports)
        try:
            before = self._before.run(feeds)
        except CannotRunError as error:
            tally.failed.setdefault(sample.label, f"the original fails on {sample.label}: {error}")
            return  # numbers that it does not accept, such as sizes: other samples may be
        noises = (
            _Noise(partial(self._noisy, feeds, before), before),
            _Noise(partial(self._otherwise, feeds), before),
        )
        for index, part in enumerate(parts):
            self._part((sample.label, index), (part, before), noises, tally)
        if models.per_sample > 1:
            self._still(sample, number, before)

    def _part(
        self,
        where: tuple[str, int],
        run: tuple[Results, Results],
        noises: tuple[_Noise, _Noise],
        tally: Tally,
    ) -> None:
        """Compare the results of one sample.

        Args:
            where: label of the sample, and its index in the batch.
            run: what the repaired model is fed, T[*dims] by input name; what the original made of
                it, T[...] by tensor name.
            noises: of the original, stretch by stretch and as a whole.
            tally: takes what was found.
        """
        label, index = where
        part, before = run
        after = _ran(self._after, part, label)
        models = self._models
        for name, declared in models.outputs.items():
            made = np.shape(after[name]) if isinstance(after[name], np.ndarray) else None
            if made is not None and declared.static not in {None, made}:
                sizes = f"{list(made)}, it declares {list(declared.static or ())}"
                raise UnequalError(f"{name!r} has the shape {sizes} on {label}")
        cuts = models.cuts
        moved = [name for name in cuts if not self._is_same(cuts[name], before, after, index)]
        if not moved:
            for pair in self._pairs:
                self._compare(pair, (before, after), where, noises[0], tally)
            return
        strict = [name for name in moved if name not in models.loose]
        if len(strict) == len(moved):
            raise UnequalError(f"{strict[0]!r} differs on {label}: its integers are not the same")
        alone = self._alone(part, before, label, index)
        for cut in cuts.values():
            self._step(cut, (before, alone), where, noises[0], tally)
        for pair in self._pairs:
            if pair.repaired not in cuts:
                self._compare(pair, (before, alone), where, noises[0], tally)
            if pair.repaired in models.outputs:
                self._behind_steps(pair, (before, after), where, noises, tally)

    def _is_same(self, cut: Cut, before: Results, after: Results, index: int) -> bool:
        got = after[cut.repaired]
        wanted = self._models.block(before[cut.original], got.size, index)
        return wanted.size == got.size and np.array_equal(wanted.reshape(-1), got.reshape(-1))

    def _compare(
        self,
        pair: Pair,
        results: tuple[Results, Results],
        where: tuple[str, int],
        noise: _Noise,
        tally: Tally,
    ) -> None:
        label, index = where
        wanted, got = leaves(results[0][pair.original]), leaves(results[1][pair.repaired])
        if len(wanted) != len(got):
            raise UnequalError(f"{pair.repaired!r} has {len(got)} parts on {label}")
        for left, right in zip(wanted, got, strict=True):
            reference = self._models.block(left, right.size, index)
            found = difference(reference, right, partial(noise.of, pair.original))
            tally.count(pair, label, found, reference)

    def _step(
        self,
        cut: Cut,
        results: tuple[Results, Results],
        where: tuple[str, int],
        noise: _Noise,
        tally: Tally,
    ) -> None:
        """Compare the integers that both make of the same inputs.

        Args:
            cut: the quantised tensor.
            results: T[...] by tensor name, of the original, and of the repaired model fed with the
                original's integers.
            where: label of the sample, and its index in the batch.
            noise: of the original.
            tally: takes what was found.
        """
        label, index = where
        before, alone = results
        got = alone[cut.repaired]
        block = partial(self._models.block, size=got.size, index=index)
        wanted = block(before[cut.original])
        pair = Pair(cut.repaired, cut.original)
        if cut.repaired not in self._models.loose or wanted.size != got.size:
            tally.count(pair, label, difference(wanted, got, lambda: 0.0), wanted)
            return
        source, scale, near = None, None, 0.0
        if cut.source and cut.scale is not None:
            source, scale = block(before[cut.source]), block(cut.scale)
            near = rounding(source)
            if not np.array_equal(wanted.reshape(-1), got.reshape(-1)):
                near += MARGIN * noise.of(cut.source)
        found = quantized.stepped(wanted, got, source, scale, near)
        tally.count(pair, label, Difference(0.0, 0.0, found.fault, found.share), wanted)

    def _behind_steps(
        self,
        pair: Pair,
        results: tuple[Results, Results],
        where: tuple[str, int],
        noises: tuple[_Noise, _Noise],
        tally: Tally,
    ) -> None:
        """Compare an output of the whole models, where an integer before it was a step off.

        Args:
            pair: the output.
            results: T[...] by tensor name, of the original and of the repaired model.
            where: label of the sample, and its index in the batch.
            noises: of the original, stretch by stretch and as a whole.
            tally: takes what was found.
        """
        label, index = where
        wanted, got = leaves(results[0][pair.original]), leaves(results[1][pair.repaired])
        if len(wanted) != len(got):
            raise UnequalError(f"{pair.repaired!r} has {len(got)} parts on {label}")
        for left, right in zip(wanted, got, strict=True):
            reference = self._models.block(left, right.size, index)
            found = difference(reference, right, partial(noises[0].of, pair.original))
            if not found.is_equal and not found.fault:
                own = partial(noises[1].of, pair.original)
                found = self._few(pair, (reference, right), found.limit, own)
            tally.count(pair, label, found, reference)

    def _few(
        self, pair: Pair, arrays: tuple[Array, Array], near: float, own: Callable[[], float]
    ) -> Difference:
        """Allow a step of the quantiser in front of an output, in a few elements.

        Where floats are computed behind the last quantiser, a step has no size: then allow what
        the original is off itself when other kernels take other steps.

        Args:
            pair: the output.
            arrays: T[...], n elements each, of the original and of the repaired model.
            near: absolute difference that rounding explains.
            own: returns the original's own noise.
        """
        left, right = (array.reshape(-1).astype(np.float64) for array in arrays)
        gap = np.abs(left - right)
        count, most = int(np.count_nonzero(gap > near)), quantized.most(gap.size)
        step = 1.0
        if is_float(arrays[0]):
            step = quantized.step_behind(self._models.original, pair.original)
        if not step:
            return Difference(float(gap.max()), near + _OWN * own())
        if count > most:
            return Difference(0, 0, f"{count} of {gap.size} elements are off, {most} may be")
        return Difference(float(gap.max()), step * _STEP + near, "", count / gap.size)

    def _alone(self, part: Results, before: Results, label: str, index: int) -> Results:
        """Run the repaired model with the original's integers in place of its own.

        Args:
            part: T[*dims] by input name, of one sample.
            before: T[...] by tensor name, of the original.
            label: of the sample.
            index: of the sample in the batch.

        Returns:
            T[...] by tensor name.
        """
        cuts = self._models.cuts
        if self._fed is None:
            shown = [pair.repaired for pair in self._pairs if pair.repaired not in cuts]
            known = {n: Known(cut.dtype, cut.dims) for n, cut in cuts.items()}
            self._fed = self._loaded(self._models.repaired, known, shown)
        fed = {
            name: self._models.block(before[c.original], int(np.prod(c.dims)), index).reshape(
                c.dims
            )
            for name, c in cuts.items()
        }
        session, own = self._fed
        found = dict(_ran(session, {**part, **fed}, label))
        found.update((name, found[mine]) for name, mine in own.items())
        return found

    def _loaded(
        self,
        model: ModelProto,
        known: Mapping[str, Known],
        shown: Sequence[str],
        *,
        optimised: bool = False,
    ) -> tuple[Session, dict[str, str]]:
        copy, own = quantized.with_inputs(model, known) if known else (model, {})
        shared = None if optimised else self._models.weights
        return Session(copy, [*shown, *own.values()], optimised=optimised, shared=shared), own

    def _noisy(self, feeds: Results, before: Results) -> Results:
        """Run the original with other kernels, every stretch between quantisers by itself.

        Args:
            feeds: T[*dims] by input name.
            before: T[...] by tensor name, of the original.

        Returns:
            T[...] by tensor name.
        """
        if self._other is None:
            whole = self._models.weights.whole(self._models.original)
            known = self._models.known[0]
            names = dict.fromkeys(cut.original for cut in self._models.cuts.values())
            static = {n: known[n] for n in names if n in known and known[n].static is not None}
            shown = [name for name in self._shown if name not in static]
            self._other = self._loaded(whole, static, shown, optimised=True)
        session, own = self._other
        found = dict(session.run({**feeds, **{name: before[name] for name in own}}))
        found.update((name, found[mine]) for name, mine in own.items())
        return found

    def _otherwise(self, feeds: Results) -> Results:
        """Run the whole original with other kernels.

        Args:
            feeds: T[*dims] by input name.

        Returns:
            T[...] by tensor name.
        """
        whole = self._models.weights.whole(self._models.original)
        return Session(whole, self._shown, optimised=True).run(feeds)

    def _still(self, sample: Sample, number: int, before: Results) -> None:
        """Change some samples of the batch: the results of the others may not change.

        Args:
            sample: twice as many parts as the batch has samples, T[*dims] by input name each.
            number: of the sample; says which parts are changed.
            before: T[...] by tensor name, of the original with the first half of the parts.

        Raises:
            UnequalError: a result changes.
        """
        count = self._models.per_sample
        alone = number // 2 % count
        held = [index for index in range(count) if (index == alone) == bool(number % 2)]
        parts = [sample.parts[i if i in held else i + count] for i in range(count)]
        try:
            after = self._before.run(self._models.feeds(parts, self._ports))
        except CannotRunError:
            return  # it does not take these numbers together
        for pair in self._pairs:
            lefts, rights = leaves(before[pair.original]), leaves(after[pair.original])
            for left, right in zip(lefts, rights, strict=True):
                if left.shape != right.shape or left.size % count or left.dtype.kind in "OSU":
                    continue
                rows = zip(left.reshape(count, -1), right.reshape(count, -1), strict=True)
                for index, (old, new) in enumerate(rows):
                    if index in held and not np.array_equal(old, new, equal_nan=is_float(old)):
                        raise UnequalError(
                            f"sample {index} of {pair.original!r} changes on {sample.label} when "
                            "other samples of the batch change"
                        )


class _Noise:
    """How far the original is from itself, computed with other kernels; run when first asked."""

    def __init__(self, run: Callable[[], Results], before: Results) -> None:
        self._run, self._before = run, before
        self._again: Results = {}

    def of(self, name: str) -> float:
        """Return the largest difference of a tensor."""
        if not self._again:
            self._again = self._run()
        parts = zip(leaves(self._before[name]), leaves(self._again[name]), strict=False)
        return max((_largest(left, right) for left, right in parts), default=0.0)


def _ran(session: Session, feeds: Results, label: str) -> Results:
    try:
        return session.run(feeds)
    except CannotRunError as error:
        raise UnequalError(f"the repaired model fails on {label}: {error}") from error


def _largest(left: Array, right: Array) -> float:
    if left.shape != right.shape or left.size == 0:
        return 0.0
    gap = np.abs(left.astype(np.float64) - right.astype(np.float64))
    return float(np.max(gap[np.isfinite(gap)], initial=0.0))
