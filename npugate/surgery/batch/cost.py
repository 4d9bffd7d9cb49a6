"""What a form of a batch costs, as far as it can be told without a compiler.

Every figure is for int8, as the accelerator runs a model: a byte an element. The activation peak is
the largest sum of live tensors over the nodes of the region, in their order; tensors that the
region hands on stay alive to its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from npugate.surgery.batch.regions import Region
from npugate.surgery.draft import Draft
from npugate.surgery.node import Node
from npugate.target import Target

_OFF = frozenset({"cpu", "none"})


@dataclass(frozen=True, slots=True)
class Cost:
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
    if not node.is_a("Conv", "ConvTranspose"):
        return 0
    kernel = draft.dims(node.inputs[1])
    over = node.outputs[0] if node.op == "Conv" else node.inputs[0]
    return prod(draft.dims(over)) * prod(kernel[1:])


def peak(draft: Draft, region: Region) -> int:
    """Return the largest sum of live activations, all samples together."""
    own = {id(node) for node in region.nodes}
    last: dict[str, int] = {}
    first: dict[str, int] = {}
    for step, node in enumerate(region.nodes):
        for position in region.batched[id(node)]:
            value = node.inputs[position]
            first.setdefault(value.name, 0)
            last[value.name] = step
        result = node.outputs[0]
        leaves = draft.is_kept(result) or any(id(n) not in own for n in draft.consumers(result))
        first[result.name] = step
        last[result.name] = len(region.nodes) if leaves else step
    sizes = {
        value.name: prod(draft.dims(value))
        for node in region.nodes
        for value in (node.outputs[0], *(node.inputs[at] for at in region.batched[id(node)]))
    }
    change = [0] * (len(region.nodes) + 2)
    for name, begin in first.items():
        change[begin] += sizes[name]
        change[last[name] + 1] -= sizes[name]
    live = most = 0
    for step in change:
        live += step
        most = max(most, live)
    return most


def borders(draft: Draft, region: Region) -> int:
    """Return the elements that a region reads from outside and hands on."""
    made = {node.outputs[0].name for node in region.nodes}
    own = {id(node) for node in region.nodes}
    read = {
        value.name: prod(draft.dims(value))
        for node in region.nodes
        for value in (node.inputs[at] for at in region.batched[id(node)])
        if value.name not in made
    }
    handed = sum(
        prod(draft.dims(node.outputs[0]))
        for node in region.nodes
        if draft.is_kept(node.outputs[0])
        or any(id(reader) not in own for reader in draft.consumers(node.outputs[0]))
    )
    return sum(read.values()) + handed


def cpu_nodes(target: Target, op_types: list[str]) -> int:
    """Return how many operators the target does not run on the accelerator."""
    rows = [target.operator(op_type) for op_type in op_types]
    return sum(1 for row in rows if row is not None and row.runs_on in _OFF)
