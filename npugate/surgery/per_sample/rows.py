"""A model under change, and which of its tensors have the samples in front."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import NoReturn

import numpy as np
from msgspec import Struct, field
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from npugate.facts.graph import Array
from npugate.surgery.node import NoFormError
from npugate.surgery.opsets.rewrite_context import integer, integers
from npugate.surgery.scope import Names
from npugate.surgery.shapes import Known
from npugate.surgery.weight_store import WeightStore


class Rows(Struct):
    """A model being changed.

    A tensor is followed when its leading axis is made of equal blocks, one a sample, and each
    block hangs on its sample alone. Every other tensor is the same for all samples.

    Attributes:
        samples: N, at least 2.
        opset: version of ai.onnx.
        known: types and shapes, for N samples.
        constants: initializers and Constant nodes.
        followed: names of the tensors with the samples in front.
    """

    model: ModelProto
    samples: int
    opset: int
    known: Mapping[str, Known]
    names: Names
    constants: dict[str, TensorProto]
    followed: set[str] = field(default_factory=set)
    store: WeightStore | None = None

    def dims(self, name: str) -> tuple[int, ...]:
        """Return a static shape."""
        item = self.known.get(name)
        if item is None or item.static is None:
            raise NoFormError(f"the shape of {name!r} is not known")
        return item.static

    def array(self, name: str) -> Array | None:
        """Return a constant as T[*dims], read-only; None when it is computed."""
        item = self.constants.get(name)
        if item is None:
            return None
        stored = None if self.store is None else self.store.array(item)
        return np.asarray(numpy_helper.to_array(item)) if stored is None else stored

    def constant(self, value: Array, base: str) -> str:
        """Add an initializer T[*dims]; return its name."""
        name = self.names.fresh(base)
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def one(self, name: str) -> tuple[int, ...]:
        """Return the shape that a followed tensor has for one sample."""
        dims = self.dims(name)
        if not dims or dims[0] % self.samples or not prod(dims):
            raise NoFormError(f"the samples are not in front of {name!r} {list(dims)}")
        return dims[0] // self.samples, *dims[1:]

    def first_block(self, node: NodeProto, position: int) -> None:
        """Let a node read the block of the first sample of a constant that has one for each.

        Raises:
            NoFormError: it is computed, or its blocks differ.
        """
        name = node.input[position]
        value = self.array(name)
        if value is None:
            raise NoFormError(
                f"{node.op_type} {node.name!r} reads {name!r}, which has a row for each sample"
            )
        if value.shape[0] % self.samples:
            mixes(node)
        blocks = value.reshape(self.samples, -1)
        if not (blocks == blocks[0]).all():
            raise NoFormError(f"constant {name!r} of {node.op_type} differs from sample to sample")
        first = value[: value.shape[0] // self.samples]
        node.input[position] = self.constant(first, name)


def mixes(node: NodeProto) -> NoReturn:
    """Refuse a node that joins the samples."""
    raise NoFormError(f"{node.op_type} {node.name!r} works across the samples")


def has(node: NodeProto, position: int) -> bool:
    """Tell whether an optional input is there."""
    return position < len(node.input) and bool(node.input[position])


def axis_of(node: NodeProto, default: int, rank: int) -> int:
    """Return the attribute ``axis``, counted from the front.

    Raises:
        NoFormError: there is no such axis.
    """
    axis = integer(node, "axis", default)
    return _from_front(node, axis, rank)


def axes_of(rows: Rows, node: NodeProto, position: int, rank: int) -> list[int] | None:
    """Return the axes of a node, an attribute or a constant input, counted from the front.

    Returns:
        None when there are none.

    Raises:
        NoFormError: they are computed, or there is no such axis.
    """
    given = integers(node, "axes")
    if given is None and has(node, position):
        given = numbers(rows, node, position, "axes")
    return None if given is None else [_from_front(node, axis, rank) for axis in given]


def numbers(rows: Rows, node: NodeProto, position: int, what: str) -> list[int]:
    """Return a constant input as integers.

    Raises:
        NoFormError: it is computed.
    """
    value = rows.array(node.input[position]) if has(node, position) else None
    if value is None:
        raise NoFormError(f"the {what} of {node.op_type} {node.name!r} are computed")
    return [int(item) for item in value.reshape(-1)]


def _from_front(node: NodeProto, axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise NoFormError(f"{node.op_type} {node.name!r} has no axis {axis}")
    return axis + rank if axis < 0 else axis
