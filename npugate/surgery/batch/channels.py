"""Fold the samples into the channels: (N, C, H, W) becomes (1, N*C, H, W), a pure Reshape.

    conv(x[n], w, group=g) for n < N
    =>  conv(reshape(x, [1, N*C, H, W]), concat([w] * N, axis=0), group=N*g)

A convolution gets N times its groups and its weights N times; everything that works channel by
channel or element by element stays as it is. Each function of the table below checks that a node
has this form and returns what makes it; nothing is changed until then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from npugate.operators import POOLS
from npugate.surgery.again import again
from npugate.surgery.batch.regions import ELEMENTWISE, UNARY, Region, connected, pads_by_axis
from npugate.surgery.batch.tiling import Made, added_bytes, tile
from npugate.surgery.draft import Draft
from npugate.surgery.node import Dims, Node, NoFormError, Value


class Form(Struct, frozen=True):
    """How a node works on folded samples.

    Attributes:
        added: int8 bytes of the copies of its parameters.
        emit: makes the nodes that stand for it.
    """

    added: int
    emit: Callable[[], None]


class Plan(Struct, frozen=True):
    """The folded form of a region; ``forms`` by id of the node."""

    forms: Mapping[int, Form]
    added: int


def plan(draft: Draft, region: Region) -> Plan:
    """Return the form of a region, without changing the draft.

    Nodes other than layers that have no form stay as they are, between two Reshapes.

    Raises:
        NoFormError: a layer has no such form.
    """
    made: Made = {}
    forms: dict[int, Form] = {}
    foldable: dict[int, Node] = {}
    layers = {id(node) for node in region.layers}
    for node in region.nodes:
        try:
            forms[id(node)] = _form(_At(draft, node, region.samples, made))
            foldable[id(node)] = node
        except NoFormError:
            if id(node) in layers:
                raise
    near = connected(draft, region.layers, foldable)
    kept = {key: form for key, form in forms.items() if key in near}
    return Plan(kept, sum(form.added for form in kept.values()))


def apply(draft: Draft, chosen: Plan) -> None:
    """Put the planned forms in place."""

    def change(node: Node) -> bool:
        form = chosen.forms.get(id(node))
        if form is None:
            return False
        form.emit()
        return True

    draft.rewrite(change)


class _At(Struct, frozen=True):
    """A node being looked at; ``made`` holds the parameters repeated so far."""

    draft: Draft
    node: Node
    samples: int
    made: Made

    @property
    def dims(self) -> Dims:
        """Shape of the output."""
        return self.draft.dims(self.node.outputs[0])

    def none(self, reason: str) -> NoFormError:
        """Return an error that names the node."""
        return NoFormError(f"{self.node.op} {self.node.label!r} {reason}")

    def data(self) -> Value:
        """Emit the folded first input."""
        value = self.node.inputs[0]
        return self.draft.reshape(value, folded(self.draft.dims(value)))

    def finish(self, inputs: Sequence[Value | None], group: int | None = None) -> None:
        """Emit the node on folded inputs, and the Reshape back."""
        result = self.node.outputs[0]
        dims = self.dims
        made = again(self.draft, self.node, inputs, folded(dims), group=group)
        self.draft.reshape(made, dims, result)


def folded(dims: Sequence[int]) -> Dims:
    """Return the shape with the samples in the channels."""
    return (1, dims[0] * dims[1], *dims[2:])


def _form(at: _At) -> Form:
    dims = at.draft.dims(at.node.inputs[0])
    least = 3  # samples, channels and one axis of space
    if len(dims) < least or len(at.dims) < least:
        raise at.none("works on tensors without spatial axes")
    op_type = str(at.node.op)
    if op_type in POOLS | UNARY:
        return _unchanged(at)
    if op_type in ELEMENTWISE:
        return _elementwise(at)
    make = _FORMS.get(op_type)
    if make is None:
        raise at.none("mixes channels, so that samples cannot be among them")
    return make(at)


def _unchanged(at: _At) -> Form:
    return Form(0, lambda: at.finish([at.data(), *_others(at)]))


def _others(at: _At) -> list[Value | None]:
    return [at.node.input(position) for position in range(1, len(at.node.inputs))]


def _parameters(at: _At, group: int | None = None) -> Form:
    """Give a node its parameters once for each sample: p' = concat([p] * N, axis=0)."""
    used = [value for value in _others(at) if value is not None]
    added = sum(added_bytes(at.draft, value, 0, at.samples) for value in used)

    def emit() -> None:
        tiled = [tile(at.draft, value, 0, at.samples, at.made) for value in used]
        at.finish([at.data(), *tiled], group)

    return Form(added, emit)


def _convolution(at: _At) -> Form:
    """Fold a convolution: w' = concat([w] * N), b' = concat([b] * N), group' = N * group."""
    sizes = at.node.integers("output_shape")
    if sizes is not None and len(sizes) != len(at.dims) - 2:
        raise at.none("names its output shape with samples and channels")
    return _parameters(at, group=at.node.integer("group", 1) * at.samples)


def _normalization(at: _At) -> Form:
    """Fold a normalisation: scale, bias, mean and variance [C] => [N*C], repeated."""
    return _parameters(at)


def _elementwise(at: _At) -> Form:
    operands = [_operand(at, value) for value in at.node.inputs]
    added = sum(operand.added for operand in operands)
    return Form(added, lambda: at.finish([operand.make() for operand in operands]))


class _Operand(Struct, frozen=True):
    added: int
    make: Callable[[], Value]


def _operand(at: _At, value: Value) -> _Operand:
    """Fold an operand of an elementwise node.

    [N, C, ...] => [1, N*C, ...];  [1, C, ...] => repeated N times;  [1, 1, ...] => as it is
    """
    draft, rank = at.draft, len(at.dims)
    given = draft.dims(value)
    if len(given) > rank:
        raise at.none(f"has an operand of {len(given)} dimensions")
    dims = (*(1 for _ in range(rank - len(given))), *given)
    if dims[:2] == (1, 1):
        return _Operand(0, lambda: value)
    if dims[0] == at.samples and dims[1] == at.dims[1]:
        return _Operand(0, lambda: draft.reshape(value, folded(dims)))
    array = draft.array(value)
    if array is not None and dims[0] in {1, at.samples} and dims[1] in {1, at.dims[1]}:
        full = np.broadcast_to(array.reshape(dims), (at.samples, at.dims[1], *dims[2:]))
        shape = folded(full.shape)
        return _Operand(full.size - array.size, lambda: draft.constant(full.reshape(shape)))
    if dims[0] == 1 and dims[1] == at.dims[1]:
        axis = 1 - (rank - len(given))
        added = added_bytes(draft, value, axis, at.samples)
        return _Operand(added, lambda: tile(draft, value, axis, at.samples, at.made))
    raise at.none(f"broadcasts {list(given)} over samples or channels")


def _linear(at: _At) -> Form:
    """Fold QuantizeLinear and DequantizeLinear: one scale, or one for each channel."""
    scale = at.draft.dims(at.node.inputs[1])
    if not scale or scale == (1,):
        return _unchanged(at)
    if at.node.integer("axis", 1) % len(at.dims) == 1:
        return _parameters(at)
    return _unchanged(at)


def _pad(at: _At) -> Form:
    pads = pads_by_axis(at.draft, at.node, len(at.dims))
    if pads is None or any(pads.get(axis, (0, 0)) != (0, 0) for axis in (0, 1)):
        raise at.none("pads the channels")
    return _unchanged(at)


def _resize(at: _At) -> Form:
    others = _others(at)
    sizes = 2
    if at.node.input(sizes + 1) is not None and at.node.integers("axes") is None:

        def emit() -> None:
            others[sizes] = at.draft.int64(list(folded(at.dims)), "sizes")
            at.finish([at.data(), *others])

        return Form(0, emit)
    return _unchanged(at)


def _concat(at: _At) -> Form:
    """Join along channels as [1, N, C, H*W] on axis 2; along other axes as they are."""
    if at.node.integer("axis", 0) % len(at.dims) != 1:
        return Form(0, lambda: at.finish([_folded(at, value) for value in at.node.inputs]))
    draft, dims = at.draft, at.dims
    plane = int(np.prod(dims[2:]))

    def emit() -> None:
        parts = []
        for value in at.node.inputs:
            channels = draft.dims(value)[1]
            parts.append(draft.reshape(value, (1, at.samples, channels, plane)))
        result = at.node.outputs[0]
        shape = (1, at.samples, dims[1], plane)
        made = draft.emit("Concat", parts, shape, draft.dtype(result), axis=2)
        draft.reshape(made, dims, result)

    return Form(0, emit)


def _folded(at: _At, value: Value) -> Value:
    return at.draft.reshape(value, folded(at.draft.dims(value)))


def _depth_to_space(at: _At) -> Form:
    if at.node.text("mode", "DCR") != "CRD":
        raise at.none("takes its blocks from the outer channels (mode DCR)")
    return _unchanged(at)


_FORMS: Final[Mapping[str, Callable[[_At], Form]]] = {
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "BatchNormalization": _normalization,
    "InstanceNormalization": _normalization,
    "QuantizeLinear": _linear,
    "DequantizeLinear": _linear,
    "Pad": _pad,
    "Resize": _resize,
    "Upsample": _resize,
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
}
