"""What an evaluation works on: two models that fit each other, and data that fits them."""

from __future__ import annotations

import numpy as np
from msgspec import Struct, field
from onnx import TensorProto

from npugate.calibration import data, labels, open_model, preprocessing, sampling, sidecar
from npugate.calibration.data import Dataset
from npugate.calibration.labels import Labels
from npugate.calibration.open_model import Opened
from npugate.calibration.sidecar import Sidecar
from npugate.errors import UsageError
from npugate.evaluation import metrics
from npugate.evaluation.metrics import Measure
from npugate.evaluation.spread import Spread
from npugate.evaluation.values import EvaluateJob
from npugate.limits import Limits
from npugate.sandbox import pool

_KIND = "npugate.calibration"


class Tally(Struct):
    """What is added up over the samples.

    Attributes:
        pairs: by metric, of the float and of the int8 model; the former None when it is the truth.
        spreads: by output.
        truths: spread of the reference of the metrics.
    """

    pairs: dict[str, tuple[Measure | None, Measure]]
    spreads: dict[str, Spread]
    truth: Spread = field(default_factory=Spread)
    points: list[tuple[float | None, float, float]] = field(default_factory=list)
    classes: list[tuple[int, int]] = field(default_factory=list)
    overlap: int = 0
    lowest: dict[str, float] = field(default_factory=dict)
    highest: dict[str, float] = field(default_factory=dict)


class EvaluationContext(Struct, frozen=True):
    """Everything that is read before the models run.

    Attributes:
        output: the one that the metrics read.
        labels: None without any.
        side: what the int8 model was calibrated with, or why that is not known.
        indices: of the samples.
    """

    job: EvaluateJob
    original: Opened
    quantized: Opened
    output: str
    dataset: Dataset
    labels: Labels | None
    side: Sidecar | str
    indices: tuple[int, ...]

    @property
    def kind(self) -> str:
        """How the int8 model was calibrated: ``data``, ``random`` or ``unknown``."""
        notes = {entry.key: entry.value for entry in self.quantized.proto.metadata_props}
        return str(notes.get(_KIND, "unknown" if isinstance(self.side, str) else self.side.kind))


def context_of(job: EvaluateJob, limits: Limits) -> EvaluationContext:
    """Read both models and the data of an evaluation.

    Raises:
        UsageError: one of them cannot be read, or they do not fit each other.
    """
    pool.stage("reading the models")
    original = open_model.open_model(job.float_model, limits, job.tracked)
    quantized = open_model.open_model(job.int8_model, limits, job.tracked)
    _check_pair(original, quantized)
    output = _output(job, original)
    pool.stage("reading the data")
    dataset = data.open_data(job.data, original.ports, preprocessing.parse(job.preprocess))
    known = labels.read(job.labels, dataset)
    _check_labels(job, known)
    by = known if job.samples and known is not None and known.values.ndim == 1 else None
    choice = sampling.choose(dataset.count, job.samples or dataset.count, by, job.seed)
    side = sidecar.read(job.int8_model, quantized.model.digest)
    return EvaluationContext(job, original, quantized, output, dataset, known, side, choice.indices)


def _check_pair(original: Opened, quantized: Opened) -> None:
    if quantized.facts.quantization.form == "float":
        raise UsageError(
            f"{quantized.path} is not quantised: give the float model first, int8 last"
        )
    if original.facts.quantization.form != "float":
        raise UsageError(f"{original.path} is quantised: give the float model first, the int8 last")
    mine = {port.name: (port.dtype, port.dims) for port in original.ports}
    other = {port.name: (port.dtype, port.dims) for port in quantized.ports}
    if mine != other:
        raise UsageError(
            f"the two models do not read the same: {_ports(original)} and {_ports(quantized)}; an "
            "int8 model with integer inputs is compared before its inputs are changed"
        )
    names = [tensor.name for tensor in original.facts.main.outputs]
    others = [tensor.name for tensor in quantized.facts.main.outputs]
    if sorted(names) != sorted(others):
        raise UsageError(f"the two models have other outputs: {names} and {others}")


def _ports(opened: Opened) -> str:
    return ", ".join(
        f"{port.name} {TensorProto.DataType.Name(port.dtype)}{list(port.dims)}"
        for port in opened.ports
    )


def _output(job: EvaluateJob, original: Opened) -> str:
    floats = [t.name for t in original.facts.main.outputs if t.dtype == TensorProto.FLOAT]
    if job.output and job.output not in floats:
        raise UsageError(f"--output-name: no float output {job.output!r}; there are: {floats}")
    if not floats:
        raise UsageError(f"{original.path}: the model has no float output to compare")
    return job.output or floats[0]


def _check_labels(job: EvaluateJob, known: Labels | None) -> None:
    for threshold in job.thresholds:
        if threshold.of == "loss" and known is None:
            raise UsageError(f"{threshold.text()}: a loss is measured against --labels; give them")
        name = threshold.metric
        if name not in {*job.metrics, *metrics.FIDELITY, "grade"}:
            raise UsageError(f"{threshold.text()}: {name} is not measured; add --metric {name}")
    if known is not None and known.values.ndim == 1 and len(np.unique(known.values)) == 1:
        raise UsageError(
            f"--labels: every label is {known.values[0]}: on one case only no figure means "
            "anything; add samples of the others"
        )
