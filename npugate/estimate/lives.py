"""Find out which pieces of memory a network needs, and from which epoch to which.

A tensor that an epoch reads may go by another name than the one that was written: a view of it, or
its other form in a quantised model. Such names are followed back to what an epoch wrote, or to an
input of the model. On the CPU the compiler lets an activation function work in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from npugate.estimate.values import Access, Buffer, Engine, Epoch
from npugate.facts import Facts, Tensor

_IN_PLACE: Final = frozenset(
    {"Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Elu", "Selu"}
)


@dataclass(slots=True)
class _Life:
    """A piece of memory while its uses are being collected."""

    size: int
    first: int
    last: int
    shares: str = ""


@dataclass(slots=True)
class _Lives:
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
        life = self.found.setdefault(name, _Life(access.size_bytes, -1, epoch))
        if life.first < 0:
            life.size = max(life.size, access.size_bytes)
        life.last = max(life.last, epoch)

    def write(self, access: Access, epoch: int) -> None:
        life = self.found.get(access.tensor)
        if life is None:
            self.found[access.tensor] = _Life(access.size_bytes, epoch, epoch)
        else:  # written in parts, by several epochs
            life.size = max(life.size, access.size_bytes)
            life.last = max(life.last, epoch)


def buffers(epochs: Sequence[Epoch], facts: Facts) -> tuple[Buffer, ...]:
    """Return the memory that a network needs, in the order of birth.

    Args:
        epochs: in running order.
        facts: of the model, for names and outputs.
    """
    lives = _Lives(facts, {t.name: t for t in facts.main.tensors.values()})
    for epoch in epochs:
        for access in epoch.reads:
            lives.read(access, epoch.index)
        for access in epoch.writes:
            lives.write(access, epoch.index)
    for tensor in facts.main.tensors.values():
        if tensor.is_output and (name := lives.root(tensor.name)) in lives.found:
            lives.found[name].last = len(epochs) - 1
    for epoch in epochs:
        _share(epoch, lives)
    return tuple(
        Buffer(name, life.size, life.first, life.last, shares=life.shares)
        for name, life in sorted(lives.found.items(), key=lambda item: (item[1].first, item[0]))
    )


def _share(epoch: Epoch, lives: _Lives) -> None:
    """Let a CPU epoch that is one activation function write over its dying input."""
    if epoch.engine is not Engine.CPU or len(epoch.writes) != 1:
        return
    if any(operator.kind not in _IN_PLACE for operator in epoch.operators):
        return
    sources = [lives.root(access.tensor) for access in epoch.reads if not access.is_weight]
    made = lives.found.get(epoch.writes[0].tensor)
    life = lives.found.get(sources[0]) if len(sources) == 1 else None
    if made is None or life is None or life is made:
        return
    if life.last == epoch.index and life.size == made.size:
        made.shares = life.shares or sources[0]
