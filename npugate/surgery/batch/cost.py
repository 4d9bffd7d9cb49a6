"""What a form of a batch costs, as far as it can be told without a compiler.

Every figure is for int8, as the accelerator runs a model: a byte an element. The activation peak is
the largest sum of live tensors over the nodes of the region, in their order; tensors that the
region passes on stay alive to its end.
"""

from __future__ import annotations

import itertools
from math import prod
from typing import Final

from msgspec import Struct

from npugate.operators import CONVERSIONS, CONVOLUTIONS
from npugate.surgery.batch.regions import UNARY, Region
from npugate.surgery.draft import Draft
from npugate.surgery.node import Node
from npugate.target.values import Target

_OFF: Final = frozenset({"cpu", "none"})
_IN_PLACE: Final = UNARY | CONVERSIONS


class Cost(Struct, frozen=True):
    """The price of one form of a region.

    Attributes:
        added_bytes: int8 bytes of copied parameters.
        macs: multiplications of the region.
        peak_bytes: estimate of the activation peak.
        nodes: number of nodes, without Reshapes.
        cpu_nodes: how many of them the target runs on its CPU, or not at all.
    """

    added_bytes: int
    macs: int
    peak_bytes: int
    nodes: int
    cpu_nodes: int

    def __str__(self) -> str:
        """Render for a report."""
        return (
            f"{self.added_bytes} bytes of int8 weights added, {self.macs} MACs,"
            f" activation peak about {self.peak_bytes} bytes, {self.nodes} nodes,"
            f" {self.cpu_nodes} of them off the NPU"
        )


def macs(draft: Draft, region: Region) -> int:
    """Return the multiplications of the convolutions of a region."""
    return sum(_macs(draft, node) for node in region.layers)


def _macs(draft: Draft, node: Node) -> int:
    if not node.is_a(*CONVOLUTIONS):
        return 0
    kernel = draft.dims(node.inputs[1])
    over = node.outputs[0] if node.op == "Conv" else node.inputs[0]
    return prod(draft.dims(over)) * prod(kernel[1:])


def peak(draft: Draft, region: Region) -> int:
    """Return the largest sum of live activations, all samples together."""
    roots = _roots(draft, region)
    last: dict[str, int] = {}
    first: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for step, node in enumerate(region.nodes):
        result = node.outputs[0]
        for value in (*(node.inputs[at] for at in region.batched[id(node)]), result):
            root = roots.get(value.name, value.name)
            sizes[root] = max(sizes.get(root, 0), prod(draft.dims(value)))
            first.setdefault(root, step if value is result else 0)
            last[root] = max(last.get(root, 0), step)
        if _leaves(draft, region, node):
            last[roots.get(result.name, result.name)] = len(region.nodes)
    change = [0] * (len(region.nodes) + 2)
    for name, begin in first.items():
        change[begin] += sizes[name]
        change[last[name] + 1] -= sizes[name]
    return max(itertools.accumulate(change))


def _roots(draft: Draft, region: Region) -> dict[str, str]:
    """Return whose memory a function of one element at a time takes over from its only input."""
    roots: dict[str, str] = {}
    for node in region.nodes:
        value = node.inputs[0]
        if node.op in _IN_PLACE and len(draft.consumers(value)) == 1 and not draft.is_kept(value):
            roots[node.outputs[0].name] = roots.get(value.name, value.name)
    return roots


def _leaves(draft: Draft, region: Region, node: Node) -> bool:
    """Tell whether something outside of a region reads what a node makes."""
    value = node.outputs[0]
    readers = draft.consumers(value)
    return draft.is_kept(value) or any(id(reader) not in region.batched for reader in readers)


def borders(draft: Draft, region: Region) -> int:
    """Return the elements that a region reads from outside and passes on."""
    made = {node.outputs[0].name for node in region.nodes}
    read = {
        value.name: prod(draft.dims(value))
        for node in region.nodes
        for value in (node.inputs[at] for at in region.batched[id(node)])
        if value.name not in made
    }
    ends = [node for node in region.nodes if _leaves(draft, region, node)]
    return sum(read.values()) + sum(prod(draft.dims(node.outputs[0])) for node in ends)


def cpu_nodes(target: Target, op_types: list[str]) -> int:
    """Return how many operators the target does not run on the accelerator."""
    rows = [target.operator(op_type) for op_type in op_types]
    return sum(1 for row in rows if row is not None and row.runs_on in _OFF)
