"""What an evaluation is asked for and what it reports; free of onnx and numpy."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

from msgspec import Struct

from npugate.errors import UsageError
from npugate.model.tracked import Tracked


class Grade(IntEnum):
    """How good an int8 model is; see ``grades`` for the limits."""

    POOR = 0
    FAIR = 1
    GOOD = 2
    EXCELLENT = 3


class Threshold(Struct, frozen=True):
    """A limit that fails the run.

    Attributes:
        metric: a metric's name, or ``grade``.
        of: ``loss`` (how much worse than float; what an error grew by, or an accuracy fell by) or
            ``value`` (of the int8 model).
        most: the limit is the largest allowed, else the smallest.
        limit: in the metric's unit.
    """

    metric: str
    of: str
    most: bool
    limit: float

    def text(self) -> str:
        """Write it as in ``mae loss <= 1.5``."""
        sign = "<=" if self.most else ">="
        what = self.metric if self.of == "value" else f"{self.metric} loss"
        return f"{what} {sign} {self.limit:g}"


class EvaluateJob(Struct, frozen=True):
    """Everything that decides a result.

    Attributes:
        float_model, int8_model: the original and the quantised model.
        data: samples that were not used for calibration.
        labels: their true answers, as ``calibration.labels.read`` takes them.
        preprocess: ``--preprocess`` values.
        metrics: names, or ``module:callable``; the first one grades.
        unit: of the output, for the reports.
        output: which output the metrics read; "" takes the first.
        thresholds: limits that fail the run.
        samples: most samples that are used; 0 takes all.
        seed: of their choice.
        layers: samples on which the loss of each layer is measured; 0 leaves it out.
        allow_overlap: samples that were used for calibration are no error.
        seconds: wall clock for all of it.
    """

    float_model: Path
    int8_model: Path
    data: Path
    labels: str | None = None
    preprocess: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    unit: str = ""
    output: str = ""
    thresholds: tuple[Threshold, ...] = ()
    samples: int = 0
    seed: int = 0
    layers: int = 16
    allow_overlap: bool = False
    seconds: float = 3600.0
    tracked: Tracked | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            UsageError: a number is negative.
        """
        if self.samples < 0 or self.layers < 0:
            raise UsageError("--samples and --layers must not be negative")


class Figure(Struct, frozen=True):
    """One metric.

    Attributes:
        name: of the metric.
        against: ``labels`` or ``float``: what the int8 model was compared with.
        int8_value: its value; of the float model ``float_value``, None when compared with it.
        loss: how much worse than float, above 0 is worse; None when compared with float.
        higher_is_better: how to read the values.
        unit: of the values.
    """

    name: str
    against: str
    int8_value: float
    float_value: float | None
    loss: float | None
    higher_is_better: bool
    unit: str = ""


class Fidelity(Struct, frozen=True):
    """How far one output of the int8 model is from the float one.

    Attributes:
        sqnr_db: centred signal to noise: each element's mean over the samples is taken away, since
            an offset hides any error. None when the output does not vary.
        nrmse: root mean square error by the spread of the float output; None as above.
        cosine: of all values.
        max_error, rmse: in the output's unit.
        spread: standard deviation of the float output over the samples.
    """

    output: str
    sqnr_db: float | None
    nrmse: float | None
    cosine: float
    max_error: float
    rmse: float
    spread: float


class LayerLoss(Struct, frozen=True):
    """What one operator loses.

    Attributes:
        node: its name in the float model, as ``npugate quantize --exclude`` takes it.
        operator: its type.
        tensor: what it makes.
        sqnr_db: centred signal to noise at its output.
        lost_db: how much lower that is than at the worst of its inputs.
    """

    node: str
    operator: str
    tensor: str
    sqnr_db: float
    lost_db: float


class Verdict(Struct, frozen=True):
    """A threshold and what came of it."""

    threshold: Threshold
    value: float
    passed: bool


class EvaluationReport(Struct, frozen=True):
    """What was compared and what it came to.

    Attributes:
        calibration: ``data``, ``random`` or ``unknown``: how the int8 model was calibrated.
        disjoint: False when samples were used for calibration too; None when it cannot be seen.
        overlap: how many of the samples were.
        grade: None where nothing that grades was measured.
        graded_by: the figure and the limit that gave the grade.
        layers: worst first.
        points: (label or None, float, int8) of each sample, for an output of one number.
        confusion: rows are true classes (or float's), columns the int8 model's.
        class_names: of the rows, where they have names.
    """

    version: str
    float_model: str
    float_digest: str
    int8_model: str
    int8_digest: str
    data: str
    samples: int
    available: int
    labelled: bool
    calibration: str
    disjoint: bool | None
    overlap: int
    unit: str
    figures: tuple[Figure, ...]
    fidelity: tuple[Fidelity, ...]
    grade: Grade | None
    graded_by: str
    verdicts: tuple[Verdict, ...]
    layers: tuple[LayerLoss, ...] = ()
    points: tuple[tuple[float | None, float, float], ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    class_names: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True when every threshold holds."""
        return all(verdict.passed for verdict in self.verdicts)

    @property
    def exit_code(self) -> int:
        """0, or 1 when a threshold fails."""
        return 0 if self.passed else 1
