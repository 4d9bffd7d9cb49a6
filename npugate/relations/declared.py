"""Values that are declared as something else than they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import onnx

from npugate.facts import Facts
from npugate.facts.graph import Shape, Tensor, shape_of
from npugate.findings.values import Hit, Location
from npugate.relations.compare import same
from npugate.relations.operands import shown, type_name

_SEQUENCES: Final = frozenset({"SequenceConstruct", "SplitToSequence"})


def declared(facts: Facts) -> Iterator[Hit]:
    """Yield values of the main graph that are declared as something else than they are."""
    graph = facts.model.proto.graph
    outputs = {info.name for info in graph.output}
    for info in (*graph.output, *(item for item in graph.value_info if item.name not in outputs)):
        tensor = facts.main.tensors.get(info.name)
        stated = info.type.tensor_type.elem_type
        if tensor is None or tensor.producer is None:
            continue
        if stated and tensor.dtype and stated != tensor.dtype:
            what = "output" if info.name in outputs else "value"
            yield tensor.hit(
                f"{what} {info.name!r} is declared as {type_name(stated)}, "
                f"and its node makes {type_name(tensor.dtype)}"
            )
        yield from _sequence(info, tensor)
    weights = {item.name: item for item in graph.initializer}
    for info in graph.input:
        item = weights.get(info.name)
        if item is not None:
            held = (item.data_type, tuple(item.dims))
            yield from _default(info.name, shape_of(info.type), held)


def _sequence(info: onnx.ValueInfoProto, tensor: Tensor) -> Iterator[Hit]:
    """Yield a sequence that is declared with another element type than is put into it."""
    node = tensor.producer
    source = node.input(0) if node is not None and node.op_type in _SEQUENCES else None
    stated = info.type.sequence_type.elem_type.tensor_type.elem_type
    if source is not None and stated and source.dtype and stated != source.dtype:
        yield tensor.hit(
            f"{info.name!r} is declared as a sequence of {type_name(stated)}, "
            f"and {type_name(source.dtype)} is put into it"
        )


def _default(
    name: str, declared: tuple[int, Shape | None], held: tuple[int, tuple[int, ...]]
) -> Iterator[Hit]:
    """Yield an input whose default value has another type or shape than is declared."""
    first, second = declared[1], held[1]
    if declared[0] and declared[0] != held[0]:
        what = f"declared as {type_name(declared[0])} and is {type_name(held[0])}"
    elif first is not None and not same(first, second):
        what = f"declared as {shown(first)} and has {shown(second)}"
    else:
        return
    yield Hit(Location(value=name), f"initializer {name!r} is {what}")
