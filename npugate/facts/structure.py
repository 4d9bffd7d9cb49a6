"""Make a graph legal enough to look at, and name every fault that had to be mended for it.

The mended copy (the *skeleton*) is only ever looked at: shape inference and the checker run on it,
so that one missing name does not hide everything else. The file itself stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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

from npugate.facts.graph import UNKNOWN_DOMAIN
from npugate.facts.provenance import frames
from npugate.model import holds_data
from npugate.types import Location, Problem

_ASSUMED_OPSETS: Final = (14, 13, 17, 18, 20, 21, 12, 11, 10, 9, 8, 7)
_FIRST_SEPARATE_INITIALIZERS: Final = 4  # IR version from which weights need not be inputs


@dataclass(slots=True)
class Skeleton:
    """A model as shape inference and the checker may see it.

    Attributes:
        proto: legal copy; weights whose data is not held are declared as inputs.
        inputs: names of the inputs that the user feeds.
        opsets: by domain, ``""`` for ai.onnx.
        problems: what had to be mended, or cannot be.
        symbolic_batches: input name -> symbol of its leading axis, now 1.
    """

    proto: ModelProto
    inputs: frozenset[str] = frozenset()
    opsets: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    symbolic_batches: dict[str, str] = field(default_factory=dict)

    def fault(self, rule: str, message: str, location: Location | None = None) -> None:
        """Record a fault for the rule that owns it."""
        self.problems.append(Problem(rule, location or Location(), message))


def legalise(proto: ModelProto) -> Skeleton:
    """Return the mended copy of a model and the faults found on the way."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    skeleton = Skeleton(copy)
    if copy.functions:
        _inline(skeleton)
    graph = skeleton.proto.graph
    if not graph.name:
        skeleton.fault("unnamed-graph", "the graph has no name")
        graph.name = "main"
    _separate_weights(skeleton)
    _mend_scope(skeleton, graph, "", frozenset())
    _mend_imports(skeleton)
    _mend_operators(skeleton)
    _mend_types(skeleton)
    return skeleton


def _inline(skeleton: Skeleton) -> None:
    """Replace calls of local functions by their bodies; the reader has bounded their number."""
    try:
        skeleton.proto = inliner.inline_local_functions(skeleton.proto)
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        text = " ".join(str(error).split())[:400]
        skeleton.fault("invalid-model", f"its local functions cannot be inlined: {text}")


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
                "initializer-not-input",
                f"IR version {proto.ir_version} wants every initializer among the inputs; "
                f"{len(missing)} of {len(weights)} are not, the first is {missing[0]!r}",
                Location(value=missing[0]),
            )
    if proto.ir_version < 1:
        skeleton.fault("invalid-model", "the model states no IR version")
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


def _mend_scope(skeleton: Skeleton, graph: GraphProto, path: str, outer: frozenset[str]) -> None:
    """Mend names and order in one graph, then in the bodies below it."""
    known = _unique_declarations(skeleton, graph, path)
    _unique_outputs(skeleton, graph, path, known)
    made = {name for node in graph.node for name in node.output if name}
    visible = outer | known | made
    _report_undefined(skeleton, graph, path, visible)
    _sort(skeleton, graph, path, visible - made)
    for index, node in enumerate(graph.node):
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                inner = f"{path}/{label(node, index)}.{attribute.name}".lstrip("/")
                if not attribute.g.name:
                    attribute.g.name = "body"
                _mend_scope(skeleton, attribute.g, inner, visible)


def label(node: NodeProto, index: int) -> str:
    """Return a node's name; for an unnamed one its first output, else ``#index``."""
    return node.name or next((name for name in node.output if name), f"#{index}")


def _unique_declarations(skeleton: Skeleton, graph: GraphProto, path: str) -> set[str]:
    known: set[str] = set()
    for kind, items in (("input", graph.input), ("initializer", graph.initializer)):
        doubled: list[int] = []
        for index, item in enumerate(items):
            place = Location(graph=path, value=item.name)
            if not item.name:
                skeleton.fault("duplicate-name", f"{kind} {index} has no name", place)
                doubled.append(index)
            elif item.name in known and not (kind == "initializer" and path):
                skeleton.fault("duplicate-name", f"{kind} {item.name!r} is declared twice", place)
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
                place = Location(path, label(node, index), node.op_type, name)
                what = "is also an input or initializer" if name in known else "is made twice"
                skeleton.fault("duplicate-name", f"value {name!r} {what}", place)
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
            skeleton.fault("duplicate-node-name", message, Location(graph=path, node=name))


def _report_undefined(
    skeleton: Skeleton, graph: GraphProto, path: str, visible: frozenset[str] | set[str]
) -> None:
    seen: set[str] = set()
    for index, node in enumerate(graph.node):
        for name in node.input:
            if name and name not in visible and name not in seen:
                seen.add(name)
                place = Location(path, label(node, index), node.op_type, name)
                skeleton.problems.append(
                    Problem(
                        "undefined-value",
                        place,
                        f"{node.op_type} reads {name!r}, which no input, initializer or node makes",
                        frames(node),
                    )
                )
    for info in graph.output:
        if info.name not in visible:
            message = f"graph output {info.name!r} is made by no node"
            skeleton.fault("undefined-value", message, Location(graph=path, value=info.name))


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
        names = ", ".join(repr(label(nodes[i], i)) for i in stuck[:5])
        skeleton.fault("invalid-model", f"the graph has a cycle through {names}", Location(path))
        return
    if first is not None:
        index, name = first
        node = graph.node[index]
        skeleton.fault(
            "unsorted-nodes",
            f"node {label(node, index)!r} reads {name!r} before the node that makes it",
            Location(path, label(node, index), node.op_type, name),
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


def _mend_imports(skeleton: Skeleton) -> None:
    proto = skeleton.proto
    opsets: dict[str, int] = {}
    for entry in proto.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if domain in opsets and opsets[domain] != entry.version:
            skeleton.fault(
                "invalid-model",
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
                "missing-opset-import",
                f"operators of domain {named!r} are used, {op_type} the first, "
                "but opset_import does not name it",
            )
            opsets[domain] = _assume(proto) if not domain else 1
            if domain in functions:
                continue
    skeleton.opsets = opsets
    del proto.opset_import[:]
    proto.opset_import.extend(onnx.helper.make_opsetid(d, v) for d, v in opsets.items())


def nodes_below(graph: GraphProto) -> Iterator[NodeProto]:
    """Yield every node of a graph and of the bodies below it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from nodes_below(attribute.g)


def graphs_below(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield a graph and every body below it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from graphs_below(attribute.g)


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


def _mend_operators(skeleton: Skeleton) -> None:
    """Move operators that their opset does not define into a domain nobody checks."""
    known: dict[tuple[str, str], bool] = {}
    for node in nodes_below(skeleton.proto.graph):
        if node.domain == "ai.onnx":
            node.domain = ""
        version = skeleton.opsets.get(node.domain, 0)
        key = (node.domain, node.op_type)
        if key not in known:
            known[key] = bool(node.domain) or _defined(node.op_type, version)
            if not known[key]:
                skeleton.fault(
                    "operator-not-in-opset",
                    _undefined_text(node.op_type, version),
                    Location(node=label(node, 0), op_type=node.op_type),
                )
        if not known[key]:
            node.domain = UNKNOWN_DOMAIN
    if not all(known.values()):
        skeleton.proto.opset_import.append(onnx.helper.make_opsetid(UNKNOWN_DOMAIN, 1))


def _defined(op_type: str, version: int) -> bool:
    if version < 1:
        return True  # no usable opset: the opset rule reports that, not each operator
    return bool(onnx.defs.has(op_type, max_inclusive_version=min(version, 2**31 - 1)))


def _undefined_text(op_type: str, version: int) -> str:
    if not onnx.defs.has(op_type):
        newest = onnx.defs.onnx_opset_version()
        return f"{op_type} is no operator of ai.onnx in any version up to {newest}"
    first = min(schema.since_version for schema in _schemas(op_type))
    return f"{op_type} does not exist in opset {version}; it came with opset {first}"


def _schemas(op_type: str) -> list[onnx.defs.OpSchema]:
    found = onnx.defs.get_all_schemas_with_history()
    return [schema for schema in found if schema.name == op_type and not schema.domain]


def _mend_types(skeleton: Skeleton) -> None:
    """Forget stale shapes, read a symbolic leading batch as 1, and note outputs without a type."""
    graph = skeleton.proto.graph
    symbols: set[str] = set()
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
            skeleton.fault("output-without-shape", message, Location(value=info.name))
        elif info.type.WhichOneof("value") == "tensor_type" and not tensor.HasField("shape"):
            message = f"graph output {info.name!r} has no shape"
            skeleton.fault("output-without-shape", message, Location(value=info.name))
        elif info.name not in custom:
            tensor.ClearField("shape")  # computed, then compared with what is declared


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
