"""Make the imports of a skeleton legal, and set undefined operators aside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import onnx
from onnx import GraphProto, ModelProto, NodeProto

from npugate.facts.graph import UNKNOWN_DOMAIN
from npugate.facts.skeleton import Skeleton, nodes_below
from npugate.findings import rule_names
from npugate.findings.values import Location
from npugate.model.node_label import node_label

_INT32_MAX: Final = 2**31 - 1
_EQUATION: Final = re.compile(rb"[A-Za-z,.>\s-]*")
_ASSUMED_OPSETS: Final = (14, 13, 17, 18, 20, 21, 12, 11, 10, 9, 8, 7)


def legalise_imports(skeleton: Skeleton) -> None:
    """Import every domain that is used, once."""
    proto = skeleton.proto
    opsets: dict[str, int] = {}
    for entry in proto.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if abs(entry.version) > _INT32_MAX:
            skeleton.fault(
                rule_names.INVALID_MODEL,
                f"opset_import names domain {domain or 'ai.onnx'!r} with version {entry.version}, "
                "which no reader can hold",
            )
            entry.version = _INT32_MAX if entry.version > 0 else 0
        if domain in opsets and opsets[domain] != entry.version:
            skeleton.fault(
                rule_names.INVALID_MODEL,
                f"opset_import names domain {domain or 'ai.onnx'!r} with versions "
                f"{opsets[domain]} and {entry.version}",
            )
            continue
        opsets[domain] = entry.version
    functions = {function.domain for function in proto.functions}
    for domain, op_type in _used_domains(proto.graph):
        if domain not in opsets:
            named = domain or "ai.onnx"
            skeleton.fault(
                rule_names.MISSING_OPSET_IMPORT,
                f"operators of domain {named!r} are used, {op_type} the first, "
                "but opset_import does not name it",
            )
            opsets[domain] = _assume(proto) if not domain else 1
            if domain in functions:
                continue
    skeleton.opsets = opsets
    del proto.opset_import[:]
    proto.opset_import.extend(onnx.helper.make_opsetid(d, v) for d, v in opsets.items())


def _used_domains(graph: GraphProto) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for node in nodes_below(graph):
        domain = "" if node.domain == "ai.onnx" else node.domain
        if domain not in seen:
            seen.add(domain)
            yield domain, node.op_type


def _assume(proto: ModelProto) -> int:
    """Return the first usual opset under which the checker accepts every node."""
    context = onnx.checker.C.CheckerContext()
    context.ir_version = proto.ir_version
    for version in _ASSUMED_OPSETS:
        context.opset_imports = {"": version}
        try:
            for node in nodes_below(proto.graph):
                if node.domain in {"", "ai.onnx"}:
                    onnx.checker.check_node(node, context)
        except onnx.checker.ValidationError:
            continue  # this opset does not define the node as written: try the next
        return version
    return _ASSUMED_OPSETS[0]


def legalise_operators(skeleton: Skeleton) -> None:
    """Move operators that their opset does not define into a domain that is not checked."""
    known: dict[tuple[str, str], bool] = {}
    for node in nodes_below(skeleton.proto.graph):
        if node.domain == "ai.onnx":
            node.domain = ""
        version = skeleton.opsets.get(node.domain, 0)
        key = (node.domain, node.op_type)
        if key == ("", "Einsum") and not _is_equation(node):
            message = "Einsum: its equation holds characters that no equation has"
            place = Location(node=node_label(node, 0), op_type=node.op_type)
            skeleton.fault(rule_names.INVALID_MODEL, message, place)
            node.domain = UNKNOWN_DOMAIN  # onnx's inference of it does not end
            known[UNKNOWN_DOMAIN, ""] = False
            continue
        if key not in known:
            known[key] = bool(node.domain) or _defined(node.op_type, version)
            if not known[key]:
                skeleton.fault(
                    rule_names.OPERATOR_NOT_IN_OPSET,
                    _undefined_text(node.op_type, version),
                    Location(node=node_label(node, 0), op_type=node.op_type),
                )
        if not known[key]:
            node.domain = UNKNOWN_DOMAIN
    if not all(known.values()):
        skeleton.proto.opset_import.append(onnx.helper.make_opsetid(UNKNOWN_DOMAIN, 1))


def _is_equation(node: NodeProto) -> bool:
    """Tell whether an Einsum's equation is made of letters, commas, an arrow and ellipses."""
    texts = [item.s for item in node.attribute if item.name == "equation"]
    return all(_EQUATION.fullmatch(text) for text in texts)


def _defined(op_type: str, version: int) -> bool:
    if version < 1:
        return True  # no usable opset: the opset rule reports that, not each operator
    return bool(onnx.defs.has(op_type, max_inclusive_version=version))


def _undefined_text(op_type: str, version: int) -> str:
    if not onnx.defs.has(op_type):
        newest = onnx.defs.onnx_opset_version()
        return f"{op_type} is no operator of ai.onnx in any version up to {newest}"
    first = min(schema.since_version for schema in _schemas(op_type))
    return f"{op_type} does not exist in opset {version}; it came with opset {first}"


def _schemas(op_type: str) -> list[onnx.defs.OpSchema]:
    found = onnx.defs.get_all_schemas_with_history()
    return [schema for schema in found if schema.name == op_type and not schema.domain]
