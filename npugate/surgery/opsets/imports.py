"""Import the operator sets that a file uses and does not name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import onnx
from onnx import GraphProto, ModelProto, NodeProto

from npugate.surgery.node import DEFAULT_DOMAINS, NoFormError
from npugate.surgery.opsets.schemas import CHANGED, NEWEST, OLDEST, crossings
from npugate.surgery.scope import bodies_of

_ONE_VERSION: Final = frozenset({"com.microsoft", "com.microsoft.nchwc"})


def import_missing(model: ModelProto, wanted: int) -> list[str]:
    """Import what nodes use, where only one meaning fits them.

    Args:
        model: changed in place.
        wanted: version of ai.onnx to prefer.

    Returns:
        A sentence for each import.

    Raises:
        NoFormError: more than one meaning fits, or none.
    """
    named = {"" if i.domain in DEFAULT_DOMAINS else i.domain for i in model.opset_import}
    functions = {function.domain for function in model.functions}
    used: dict[str, list[NodeProto]] = {}
    for node in _nodes(model.graph):
        domain = "" if node.domain in DEFAULT_DOMAINS else node.domain
        if domain not in named:
            used.setdefault(domain, []).append(node)
    edits: list[str] = []
    for domain, nodes in used.items():
        if not domain:
            version = _fitting(nodes, model.ir_version, wanted)
        elif domain in functions or domain in _ONE_VERSION:
            version = 1
        else:
            raise NoFormError(f"the version of domain {domain!r} is not known")
        model.opset_import.add(domain=domain, version=version)
        edits.append(f"imported version {version} of {domain or 'ai.onnx'}")
    return edits


def _fitting(nodes: Sequence[NodeProto], ir_version: int, wanted: int) -> int:
    """Return the version of ai.onnx under which every node is valid."""
    fitting = [v for v in range(OLDEST, NEWEST + 1) if _accepts(nodes, v, ir_version)]
    if not fitting:
        raise NoFormError("no version of ai.onnx has all of its operators as they are written")
    for op_type in sorted({node.op_type for node in nodes}):
        for version in crossings(op_type, fitting[0], fitting[-1]):
            if (op_type, version) in CHANGED:
                raise NoFormError(
                    f"it names no version of ai.onnx, and {op_type} means one thing before opset"
                    f" {version} and another from there on"
                )
    return min(fitting, key=lambda version: (abs(version - wanted), version))


def _accepts(nodes: Sequence[NodeProto], version: int, ir_version: int) -> bool:
    context = onnx.checker.C.CheckerContext()
    context.ir_version = ir_version
    context.opset_imports = {"": version}
    try:
        for node in nodes:
            onnx.checker.check_node(node, context)
    except onnx.checker.ValidationError:
        return False
    return True


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for body in bodies_of(node):
            yield from _nodes(body)
