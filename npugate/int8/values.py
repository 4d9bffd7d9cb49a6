"""What a quantisation is asked for and what it reports; free of onnx and numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec import Struct, field

from npugate.model.tracked import Tracked

METHODS: Final = ("minmax", "entropy", "percentile")
SAMPLES: Final = 200
RANDOM: Final = "random"
KIND_KEY: Final = "npugate.calibration"
UNKNOWN_ACCURACY: Final = (
    "calibrated with random numbers: the accuracy is unknown, and no figure here is one"
)


class QuantizeJob(Struct, frozen=True):
    """Everything that decides a result.

    Attributes:
        model: the float model.
        output: where the int8 model goes; its sidecar goes beside it.
        calibration: samples; None only with ``is_random``.
        labels: of the samples, as ``calibration.labels.read`` takes them.
        preprocess: ``--preprocess`` values.
        method: ``minmax``, ``entropy`` or ``percentile``.
        percentile: share of values kept, in per cent, for ``percentile``.
        samples: most samples that are used.
        seed: of the choice of samples, and of random ones.
        exclude: names of nodes that stay in float.
        is_random: calibrate with random numbers.
        target, toolchain: that the result is checked for.
        seconds: wall clock for all of it.
    """

    model: Path
    output: Path
    calibration: Path | None = None
    labels: str | None = None
    preprocess: tuple[str, ...] = ()
    method: str = "minmax"
    percentile: float = 99.999
    samples: int = SAMPLES
    seed: int = 0
    exclude: tuple[str, ...] = ()
    is_random: bool = False
    target: str = "stm32n6"
    toolchain: str | None = None
    seconds: float = 3600.0
    tracked: Tracked | None = None


class Check(Struct, frozen=True):
    """One thing that was looked at in the result."""

    name: str
    passed: bool
    text: str


class Island(Struct, frozen=True):
    """Connected operators that stayed in float.

    Attributes:
        nodes: their names.
        operators: their types, without repetition.
        asked: True when every one was excluded by the user.
    """

    nodes: tuple[str, ...]
    operators: tuple[str, ...]
    asked: bool


class Covered(Struct, frozen=True):
    """How many samples of one label, or range of labels, there are and were used."""

    label: str
    available: int
    used: int


class Calibration(Struct, frozen=True):
    """What the ranges were measured on.

    Attributes:
        kind: ``data`` or ``random``.
        place: file or folder; empty for random numbers.
        preprocessing: as declared.
        available, used: samples.
        digests: of the samples used, in order.
        lowest, highest: of every number fed, by input.
    """

    kind: str
    place: str
    preprocessing: str
    method: str
    seed: int
    available: int
    used: int
    strata: tuple[Covered, ...] = ()
    digests: tuple[str, ...] = ()
    lowest: tuple[tuple[str, float], ...] = ()
    highest: tuple[tuple[str, float], ...] = ()


class QuantizeReport(Struct, frozen=True):
    """What was done and what it came to.

    Attributes:
        model, digest, size_bytes: of the float model.
        output: where the int8 model was written; None when it failed a check.
        output_digest, output_bytes: of the int8 model.
        prepared: what was done to the float model first, with proof.
        excluded: nodes that the user left in float.
        checks: of the result.
        islands: operators that run in float.
        violations: (rule, errors before, errors after) of the target's rules, where there are any.
        notices: what the user should know.
    """

    version: str
    model: str
    digest: str
    size_bytes: int
    output: str | None
    output_digest: str
    output_bytes: int
    target: str
    calibration: Calibration
    prepared: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    islands: tuple[Island, ...] = ()
    violations: tuple[tuple[str, int, int], ...] = ()
    notices: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """True when the result is what was asked for."""
        return all(check.passed for check in self.checks)

    @property
    def exit_code(self) -> int:
        """0, or 1 when the result failed a check and was not written."""
        return 0 if self.passed else 1
