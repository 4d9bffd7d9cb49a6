"""Go through a model once: find every tensor, and count nodes as if functions were inlined.

A few hundred bytes of local functions that call each other twice stand for 2^40 nodes, and one
that calls itself for an endless number, so both are found here by arithmetic, before the checker,
shape inference or an inliner walks the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Final

from msgspec import Struct, field
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    TrainingInfoProto,
)

from npugate.errors import ModelError
from npugate.findings import rule_names
from npugate.findings.values import Location
from npugate.limits import Limits
from npugate.model.node_label import node_label
from npugate.model.wire import Path, routes

ANALYSIS_LIMIT: Final = rule_names.ANALYSIS_LIMIT
# Tensors and attributes allowed for each node allowed; real models have fewer than 5 a node.
_PER_NODE: Final = 5
_NAME_SHOWN: Final = 80

_FunctionKey = tuple[str, str]


def _number(message: type, name: str) -> int:
    return int(message.DESCRIPTOR.fields_by_name[name].number)  # type: ignore[attr-defined]  # the stubs know `type` only


_GRAPH: Final = _number(ModelProto, "graph")
_FUNCTIONS: Final = _number(ModelProto, "functions")
_TRAINING: Final = _number(ModelProto, "training_info")
_TRAINING_GRAPHS: Final = {
    name: _number(TrainingInfoProto, name) for name in ("initialization", "algorithm")
}
_NODE: Final = _number(GraphProto, "node")
_INITIALIZER: Final = _number(GraphProto, "initializer")
_SPARSE_INITIALIZER: Final = _number(GraphProto, "sparse_initializer")
_FUNCTION_NODE: Final = _number(FunctionProto, "node")
_FUNCTION_ATTRIBUTE: Final = _number(FunctionProto, "attribute_proto")
_ATTRIBUTE: Final = _number(NodeProto, "attribute")
_HOLDERS: Final = frozenset(routes(AttributeProto.DESCRIPTOR))
_SPARSE_PARTS: Final = {name: _number(SparseTensorProto, name) for name in ("values", "indices")}


class Place(Struct, frozen=True):
    """A tensor and where it is.

    Attributes:
        path: field numbers and indices from the model down.
        label: what the tensor is called where it has no name.
    """

    path: Path
    tensor: TensorProto
    graph: str
    node: NodeProto | None
    label: str

    @property
    def location(self) -> Location:
        """The place as reports show it."""
        name = self.tensor.name or self.label
        if self.node is None:
            return Location(graph=self.graph, value=name)
        return Location(self.graph, node_label(self.node), full_type(self.node), name)


class _Body(Struct):
    """The main graph or one function: own nodes, depth, and calls of functions.

    Attributes:
        calls: function -> (number of calls, deepest nesting of one).
    """

    nodes: int = 0
    depth: int = 0
    calls: dict[_FunctionKey, tuple[int, int]] = field(default_factory=dict)


def full_type(node: NodeProto) -> str:
    """Return the operator with its domain when that is not ai.onnx."""
    domain = _domain(node.domain)
    return f"{domain}.{node.op_type}" if domain else node.op_type


def shown(name: str) -> str:
    """Return a name short enough for a sentence."""
    return repr(name if len(name) <= _NAME_SHOWN else f"{name[:_NAME_SHOWN]}...")


def tensors_of(model: ModelProto, limits: Limits) -> list[Place]:
    """Return every tensor of a model, wherever it hides.

    Raises:
        ModelError: rule ``analysis-limit``: too many nodes, tensors or attributes, too deep, or a
            local function that calls itself.
    """
    walk = _Walk(model, limits)
    main = walk.main()
    functions = walk.functions()
    _check_size(main, functions, limits)
    return walk.places


class _Walk:
    """One pass over the message; recursion is bounded by ``limits.depth``."""

    def __init__(self, model: ModelProto, limits: Limits) -> None:
        self._model = model
        self._limits = limits
        self._keys = {_key(function) for function in model.functions}
        self._items_left = limits.nodes * _PER_NODE
        self.places: list[Place] = []

    def main(self) -> _Body:
        """Walk the main graph, and the training graphs, which nothing here runs."""
        body = _Body()
        self._graph(self._model.graph, (_GRAPH, 0), "", 0, body)
        for index, info in enumerate(self._model.training_info):
            for name, number in _TRAINING_GRAPHS.items():
                path = (_TRAINING, index, number, 0)
                label = f"training_info.{name}"
                self._graph(getattr(info, name), path, label, 0, body)
        return body

    def functions(self) -> dict[_FunctionKey, _Body]:
        """Walk the local functions; two of one name count together."""
        found: dict[_FunctionKey, _Body] = {}
        for index, function in enumerate(self._model.functions):
            body = found.setdefault(_key(function), _Body())
            label = f"{function.domain}.{function.name}" if function.domain else function.name
            path = (_FUNCTIONS, index)
            self._nodes(function.node, (*path, _FUNCTION_NODE), label, 0, body)
            self._take(len(function.attribute_proto))
            for position, attribute in enumerate(function.attribute_proto):
                self._attribute(
                    attribute, (*path, _FUNCTION_ATTRIBUTE, position), (label, None), 0, body
                )
        return found

    def _graph(self, graph: GraphProto, path: Path, label: str, depth: int, body: _Body) -> None:
        if depth > self._limits.depth:
            raise too_deep(self._limits)
        body.depth = max(body.depth, depth)
        self._take(len(graph.initializer) + len(graph.sparse_initializer))
        for index, tensor in enumerate(graph.initializer):
            name = f"initializer {index}"
            self.places.append(Place((*path, _INITIALIZER, index), tensor, label, None, name))
        for index, sparse in enumerate(graph.sparse_initializer):
            name = f"sparse initializer {index}"
            self._sparse(sparse, (*path, _SPARSE_INITIALIZER, index), (label, None), name)
        self._nodes(graph.node, (*path, _NODE), label, depth, body)

    def _nodes(
        self, nodes: Sequence[NodeProto], path: Path, label: str, depth: int, body: _Body
    ) -> None:
        body.nodes += len(nodes)  # counted before any is looked at
        if body.nodes > self._limits.nodes:
            raise _too_many_nodes(self._limits)
        self._take(sum(len(node.attribute) for node in nodes))
        keys = self._keys
        for index, node in enumerate(nodes):
            if keys and (key := (_domain(node.domain), node.op_type)) in keys:
                times, deepest = body.calls.get(key, (0, 0))
                body.calls[key] = (times + 1, max(deepest, depth))
            for position, attribute in enumerate(node.attribute):
                inner = (*path, index, _ATTRIBUTE, position)
                self._attribute(attribute, inner, (label, node), depth, body)

    def _attribute(
        self,
        attribute: AttributeProto,
        path: Path,
        owner: tuple[str, NodeProto | None],
        depth: int,
        body: _Body,
    ) -> None:
        for item, value in attribute.ListFields():
            number = item.number
            if number not in _HOLDERS:
                continue
            parts = value if item.is_repeated else (value,)
            self._take(len(parts))
            for index, part in enumerate(parts):
                name = f"{attribute.name}[{index}]" if item.is_repeated else attribute.name
                inner = (*path, number, index)
                if isinstance(part, TensorProto):
                    self.places.append(Place(inner, part, *owner, name))
                elif isinstance(part, SparseTensorProto):
                    self._sparse(part, inner, owner, name)
                else:
                    self._graph(part, inner, _inner(owner, name), depth + 1, body)

    def _sparse(
        self,
        sparse: SparseTensorProto,
        path: Path,
        owner: tuple[str, NodeProto | None],
        name: str,
    ) -> None:
        for part, number in _SPARSE_PARTS.items():
            if sparse.HasField(part):
                tensor = getattr(sparse, part)
                self.places.append(Place((*path, number, 0), tensor, *owner, f"{name}.{part}"))

    def _take(self, items: int) -> None:
        self._items_left -= items
        if self._items_left < 0:
            most = self._limits.nodes * _PER_NODE
            raise ModelError(
                ANALYSIS_LIMIT, f"the model has more than {most} tensors and attributes"
            )


def _inner(owner: tuple[str, NodeProto | None], name: str) -> str:
    graph, node = owner
    return f"{graph}/{node_label(node) if node is not None else ''}.{name}".lstrip("/")


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _key(function: FunctionProto) -> _FunctionKey:
    return _domain(function.domain), function.name


def too_deep(limits: Limits) -> ModelError:
    """Make the error for a model that is nested beyond the limit."""
    return ModelError(
        ANALYSIS_LIMIT,
        f"subgraphs and function calls are nested more than {limits.depth} deep",
    )


def _too_many_nodes(limits: Limits) -> ModelError:
    return ModelError(
        ANALYSIS_LIMIT,
        f"the model has more than {limits.nodes} nodes once its local functions are inlined",
    )


def _check_size(main: _Body, functions: dict[_FunctionKey, _Body], limits: Limits) -> None:
    """Add up nodes and depth bottom-up; sums stop at the limit, so no number grows large."""
    sizes: dict[_FunctionKey, tuple[int, int]] = {}
    for key in _callees_first(functions):
        sizes[key] = _inlined(functions[key], sizes, limits)
    nodes, depth = _inlined(main, sizes, limits)
    if nodes > limits.nodes:
        raise _too_many_nodes(limits)
    if depth > limits.depth:
        raise too_deep(limits)


def _inlined(
    body: _Body, sizes: dict[_FunctionKey, tuple[int, int]], limits: Limits
) -> tuple[int, int]:
    nodes, depth = body.nodes, body.depth
    for key, (times, deepest) in body.calls.items():
        callee_nodes, callee_depth = sizes[key]
        nodes += times * max(callee_nodes - 1, 0)  # the call itself disappears
        depth = max(depth, deepest + 1 + callee_depth)
    return min(nodes, limits.nodes + 1), min(depth, limits.depth + 1)


def _callees_first(functions: dict[_FunctionKey, _Body]) -> Iterator[_FunctionKey]:
    order = TopologicalSorter({key: body.calls.keys() for key, body in functions.items()})
    try:
        yield from order.static_order()
    except CycleError as error:
        names = [shown(key[1]) for key in reversed(error.args[1])]
        if len(names) > 4:  # noqa: PLR2004  # a longer ring says no more
            names = [*names[:3], "...", names[-1]]
        raise ModelError(
            ANALYSIS_LIMIT,
            f"local functions call themselves without end: {' -> '.join(names)}",
        ) from error
