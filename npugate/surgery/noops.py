"""Nodes that pass their input on unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from onnx import NodeProto

from npugate.surgery.shapes import Known
from npugate.surgery.values import Constants

_STEPS: Final = 4  # position of the steps among the inputs of Slice


def stands_for(node: NodeProto, known: Mapping[str, Known], constants: Constants) -> str | None:
    """Return the value that the only output of a node always equals; None when there is none."""
    if len(node.output) != 1 or not node.output[0] or not node.input or not node.input[0]:
        return None
    rule = _RULES.get(node.op_type)
    return None if rule is None else rule(node, known, constants)


def _identity(node: NodeProto, known: Mapping[str, Known], constants: Constants) -> str | None:
    return str(node.input[0])


def _cast(node: NodeProto, known: Mapping[str, Known], constants: Constants) -> str | None:
    to = next((int(item.i) for item in node.attribute if item.name == "to"), 0)
    held = known.get(node.input[0])
    return str(node.input[0]) if held is not None and to and held.dtype == to else None


def _expand(node: NodeProto, known: Mapping[str, Known], constants: Constants) -> str | None:
    return str(node.input[0]) if _same_shape(node, node.input[0], known) else None


def _slice(node: NodeProto, known: Mapping[str, Known], constants: Constants) -> str | None:
    is_whole = _same_shape(node, node.input[0], known) and _has_steps_of_one(node, constants)
    return str(node.input[0]) if is_whole else None


def _same_shape(node: NodeProto, source: str, known: Mapping[str, Known]) -> bool:
    before, after = known.get(source), known.get(node.output[0])
    if before is None or after is None or before.static is None:
        return False
    return before.static == after.static


def _has_steps_of_one(node: NodeProto, constants: Constants) -> bool:
    if len(node.input) <= _STEPS or not node.input[_STEPS]:
        return True
    held = constants.get(node.input[_STEPS])
    steps = None if held is None else held.array
    return steps is not None and bool(np.all(steps == 1))


def _chosen(node: NodeProto, known: Mapping[str, Known], constants: Constants) -> str | None:
    held = constants.get(node.input[0])
    test = None if held is None else held.array
    if test is None or not test.size or len(node.input) != 3:  # noqa: PLR2004 - test, yes, no
        return None
    if np.any(test) != np.all(test):
        return None
    source = str(node.input[1 if np.any(test) else 2])
    return source if _same_shape(node, source, known) else None


_RULES: Final = {
    "Identity": _identity,
    "Cast": _cast,
    "Expand": _expand,
    "Slice": _slice,
    "Where": _chosen,
}
