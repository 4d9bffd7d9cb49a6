"""Compute what is constant: shape arithmetic, constant nodes, branches, short loops, copies.

Works on the bare message, in rounds: each infers shapes once and then visits every node once, so
the cost is linear in the nodes; a round that changes nothing ends it.
"""

from __future__ import annotations

from collections import ChainMap, defaultdict
from collections.abc import Mapping
from math import prod
from typing import Final

import numpy as np
from msgspec import Struct, field
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper
from onnx.shape_inference import InferenceError, infer_shapes

from npugate.facts.graph import Array
from npugate.model.node_label import node_label
from npugate.surgery import evaluating, inlining, sweeping
from npugate.surgery.linking import opset_of
from npugate.surgery.node import DEFAULT_DOMAINS
from npugate.surgery.noops import stands_for
from npugate.surgery.scope import Names, bodies_of, rename_reads
from npugate.surgery.shapes import Known, known_of, light
from npugate.surgery.values import Constants, Held, hold, literal
from npugate.surgery.weight_store import WeightStore

_ROUNDS: Final = 64  # one for each Reshape whose target hangs on the result of the one before
_GROWTH: Final = 64 << 10  # bytes that a computed value may take beyond what it is made of
_FIRST_SEPARATE_INITIALIZERS: Final = 4  # IR version from which weights need not be inputs
_OPEN: Final = frozenset(
    {"Shape", "Size", "If", "Loop", "Identity", "Expand", "Cast", "Slice", "Where", "Constant"}
)
Done = Mapping[str, list[str]]


class _Place(Struct):
    """One graph in one round.

    Attributes:
        graph: the message.
        known: types and shapes of the values it can see.
        constants: the constants it can see.
        outputs: names of its outputs; they must stay.
        is_main: False in the body of a subgraph.
        alias: value that went away -> the one that holds the same.
        nodes: the nodes that stay, so far.
    """

    graph: GraphProto
    known: ChainMap[str, Known]
    constants: Constants
    outputs: set[str]
    is_main: bool
    alias: dict[str, str] = field(default_factory=dict)
    nodes: list[NodeProto] = field(default_factory=list)


def fold(model: ModelProto, store: WeightStore | None = None) -> Done:
    """Fold a model in place.

    Args:
        model: to be folded.
        store: holds the weights that the model refers to, and takes new ones.

    Returns:
        What was done: ``computed Shape``, ``inlined If``, ... -> the nodes it was done to.
    """
    folder = _Folder(model, store)
    for _ in range(_ROUNDS):
        if not folder.round():
            break
    return folder.done


class _Folder:
    """The state that passes between rounds."""

    def __init__(self, model: ModelProto, store: WeightStore | None) -> None:
        self.model = model
        self.store = store
        self.opset = opset_of(model)
        self.names = Names(model)
        self.done: dict[str, list[str]] = defaultdict(list)
        self._changed = False

    def round(self) -> bool:
        """Visit every node once; tell whether another round may find more."""
        self._changed = False
        graph = self.model.graph
        inferred = self._infer()
        before = sweeping.read_in(graph)
        place = _Place(
            graph,
            ChainMap(_known(inferred or graph)),
            self._initializers(graph),
            {info.name for info in graph.output},
            is_main=True,
        )
        self._visit(place, inferred)
        self._changed |= self._sweep(graph, before)
        sweeping.drop_declarations(graph, place.known)
        return self._changed and any(_is_open(node) for node in graph.node)

    def _infer(self) -> GraphProto | None:
        try:
            copy = light(self.model)
            inferred: GraphProto = infer_shapes(copy, strict_mode=False, data_prop=True).graph
        except (InferenceError, RuntimeError, ValueError):
            return None  # shapes stay unknown; what is constant is still computed
        return inferred

    def _initializers(self, graph: GraphProto) -> Constants:
        """Return the constants; an initializer that a caller may override is none."""
        is_old = self.model.ir_version < _FIRST_SEPARATE_INITIALIZERS
        free = set() if is_old else {info.name for info in graph.input}
        return ChainMap(
            {
                item.name: Held(tensor=item, store=self.store)
                for item in graph.initializer
                if item.name not in free
            }
        )

    def _sweep(self, graph: GraphProto, before: set[str]) -> bool:
        dead = sweeping.sweep(graph)
        for node in dead:
            self.done[f"removed unread {node.op_type}"].append(node_label(node))
        sweeping.release(graph, before)
        return bool(dead)

    def _visit(self, place: _Place, inferred: GraphProto | None) -> None:
        """Visit the nodes of one graph, bodies first."""
        changed = False
        for index, node in enumerate(place.graph.node):
            if place.alias:
                rename_reads(node, place.alias)
            self._visit_bodies(place, node, inferred.node[index] if inferred else None)
            was = self._changed
            self._changed = False
            if self._replace(place, node):
                self._changed = True
            else:
                place.nodes.append(node)
            changed |= self._changed
            self._changed |= was
        if changed:
            _write(place)

    def _visit_bodies(self, place: _Place, node: NodeProto, twin: NodeProto | None) -> None:
        bodies = list(bodies_of(node))
        # What onnx infers in the body of a loop may hold for its first turn only.
        twins = list(bodies_of(twin)) if twin is not None and node.op_type == "If" else []
        for position, body in enumerate(bodies):
            inner = twins[position] if twins else None
            own = _known(inner) if inner is not None else {}
            for name in _named_in(body) - own.keys():
                own[name] = Known(0, None)  # hides what a value of this name outside is
            weights = dict.fromkeys(_named_in(body), Held())  # these hide constants outside, too
            weights |= {item.name: Held(tensor=item) for item in body.initializer}
            below = _Place(
                body,
                place.known.new_child(own),
                place.constants.new_child(weights),
                {info.name for info in body.output},
                is_main=False,
            )
            self._visit(below, inner)
            for dead in sweeping.sweep(body):
                self.done[f"removed unread {dead.op_type}"].append(node_label(dead))
                self._changed = True

    def _replace(self, place: _Place, node: NodeProto) -> bool:
        """Do away with a node where that can be; True when it is gone."""
        if node.domain not in DEFAULT_DOMAINS:
            return False
        special = {"Constant": self._constant, "If": self._if, "Loop": self._loop}
        if node.op_type in special:
            return special[node.op_type](place, node)
        if any(name in place.outputs for name in node.output):
            return False
        source = stands_for(node, place.known, place.constants)
        if source is not None:
            place.alias[node.output[0]] = source
            self.done[f"removed {node.op_type} without effect"].append(node_label(node))
            return True
        return self._compute(place, node)

    def _constant(self, place: _Place, node: NodeProto) -> bool:
        tensor = literal(node)
        if tensor is None:
            return False
        name = node.output[0]
        place.constants[name] = Held(tensor=tensor)
        if not place.is_main or name in place.outputs:
            return False
        self._add(place, name, tensor)
        self.done["made an initializer of Constant"].append(node_label(node))
        return True

    def _if(self, place: _Place, node: NodeProto) -> bool:
        test = place.constants.get(node.input[0])
        value = None if test is None else test.array
        if value is None or value.size != 1:
            return False
        taken = "then_branch" if bool(value.reshape(-1)[0]) else "else_branch"
        body = inlining.body_of(node, taken)
        if body is None or body.sparse_initializer or len(body.output) < len(node.output):
            return False
        self._put(place, *inlining.inline(node, body, {}, list(node.output), self.names))
        self.done["inlined the branch of If"].append(node_label(node))
        return True

    def _loop(self, place: _Place, node: NodeProto) -> bool:
        body = inlining.body_of(node, "body")
        if body is None:
            return False
        count = inlining.trips(node, body, place.constants)
        if count is None:
            return False
        self._put(place, *inlining.unroll(node, body, count, self.names))
        self.done["unrolled Loop"].append(node_label(node))
        return True

    def _put(self, place: _Place, nodes: list[NodeProto], weights: list[TensorProto]) -> None:
        place.nodes += nodes
        for tensor in weights:
            if place.is_main:
                self._add(place, tensor.name, tensor)
            else:
                place.nodes.insert(0, _constant_node(tensor, NodeProto(name=tensor.name)))

    def _compute(self, place: _Place, node: NodeProto) -> bool:
        """Compute a node; True when its results are stored in its place."""
        found = _results(place, node, self.opset)
        if found is None:
            return False
        names = [name for name in node.output if name]
        for name, item in zip(names, found, strict=True):
            place.constants[name] = item
        grown = sum(item.nbytes for item in found) - found[0].stored
        if grown > _GROWTH or not names:
            return False
        tensors = [hold(item.array, name) for name, item in zip(names, found, strict=True)]
        for name, tensor in zip(names, tensors, strict=True):
            place.constants[name] = Held(tensor=tensor)
            if place.is_main:
                self._add(place, name, tensor)
            else:
                place.nodes.append(_constant_node(tensor, node))
        self.done[f"computed {node.op_type}"].append(node_label(node))
        return True

    def _add(self, place: _Place, name: str, tensor: TensorProto) -> None:
        """Add an initializer to the main graph."""
        item = place.graph.initializer.add()
        item.CopyFrom(tensor)
        item.name = name
        if self.store is not None:
            self.store.put(item)
        dims = [int(dim) for dim in tensor.dims]
        place.known[name] = Known(int(tensor.data_type), tuple(dims))
        place.constants[name] = Held(tensor=item, store=self.store)
        if self.model.ir_version < _FIRST_SEPARATE_INITIALIZERS:
            info = helper.make_tensor_value_info(name, tensor.data_type, dims)
            place.graph.input.append(info)


def _results(place: _Place, node: NodeProto, opset: int) -> list[Held] | None:
    """Return the values of a node that can be computed; all state the bytes they are made of."""
    if node.op_type in {"Shape", "Size"}:
        value = _measure(node, place.known.get(node.input[0]))
        return None if value is None else [Held(value=value, stored=value.nbytes)]
    given = [place.constants.get(name) if name else None for name in node.input]
    if not given or any(n and item is None for n, item in zip(node.input, given, strict=True)):
        return None  # the case of nearly every node
    if not evaluating.can_evaluate(node, opset) or _is_large(place, node):
        return None
    arrays = [None if item is None else item.array for item in given]
    if any(item is not None and array is None for item, array in zip(given, arrays, strict=True)):
        return None
    results = evaluating.evaluate(node, arrays, opset)
    if results is None:
        return None
    stored = sum(item.stored for item in given if item is not None)
    return [Held(value=value, stored=stored) for value in results]


def _is_large(place: _Place, node: NodeProto) -> bool:
    """Tell, before its inputs are decoded, that a result is above the bound."""
    return any(_bytes(place.known.get(name)) > evaluating.MOST_BYTES for name in node.output)


def _bytes(known: Known | None) -> int:
    """Return the size of a value; 0 when it is unknown."""
    if known is None or known.static is None or not known.dtype:
        return 0
    return prod(known.static) * helper.tensor_dtype_to_np_dtype(known.dtype).itemsize


def _measure(node: NodeProto, known: Known | None) -> Array | None:
    dims = None if known is None else known.shape
    if dims is None:
        return None
    bounds = {item.name: int(item.i) for item in node.attribute if item.type == AttributeProto.INT}
    rank = len(dims)
    start, end = bounds.get("start", 0), bounds.get("end", rank)
    start, end = (min(max(n + rank if n < 0 else n, 0), rank) for n in (start, end))
    wanted = dims if node.op_type == "Size" else dims[start:end]
    numbers = [dim for dim in wanted if isinstance(dim, int)]
    if len(numbers) < len(wanted):
        return None
    if node.op_type == "Size":
        return np.array(np.prod(numbers, dtype=np.int64), np.int64)
    return np.array(numbers, np.int64)


def _known(graph: GraphProto) -> dict[str, Known]:
    known = known_of((*graph.input, *graph.value_info, *graph.output))
    for item in graph.initializer:
        known[item.name] = Known(int(item.data_type), tuple(int(dim) for dim in item.dims))
    return known


def _named_in(graph: GraphProto) -> set[str]:
    names = {info.name for info in graph.input}
    names.update(name for node in graph.node for name in node.output)
    return names


def _write(place: _Place) -> None:
    copies = [NodeProto.FromString(node.SerializeToString()) for node in place.nodes]
    del place.graph.node[:]
    place.graph.node.extend(copies)


def _constant_node(tensor: TensorProto, node: NodeProto) -> NodeProto:
    """Return a Constant node for the body of a subgraph, with the metadata of what it replaces."""
    made: NodeProto = helper.make_node("Constant", [], [tensor.name], name=node.name, value=tensor)
    made.metadata_props.extend(node.metadata_props)
    made.doc_string = node.doc_string
    return made


def _is_open(node: NodeProto) -> bool:
    return node.op_type in _OPEN or any(True for _ in bodies_of(node))
