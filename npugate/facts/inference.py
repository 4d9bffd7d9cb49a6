"""Shapes and types, through onnx's own inference and our partial evaluation, until neither learns.

``infer_shapes`` runs on the skeleton, so the weights are never copied. What partial evaluation
finds out about values is handed back as initializers under names of our own, and inference runs
again: a model whose shapes are computed by nodes is then as static as one that states them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TypeProto
from onnx.checker import ValidationError
from onnx.defs import SchemaError
from onnx.shape_inference import InferenceError

from npugate.facts import evaluate
from npugate.facts.bodies import report_bodies
from npugate.facts.graph import FOLDED, UNKNOWN_DOMAIN, Graph, Node, Tensor, build, shape_of, walk
from npugate.facts.skeleton import Skeleton, nodes_below
from npugate.findings import rule_names
from npugate.findings.values import Problem
from npugate.limits import Limits
from npugate.sandbox import confine

_ROUNDS: Final = 64  # one for each Reshape whose target hangs on the result of the one before
PROPAGATION: Final = "shape inference with value propagation"
_RULE: Final = rule_names.SHAPE_INFERENCE_FAILED
_MAX_TEXT: Final = 400
# Operators outside ai.onnx (or ahead of their opset) whose result has the first input's shape.
_SAME_SHAPE: Final = frozenset(
    {
        "LayerNormalization",
        "SimplifiedLayerNormalization",
        "RMSNormalization",
        "Gelu",
        "FastGelu",
        "BiasGelu",
        "QuickGelu",
        "Mish",
        "Swish",
        "HardSwish",
        "GroupNormalization",
        "BatchNormalization",
        "QLinearLeakyRelu",
        "QLinearSigmoid",
        "QLinearSoftmax",
    }
)
_PROPAGATED: Final = 1 << 20
_SECONDS, _NODE_SECONDS = 1.0, 0.004  # of processor time: a hundred times what real models need
_BYTES, _TIMES = 192 << 20, 32  # of memory, at all and times the model without its weights
_ODD: Final = (RuntimeError, ValueError, KeyError, TypeError)
Stage = Callable[[str], None]


def prepare() -> None:
    """Make onnx build its table of operators (8 ms, 6 MB), for children forked later to share."""
    onnx.defs.has("Identity")


def infer(skeleton: Skeleton, limits: Limits, stage: Stage, *, propagate: bool = True) -> Graph:
    """Return the linked graph with every shape and constant that can be known.

    Args:
        skeleton: the legal copy of the model; faults are added to its problems.
        limits: bounds on what partial evaluation computes.
        stage: told what is being done, so that a crash can be placed.
        propagate: also let onnx propagate symbolic values where shapes stay open; that part of
            onnx aborts the process on some real models.
    """
    with _bounded(skeleton, limits):
        graph = _inferred(skeleton, limits, stage, propagate=propagate)
        _report_failures(graph, skeleton, stage)
    return graph


def _inferred(skeleton: Skeleton, limits: Limits, stage: Stage, *, propagate: bool) -> Graph:
    model = skeleton.proto
    opset = skeleton.opsets.get("", 0)
    resolved: dict[str, Tensor] = {}
    resolve = partial(_resolve, version=opset, resolved=resolved)
    learned: dict[str, Tensor] = {}
    stage("shape inference")
    for _ in range(_ROUNDS):
        inferred = _infer(model, propagate=False)
        graph = _link(inferred, skeleton, opset, limits, resolve if propagate else None)
        fresh = _news(graph, learned)
        if any(_is_open(tensor) for node in graph.nodes for tensor in node.outputs):
            fresh |= {name: t for name, t in resolved.items() if name not in learned}
        if not fresh:
            break
        learned.update(fresh)
        model = _teach(model, fresh, limits)
    opened = any(_is_open(tensor) for node in graph.nodes for tensor in node.outputs)
    if propagate and opened and _vector_elements(graph) <= _PROPAGATED:
        stage(PROPAGATION)
        graph = _link(_infer(model, propagate=True), skeleton, opset, limits, resolve)
    stage("shape inference of bodies")
    report_bodies(graph, skeleton)
    return graph


def _bounded(skeleton: Skeleton, limits: Limits) -> AbstractContextManager[None]:
    """Bound what inference may take: by the size of what it works on, far below the whole."""
    nodes = sum(1 for _ in nodes_below(skeleton.proto.graph))
    seconds = min(_SECONDS + _NODE_SECONDS * nodes, limits.seconds / 2)
    return confine.native(seconds, _BYTES + _TIMES * skeleton.proto.ByteSize())


def _vector_elements(graph: Graph) -> int:
    """Return the length of all vectors that nodes read: onnx propagates each element as a value."""
    return sum(
        tensor.static_shape[0]
        for node in graph.nodes
        for tensor in node.inputs
        if tensor is not None and tensor.rank == 1 and tensor.static_shape
    )


def infer_by_node(skeleton: Skeleton, limits: Limits, stage: Stage) -> Graph:
    """Return the linked graph, inferred node by node: for models of which the whole is too much.

    Less becomes known than by ``infer``, bodies of subgraphs least of all; but a node that makes
    onnx crash is named, and where only the whole does, there are shapes all the same.
    """
    with _bounded(skeleton, limits):
        return _inferred_by_node(skeleton, limits, stage)


def _inferred_by_node(skeleton: Skeleton, limits: Limits, stage: Stage) -> Graph:
    graph = build(skeleton.proto.graph, skeleton.inputs)
    evaluate.set_initializers(graph, skeleton.proto.graph)
    version = skeleton.opsets.get("", 0)

    def resolve(node: Node) -> None:
        if node.domain or node.subgraphs or node.proto.domain == UNKNOWN_DOMAIN:
            return
        stage(f"shape inference of {node.full_type} {node.label!r}")
        try:
            found = _infer_node(node, version)
        except (InferenceError, SchemaError, ValidationError, *_ODD):
            return  # named by _report_failures
        for tensor in node.outputs:
            if tensor is not None and _is_open(tensor) and tensor.name in found:
                tensor.dtype, tensor.shape = shape_of(found[tensor.name])

    evaluate.fold(graph, version, limits.fold_elements, resolve)
    _report_failures(graph, skeleton, stage)
    return graph


def _is_open(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.static_shape is None


def _infer(model: ModelProto, *, propagate: bool) -> ModelProto:
    """Infer what can be inferred; a node that fails leaves its outputs unknown."""
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=False, data_prop=propagate)
    except (InferenceError, ValidationError, RuntimeError, ValueError, IndexError, TypeError):
        return model  # an odd graph as a whole; _report_failures then names the nodes


def _link(
    inferred: ModelProto,
    skeleton: Skeleton,
    opset: int,
    limits: Limits,
    resolve: Callable[[Node], None] | None,
) -> Graph:
    graph = build(inferred.graph, skeleton.inputs)
    for body in walk(graph):
        evaluate.set_initializers(body, _proto_of(body, inferred.graph))
        evaluate.fold(body, opset, limits.fold_elements, resolve)
    return graph


def _resolve(node: Node, version: int, resolved: dict[str, Tensor]) -> None:
    """Infer a node whose outputs are open once folding has made its inputs known.

    Without it each such node costs a round over the whole model, and there is one in every layer of
    a transformer. Only a result without any open dimension is taken; the rounds see to the rest.

    Args:
        node: of any graph.
        version: opset of the default domain.
        resolved: the tensors of the main graph that were resolved are added, by name.
    """
    if node.domain or node.subgraphs or node.proto.domain == UNKNOWN_DOMAIN:
        return
    if not any(_is_open(tensor) for tensor in node.outputs):
        return
    if any(t is not None and (t.shape is None or not t.dtype) for t in node.inputs):
        return
    try:
        found = _infer_node(node, version)
    except (InferenceError, SchemaError, ValidationError, *_ODD):
        return  # named by _report_failures or the ONNX checker, if not resolved otherwise
    for tensor in node.outputs:
        if tensor is not None and _is_open(tensor) and tensor.name in found:
            dtype, shape = shape_of(found[tensor.name])
            if dtype and shape is not None and all(isinstance(dim, int) for dim in shape):
                tensor.dtype, tensor.shape = dtype, shape
                if node.graph.parent is None:
                    resolved[tensor.name] = tensor


def _proto_of(graph: Graph, main: GraphProto) -> GraphProto:
    if graph.owner is None:
        return main
    node, attribute = graph.owner
    found: GraphProto = next(item.g for item in node.proto.attribute if item.name == attribute)
    return found


def _news(graph: Graph, learned: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the values worth telling inference: known now, and read where a shape is not."""
    fresh: dict[str, Tensor] = {}
    for node in graph.nodes:
        unresolved = any(t is not None and t.static_shape is None for t in node.outputs)
        if unresolved:
            for tensor in node.inputs:
                if (
                    tensor is not None
                    and tensor.kind == "node"
                    and tensor.graph is graph
                    and tensor.constant is not None
                    and tensor.name not in learned
                ):
                    fresh[tensor.name] = tensor
            fresh.update(_guesses(node, learned))
    return fresh


def _guesses(node: Node, learned: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield outputs whose shape follows from the operator's meaning although onnx lacks it."""
    output, source = node.output(), node.input(0)
    if (
        node.op_type in _SAME_SHAPE
        and output is not None
        and output.name not in learned
        and output.shape is None
        and source is not None
        and source.static_shape is not None
    ):
        output.dtype, output.shape = source.dtype, source.shape
        yield output.name, output
    test = node.constant(0) if node.op_type == "If" else None
    if test is not None and test.size == 1:
        branch = node.subgraphs.get("then_branch" if bool(test.reshape(-1)[0]) else "else_branch")
        for made, inner in zip(node.outputs, branch.outputs if branch else (), strict=False):
            # onnx joins the shapes of both branches; the one that runs is known better.
            if made is None or made.name in learned or made.static_shape is not None:
                continue
            if inner.static_shape is not None:
                made.dtype, made.shape = inner.dtype, inner.shape
                yield made.name, made


def _teach(model: ModelProto, fresh: dict[str, Tensor], limits: Limits) -> ModelProto:
    """Return a model in which the readers of known values read them from initializers."""
    taught = ModelProto()
    taught.CopyFrom(model)
    folded: set[str] = set()
    for name, tensor in fresh.items():
        if tensor.constant is None:
            shape = list(tensor.static_shape or ())
            info = onnx.helper.make_tensor_value_info(name, tensor.dtype or 1, shape)
            taught.graph.value_info.append(info)
        elif tensor.constant.size <= limits.fold_elements:
            item = onnx.numpy_helper.from_array(tensor.constant, name + FOLDED)
            taught.graph.initializer.append(item)
            folded.add(name)
    _redirect(taught.graph, folded)
    return taught


def _redirect(graph: GraphProto, names: set[str]) -> None:
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name in names:
                node.input[position] = name + FOLDED
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                own = {n for inner in attribute.g.node for n in inner.output}
                own |= {info.name for info in attribute.g.input}
                _redirect(attribute.g, names - own)


def _report_failures(graph: Graph, skeleton: Skeleton, stage: Stage) -> None:
    """Name the first nodes at which inference stopped although it knew their inputs."""
    for body in walk(graph):
        for node in body.nodes:
            if node.domain or node.proto.domain == UNKNOWN_DOMAIN or node.subgraphs:
                continue
            if all(t is None or t.shape is not None for t in node.outputs):
                continue
            if any(t is not None and t.shape is None for t in node.inputs):
                continue
            stage(f"shape inference of {node.full_type} {node.label!r}")
            reason = _reason(node, skeleton)
            if reason:
                place = node.location()
                message = f"{node.op_type}: {reason}"
                skeleton.problems.append(Problem(_RULE, place, message, node.frames))


def _reason(node: Node, skeleton: Skeleton) -> str:
    """Return why inference of one node fails; empty when its result depends on data."""
    try:
        _infer_node(node, skeleton.opsets.get("", 0))
    except (InferenceError, SchemaError) as error:
        return _clean(str(error))
    except ValidationError:
        return ""  # the node itself is malformed: the ONNX checker reports that (validity)
    except _ODD as error:
        return f"shape inference raises {type(error).__name__}: {_clean(str(error))}"
    return ""


def _infer_node(node: Node, version: int) -> Mapping[str, TypeProto]:
    schema = onnx.defs.get_schema(node.op_type, version, "")
    known = [tensor for tensor in node.inputs if tensor is not None]
    types = {tensor.name: _type(tensor) for tensor in known}
    data = {
        tensor.name: onnx.numpy_helper.from_array(tensor.constant, tensor.name)
        for tensor in known
        if tensor.constant is not None
    }
    proto = NodeProto()
    proto.CopyFrom(node.proto)
    for position, tensor in enumerate(node.inputs):
        if tensor is not None:
            proto.input[position] = tensor.name  # without the suffix of a folded value
    imports = [onnx.helper.make_opsetid("", version)]
    return onnx.shape_inference.infer_node_outputs(
        schema, proto, types, data, opset_imports=imports
    )


def _type(tensor: Tensor) -> TypeProto:
    return onnx.helper.make_tensor_type_proto(tensor.dtype or 1, tensor.shape)


def _clean(text: str) -> str:
    return " ".join(text.split())[:_MAX_TEXT]
