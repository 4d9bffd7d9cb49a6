"""What the compiler said, as values that the reports may use; free of onnx and numpy.

A figure is one that a report states, or None: nothing here is computed from something else, sums of
stated figures apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

from msgspec import Struct

from npugate.findings.values import Hit
from npugate.report.estimate import Engine, Estimate

EXTERNAL_FROM: Final = 0x6000_0000
"""Addresses from here on are outside the chip."""

_VERSION: Final = re.compile(r"(\d+)\.(\d+)")


class State(StrEnum):
    """What became of a model at the compiler."""

    COMPILED = "compiled"
    REFUSED = "refused"  # the compiler ran and did not take the model
    NO_VERDICT = "no-verdict"  # time-out, crash of the front end, licence, no answer
    NOT_RUN = "not-run"  # no compiler here, or the model could not be read


class CompiledPool(Struct, frozen=True):
    """A memory in the compiler's report.

    Attributes:
        start: address of its first byte.
        size_bytes: None where the report names the pool only.
        used_bytes: the text reports round it to three decimals of a kB or MB; JSON is exact.
        weight_bytes, activation_bytes: None in JSON, which does not separate them.
        is_exact: False for rounded numbers.
        is_writable: None in text, which does not tell.
    """

    name: str
    start: int
    size_bytes: int | None = None
    used_bytes: int | None = None
    weight_bytes: int | None = None
    activation_bytes: int | None = None
    is_exact: bool = False
    is_writable: bool | None = None

    @property
    def is_external(self) -> bool:
        """True for memory outside the chip: flash and PSRAM."""
        return self.start >= EXTERNAL_FROM

    @property
    def variable_bytes(self) -> int | None:
        """Bytes of activations; of a writable memory whose share is untold, all that is used."""
        if self.activation_bytes is not None:
            return self.activation_bytes
        return self.used_bytes if self.is_writable else None


class CompiledEpoch(Struct, frozen=True):
    """A row of the table of epochs: one epoch, or a range that one controller program runs.

    Attributes:
        first, last: ids as printed; the ids of a range are not all executed.
        kind: ``HW``, ``EC`` (hardware run by the epoch controller), ``HYBRID`` or ``SW``.
        operators: what it computes; text reports name them for SW and hybrid epochs only.
        macs, cycles: of JSON: the greater of computing and moving data, in NPU cycles.
    """

    first: int
    last: int
    kind: str
    operators: tuple[str, ...] = ()
    macs: int | None = None
    cycles: int | None = None

    @property
    def engine(self) -> Engine:
        """The engine in the words of our estimate."""
        return {"SW": Engine.CPU, "HYBRID": Engine.HYBRID}.get(self.kind, Engine.NPU)


class EpochCounts(Struct, frozen=True):
    """How many epochs there are, as the report counts them.

    Attributes:
        hybrid, hardware: None up to 2.2, which counts software epochs only.
        blobs: programs of the epoch controller; None up to 2.2.
    """

    total: int
    software: int
    hybrid: int | None = None
    hardware: int | None = None
    blobs: int | None = None


class Timing(Struct, frozen=True):
    """A measurement on a board.

    Attributes:
        milliseconds: of one inference, the mean; ``low`` and ``high`` where they are given.
        samples: inferences that were measured.
        cpu_cycles: before, in and after the epochs.
        clocks_mhz: by name: ``mcu``, ``npu``, ``nic``, ``noc``.
        device: as the tool names it, without a serial number.
    """

    milliseconds: float
    low: float | None = None
    high: float | None = None
    samples: int | None = None
    cpu_cycles: tuple[int, int, int] | None = None
    clocks_mhz: tuple[tuple[str, int], ...] = ()
    device: str = ""


class Failure(Struct, frozen=True):
    """Why a run failed, in the tool's own words.

    Attributes:
        category: for example ``INTERNAL ERROR`` or ``E103(CliRuntimeError)``.
        message: the rest of that line.
        detail: what the NPU compiler printed, bounded.
    """

    category: str
    message: str
    detail: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the line as the tool prints it."""
        return f"{self.category}: {self.message}" if self.category else self.message


class CompiledRun(Struct, frozen=True):
    """One call of the tool, read from whatever it left.

    Attributes:
        command: ``generate``, ``analyze``, ``validate``, or empty where nothing tells.
        version: ``2.2.0-20266 2adc00962``.
        compiler: version of the NPU compiler, ``1.1.1-14``.
        model: name of the model, without a path.
        model_format: ``ss/sa per channel`` and the like.
        macs: multiply-accumulates as the tool counts them; a 0 in the summary of 2.x is none.
        parameters: number of weights.
        weights: bytes in read-only memory.
        activations: bytes of RAM, inputs and outputs included.
        flash, ram: bytes of the whole network with its runtime.
        pools: in the order of the report.
        epochs: in order; empty where the report has no table.
        cycles: sum over the epochs of the compiler's own model, in NPU cycles.
        timing: None unless it was measured on a board.
        warnings: each once, in order, without addresses of the user's machine.
        failure: None for a run that went well.
        seconds: that the tool took, by its own clock.
    """

    command: str = ""
    version: str = ""
    compiler: str = ""
    model: str = ""
    model_format: str = ""
    macs: int | None = None
    parameters: int | None = None
    weights: int | None = None
    activations: int | None = None
    flash: int | None = None
    ram: int | None = None
    pools: tuple[CompiledPool, ...] = ()
    counts: EpochCounts | None = None
    epochs: tuple[CompiledEpoch, ...] = ()
    cycles: int | None = None
    timing: Timing | None = None
    warnings: tuple[str, ...] = ()
    failure: Failure | None = None
    seconds: float | None = None

    @property
    def toolchain(self) -> str:
        """Major and minor version, as targets name toolchains: ``2.2``; empty when unknown."""
        match = _VERSION.match(self.version)
        return f"{match[1]}.{match[2]}" if match else ""

    @property
    def external_activations(self) -> int | None:
        """Bytes of activations outside the chip, rounded as the report is; None if untold."""
        told = [p.variable_bytes for p in self.pools if p.is_external]
        known = [size for size in told if size is not None]
        return sum(known) if known else None


class Difference(Struct, frozen=True):
    """One figure, predicted and compiled.

    Attributes:
        subject: what is compared, for example ``activations`` or ``epochs on the CPU``.
        predicted, compiled: in words with their unit.
        agrees: False calls it out.
    """

    subject: str
    predicted: str
    compiled: str
    agrees: bool


class Compiled(Struct, frozen=True):
    """What the compiler's side adds to a model's report.

    Attributes:
        back_end: ``cli``, ``container``, ``cloud`` or ``replay``; empty when there is none.
        reason: why there is no verdict, or what was refused; empty when it compiled.
        run: what its reports say; None when they say nothing.
        differences: predicted against compiled.
        known: names of the rows of the catalogue that its output shows.
    """

    state: State
    back_end: str = ""
    reason: str = ""
    run: CompiledRun | None = None
    differences: tuple[Difference, ...] = ()
    known: tuple[str, ...] = ()


class Asked(Struct, frozen=True):
    """A model that the compiler is to be asked about, with what we think of it ourselves.

    Attributes:
        path: as reported.
        file: where it is.
        beside: its weight files, relative to its folder; they were found safe.
        toolchain: that it was checked for.
        hits: of our rules, by rule id.
        is_quantized: False for a float model, which is known to run on the CPU.
        estimate: None when none was made.
    """

    path: str
    file: Path
    beside: tuple[str, ...] = ()
    toolchain: str = ""
    hits: tuple[tuple[str, Hit], ...] = ()
    is_quantized: bool = True
    estimate: Estimate | None = None


class Answer(Struct, frozen=True):
    """What the compiler says of a model.

    Attributes:
        hits: by rule id, for what our own rules have not said already.
    """

    compiled: Compiled
    hits: tuple[tuple[str, Hit], ...] = ()


Ask = Callable[[Asked], Answer]
"""Asks the compiler about one model; it raises nothing that the model can cause."""
