"""The graph as rules see it: nodes and tensors linked both ways, every subgraph included.

Built once per model from the protobuf that shape inference returned; read only. An unnamed node
goes by its first output, so a place keeps its name when nodes are added elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import onnx
from msgspec import Struct, field
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from npugate.facts import provenance
from npugate.findings.values import Cost, Frame, Hit, Location, Severity
from npugate.model.node_label import label

Array = npt.NDArray[np.generic]
Dim = int | str | None
Shape = tuple[Dim, ...]
AttributeValue = (
    int | float | bytes | tuple[int, ...] | tuple[float, ...] | tuple[bytes, ...] | TensorProto
)

_ATTRIBUTE: Final = {
    AttributeProto.INT: "i",
    AttributeProto.FLOAT: "f",
    AttributeProto.STRING: "s",
    AttributeProto.TENSOR: "t",
    AttributeProto.INTS: "ints",
    AttributeProto.FLOATS: "floats",
    AttributeProto.STRINGS: "strings",
}
DATA_TYPES: Final = frozenset(TensorProto.DataType.values())
UNKNOWN_DOMAIN: Final = "npugate.unknown"  # structure.py moves undefined operators here
FOLDED: Final = "::folded"  # suffix of the initializers that carry a known value to its readers
_REPEATED: Final = frozenset({AttributeProto.INTS, AttributeProto.FLOATS, AttributeProto.STRINGS})


class Tensor(Struct, eq=False):
    """One value of a graph.

    Attributes:
        name: as in the file.
        dtype: ``onnx.TensorProto`` data type; 0 when unknown or no tensor (sequence, map).
        shape: None when even the rank is unknown; a dimension is an int, a symbol, or None.
        kind: ``input``, ``initializer``, ``node`` (made by a node) or ``undefined``.
        producer: the node that makes it; None for inputs and initializers.
        consumers: nodes that read it, subgraphs included, in file order.
        constant: the value where it is known at compile time and small (see ``Limits``), else None.
        is_constant: True when the value is fixed at compile time, held in memory or not.
        is_output: True for an output of its graph.
    """

    name: str
    graph: Graph
    dtype: int = 0
    shape: Shape | None = None
    kind: str = "undefined"
    producer: Node | None = None
    consumers: list[Node] = field(default_factory=list)
    constant: Array | None = None
    is_constant: bool = False
    is_output: bool = False

    @property
    def rank(self) -> int | None:
        """Number of dimensions; None when unknown."""
        return None if self.shape is None else len(self.shape)

    @property
    def static_shape(self) -> tuple[int, ...] | None:
        """The shape when every dimension is a number, else None."""
        if self.shape is None:
            return None
        for dim in self.shape:
            if not isinstance(dim, int):
                return None
        return cast("tuple[int, ...]", self.shape)  # asked most often of all: not built anew

    @property
    def elements(self) -> int | None:
        """Number of elements; None when the shape is not static."""
        dims = self.static_shape
        if dims is None:
            return None
        count = 1
        for dim in dims:
            count *= dim
        return count

    @property
    def is_graph_input(self) -> bool:
        """True for an input that the user feeds (initializers excluded)."""
        return self.kind == "input" and self.graph.parent is None

    def hit(
        self, message: str, severity: Severity | None = None, *, subject: str | None = None
    ) -> Hit:
        """Make a hit on this value, placed at its producer where it has one."""
        if self.producer is not None:
            return self.producer.hit(message, value=self.name, severity=severity, subject=subject)
        place = Location(graph=self.graph.path, value=self.name)
        return Hit(place, message, severity, subject=subject)


class Node(Struct, eq=False):
    """One operator of a graph.

    Attributes:
        index: position in its graph's node list.
        name: as in the file, possibly empty; ``label`` never is.
        inputs, outputs: tensors in position order; None where an optional one is left out.
        graph: the graph it belongs to.
        subgraphs: bodies held in its attributes, by attribute name.
    """

    index: int
    name: str
    op_type: str
    domain: str
    proto: NodeProto
    graph: Graph
    inputs: tuple[Tensor | None, ...] = ()
    outputs: tuple[Tensor | None, ...] = ()
    subgraphs: dict[str, Graph] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name; for an unnamed node its first output, else ``#index``."""
        outputs = (output.name for output in self.outputs if output is not None)
        return label(self.name, outputs, f"#{self.index}")

    @property
    def full_type(self) -> str:
        """Operator with its domain, for example ``Conv`` or ``com.microsoft.Gelu``."""
        return f"{self.domain}.{self.op_type}" if self.domain else self.op_type

    def input(self, position: int) -> Tensor | None:
        """Return the input at a position; None when it is left out."""
        return self.inputs[position] if position < len(self.inputs) else None

    def output(self, position: int = 0) -> Tensor | None:
        """Return the output at a position; None when it is left out."""
        return self.outputs[position] if position < len(self.outputs) else None

    def constant(self, position: int) -> Array | None:
        """Return an input that is known at compile time; None when it is not, or is not held.

        Returns:
            T[*dims] of the input's type and dimensions.
        """
        tensor = self.input(position)
        return None if tensor is None else tensor.constant

    def integers(self, position: int) -> tuple[int, ...] | None:
        """Return the elements of a constant input of whole numbers; None when there is none.

        A file may put numbers of any type where an operator wants integers.
        """
        tensor = self.input(position)
        return None if tensor is None else whole_numbers(tensor.constant)

    def has(self, attribute: str) -> bool:
        """Tell whether the attribute is written in the file."""
        return any(item.name == attribute for item in self.proto.attribute)

    def attribute(self, name: str) -> AttributeValue | None:
        """Return an attribute's value as plain Python, None when absent or a graph."""
        for item in self.proto.attribute:
            if item.name == name:
                slot = _ATTRIBUTE.get(item.type)
                if slot is None:
                    return None
                value = getattr(item, slot)
                return tuple(value) if item.type in _REPEATED else value
        return None

    def int_attribute(self, name: str, default: int) -> int:
        """Return an INT attribute, or the default when it is absent or of another type."""
        value = self.attribute(name)
        return value if isinstance(value, int) else default

    def ints_attribute(self, name: str) -> tuple[int, ...] | None:
        """Return an INTS attribute, None when it is absent or of another type."""
        value = self.attribute(name)
        if not isinstance(value, tuple):
            return None
        ints = tuple(item for item in value if isinstance(item, int))
        return ints if len(ints) == len(value) else None

    def text_attribute(self, name: str, default: str) -> str:
        """Return a STRING attribute as text, or the default when it is absent."""
        value = self.attribute(name)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else default

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The exporter's stack trace, innermost frame first; empty when the file has none."""
        return provenance.frames(self.proto)

    def location(self, value: str = "") -> Location:
        """Return this node's place, with the name of a value where one is meant."""
        return Location(self.graph.path, self.label, self.full_type, value)

    def hit(
        self,
        message: str,
        *,
        value: str = "",
        severity: Severity | None = None,
        subject: str | None = None,
        cost: Cost | None = None,
    ) -> Hit:
        """Make a hit on this node."""
        return Hit(self.location(value), message, severity, self.frames, subject, cost)


class Graph(Struct, eq=False):
    """One graph: the main one, or a body in an attribute of a node.

    Attributes:
        path: ``""`` for the main graph, else ``node/attribute`` from the outside in.
        parent: the graph that the owner node is in; None for the main graph.
        owner: the node that holds it and the attribute's name; None for the main graph.
        tensors: by name, those defined here; ``find`` looks outwards too.
    """

    path: str
    parent: Graph | None
    owner: tuple[Node, str] | None = None
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)

    def find(self, name: str) -> Tensor | None:
        """Return the value that a name means here: own, else from an outer graph."""
        scope: Graph | None = self
        while scope is not None:
            found = scope.tensors.get(name)
            if found is not None:
                return found
            scope = scope.parent
        return None


def whole_numbers(value: Array | None) -> tuple[int, ...] | None:
    """Return the elements of an integer array in row-major order; None for any other array.

    Args:
        value: int64[...] or another integer type; None is handed through.
    """
    if value is None or not value.dtype.name.startswith(("int", "uint")):
        return None  # the name, since numpy takes the four-bit integers to be of no kind
    return tuple(int(item) for item in value.reshape(-1).tolist())


def data_type(number: int) -> int:
    """Return an element type; 0, for unknown, when ONNX has none of that number."""
    return number if number in DATA_TYPES else 0


def shape_of(value: onnx.TypeProto) -> tuple[int, Shape | None]:
    """Return element type and shape of a type; (0, None) when it is no tensor."""
    if value.WhichOneof("value") != "tensor_type":
        return 0, None
    tensor = value.tensor_type
    if not tensor.HasField("shape"):
        return data_type(tensor.elem_type), None
    return data_type(tensor.elem_type), tuple([_dim(dim) for dim in tensor.shape.dim])


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    kind = dim.WhichOneof("value")
    if kind == "dim_value":
        return dim.dim_value if dim.dim_value >= 0 else None  # some exporters write -1 for unknown
    return (dim.dim_param or None) if kind == "dim_param" else None


def build(proto: GraphProto, inputs: frozenset[str]) -> Graph:
    """Link a shape-inferred graph.

    Args:
        proto: main graph, weights possibly declared as inputs instead of initializers.
        inputs: names of the real inputs of the main graph; other declared inputs are weights.
    """
    return _build(proto, "", None, inputs)


def _build(
    proto: GraphProto, path: str, parent: Graph | None, inputs: frozenset[str] | None
) -> Graph:
    graph = Graph(path, parent)
    types = {info.name: shape_of(info.type) for info in proto.value_info}
    for info in proto.output:
        if info.name not in types and info.HasField("type"):
            types[info.name] = shape_of(info.type)
    for info in proto.input:
        dtype, shape = shape_of(info.type)
        real = inputs is None or info.name in inputs
        tensor = Tensor(info.name, graph, dtype, shape, "input" if real else "initializer")
        tensor.is_constant = not real
        graph.tensors[info.name] = tensor
        if real:
            graph.inputs.append(tensor)
    for item in proto.initializer:
        if item.name.endswith(FOLDED):
            continue
        dtype = data_type(item.data_type)
        tensor = Tensor(item.name, graph, dtype, tuple(item.dims), "initializer")
        tensor.is_constant = True
        graph.tensors[item.name] = tensor
    for index, node in enumerate(proto.node):
        graph.nodes.append(_node(index, node, graph, types))
    for info in proto.output:
        output = graph.tensors.get(info.name) or graph.find(info.name)
        if output is None:
            output = graph.tensors[info.name] = Tensor(info.name, graph)
        output.is_output = True
        graph.outputs.append(output)
    return graph


def _node(
    index: int, proto: NodeProto, graph: Graph, types: dict[str, tuple[int, Shape | None]]
) -> Node:
    domain = "" if proto.domain in {"ai.onnx", UNKNOWN_DOMAIN} else proto.domain
    node = Node(index, proto.name, proto.op_type, domain, proto, graph)
    node.inputs = tuple([_used(name, node) if name else None for name in proto.input])
    outputs: list[Tensor | None] = []
    for name in proto.output:
        if not name:
            outputs.append(None)
            continue
        dtype, shape = types.get(name, (0, None))
        tensor = Tensor(name, graph, dtype, shape, "node", node)
        graph.tensors[name] = tensor
        outputs.append(tensor)
    node.outputs = tuple(outputs)
    for attribute in proto.attribute:
        if attribute.type == AttributeProto.GRAPH:
            path = f"{graph.path}/{node.label}.{attribute.name}".lstrip("/")
            body = _build(attribute.g, path, graph, None)
            body.owner = (node, attribute.name)
            node.subgraphs[attribute.name] = body
    return node


def _used(name: str, node: Node) -> Tensor:
    name = name.removesuffix(FOLDED)
    tensor = node.graph.find(name)
    if tensor is None:
        tensor = node.graph.tensors[name] = Tensor(name, node.graph)
    tensor.consumers.append(node)
    return tensor


def walk(graph: Graph) -> Iterator[Graph]:
    """Yield a graph and every body below it, outermost first."""
    yield graph
    for node in graph.nodes:
        for body in node.subgraphs.values():
            yield from walk(body)
