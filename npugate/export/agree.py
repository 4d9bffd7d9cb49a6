"""Compare a model with PyTorch itself, on the user's example and on seeded inputs.

The limit of an output is the rounding of its largest value, plus, where that does not explain a
difference, a margin times the network's own noise: what onnxruntime differs by with other kernels,
or PyTorch between float32 and float64, whichever is larger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Protocol

import numpy as np
from msgspec.structs import replace
from onnx import ModelProto

from npugate.export.values import Agreement
from npugate.facts.graph import Array
from npugate.proof import samples
from npugate.proof.compare import any_finite, difference, is_float
from npugate.proof.samples import KINDS, Port, Sample
from npugate.proof.sessions import CannotRunError, Session
from npugate.surgery.shapes import known_of


class Reference(Protocol):
    """The module in PyTorch."""

    def example(self) -> Sample:
        """Return the user's own inputs, T[*dims] by name."""

    def ports(self) -> list[Port]:
        """Return the inputs."""

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """Return the outputs in order, T[...] each.

        Args:
            feeds: T[*dims] by input name.
        """

    def noise(self, feeds: Mapping[str, Array]) -> list[float]:
        """Return the rounding noise of each output, an absolute difference.

        Args:
            feeds: T[*dims] by input name.
        """


def agree(model: ModelProto, reference: Reference, seeds: int) -> Agreement:
    """Compare every output on every sample.

    Args:
        model: as it would be written.
        reference: the module.
        seeds: each gives a sample of every kind.
    """
    try:
        session = Session(model)
        other = Session(model, optimised=True)
    except CannotRunError as error:
        return Agreement(equal=False, samples=0, reason=f"onnxruntime refuses it: {error}")
    names = [info.name for info in model.graph.input]
    found = Agreement(equal=True, samples=0)
    for sample in _samples(model, reference, seeds):
        try:
            wanted = reference.run(sample.feeds)
        except Exception:
            if sample.label == "example":
                raise
            continue  # numbers that the module does not take, such as sizes
        feeds = {name: sample.feeds[name] for name in names}
        try:
            made = list(session.run(feeds).values())
        except CannotRunError as error:
            return replace(found, equal=False, reason=f"it fails on {sample.label}: {error}")
        noise = _noise_of(reference, sample.feeds, made, partial(_outputs, other, feeds))
        found = _held(found, sample.label, (wanted, made), noise, session.outputs)
        if not found.equal:
            return found
    return found


def _outputs(session: Session, feeds: Mapping[str, Array]) -> list[Array]:
    return list(session.run(feeds).values())


def _samples(model: ModelProto, reference: Reference, seeds: int) -> Iterator[Sample]:
    yield reference.example()
    limits = samples.bounds(model)
    ports = [replace(port, bound=limits.get(port.name, port.bound)) for port in reference.ports()]
    yield from samples.generated(ports, seeds * len(KINDS), range(seeds))


def _noise_of(
    reference: Reference,
    feeds: Mapping[str, Array],
    made: list[Array],
    again: Callable[[], list[Array]],
) -> Callable[[int], float]:
    """Return the noise of an output by its position; it is measured when first asked for.

    Args:
        reference: the module in PyTorch.
        feeds: T[*dims] by input name.
        made: T[...], the outputs of the ONNX model.
        again: returns the outputs as other kernels compute them, T[...] each.
    """
    measured: list[float] = []

    def noise(index: int) -> float:
        if not measured:
            measured.extend(_gap(a, b) for a, b in zip(made, again(), strict=True))
            try:
                rounding = reference.noise(feeds)
            except Exception:  # noqa: BLE001 - a module that does not run in float64
                rounding = [0.0] * len(made)
            measured[:] = [max(pair) for pair in zip(measured, rounding, strict=True)]
        return measured[index]

    return noise


def _held(
    found: Agreement,
    label: str,
    results: tuple[list[Array], list[Array]],
    noise: Callable[[int], float],
    names: list[str],
) -> Agreement:
    wanted, made = results
    if len(wanted) != len(made):
        reason = f"it has {len(made)} outputs, the module returns {len(wanted)}"
        return replace(found, equal=False, reason=reason)
    for index, (left, right) in enumerate(zip(wanted, made, strict=True)):
        if left.shape != right.shape:
            reason = f"{names[index]!r} has shape {list(right.shape)}, not {list(left.shape)}"
            return replace(found, equal=False, reason=reason)
        gap = difference(left, right, partial(noise, index))
        if not gap.is_equal:
            how = gap.fault or f"max |d| {gap.error:.3g} > {gap.limit:.3g}"
            return replace(found, equal=False, reason=f"{names[index]!r} on {label}: {how}")
        scale = _scale(left)
        found = replace(
            found,
            max_abs_error=max(found.max_abs_error, gap.error),
            tolerance=max(found.tolerance, gap.limit),
            max_rel_error=max(found.max_rel_error, gap.error / scale if scale else 0.0),
        )
    return replace(found, samples=found.samples + 1)


def _scale(array: Array) -> float:
    if not is_float(array) or not any_finite(array):
        return 0.0
    wide = np.abs(array.astype(np.float64))
    return float(np.max(wide[np.isfinite(wide)]))


def _gap(left: Array, right: Array) -> float:
    if left.shape != right.shape or left.size == 0:
        return 0.0
    found = np.abs(left.astype(np.float64) - right.astype(np.float64))
    return float(np.max(found[np.isfinite(found)], initial=0.0))


def is_static(model: ModelProto) -> bool:
    """Tell whether every input and output has a fixed size."""
    infos = [*model.graph.input, *model.graph.output]
    return all(item.static is not None for item in known_of(infos).values())
