"""Write the boolean masks of a quantised model as arithmetic on 0 and 1.

A comparison becomes the sign of a difference, `And` a product, `Or` a maximum, `Where` a sum of two
products, a Cast of the mask nothing at all:

    a > b   =>  relu(sign(a - b))       a >= b  =>  1 - relu(sign(b - a))
    a == b  =>  1 - abs(sign(a - b))    not p   =>  1 - p
    p and q =>  p * q                   p or q  =>  max(p, q)
    p xor q =>  abs(p - q)              where(p, a, b)  =>  p * a + (1 - p) * b

**Keeps.** The numbers: 0 and 1 are exact, and so is every product with them. The difference of two
finite numbers is 0 only where they are equal.

**Declines.** A mask that is an output of the model or is read by another operator, and values that
may be infinite: a product with 0 is not 0 there. What a DequantizeLinear makes is finite, and so is
a constant without infinities; of any other value that is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from onnx import TensorProto

from npugate.api import (
    Applied,
    Declined,
    Repair,
    RepairOptions,
    RepairResult,
    Skipped,
    Target,
)
from npugate.surgery import views
from npugate.surgery.again import again
from npugate.surgery.draft import Draft
from npugate.surgery.node import Node, NoFormError, Value

_VIEWS: Final = ("Reshape", "Unsqueeze", "Squeeze", "Flatten", "Transpose", "Expand", "Identity")
_SAFE: Final = ("DequantizeLinear", "Sigmoid", "HardSigmoid", "Softmax", "Tanh")
_FLOAT: Final = TensorProto.FLOAT
_COMPARISONS: Final = frozenset({"Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"})


def apply(draft: Draft, target: Target, options: RepairOptions) -> RepairResult:
    """Replace every mask, or none."""
    masks = [node for node in draft.nodes if _makes_mask(draft, node)]
    if not masks or not any(node.is_a("DequantizeLinear") for node in draft.nodes):
        return Skipped("no boolean tensor is made in a quantised model")
    work = _Work(draft)
    done = draft.rewrite(work.change)
    if done.failures:
        return Declined(done.failures[0][1])
    views.fuse(draft)
    return Applied(tuple(f"{node.op} {node.label!r} makes 0 and 1 now" for node in masks))


def _makes_mask(draft: Draft, node: Node) -> bool:
    return node.op != "Constant" and any(_is_bool(draft, value) for value in node.used_outputs())


def _is_bool(draft: Draft, value: Value) -> bool:
    try:
        return draft.dtype(value) == TensorProto.BOOL
    except NoFormError:
        return False


class _Work:
    """The masks made so far: name of the boolean value -> the same as 0.0 and 1.0."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.numbers: dict[str, Value] = {}

    def change(self, node: Node) -> bool:
        """Replace a node that makes or reads a mask."""
        reads = any(_is_bool(self.draft, v) for v in node.inputs if not v.is_empty())
        makes = _makes_mask(self.draft, node)
        if not reads and not makes:
            return False
        if not makes and not self._reads_made(node):
            return False
        form = _FORMS.get(str(node.op)) if node.is_standard else None
        result = node.outputs[0]
        if form is None or len(node.used_outputs()) != 1:
            raise NoFormError(f"{node.op} {node.label!r} has no arithmetic form")
        if makes and self.draft.is_kept(result):
            raise NoFormError(f"the mask {result.name!r} is an output of the model")
        made = form(self, node)
        if makes:
            self.numbers[result.name] = made
        return True

    def _reads_made(self, node: Node) -> bool:
        """Tell whether a node reads a mask that another node makes."""
        return any(value.name in self.numbers for value in node.inputs)

    def number(self, value: Value) -> Value:
        """Return a mask as 0.0 and 1.0."""
        if value.name in self.numbers:
            return self.numbers[value.name]
        array = self.draft.array(value)
        if array is not None:
            made = self.draft.constant(array.astype(np.float32), value.name)
        else:
            made = self.emit("Cast", [value], self.draft.dims(value), to=_FLOAT)
        self.numbers[value.name] = made
        return made

    def emit(
        self, op_type: str, inputs: list[Value], dims: tuple[int, ...], to: int | None = None
    ) -> Value:
        """Emit an operator that makes floats."""
        return self.draft.emit(op_type, inputs, dims, _FLOAT, to=to)

    def one(self) -> Value:
        """Return the number 1."""
        return self.draft.constant(np.array([1.0], np.float32), "one")

    def inverse(self, mask: Value) -> Value:
        """Return 1 where a mask is 0."""
        return self.emit("Sub", [self.one(), mask], self.draft.dims(mask))

    def finite(self, node: Node, value: Value) -> Value:
        """Return a value that is finite and of float32.

        Raises:
            NoFormError: it is not, or may not be.
        """
        array, maker = self.draft.array(value), self.draft.producer(value)
        safe = maker is not None and maker.is_a(*_SAFE)
        if array is not None:
            safe = bool(np.isfinite(array).all()) if array.dtype == np.float32 else False
        if not safe or self.draft.dtype(value) != _FLOAT:
            raise NoFormError(f"{node.op} {node.label!r} reads {value.name!r}, maybe not finite")
        return value


def _comparison(work: _Work, node: Node) -> Value:
    left, right = (work.finite(node, value) for value in node.inputs[:2])
    dims = work.draft.dims(node.outputs[0])
    if node.op in {"Less", "GreaterOrEqual"}:
        left, right = right, left
    sign = work.emit("Sign", [work.emit("Sub", [left, right], dims)], dims)
    # now: Greater and Less are 1 where the sign is; their opposites where it is not
    magnitude = "Abs" if node.op == "Equal" else "Relu"
    mask = work.emit(magnitude, [sign], dims)
    return mask if node.op in {"Greater", "Less"} else work.inverse(mask)


def _logic(work: _Work, node: Node) -> Value:
    left, right = (work.number(value) for value in node.inputs[:2])
    dims = work.draft.dims(node.outputs[0])
    if node.op == "Xor":
        return work.emit("Abs", [work.emit("Sub", [left, right], dims)], dims)
    return work.emit("Mul" if node.op == "And" else "Max", [left, right], dims)


def _opposite(work: _Work, node: Node) -> Value:
    return work.inverse(work.number(node.inputs[0]))


def _cast(work: _Work, node: Node) -> Value:
    value, result = node.inputs[0], node.outputs[0]
    if _is_bool(work.draft, result):
        if _is_bool(work.draft, value):
            return work.number(value)
        dims = work.draft.dims(value)
        sign = work.emit("Sign", [work.finite(node, value)], dims)
        return work.emit("Abs", [sign], dims)
    mask, dims = work.number(value), work.draft.dims(result)
    kind = work.draft.dtype(result)
    if kind == _FLOAT:
        return work.draft.reshape(mask, dims, result)
    return work.draft.emit("Cast", [mask], dims, kind, result, to=kind)


def _where(work: _Work, node: Node) -> Value:
    mask, result = work.number(node.inputs[0]), node.outputs[0]
    if _is_bool(work.draft, result):
        raise NoFormError(f"Where {node.label!r} chooses between masks")
    yes, no = (work.finite(node, value) for value in node.inputs[1:3])
    first = _product(work, mask, yes)
    second = _product(work, work.inverse(mask), no)
    return work.draft.emit("Add", [first, second], work.draft.dims(result), _FLOAT, result)


def _product(work: _Work, mask: Value, value: Value) -> Value:
    dims = np.broadcast_shapes(work.draft.dims(mask), work.draft.dims(value))
    return work.emit("Mul", [mask, value], dims)


def _view(work: _Work, node: Node) -> Value:
    others = [None if value.is_empty() else value for value in node.inputs[1:]]
    dims = work.draft.dims(node.outputs[0])
    return again(work.draft, node, [work.number(node.inputs[0]), *others], dims, _FLOAT)


_FORMS: Final[Mapping[str, Callable[[_Work, Node], Value]]] = {
    **dict.fromkeys(_COMPARISONS, _comparison),
    **dict.fromkeys(("And", "Or", "Xor"), _logic),
    **dict.fromkeys(_VIEWS, _view),
    "Not": _opposite,
    "Cast": _cast,
    "Where": _where,
}

REPAIR = Repair(
    name="avoid-bool-tensors",
    doc=__doc__,
    edit=apply,
    needs=("make-legal", "inline-functions", "set-static-shapes", "fold-constants"),
    example="""
        <ir_version: 8, opset_import: ["" : 14]>
        net (float[1, 4] x) => (float[1, 4] y)
        <float s = {0.1}, int8 z = {0}, float[1] least = {0.2}> {
            q = QuantizeLinear (x, s, z)
            d = DequantizeLinear (q, s, z)
            mask = Greater (d, least)
            f = Cast <to = 1> (mask)
            y = Mul (d, f)
        }
    """,
)
