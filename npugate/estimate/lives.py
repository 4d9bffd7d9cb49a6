"""Find out which pieces of memory a network needs, and from which epoch to which.

A tensor that an epoch reads may go by another name than the one that was written: a view of it, or
its other form in a quantised model. Such names are followed back to what an epoch wrote, or to an
input of the model. On the CPU the compiler lets an activation function work in place.

A convolution whose kernel is too large for the unit is computed in parts; their sums, of 16 bits,
are memory, too. Time is counted in steps, of which such an epoch has two: parts, then their sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from npugate.estimate import chip
from npugate.estimate.convolution import parts
from npugate.facts import Facts, Tensor
from npugate.operators import FUSED
from npugate.report.estimate import Access, Buffer, Engine, Epoch

OWN: Final = "#"
"""In the name of a tensor that the compiler makes; what it could do without is no lower bound."""
MOST_BYTES: Final = 1 << 60
"""A hostile shape has products that no float can hold; nothing real comes near."""
_BYTE: Final = 8
CHAINED: Final = 2
"""Parts that are added within one epoch (5x5 kernels in reports of Core 2.2)."""
_MOST_PARTS: Final = 5
"""Sums alive at once: 5 of the 6 of a 7x7 kernel with stride 1 (report of Core 2.2)."""


class Step(Struct, frozen=True):
    """What is read and written at one time.

    Attributes:
        epoch: index of the epoch to which it belongs.
    """

    epoch: int
    reads: tuple[Access, ...]
    writes: tuple[Access, ...]


def steps(epochs: Sequence[Epoch]) -> tuple[Step, ...]:
    """Return the steps of a network, in running order."""
    own = {
        access.tensor.partition(OWN)[0]
        for e in epochs
        for access in e.writes
        if OWN in access.tensor
    }
    found: list[Step] = []
    for epoch in epochs:
        parts = () if any(a.tensor in own for a in epoch.writes) else tuple(partial_sums(epoch))
        if parts:
            found.append(Step(epoch.index, epoch.reads, parts))
            found.append(Step(epoch.index, parts[:1], epoch.writes))
        else:
            found.append(Step(epoch.index, epoch.reads, epoch.writes))
    return tuple(found)


def partial_sums(epoch: Epoch) -> Iterator[Access]:
    """Yield the sums of a convolution's parts; none when the unit takes it whole or chained."""
    window = epoch.window
    if window is None or epoch.engine is not Engine.NPU or not epoch.macs or len(epoch.writes) != 1:
        return
    made = epoch.writes[0]
    count = parts(window.kernel, window.strides, chip.units())
    if count <= CHAINED or made.bits != _BYTE:
        return
    shape = (1, window.channels_out, *window.size_out)
    for number in range(min(count, _MOST_PARTS)):
        yield Access(f"{made.tensor}{OWN}{number}", shape, 2 * _BYTE)


class _Life(Struct):
    """A piece of memory while its uses are being collected."""

    size: int
    first: int
    last: int
    shares: str = ""


def _size(access: Access) -> int:
    return min(max(access.size_bytes, 0), MOST_BYTES)


class _Lives(Struct):
    """Everything that is alive at some time, by the name of the tensor that was written."""

    facts: Facts
    tensors: Mapping[str, Tensor]
    found: dict[str, _Life] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)

    def root(self, name: str) -> str:
        """Return the name under which the elements of a tensor were written."""
        known = self.roots.get(name)
        if known is not None:
            return known
        seen, at = {name}, name
        while at not in self.found:
            tensor = self.tensors.get(at)
            node = tensor.producer if tensor is not None else None
            source = node.input(0) if node is not None else None
            if source is None or source.name in seen or source.is_constant:
                break
            at = source.name
            seen.add(at)
        self.roots[name] = at
        return at

    def read(self, access: Access, epoch: int) -> None:
        if access.is_weight:
            return
        name = self.root(access.tensor)
        tensor = self.tensors.get(name)
        if name not in self.found and (tensor is None or tensor.is_constant):
            return
        life = self.found.setdefault(name, _Life(_size(access), -1, epoch))
        if life.first < 0:
            life.size = max(life.size, _size(access))
        life.last = max(life.last, epoch)

    def write(self, access: Access, epoch: int) -> None:
        life = self.found.get(access.tensor)
        if life is None:
            self.found[access.tensor] = _Life(_size(access), epoch, epoch)
        else:  # written in parts, by several epochs
            life.size = max(life.size, _size(access))
            life.last = max(life.last, epoch)


def buffers(epochs: Sequence[Epoch], order: Sequence[Step], facts: Facts) -> tuple[Buffer, ...]:
    """Return the memory that a network needs, in the order of birth; the times are steps.

    Args:
        epochs: in running order.
        order: their steps.
        facts: of the model, for names and outputs.
    """
    lives = _Lives(facts, {t.name: t for t in facts.main.tensors.values()})
    for time, step in enumerate(order):
        for access in step.reads:
            lives.read(access, time)
        for access in step.writes:
            lives.write(access, time)
    for tensor in facts.main.tensors.values():
        if tensor.is_output and (name := lives.root(tensor.name)) in lives.found:
            lives.found[name].last = len(order) - 1
    for time, step in enumerate(order):
        _share(epochs[step.epoch], time, lives)
    return tuple(
        Buffer(name, life.size, life.first, life.last, shares=life.shares)
        for name, life in sorted(lives.found.items(), key=lambda item: (item[1].first, item[0]))
    )


def _share(epoch: Epoch, time: int, lives: _Lives) -> None:
    """Let a CPU epoch that is one activation function write over its dying input."""
    if epoch.engine is not Engine.CPU or len(epoch.writes) != 1:
        return
    if any(operator.kind not in FUSED for operator in epoch.operators):
        return
    sources = [lives.root(access.tensor) for access in epoch.reads if not access.is_weight]
    made = lives.found.get(epoch.writes[0].tensor)
    life = lives.found.get(sources[0]) if len(sources) == 1 else None
    if made is None or life is None or life is made:
        return
    if life.last == time and life.size == made.size:
        made.shares = life.shares or sources[0]
