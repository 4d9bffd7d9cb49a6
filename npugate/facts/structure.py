"""Make a graph legal enough to look at, and name every fault that had to be corrected for it.

The legal copy (the *skeleton*) is only ever looked at: shape inference and the checker run on it,
so that one missing name does not hide everything else. The file itself stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import onnx
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    inliner,
)

from npugate.facts.graph import DATA_TYPES
from npugate.facts.opsets import legalise_imports, legalise_operators
from npugate.facts.provenance import frames
from npugate.facts.skeleton import Skeleton
from npugate.findings import rule_names
from npugate.findings.values import Location, Problem
from npugate.model.node_label import node_label
from npugate.model.reader import holds_data

_FIRST_SEPARATE_INITIALIZERS: Final = 4  # IR version from which weights need not be inputs


def legalise(proto: ModelProto) -> Skeleton:
    """Return the legal copy of a model and the faults found on the way."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    skeleton = Skeleton(copy)
    if copy.functions:
        _unique_functions(skeleton)
        _inline(skeleton)
    graph = skeleton.proto.graph
    if not graph.name:
        skeleton.fault(rule_names.UNNAMED_GRAPH, "the graph has no name")
        graph.name = "main"
    _separate_weights(skeleton)
    _legalise_scope(skeleton, graph, "", frozenset())
    legalise_imports(skeleton)
    legalise_operators(skeleton)
    _legalise_types(skeleton)
    return skeleton


def _unique_functions(skeleton: Skeleton) -> None:
    """Keep the first of the local functions of one name: readers refuse the file for a second."""
    functions = skeleton.proto.functions
    known: set[tuple[str, str, str]] = set()
    doubled: list[int] = []
    for index, function in enumerate(functions):
        key = function.domain, function.name, function.overload
        if key in known:
            name = f"{function.domain}.{function.name}"
            message = f"the local function {name!r} is defined more than once"
            skeleton.fault(rule_names.INVALID_MODEL, message, Location(graph=name))
            doubled.append(index)
        known.add(key)
    for index in reversed(doubled):
        del functions[index]


def _inline(skeleton: Skeleton) -> None:
    """Replace calls of local functions by their bodies; the reader has bounded their number."""
    try:
        skeleton.proto = inliner.inline_local_functions(skeleton.proto)
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        text = " ".join(str(error).split())[:400]
        skeleton.fault(rule_names.INVALID_MODEL, f"its local functions cannot be inlined: {text}")


def _separate_weights(skeleton: Skeleton) -> None:
    """Tell inputs from weights, and declare the weights that are not held as inputs."""
    proto, graph = skeleton.proto, skeleton.proto.graph
    weights = {item.name for item in graph.initializer}
    weights |= {item.values.name for item in graph.sparse_initializer}
    declared = {info.name for info in graph.input}
    if proto.ir_version < _FIRST_SEPARATE_INITIALIZERS:
        missing = sorted(weights - declared)
        if missing and proto.ir_version > 0:
            skeleton.fault(
                rule_names.INITIALIZER_NOT_INPUT,
                f"IR version {proto.ir_version} wants every initializer among the inputs; "
                f"{len(missing)} of {len(weights)} are not, the first is {missing[0]!r}",
                Location(value=missing[0]),
            )
    if proto.ir_version < 1:
        skeleton.fault(rule_names.INVALID_MODEL, "the model states no IR version")
    proto.ir_version = max(_FIRST_SEPARATE_INITIALIZERS, min(proto.ir_version, onnx.IR_VERSION))
    real = [info for info in graph.input if info.name not in weights]
    skeleton.inputs = frozenset(info.name for info in real)
    kept = [item for item in graph.initializer if holds_data(item)]
    dropped = [item for item in graph.initializer if not holds_data(item)]
    sparse = [(item.values, item.dims) for item in graph.sparse_initializer]
    inputs = list(real)
    inputs += [_weight(item.name, item.data_type, item.dims) for item in dropped]
    inputs += [_weight(values.name, values.data_type, dims) for values, dims in sparse]
    # Slices hold references into the message: rebuild from copies, then replace.
    copies = [ValueInfoProto.FromString(info.SerializeToString()) for info in inputs]
    held = [TensorProto.FromString(item.SerializeToString()) for item in kept]
    del graph.input[:], graph.initializer[:], graph.sparse_initializer[:]
    graph.input.extend(copies)
    graph.initializer.extend(held)


def _weight(name: str, dtype: int, dims: list[int]) -> ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, dtype, [int(dim) for dim in dims])


def _legalise_scope(
    skeleton: Skeleton, graph: GraphProto, path: str, outer: frozenset[str]
) -> None:
    """Correct names and order in one graph, then in the bodies below it."""
    known = _unique_declarations(skeleton, graph, path)
    _unique_outputs(skeleton, graph, path, known)
    made = {name for node in graph.node for name in node.output if name}
    visible = outer | known | made
    _report_undefined(skeleton, graph, path, visible)
    _sort(skeleton, graph, path, visible - made)
    for index, node in enumerate(graph.node):
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                inner = f"{path}/{node_label(node, index)}.{attribute.name}".lstrip("/")
                if not attribute.g.name:
                    attribute.g.name = "body"
                _legalise_scope(skeleton, attribute.g, inner, visible)


def _unique_declarations(skeleton: Skeleton, graph: GraphProto, path: str) -> set[str]:
    known: set[str] = set()
    for kind, items in (("input", graph.input), ("initializer", graph.initializer)):
        doubled: list[int] = []
        for index, item in enumerate(items):
            place = Location(graph=path, value=item.name)
            if not item.name:
                skeleton.fault(rule_names.DUPLICATE_NAME, f"{kind} {index} has no name", place)
                doubled.append(index)
            elif item.name in known and not (kind == "initializer" and path):
                skeleton.fault(
                    rule_names.DUPLICATE_NAME, f"{kind} {item.name!r} is declared twice", place
                )
                doubled.append(index)
            known.add(item.name)
        for index in reversed(doubled):
            del items[index]
    return known - {""}


def _unique_outputs(skeleton: Skeleton, graph: GraphProto, path: str, known: set[str]) -> None:
    made: set[str] = set()
    names: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        if node.name:
            names[node.name] = names.get(node.name, 0) + 1
        for position, name in enumerate(node.output):
            if name and (name in made or name in known):
                place = Location(path, node_label(node, index), node.op_type, name)
                what = "is also an input or initializer" if name in known else "is made twice"
                skeleton.fault(rule_names.DUPLICATE_NAME, f"value {name!r} {what}", place)
                fresh = f"{name}::{index}.{position}"
                node.output[position] = fresh
                made.add(fresh)
            elif name:
                made.add(name)
    for name, count in names.items():
        if count > 1:
            message = (
                f"{count} nodes are named {name!r}; reports and repairs cannot tell them apart"
            )
            skeleton.fault(rule_names.DUPLICATE_NODE_NAME, message, Location(graph=path, node=name))


def _report_undefined(
    skeleton: Skeleton, graph: GraphProto, path: str, visible: frozenset[str] | set[str]
) -> None:
    seen: set[str] = set()
    for index, node in enumerate(graph.node):
        for name in node.input:
            if name and name not in visible and name not in seen:
                seen.add(name)
                place = Location(path, node_label(node, index), node.op_type, name)
                skeleton.problems.append(
                    Problem(
                        rule_names.UNDEFINED_VALUE,
                        place,
                        f"{node.op_type} reads {name!r}, which no input, initializer or node makes",
                        frames(node),
                    )
                )
    for info in graph.output:
        if info.name not in visible:
            message = f"graph output {info.name!r} is made by no node"
            skeleton.fault(
                rule_names.UNDEFINED_VALUE, message, Location(graph=path, value=info.name)
            )


def _sort(
    skeleton: Skeleton, graph: GraphProto, path: str, given: frozenset[str] | set[str]
) -> None:
    """Put the nodes into an order in which every value is made before it is read."""
    if not _out_of_order(graph, given):
        return
    nodes = list(graph.node)
    order, stuck = _topological(nodes)
    first = _out_of_order(graph, given)
    if stuck:
        names = ", ".join(repr(node_label(nodes[i], i)) for i in stuck[:5])
        skeleton.fault(
            rule_names.INVALID_MODEL, f"the graph has a cycle through {names}", Location(path)
        )
        return
    if first is not None:
        index, name = first
        node = graph.node[index]
        skeleton.fault(
            rule_names.UNSORTED_NODES,
            f"node {node_label(node, index)!r} reads {name!r} before the node that makes it",
            Location(path, node_label(node, index), node.op_type, name),
        )
    copies = [NodeProto.FromString(nodes[i].SerializeToString()) for i in order]
    del graph.node[:]
    graph.node.extend(copies)


def _out_of_order(graph: GraphProto, given: frozenset[str] | set[str]) -> tuple[int, str] | None:
    made = {name for node in graph.node for name in node.output}
    seen = set(given)
    for index, node in enumerate(graph.node):
        for name in node.input if not node.attribute else reads(node):
            if name and name in made and name not in seen:
                return index, name
        seen.update(node.output)
    return None


def reads(node: NodeProto) -> Iterator[str]:
    """Yield every value a node needs, those captured by its bodies included."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield from captured(attribute.g)


def captured(graph: GraphProto) -> Iterator[str]:
    """Yield the values that a body takes from the graphs around it."""
    own = {info.name for info in graph.input} | {item.name for item in graph.initializer}
    own |= {name for node in graph.node for name in node.output}
    for node in graph.node:
        yield from (name for name in reads(node) if name not in own)
    yield from (info.name for info in graph.output if info.name not in own)


def _topological(nodes: list[NodeProto]) -> tuple[list[int], list[int]]:
    """Return node positions in a legal order near the file's, and those in a cycle."""
    maker = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    needs = [{maker[name] for name in reads(node) if name in maker} for node in nodes]
    done = [False] * len(nodes)
    order: list[int] = []
    for start in range(len(nodes)):
        stack = [(start, iter(sorted(needs[start])))] if not done[start] else []
        active = {start}
        while stack:
            current, pending = stack[-1]
            following = next((i for i in pending if not done[i]), None)
            if following is None:
                done[current] = True
                order.append(current)
                active.discard(current)
                stack.pop()
            elif following in active:
                return order, sorted(active)
            else:
                active.add(following)
                stack.append((following, iter(sorted(needs[following]))))
    return order, []


def _legalise_types(skeleton: Skeleton) -> None:
    """Forget stale shapes, read a symbolic leading batch as 1, and note outputs without a type."""
    graph = skeleton.proto.graph
    symbols: set[str] = set()
    _report_data_types(skeleton)
    for info in graph.input:
        if info.name in skeleton.inputs:
            symbol = _freeze_batch(info)
            if symbol is not None:
                skeleton.symbolic_batches[info.name] = symbol
                symbols.add(symbol)
    custom = _custom_outputs(graph)
    kept = [info for info in graph.value_info if info.name in custom]
    copies = [ValueInfoProto.FromString(info.SerializeToString()) for info in kept]
    del graph.value_info[:]
    for info in copies:
        _apply_batch(info, symbols)
    graph.value_info.extend(copies)
    for info in graph.output:
        tensor = info.type.tensor_type
        if info.type.WhichOneof("value") is None:
            message = f"graph output {info.name!r} has neither type nor shape"
            skeleton.fault(rule_names.OUTPUT_WITHOUT_SHAPE, message, Location(value=info.name))
        elif info.type.WhichOneof("value") == "tensor_type" and not tensor.HasField("shape"):
            message = f"graph output {info.name!r} has no shape"
            skeleton.fault(rule_names.OUTPUT_WITHOUT_SHAPE, message, Location(value=info.name))
        elif info.type.WhichOneof("value") == "tensor_type" and info.name not in custom:
            tensor.ClearField("shape")  # computed, then compared with what is declared


def _report_data_types(skeleton: Skeleton) -> None:
    graph = skeleton.proto.graph
    for kind, infos in (("input", graph.input), ("output", graph.output)):
        for info in infos:
            number = info.type.tensor_type.elem_type
            if number not in DATA_TYPES:
                message = f"{kind} {info.name!r} has the data type {number}, which does not exist"
                skeleton.fault(rule_names.INVALID_MODEL, message, Location(value=info.name))


def _freeze_batch(info: ValueInfoProto) -> str | None:
    dims = info.type.tensor_type.shape.dim
    if info.type.WhichOneof("value") != "tensor_type" or len(dims) < 2:  # noqa: PLR2004 - an axis and a batch
        return None
    if dims[0].WhichOneof("value") == "dim_value" and dims[0].dim_value > 0:
        return None
    symbol = dims[0].dim_param or "?"
    dims[0].dim_value = 1
    return symbol


def _apply_batch(info: ValueInfoProto, symbols: set[str]) -> None:
    for dim in info.type.tensor_type.shape.dim:
        if dim.dim_param and dim.dim_param in symbols:
            dim.dim_value = 1


def _custom_outputs(graph: GraphProto) -> set[str]:
    return {name for node in graph.node if node.domain for name in node.output if name}


def declared_shapes(proto: ModelProto) -> Mapping[str, tuple[int | str | None, ...]]:
    """Return the shapes that the file declares for its outputs, unknown dimensions as None."""
    found: dict[str, tuple[int | str | None, ...]] = {}
    for info in proto.graph.output:
        tensor = info.type.tensor_type
        if info.type.WhichOneof("value") == "tensor_type" and tensor.HasField("shape"):
            found[info.name] = tuple(
                dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim
            )
    return found
