"""What a repair is asked for and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from npugate.report.values import InterfaceChange

if TYPE_CHECKING:  # annotations only: it imports onnx and numpy
    from npugate.surgery.weight_store import WeightStore


class Applied(Struct, frozen=True):
    """A repair edited the model.

    Attributes:
        edits: what was done, one sentence each, without a full stop.
        interface: inputs and outputs with another shape than before.
        per_sample: number of samples of the original's batch that the result computes one at a
            time; 1 when the batch is what it was.
    """

    edits: tuple[str, ...]
    interface: tuple[InterfaceChange, ...] = ()
    per_sample: int = 1


class Skipped(Struct, frozen=True):
    """A repair had nothing to do; the model is untouched."""

    reason: str


class Declined(Struct, frozen=True):
    """A repair had something to do and no equivalent to put there; the model is dropped."""

    reason: str


RepairResult = Applied | Skipped | Declined


class RepairOptions(Struct, frozen=True):
    """What a user may ask of the repairs.

    Attributes:
        prefer_rank: largest rank wanted; None takes the target's ``rank_max``.
        shapes: name of an input -> the shape it gets.
        batch_strategy: ``auto``, ``channels``, ``spatial`` or ``unroll``.
        weight_budget_bytes: most int8 bytes that copies of weights may add.
        unroll_nodes: most nodes that unrolling may make.
        opset: version of ai.onnx wanted; None converts to the target's advice, and only a model
            whose version the target does not read.
        store: of the repair that is under way: holds the large weights that its message refers
            to. Only what reads the elements of a weight needs it.
    """

    prefer_rank: int | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    batch_strategy: str = "auto"
    weight_budget_bytes: int = 512 * 1024
    unroll_nodes: int = 2000
    opset: int | None = None
    store: WeightStore | None = None
