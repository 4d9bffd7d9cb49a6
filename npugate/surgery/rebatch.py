"""Let a network that takes N samples at once take one.

The leading axis of the inputs is followed through the nodes; it is never looked for by its size,
for the number of heads or frames may be the same. A tensor is followed as long as each sample owns
an equal block of its leading axis; sizes that were baked into shapes and constants are divided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from msgspec import Struct, field
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from npugate.facts.control import RANDOM
from npugate.facts.graph import Array
from npugate.model.node_label import node_label
from npugate.surgery import static
from npugate.surgery.node import DEFAULT_DOMAINS, NoFormError
from npugate.surgery.opsets.rewrite_context import integer, integers
from npugate.surgery.scope import Names
from npugate.surgery.shapes import Known, infer
from npugate.surgery.weight_store import WeightStore

_FRAMES: Final = 3  # an input of fewer axes may have a leading one of another meaning
_ALONG: Final = frozenset(
    {"Concat", "Gather", "GatherElements", "Split", "Softmax", "LogSoftmax", "Hardmax", "ArgMax"}
    | {"ArgMin", "TopK", "LpNormalization", "ScatterElements", "LayerNormalization"}
)
_LAST: Final = frozenset({"Softmax", "LogSoftmax", "Hardmax", "TopK", "LayerNormalization"})
_ELEMENTWISE: Final = frozenset(
    {"Add", "And", "Concat", "Div", "Equal", "Greater", "Less", "Max", "Min", "Mod", "Mul", "Or"}
    | {"Pow", "PRelu", "Sub", "Sum", "Where", "Xor", "GreaterOrEqual", "LessOrEqual", "Mean"}
)
_TRAINING: Final = 2  # input of Dropout that switches it on
_STATEFUL: Final = frozenset({"LSTM", "GRU", "RNN", "Loop", "Scan", "If", "SequenceMap"})


class _Work(Struct):
    """A model being changed, and which of its tensors have the samples in front."""

    model: ModelProto
    samples: int
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
        """Return a constant."""
        item = self.constants.get(name)
        if item is None:
            return None
        stored = None if self.store is None else self.store.array(item)
        return np.asarray(numpy_helper.to_array(item)) if stored is None else stored

    def constant(self, value: Array, base: str) -> str:
        """Add an initializer; return its name."""
        name = self.names.fresh(base)
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def one(self, name: str) -> tuple[int, ...]:
        """Return the shape that a followed tensor has for one sample."""
        dims = self.dims(name)
        if not dims or dims[0] % self.samples:
            raise NoFormError(f"the samples are not in front of {name!r} {list(dims)}")
        return dims[0] // self.samples, *dims[1:]


def samples_of(model: ModelProto) -> int:
    """Return how many samples the inputs take; 1 when that is not plain.

    Inputs of three axes and more must agree on it.
    """
    leading = {
        dims[0]
        for _, dims in static.inputs(model.graph)
        if dims is not None and len(dims) >= _FRAMES and isinstance(dims[0], int)
    }
    return leading.pop() if len(leading) == 1 else 1


def take_one(model: ModelProto, samples: int, store: WeightStore | None = None) -> list[str]:
    """Rewrite a model in place; return what was done, a sentence each.

    Args:
        model: static, folded; left half done when there is no form: hand a copy.
        samples: that its inputs take, more than one.
        store: has the weights that the model has tickets for.

    Raises:
        NoFormError: a node joins the samples, or hides them.
    """
    graph = model.graph
    constants = {item.name: item for item in graph.initializer}
    work = _Work(model, samples, infer(model), Names(model), constants, store=store)
    batched = [n for n, dims in static.inputs(graph) if dims and dims[0] == samples]
    work.followed.update(batched)
    edits: list[str] = []
    for node in graph.node:
        if any(name in work.followed for name in node.input):
            if _change(work, node):
                label = node_label(node)
                edits.append(f"{node.op_type} {label!r} is written for one sample")
            work.followed.update(name for name in node.output if name)
    for info in graph.output:
        if info.name not in work.followed or work.dims(info.name)[:1] != (samples,):
            raise NoFormError(f"output {info.name!r} does not have a row for each sample")
    _redeclare(model, batched)
    return [f"inputs {', '.join(map(repr, batched))} take one sample, not {samples}", *edits]


def _change(work: _Work, node: NodeProto) -> bool:
    """Divide what a node has baked in; return True when something was."""
    if node.domain not in DEFAULT_DOMAINS or node.op_type in _STATEFUL:
        raise NoFormError(f"{node.op_type} {node.name!r} is not followed")
    if _draws(work, node):
        raise NoFormError(f"{node.op_type} {node.name!r} draws random numbers")
    _refuse_mixing(work, node)
    how = _BAKED.get(node.op_type)
    return how(work, node) if how is not None else _constant_operands(work, node)


def _draws(work: _Work, node: NodeProto) -> bool:
    """Tell whether a node's result hangs on how often and for how many it is asked."""
    if node.op_type == "Dropout" and len(node.input) > _TRAINING and node.input[_TRAINING]:
        training = work.array(node.input[_TRAINING])
        return training is None or bool(training)
    return node.op_type in RANDOM and node.op_type != "Dropout"


def _refuse_mixing(work: _Work, node: NodeProto) -> None:
    dims = work.dims(node.input[0])
    mixes = False
    if node.op_type == "Transpose":
        perm = integers(node, "perm") or list(reversed(range(len(dims))))
        mixes = perm[0] != 0
    elif node.op_type in _ALONG:
        axis = integer(node, "axis", -1 if node.op_type in _LAST else 0)
        mixes = axis % len(dims) == 0
    elif node.op_type.startswith("Reduce"):
        given = work.array(node.input[1]) if len(node.input) > 1 else None
        axes = integers(node, "axes") or (None if given is None else given.tolist())
        mixes = axes is None or any(axis % len(dims) == 0 for axis in axes)
    elif node.op_type == "Gemm":
        mixes = bool(integer(node, "transA", 0)) or node.input[0] not in work.followed
    elif node.op_type == "BatchNormalization":
        mixes = bool(integer(node, "training_mode", 0))
    elif node.op_type == "Flatten":
        mixes = integer(node, "axis", 1) % (len(dims) + 1) == 0
    if mixes:
        raise NoFormError(f"{node.op_type} {node.name!r} works across the samples")


def _target(work: _Work, node: NodeProto) -> bool:
    """Divide the target of a Reshape or Expand."""
    if work.array(node.input[1]) is None:
        raise NoFormError(f"the target of {node.op_type} {node.name!r} is computed")
    shape = np.array(work.one(node.output[0]), np.int64)
    node.input[1] = work.constant(shape, f"{node.output[0]}_shape")
    return True


def _sizes(work: _Work, node: NodeProto) -> bool:
    """Divide the sizes of a Resize."""
    position = 3
    if len(node.input) <= position or not node.input[position]:
        return False
    shape = np.array(work.one(node.output[0]), np.int64)
    node.input[position] = work.constant(shape, f"{node.output[0]}_sizes")
    return True


def _constant_operands(work: _Work, node: NodeProto) -> bool:
    """Keep the first block of a constant that has one for each sample, when all are equal."""
    rank = len(work.dims(node.output[0]))
    changed = False
    for position, name in enumerate(node.input):
        value = work.array(name) if name else None
        joins = node.op_type in _ELEMENTWISE or (node.op_type == "MatMul" and rank >= _FRAMES)
        if value is None or value.ndim != rank or not joins:
            continue
        if value.shape[0] == 1 or value.shape[0] % work.samples:
            continue
        blocks = value.reshape(work.samples, -1)
        if not (blocks == blocks[0]).all():
            raise NoFormError(f"constant {name!r} of {node.op_type} differs from sample to sample")
        first = value[: value.shape[0] // work.samples]
        node.input[position] = work.constant(first, name)
        changed = True
    return changed


_BAKED: Final[Mapping[str, Callable[[_Work, NodeProto], bool]]] = {
    "Reshape": _target,
    "Expand": _target,
    "Resize": _sizes,
}


def _redeclare(model: ModelProto, batched: list[str]) -> None:
    graph = model.graph
    del graph.value_info[:]
    for info in graph.input:
        if info.name in batched:
            info.type.tensor_type.shape.dim[0].dim_value = 1
    for info in graph.output:
        info.type.tensor_type.shape.dim[0].dim_value = 1
