"""Element types: what the standard's table of operators lets an input be, and which must agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Final

import onnx
from msgspec import Struct
from onnx.defs import OpSchema, SchemaError

from npugate.facts.graph import Tensor
from npugate.relations.operands import Operands, type_name

_SHOWN: Final = 6
_NUMBERS: Final[Mapping[str, int]] = {
    name.lower(): value for name, value in onnx.TensorProto.DataType.items()
}


class Formal(Struct, frozen=True):
    """One operand as the standard describes it.

    Attributes:
        variable: name of its type; operands of one name have one type.
        allowed: element types as the standard writes them, for example ``tensor(float)``.
        free: True when each of several operands may have its own type.
    """

    variable: str
    allowed: frozenset[str]
    free: bool


class Signature(Struct, frozen=True):
    """The operands of an operator in one opset; the last input may stand for several."""

    inputs: tuple[Formal, ...]
    outputs: tuple[Formal, ...]
    more_inputs: bool
    more_outputs: bool


@cache
def signature(op_type: str, opset: int) -> Signature | None:
    """Return the signature of an operator of ai.onnx; None when the standard has none."""
    try:
        schema = onnx.defs.get_schema(op_type, opset, "")
    except SchemaError:
        return None
    return Signature(
        tuple(_formal(item) for item in schema.inputs),
        tuple(_formal(item) for item in schema.outputs),
        _variadic(schema.inputs),
        _variadic(schema.outputs),
    )


def _variadic(formals: Sequence[OpSchema.FormalParameter]) -> bool:
    return bool(formals) and formals[-1].option == OpSchema.FormalParameterOption.Variadic


def _formal(item: OpSchema.FormalParameter) -> Formal:
    return Formal(item.type_str, frozenset(item.types), free=not item.is_homogeneous)


def types(operands: Operands) -> Iterator[str]:
    """Yield operands whose element type the operator does not take, or that do not agree."""
    node = operands.node
    found = signature(node.op_type, operands.opset)
    if found is None or not found.inputs:
        return
    bound: dict[str, Tensor] = {}
    for position, tensor in enumerate(node.inputs):
        formal = _at(found.inputs, position, more=found.more_inputs)
        if tensor is None and found.more_inputs and position >= len(found.inputs) - 1:
            yield f"input {position} is left out, and {node.op_type} needs each of its inputs"
        if tensor is not None and tensor.dtype and formal is not None:
            yield from _taken(operands, tensor, formal, bound)
    for position, tensor in enumerate(node.outputs):
        formal = _at(found.outputs, position, more=found.more_outputs)
        if tensor is not None and tensor.dtype and formal is not None:
            yield from _made(tensor, formal, bound)


def _at(formals: tuple[Formal, ...], position: int, *, more: bool) -> Formal | None:
    if position < len(formals):
        return formals[position]
    return formals[-1] if more else None


def _taken(
    operands: Operands, tensor: Tensor, formal: Formal, bound: dict[str, Tensor]
) -> Iterator[str]:
    name = type_name(tensor.dtype)
    if f"tensor({name})" not in formal.allowed:
        yield (
            f"{operands.node.op_type} takes {_listed(formal.allowed)} for {tensor.name!r}, "
            f"which is {name}"
        )
        return
    if formal.free:
        return
    other = bound.setdefault(formal.variable, tensor)
    if other.dtype != tensor.dtype:
        yield (
            f"{other.name!r} is {type_name(other.dtype)} and {tensor.name!r} is {name}; "
            f"{operands.node.op_type} wants one type for both"
        )


def _made(tensor: Tensor, formal: Formal, bound: Mapping[str, Tensor]) -> Iterator[str]:
    source = bound.get(formal.variable)
    fixed = source.dtype if source is not None else _only(formal.allowed)
    if fixed and not formal.free and fixed != tensor.dtype:
        yield (
            f"{tensor.name!r} is declared as {type_name(tensor.dtype)}, "
            f"and its node makes {type_name(fixed)}"
        )


def _only(allowed: frozenset[str]) -> int:
    """Return the one element type that an operand can have, 0 when there are several."""
    names = [name.removeprefix("tensor(").removesuffix(")") for name in allowed]
    if len(names) != 1:
        return 0
    return _NUMBERS.get(names[0], 0)


def _listed(allowed: frozenset[str]) -> str:
    names = sorted(name.removeprefix("tensor(").removesuffix(")") for name in allowed)
    if len(names) > _SHOWN:
        return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more types"
    return ", ".join(names)
