"""Keep the line of Python of every node through quantisation, and give one to each new node.

A finding on a QuantizeLinear then points at the line that made the value it quantises.
"""

from __future__ import annotations

from typing import Final

from onnx import ModelProto, NodeProto

from npugate.facts import provenance
from npugate.operators import CONVERSIONS

_SUFFIXES: Final = (
    "_QuantizeLinear_Output",
    "_QuantizeLinear_Input",
    "_DequantizeLinear_Output",
    "_quantized",
)


def keep(source: ModelProto, result: ModelProto) -> tuple[int, int]:
    """Copy traces onto the nodes of a quantised model, in place.

    Args:
        source: the float model.
        result: what the quantiser made of it.

    Returns:
        How many operators of the result should have a trace, and how many have one; (0, 0) when
        the source has none at all.
    """
    makers = {name: node for node in source.graph.node for name in node.output if name}
    readers = {name: node for node in reversed(source.graph.node) for name in node.input if name}
    had = kept = 0
    for node in result.graph.node:
        name = _plain(node.output[0]) if node.output else ""
        origin = makers.get(name)
        if node.op_type in CONVERSIONS:
            origin = origin or readers.get(_plain(node.input[0]))
        if origin is not None and not provenance.frames(origin):
            continue  # there was none to keep
        if origin is not None and not provenance.frames(node):
            _copy(origin, node)
        if node.op_type not in CONVERSIONS:
            had += 1
            kept += bool(provenance.frames(node))
    return (had, kept) if any(provenance.frames(node) for node in source.graph.node) else (0, 0)


def _plain(name: str) -> str:
    """Return the tensor of the float model that a name of the quantised one is made from."""
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _copy(origin: NodeProto, node: NodeProto) -> None:
    have = {entry.key for entry in node.metadata_props}
    node.metadata_props.extend(e for e in origin.metadata_props if e.key not in have)
    node.doc_string = node.doc_string or origin.doc_string
