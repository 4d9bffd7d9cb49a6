"""What an estimate says, as values that the reports may use; free of onnx and numpy.

The unit is the epoch: what the compiler runs as one step, one or more ONNX nodes on one engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct, field

from npugate.findings.values import Cost, Location


class Engine(StrEnum):
    """Where an epoch runs."""

    NPU = "npu"
    HYBRID = "hybrid"  # a CPU program that drives the NPU for part of the work
    CPU = "cpu"


class Fit(StrEnum):
    """How the activations go into the memories of the board."""

    FITS = "fits"  # even the upper end of the interval stays on the chip
    MAY_SPILL = "may-spill"  # the interval reaches into external memory
    SPILLS = "spills"  # even the lower bound needs external memory
    DOES_NOT_FIT = "does-not-fit"  # even the lower bound exceeds all memories together


class Interval(Struct, frozen=True):
    """A figure with what it may be: about 80 % of the measured models lie between low and high."""

    low: float
    likely: float
    high: float


class Operator(Struct, frozen=True):
    """One operator of the compiled network.

    Attributes:
        kind: what the compiler calls it, for example ``Conv`` or ``DepthToSpace``.
        engine: where it runs.
        location: the ONNX node that it comes from.
        scope: module of the exporter's program, ``encoder/block1``; empty when unknown.
        reason: why it is not on the NPU, in a sentence; empty on the NPU.
        advice: what to do instead; empty where nothing helps.
        rule: key of the data row that decided it.
    """

    kind: str
    engine: Engine
    location: Location
    scope: str = ""
    reason: str = ""
    advice: str = ""
    rule: str = ""


class Place(StrEnum):
    """Where an operator of the model runs."""

    NPU = "npu"
    HYBRID = "hybrid"  # partly on the NPU, or a CPU program that drives it
    CPU = "cpu"
    FOLDED = "folded"  # nowhere: the compiler folds it away, or takes it as a view or a scale
    UNKNOWN = "unknown"  # the target's data does not say, or says that it cannot be compiled


class OperatorPlace(Struct, frozen=True):
    """The judgement of one ONNX operator: where it runs, why, at what cost, what instead.

    Attributes:
        location: of the node.
        place: where it runs.
        reason: why it is not on the NPU; empty there and where nothing runs.
        advice: what to do instead; empty where nothing helps.
        rule: key of the data row that decided it; ``float`` for a value without a scale.
        evidence: models, reports or documents that show it.
        cost: in time and bytes; None on the NPU, where the operator shares its epoch with others,
            and for a forecast.
        is_forecast: it speaks of the model once it is quantised.
    """

    location: Location
    place: Place
    reason: str = ""
    advice: str = ""
    rule: str = ""
    evidence: str = ""
    cost: Cost | None = None
    is_forecast: bool = False

    @property
    def leaves_npu(self) -> bool:
        """Tell whether any of it runs elsewhere than on the NPU."""
        return self.place in {Place.CPU, Place.HYBRID}


class Access(Struct, frozen=True):
    """A tensor that an epoch reads or writes.

    Attributes:
        tensor: name of the ONNX tensor whose elements these are; the compiler's own tensors have
            a name that ends in ``#`` and a number.
        shape: static.
        bits: of one element: 8 in a quantised model, 32 for float.
        is_weight: True for a parameter.
    """

    tensor: str
    shape: tuple[int, ...]
    bits: int
    is_weight: bool = False

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole tensor."""
        count = 1
        for dim in self.shape:
            count *= dim
        return (count * self.bits + 7) // 8


class Window(Struct, frozen=True):
    """Geometry of a convolution or pool; what is absent has the neutral value.

    Attributes:
        kernel, strides, dilations, pads: as ONNX has them, (height, width); pads begin, end.
        groups: of a convolution.
        channels_in, channels_out: of the whole tensor, not of a group.
        size_in, size_out: (height, width).
    """

    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    channels_in: int = 1
    channels_out: int = 1
    size_in: tuple[int, int] = (1, 1)
    size_out: tuple[int, int] = (1, 1)


class Epoch(Struct, frozen=True):
    """One step of the compiled network.

    Attributes:
        index: position, from 0, in the order in which the epochs run.
        engine: where it runs; HYBRID when an operator of it is.
        operators: in order; the first that is not a view or a (de)quantisation leads.
        reads, writes: the tensors that cross the epoch's border.
        macs: multiply-accumulates.
        window: of its convolution or pool; None without.
        cycles: NPU clock cycles; None before they are estimated.
        microseconds: on the board; None before it is estimated.
        bound: what limits it: ``compute``, or the name of the memory pool.
    """

    index: int
    engine: Engine
    operators: tuple[Operator, ...]
    reads: tuple[Access, ...] = ()
    writes: tuple[Access, ...] = ()
    macs: int = 0
    window: Window | None = None
    cycles: Interval | None = None
    microseconds: Interval | None = None
    bound: str = ""


class Buffer(Struct, frozen=True):
    """A piece of memory that holds one tensor for some epochs.

    Attributes:
        first, last: index of the first and last epoch in which it is alive; -1 for an input.
        pool: where the planner put it; empty when it found no place.
        offset: bytes from the beginning of the pool.
        shares: name of the tensor whose memory it is: of a view, or of work done in place.
    """

    tensor: str
    size_bytes: int
    first: int
    last: int
    pool: str = ""
    offset: int = 0
    shares: str = ""


class Pool(Struct, frozen=True):
    """A memory of the board and what is in it.

    Attributes:
        is_external: True for memory outside the chip.
        is_writable: False for flash.
    """

    name: str
    size_bytes: int
    weight_bytes: int = 0
    activation_bytes: int = 0
    is_external: bool = False
    is_writable: bool = True


class Memory(Struct, frozen=True):
    """What the model needs of each memory.

    Attributes:
        pools: in the order in which the compiler fills them.
        weights: bytes in flash.
        activations: bytes of RAM, inputs and outputs included.
        lower_bound: bytes alive at the peak; no allocation can need less.
        peak: index of the epoch at which it is reached.
        alive: buffers alive at the peak, largest first.
        live: bytes alive in each epoch.
        buffers: the plan.
        external: bytes of activations in external memory.
    """

    fit: Fit
    pools: tuple[Pool, ...]
    weights: Interval
    activations: Interval
    lower_bound: int
    peak: int
    alive: tuple[Buffer, ...] = ()
    live: tuple[int, ...] = ()
    buffers: tuple[Buffer, ...] = ()
    external: Interval = field(default_factory=lambda: Interval(0, 0, 0))


class Time(Struct, frozen=True):
    """How long one inference takes.

    Attributes:
        microseconds: of everything.
        npu, cpu: shares of it, 0 to 1, by engine; hybrid epochs count as CPU.
        compiler_cycles: what the compiler's own model says, in NPU cycles.
        is_calibrated: False where the model lies outside the measured range.
        notes: why not, and what else weakens the figure.
    """

    microseconds: Interval
    npu: float
    cpu: float
    compiler_cycles: float
    is_calibrated: bool = True
    notes: tuple[str, ...] = ()


class Estimate(Struct, frozen=True):
    """All that is estimated of one model.

    Attributes:
        board: whose memories and clocks were taken.
        epochs: in running order.
        macs: multiply-accumulates of one inference, the plain count.
        compiler_macs: as the compiler's own report counts them (biases, Q/DQ and all).
        memory, time: None where the model's shapes are not known well enough; ``notes`` say so.
        notes: sentences about what could not be estimated.
    """

    target: str
    toolchain: str
    board: str
    epochs: tuple[Epoch, ...]
    macs: int
    compiler_macs: int
    memory: Memory | None = None
    time: Time | None = None
    notes: tuple[str, ...] = ()

    def count(self, engine: Engine) -> int:
        """Return the number of epochs that an engine runs."""
        return sum(1 for epoch in self.epochs if epoch.engine is engine)

    @property
    def npu_epoch_share(self) -> float:
        """Share of the epochs that run wholly on the NPU, 0 to 1; 1 for an empty network."""
        return self.count(Engine.NPU) / len(self.epochs) if self.epochs else 1.0

    @property
    def npu_mac_share(self) -> float:
        """Share of the multiply-accumulates that run on the NPU, 0 to 1; 1 without any."""
        if not self.macs:
            return 1.0
        return sum(epoch.macs for epoch in self.epochs if epoch.engine is Engine.NPU) / self.macs

    def fallbacks(self) -> Iterator[Epoch]:
        """Yield the epochs that leave the NPU, most expensive first."""
        left = [epoch for epoch in self.epochs if epoch.engine is not Engine.NPU]
        yield from sorted(left, key=lambda e: -(e.microseconds.likely if e.microseconds else 0))

    def breaks(self) -> Iterator[Epoch]:
        """Yield the first epoch of each run off the NPU: what ends a chain of NPU epochs."""
        before = Engine.NPU
        for epoch in self.epochs:
            if before is Engine.NPU and epoch.engine is not Engine.NPU:
                yield epoch
            before = epoch.engine
