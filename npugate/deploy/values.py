"""What a deployment is asked for, its steps, and what came of them; free of onnx and numpy."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

from msgspec import Struct

from npugate.model.tracked import Tracked

PLANS: Final = ("fix", "clean")
"""Repair the model that there is; or take one that was exported for the target."""


class Verdict(StrEnum):
    """What came of a step."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"  # an earlier step failed, or nothing to do it with


class Settings(Struct, frozen=True):
    """Everything that decides a deployment.

    Attributes:
        plans: of ``PLANS``, in order.
        model: the model to repair, for ``fix``.
        clean: a clean model, or ``module:callable`` that makes the network, for ``clean``.
        weights: a state dict for ``module:callable``.
        calibration, data: samples to calibrate with, and others to evaluate on.
        labels: the true answers in both.
        preprocess: as ``npugate quantize`` takes it.
        samples: most samples to calibrate with.
        metric, unit: what the evaluation measures, and its unit.
        limits: further arguments of ``npugate evaluate``: its thresholds.
        expect: least and largest value that an output may have; None for any.
        target, toolchain, board: what the models are for; empty for the defaults.
        stedgeai: ask the vendor's compiler, by these arguments; empty leaves it out.
        output: folder of everything that is made.
        config: configuration that the steps are told to read; None leaves them the nearest one.
        judging: digest of what that configuration, profiles and baselines say.
    """

    plans: tuple[str, ...]
    output: Path
    model: Path | None = None
    clean: str = ""
    weights: Path | None = None
    calibration: Path | None = None
    data: Path | None = None
    labels: str = ""
    preprocess: tuple[str, ...] = ()
    samples: int = 0
    metric: str = ""
    unit: str = ""
    limits: tuple[str, ...] = ()
    expect: tuple[float, float] | None = None
    target: str = ""
    toolchain: str = ""
    board: str = ""
    stedgeai: tuple[str, ...] = ()
    config: Path | None = None
    judging: str = ""


class Step(Struct, frozen=True):
    """One command of npugate.

    Attributes:
        name: unique within a plan; also the stem of its report.
        title: what it is for, for people.
        arguments: of ``npugate``; the paths in them are made by earlier steps or given.
        reads: files and folders whose content decides the result.
        makes: files that must be there afterwards.
        report: its JSON report.
        advice: what to do when it fails.
        gates: a failure stops the plan; else it is reported and the plan goes on.
        source: what ``npugate fix`` was given: its result, or the source where nothing was to be
            repaired, becomes the first of ``makes``.
        judging: digest of the configuration by which it judges.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    reads: tuple[Path, ...]
    makes: tuple[Path, ...]
    report: Path
    advice: str
    gates: bool = True
    source: Path | None = None
    judging: str = ""


class Result(Struct, frozen=True):
    """What came of a step.

    Attributes:
        command: as it can be run again.
        is_cached: nothing that decides it has changed since it ran.
        seconds: of the run that is reported.
        figures: results as (name, value).
        made: (path, sha256) of the files that it made.
        reason: why it failed or was skipped; empty when it passed.
    """

    name: str
    title: str
    verdict: Verdict
    command: str
    is_cached: bool = False
    seconds: float = 0.0
    figures: tuple[tuple[str, str], ...] = ()
    made: tuple[tuple[str, str], ...] = ()
    reason: str = ""


class Criterion(Struct, frozen=True):
    """A condition of success; ``is_met`` is None where nothing tells."""

    text: str
    is_met: bool | None
    found: str


class Outcome(Struct, frozen=True):
    """A plan, its steps in order, and whether it succeeded."""

    plan: str
    steps: tuple[Result, ...]
    criteria: tuple[Criterion, ...]

    @property
    def passed(self) -> bool:
        """True when every step that was not skipped passed and no criterion is missed."""
        steps = all(step.verdict is not Verdict.FAILED for step in self.steps)
        return steps and all(criterion.is_met is not False for criterion in self.criteria)


class Deployment(Struct, frozen=True):
    """A whole run."""

    version: str
    outcomes: tuple[Outcome, ...]
    given: tuple[tuple[str, str], ...] = ()

    @property
    def passed(self) -> bool:
        """True when every plan succeeded."""
        return all(outcome.passed for outcome in self.outcomes)


class VerifyJob(Struct, frozen=True):
    """What to run.

    Attributes:
        model: an int8 model; a float one is run as well, without the integer inputs.
        data: samples; None takes random numbers.
        preprocess: as ``npugate quantize`` takes it.
        samples: most that are run.
        expect: least and largest value of any output; None for any.
        seed: of random numbers.
        tracked: what git tracks; None without git.
    """

    model: Path
    data: Path | None = None
    preprocess: tuple[str, ...] = ()
    samples: int = 50
    expect: tuple[float, float] | None = None
    seed: int = 0
    seconds: float = 600.0
    tracked: Tracked | None = None


class VerifiedOutput(Struct, frozen=True):
    """The values of one output over all samples."""

    name: str
    lowest: float
    highest: float
    is_finite: bool
    in_range: bool


class VerifyReport(Struct, frozen=True):
    """What running it showed.

    Attributes:
        int8_inputs_equal: inputs rounded to the model's integers gave the same; None without any.
        notices: what weakens the result.
    """

    model: str
    digest: str
    samples: int
    outputs: tuple[VerifiedOutput, ...]
    int8_inputs_equal: bool | None
    expect: tuple[float, float] | None
    notices: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True when every value is finite and expected, and integer inputs make no difference."""
        sound = all(item.is_finite and item.in_range for item in self.outputs)
        return sound and self.int8_inputs_equal is not False

    @property
    def exit_code(self) -> int:
        """0, or 1 when it did not pass."""
        return 0 if self.passed else 1
