"""The epochs of a compiled graph as memory sees them: what is written, and when.

An operator that is fused leaves no trace but its own result; one that only joins the epochs before
it reads what lies in memory, and so does what the compiler writes before a result.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from npugate.estimate.compiled_graph import CompiledGraph, CompiledNode, Fate
from npugate.facts import Tensor
from npugate.facts.elements import source
from npugate.report.estimate import Access, Epoch, Operator

_BYTE: Final = 8
_FLOAT: Final = 32


class _Builder(Struct):
    """Epochs while they are made, and which of them made a tensor."""

    bits: int
    epochs: list[Epoch] = field(default_factory=list)
    made_by: dict[str, int] = field(default_factory=dict)

    def add(self, item: CompiledNode) -> None:
        """Append what a node writes."""
        if item.fate is Fate.INNER:
            return
        if item.fate is Fate.FUSED:
            self._fuse(item)
            return
        reads = tuple(self._access(t) for t in item.node.inputs if t and not t.is_constant)
        for access in item.scratch:
            self._append(item, reads, (access,))
            reads = (access,)
        self._append(item, reads, tuple(self._access(t) for t in item.node.outputs if t))

    def _append(
        self, item: CompiledNode, reads: tuple[Access, ...], writes: tuple[Access, ...]
    ) -> None:
        number = len(self.epochs)
        epoch = Epoch(
            number, item.engine, (_operator(item),), reads, writes, item.macs, item.window
        )
        self.epochs.append(epoch)
        self._made(writes, number)

    def _fuse(self, item: CompiledNode) -> None:
        """Let the epoch that makes what a node reads write the node's result instead."""
        read = item.node.input(0)
        number = self.made_by[source(read).name] if read is not None else -1
        epoch = self.epochs[number]
        writes = tuple(self._access(t) for t in item.node.outputs if t)
        operators = (*epoch.operators, _operator(item))
        self.epochs[number] = replace(epoch, operators=operators, writes=writes)
        self._made(writes, number)

    def _made(self, writes: Iterable[Access], number: int) -> None:
        self.made_by.update((access.tensor, number) for access in writes)

    def _access(self, tensor: Tensor) -> Access:
        return Access(tensor.name, tensor.static_shape or (0,), self.bits)


def writing_epochs(graph: CompiledGraph) -> tuple[Epoch, ...]:
    """Return the epochs of a compiled graph as memory sees them, in running order."""
    builder = _Builder(_FLOAT if graph.is_float else _BYTE)
    for item in graph.running():
        builder.add(item)
    return tuple(builder.epochs)


def _operator(item: CompiledNode) -> Operator:
    return Operator(item.node.op_type, item.engine, item.node.location())
