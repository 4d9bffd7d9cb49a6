"""Compute the samples one after another: each node of a region once for every part of the batch.

    f(x) = concat([f(x[0:s]), f(x[s:2s]), ...]),  s samples in a part

A part is one sample, or several that the fold into channels takes further. The parts share the
weights. They are cut from, and joined to, a tensor with the samples in its second axis, because no
operator may act on the leading one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from msgspec import Struct, field

from npugate.operators import RESHAPES
from npugate.surgery.again import again
from npugate.surgery.batch.regions import Region, is_read_outside
from npugate.surgery.draft import Draft
from npugate.surgery.node import Dims, Node, NoFormError, Value

_SLICE_HAS_INPUTS = 10


class Plan(Struct, frozen=True):
    """An unrolled form.

    Attributes:
        nodes: the nodes that are repeated: the layers and what lies between them.
        parts: how often.
    """

    region: Region
    nodes: tuple[Node, ...]
    parts: int

    @property
    def count(self) -> int:
        """Number of nodes that come out, without what cuts and joins."""
        return self.parts * len(self.nodes)


def plan(draft: Draft, region: Region, parts: int) -> Plan:
    """Return the form of a region in so many parts, without changing the draft.

    Raises:
        NoFormError: it does not split evenly, or hands a rank-0 tensor around.
    """
    if region.samples % parts:
        raise NoFormError(f"{region.samples} samples do not make {parts} equal parts")
    return Plan(region, _between(draft, region), parts)


def _between(draft: Draft, region: Region) -> tuple[Node, ...]:
    """Return the nodes on a path from a layer to a layer; others need not be repeated."""
    layers = {id(node) for node in region.layers}
    behind = set(layers)
    for node in region.nodes:
        if any(id(draft.producer(value)) in behind for value in node.inputs):
            behind.add(id(node))
    before = set(layers)
    for node in reversed(region.nodes):
        if any(id(reader) in before for reader in draft.consumers(node.outputs[0])):
            before.add(id(node))
    return tuple(node for node in region.nodes if id(node) in behind & before)


def apply(draft: Draft, chosen: Plan) -> None:
    """Repeat the nodes, then order them part by part, so that few tensors live at once."""
    work = _Work(draft, chosen, {id(node) for node in chosen.nodes})
    draft.rewrite(work.change)
    draft.sweep()
    if not draft.captured:  # the order of what the body of a subgraph reads is not ours to change
        draft.graph.nodes = _depth_first(draft)


class _Work(Struct):
    draft: Draft
    plan: Plan
    own: set[int]
    parts: dict[str, list[Value]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Samples in a part."""
        return self.plan.region.samples // self.plan.parts

    def change(self, node: Node) -> bool:
        """Repeat one node."""
        if id(node) not in self.own:
            return False
        result = node.outputs[0]
        is_needed = is_read_outside(self.draft, result, self._reads_part)
        inputs = list(node.inputs)
        made = [self._repeat(node, inputs, part) for part in range(self.plan.parts)]
        if is_needed:
            self._join(made, result)
        self.parts[result.name] = made
        return True

    def _reads_part(self, node: Node, position: int) -> bool:
        return id(node) in self.own and position in self.plan.region.batched[id(node)]

    def _repeat(self, node: Node, inputs: Sequence[Value], part: int) -> Value:
        dims = (self.size, *self.draft.dims(node.outputs[0])[1:])
        batched = self.plan.region.batched[id(node)]
        values: list[Value | None] = []
        for position, value in enumerate(inputs):
            if position in batched:
                values.append(self._part(value, part))
            else:
                values.append(None if value.is_empty() else value)
        if node.op in RESHAPES:
            view = values[0]
            assert view is not None, "the first input of a view is batched"  # noqa: S101 - regions
            return self.draft.reshape(view, dims)
        if node.op == "Resize" and node.input(3) is not None and node.integers("axes") is None:
            values[3] = self.draft.int64(list(dims), "sizes")
        return again(self.draft, node, values, dims)

    def _part(self, value: Value, part: int) -> Value:
        """Return the samples of a part; cut the value when this is its first use."""
        if value.name not in self.parts:
            self.parts[value.name] = self._cut(value)
        return self.parts[value.name][part]

    def _cut(self, value: Value) -> list[Value]:
        dims = self.draft.dims(value)
        spans = [(part * self.size, (part + 1) * self.size) for part in range(self.plan.parts)]
        array = self.draft.array(value)
        if array is not None:
            return [self.draft.constant(array[begin:end], value.name) for begin, end in spans]
        flat = self.draft.reshape(value, _joined(dims))
        width = _joined(dims)[1] // dims[0]
        cut: list[Value] = []
        for begin, end in spans:
            shape = (1, (end - begin) * width, *dims[2:])
            piece = _slice(self.draft, flat, begin * width, end * width, shape)
            cut.append(self.draft.reshape(piece, (end - begin, *dims[1:])))
        return cut

    def _join(self, parts: Sequence[Value], result: Value) -> None:
        dims = self.draft.dims(result)
        flat = [self.draft.reshape(part, _joined((self.size, *dims[1:]))) for part in parts]
        joined = self.draft.emit("Concat", flat, _joined(dims), self.draft.dtype(result), axis=1)
        self.draft.reshape(joined, dims, result)


def _joined(dims: Dims) -> Dims:
    """Return the shape with the samples in the second axis and a leading axis of 1."""
    return (1, prod(dims[:2]), *dims[2:])


def _slice(draft: Draft, value: Value, begin: int, end: int, dims: Sequence[int]) -> Value:
    dtype = draft.dtype(value)
    if draft.opset < _SLICE_HAS_INPUTS:
        return draft.emit("Slice", [value], dims, dtype, starts=[begin], ends=[end], axes=[1])
    bounds = [draft.int64([number], "bound") for number in (begin, end, 1)]
    return draft.emit("Slice", [value, *bounds], dims, dtype)


def _depth_first(draft: Draft) -> list[Node]:
    """Return the nodes in the order in which they are needed for the outputs, inputs first."""
    order: list[Node] = []
    seen: set[int] = set()
    # A node on the stack a second time has all its inputs behind it.
    stack = [(node, False) for node in reversed(draft.nodes) if _is_last(draft, node)]
    while stack:
        node, is_ready = stack.pop()
        if is_ready:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            makers = [draft.producer(value) for value in node.inputs]
            stack += [(m, False) for m in reversed(makers) if m is not None and id(m) not in seen]
    return order


def _is_last(draft: Draft, node: Node) -> bool:
    return any(draft.is_output(value) for value in node.outputs)
