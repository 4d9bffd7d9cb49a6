"""Convert a model to another version of ai.onnx, node by node, or not at all."""

from __future__ import annotations

from collections import ChainMap, defaultdict
from collections.abc import Mapping
from typing import Final

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, helper
from onnx.shape_inference import InferenceError, infer_shapes

from npugate.model.node_label import node_label
from npugate.surgery import sweeping
from npugate.surgery.linking import opset_of
from npugate.surgery.node import DEFAULT_DOMAINS, NoFormError
from npugate.surgery.opsets.decompositions import DECOMPOSITIONS
from npugate.surgery.opsets.down import DOWN
from npugate.surgery.opsets.rewrite_context import RewriteContext
from npugate.surgery.opsets.schemas import (
    CHANGED,
    NEWEST,
    NEWEST_READ,
    OLDEST,
    accepted,
    crossings,
    downgrade,
    forward_fault,
    schemas,
    since,
)
from npugate.surgery.opsets.up import UP
from npugate.surgery.scope import Names, bodies_of
from npugate.surgery.shapes import InferenceRefusedError, Known, known_of, light
from npugate.surgery.values import Constants, Held, literal

_FIRST_SEPARATE_INITIALIZERS = 4  # IR version from which weights need not be inputs


def convert(model: ModelProto, goal: int) -> Mapping[str, int]:
    """Convert a model in place.

    Args:
        model: without local functions, sorted. Left half done when there is no form: hand a copy.
        goal: version of ai.onnx.

    Returns:
        How many nodes of each operator have another form now.

    Raises:
        NoFormError: a node has no equal form; the text names it.
        InferenceRefusedError: inference refuses the model.
    """
    source = opset_of(model)
    if not OLDEST <= source <= NEWEST_READ or not OLDEST <= goal <= NEWEST:
        raise NoFormError(f"the table has no way from opset {source} to {goal}")
    if model.functions:
        raise NoFormError("it has local functions")
    done: dict[str, int] = defaultdict(int)
    graph = model.graph
    is_old = model.ir_version < _FIRST_SEPARATE_INITIALIZERS
    free = set() if is_old else {info.name for info in graph.input}
    held = {item.name: Held(tensor=item) for item in graph.initializer if item.name not in free}
    inferred = _infer(model)
    context = RewriteContext(
        graph, source, goal, ChainMap(_known(inferred)), ChainMap(held), Names(model),
        sweeping.read_in(graph), is_main=True,
    )  # fmt: skip
    before = set(context.read)
    _convert_graph(context, inferred, done)
    for item in model.opset_import:
        if item.domain in DEFAULT_DOMAINS:
            item.version = goal
    sweeping.release(graph, before)
    result = _infer(model)
    _check_types(graph, result, source, goal, {})
    _check_shapes(inferred, result)
    return done


def _infer(model: ModelProto) -> GraphProto:
    try:
        found: GraphProto = infer_shapes(light(model), strict_mode=False, data_prop=True).graph
    except (InferenceError, RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())[:300]
        raise InferenceRefusedError(f"shapes cannot be inferred: {text}") from error
    return found


def _known(graph: GraphProto) -> dict[str, Known]:
    known = known_of((*graph.input, *graph.value_info, *graph.output))
    for item in graph.initializer:
        known[item.name] = Known(int(item.data_type), tuple(int(dim) for dim in item.dims))
    return known


def _convert_graph(context: RewriteContext, twin: GraphProto, done: dict[str, int]) -> None:
    kept: list[NodeProto] = []
    changed = False
    for index, node in enumerate(context.graph.node):
        for body, other in zip(bodies_of(node), bodies_of(twin.node[index]), strict=True):
            _convert_graph(_below(context, body, other), other, done)
        if node.op_type == "Constant" and (tensor := literal(node)) is not None:
            context.constants[node.output[0]] = Held(tensor=tensor)
        context.base, context.made = NodeProto(), []
        context.base.CopyFrom(node)
        try:
            is_gone = node.domain in DEFAULT_DOMAINS and _convert_node(context, node)
        except NoFormError as error:
            label = node_label(node, index)
            raise NoFormError(f"{node.op_type} {label!r}: {error}") from None
        kept += context.made
        if not is_gone:
            kept.append(node)
        is_new = bool(context.made) or is_gone or node != context.base
        done[context.base.op_type] += is_new
        changed |= bool(context.made) or is_gone
    if changed:
        copies = [NodeProto.FromString(node.SerializeToString()) for node in kept]
        del context.graph.node[:]
        context.graph.node.extend(copies)


def _below(context: RewriteContext, body: GraphProto, twin: GraphProto) -> RewriteContext:
    own = _known(twin)
    hidden = dict.fromkeys((name for node in body.node for name in node.output), Held())
    hidden |= dict.fromkeys((info.name for info in body.input), Held())
    hidden |= {item.name: Held(tensor=item) for item in body.initializer}
    constants: Constants = context.constants.new_child(hidden)
    known = context.known.new_child(own)
    read = sweeping.read_in(body)
    return RewriteContext(
        body, context.source, context.goal, known, constants, context.names, read, is_main=False
    )


def _convert_node(context: RewriteContext, node: NodeProto) -> bool:
    """Carry one node from version to version; True when others stand for it."""
    now = since(node.op_type, context.source)
    if now is None:
        raise NoFormError(f"opset {context.source} does not have it")
    if now == since(node.op_type, context.goal):
        return False
    if context.source < context.goal:
        return _raise_node(context, node)
    return _lower_node(context, node)


def _raise_node(context: RewriteContext, node: NodeProto) -> bool:
    for version in crossings(node.op_type, context.source, context.goal):
        rule = UP.get((node.op_type, version))
        if rule is not None:
            if rule(context, node):
                return True
            continue
        fault = forward_fault(node.op_type, version, node)
        if (node.op_type, version) in CHANGED:
            fault = f"it means something else from opset {version} on"
        if fault:
            raise NoFormError(fault)
    return False


def _lower_node(context: RewriteContext, node: NodeProto) -> bool:
    first = next(iter(schemas(node.op_type)))
    for version in reversed(crossings(node.op_type, context.goal, context.source)):
        rule = (
            DECOMPOSITIONS.get(node.op_type)
            if version == first
            else DOWN.get((node.op_type, version))
        )
        if rule is not None:
            if rule(context, node):
                return True
            continue
        if version == first:
            raise NoFormError(f"it came with opset {version}, and has no form before")
        fault = downgrade(node.op_type, version, node)
        if (node.op_type, version) in CHANGED:
            fault = f"it means something else before opset {version}"
        if fault:
            raise NoFormError(fault)
    return False


def _check_types(
    graph: GraphProto, inferred: GraphProto, source: int, goal: int, outer: Mapping[str, str]
) -> None:
    """Refuse a node that reads or makes a type that its operator does not have at the goal."""
    types = ChainMap(_types(inferred), dict(outer))
    for node, twin in zip(graph.node, inferred.node, strict=True):
        for body, other in zip(bodies_of(node), bodies_of(twin), strict=True):
            _check_types(body, other, source, goal, types)
        if node.domain not in DEFAULT_DOMAINS:
            continue
        if since(node.op_type, source) == since(node.op_type, goal):
            continue
        for names, formal in zip(
            (node.input, node.output), accepted(node.op_type, goal), strict=True
        ):
            for position, name in enumerate(names):
                allowed = formal[min(position, len(formal) - 1)] if formal else ()
                if name in types and allowed and types[name] not in allowed:
                    raise NoFormError(
                        f"{node.op_type} {node.name!r}: opset {goal} does not have it for"
                        f" {types[name]}"
                    )


def _check_shapes(before: GraphProto, after: GraphProto) -> None:
    """Refuse a conversion after which a value has another shape, such as that of a rounded pool."""
    old = _known(before)
    for name, item in _known(after).items():
        was = old[name].static if name in old else None
        if was is not None and item.static is not None and was != item.static:
            raise NoFormError(
                f"the shape of {name!r}, {list(was)}, would become {list(item.static)}"
            )


def _types(graph: GraphProto) -> dict[str, str]:
    """Return the types of a graph's values as schemas write them."""
    infos = (*graph.input, *graph.value_info, *graph.output)
    types = {info.name: _type(info.type) for info in infos}
    types |= {item.name: f"tensor({_NAMES[item.data_type]})" for item in graph.initializer}
    return {name: item for name, item in types.items() if item}


def _type(kind: TypeProto) -> str:
    match kind.WhichOneof("value"):
        case "tensor_type":
            return f"tensor({_NAMES[kind.tensor_type.elem_type]})"
        case "sequence_type":
            return f"seq({_type(kind.sequence_type.elem_type)})"
        case "optional_type":
            return f"optional({_type(kind.optional_type.elem_type)})"
    return ""


_NAMES: Final[Mapping[int, str]] = {
    int(number): name.lower() for name, number in TensorProto.DataType.items()
}


def least_ir(model: ModelProto, opset: int) -> int:
    """Return the oldest IR version that a file with this version of ai.onnx may have."""
    imports = [
        helper.make_opsetid("", opset) if item.domain in DEFAULT_DOMAINS else item
        for item in model.opset_import
    ]
    return int(helper.find_min_ir_version_for(imports, ignore_unknown=True))
