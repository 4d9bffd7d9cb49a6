"""What a rule of the table may read and do: the values around one node, and new nodes for it."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence

import numpy as np
from msgspec import Struct, field
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from npugate.facts.graph import Array
from npugate.surgery.node import NoFormError
from npugate.surgery.scope import Names
from npugate.surgery.shapes import Known
from npugate.surgery.values import Constants, Held

Attribute = int | float | str | list[int]
_REDUCE_AXES_AS_INPUT = 18


class RewriteContext(Struct):
    """One graph under conversion.

    Attributes:
        graph: the message; bodies get constants as nodes, the main graph as initializers.
        source, goal: versions of ai.onnx.
        known: types and shapes of the values it can see.
        constants: the constants it can see.
        names: source of new names.
        read: values that some node or output of this graph reads.
        is_main: False in the body of a subgraph.
        base: the node at hand; new nodes get its metadata.
        made: nodes made for the node at hand, in order.
    """

    graph: GraphProto
    source: int
    goal: int
    known: ChainMap[str, Known]
    constants: Constants
    names: Names
    read: set[str]
    is_main: bool
    base: NodeProto = field(default_factory=NodeProto)
    made: list[NodeProto] = field(default_factory=list)

    def dims(self, name: str) -> tuple[int, ...]:
        """Return the static shape of a value.

        Raises:
            NoFormError: it is not static.
        """
        known = self.known.get(name)
        if known is None or known.static is None:
            raise NoFormError(f"the shape of {name!r} is not known at compile time")
        return known.static

    def rank(self, name: str) -> int:
        """Return the number of axes of a value.

        Raises:
            NoFormError: it is unknown.
        """
        known = self.known.get(name)
        if known is None or known.shape is None:
            raise NoFormError(f"the rank of {name!r} is not known")
        return len(known.shape)

    def dtype(self, name: str) -> int:
        """Return the type of a value.

        Raises:
            NoFormError: it is unknown.
        """
        known = self.known.get(name)
        if known is None or not known.dtype:
            raise NoFormError(f"the type of {name!r} is not known")
        return known.dtype

    def array(self, node: NodeProto, position: int, what: str) -> Array | None:
        """Return a constant input as T[*dims]; None when it is left out.

        Raises:
            NoFormError: it is computed.
        """
        if position >= len(node.input) or not node.input[position]:
            return None
        held = self.constants.get(node.input[position])
        value = None if held is None else held.array
        if value is None:
            raise NoFormError(f"its {what} are not constant")
        return value

    def constant(self, value: Array, base: str) -> str:
        """Make a constant T[*dims]; return its name."""
        name = self.names.fresh(f"{self.base.name or self.base.op_type}/{base}")
        tensor = numpy_helper.from_array(np.array(value, order="C"), name)
        if self.is_main:
            self.graph.initializer.append(tensor)
        else:
            self.made.append(helper.make_node("Constant", [], [name], name=name, value=tensor))
        self.known[name] = Known(int(tensor.data_type), tuple(tensor.dims))
        self.constants[name] = Held(tensor=tensor)
        return name

    def scalar(self, number: float, like: str) -> str:
        """Make a 0-dimensional constant of the type of a value."""
        dtype = helper.tensor_dtype_to_np_dtype(self.dtype(like))
        return self.constant(np.array(number, dtype), "number")

    def int64(self, numbers: Sequence[int], base: str) -> str:
        """Make a vector of 64-bit integers."""
        return self.constant(np.array(numbers, np.int64), base)

    def emit(
        self, op_type: str, inputs: Sequence[str], output: str = "", **attributes: Attribute
    ) -> str:
        """Add a node with one output; return the output's name."""
        base = self.base.name or self.base.op_type
        name = output or self.names.fresh(f"{base}/{op_type}")
        node = helper.make_node(op_type, list(inputs), [name])
        node.attribute.extend(
            helper.make_attribute(key, value) for key, value in sorted(attributes.items())
        )
        node.name = self.names.fresh(base)
        node.metadata_props.extend(self.base.metadata_props)
        node.doc_string = self.base.doc_string
        self.made.append(node)
        return name

    def mean(self, source: str, axes: list[int], output: str = "") -> str:
        """Add a ReduceMean that keeps its axes."""
        if self.goal >= _REDUCE_AXES_AS_INPUT:
            return self.emit("ReduceMean", [source, self.int64(axes, "axes")], output)
        return self.emit("ReduceMean", [source], output, axes=axes, keepdims=1)

    def reshape(self, source: str, dims: Sequence[int], output: str = "") -> str:
        """Add a Reshape."""
        made = self.emit("Reshape", [source, self.int64(list(dims), "shape")], output)
        if source in self.known:
            self.known[made] = Known(self.known[source].dtype, tuple(dims))
        return made


def attribute(node: NodeProto, name: str) -> Attribute | None:
    """Return an attribute as plain Python; None when it is absent."""
    for item in node.attribute:
        if item.name == name:
            value = helper.get_attribute_value(item)
            if isinstance(value, bytes):
                return value.decode()
            plain: Attribute = list(value) if isinstance(value, Sequence) else value
            return plain
    return None


def integer(node: NodeProto, name: str, default: int) -> int:
    """Return an INT attribute."""
    value = attribute(node, name)
    return value if isinstance(value, int) else default


def integers(node: NodeProto, name: str) -> list[int] | None:
    """Return an INTS attribute; None when it is absent."""
    value = attribute(node, name)
    return [int(item) for item in value] if isinstance(value, list) else None


def text(node: NodeProto, name: str, default: str) -> str:
    """Return a STRING attribute."""
    value = attribute(node, name)
    return value if isinstance(value, str) else default


def put(node: NodeProto, name: str, value: Attribute | None) -> None:
    """Set an attribute; None removes it."""
    for index in reversed(range(len(node.attribute))):
        if node.attribute[index].name == name:
            del node.attribute[index]
    if value is not None:
        node.attribute.append(helper.make_attribute(name, value))


def put_input(node: NodeProto, position: int, name: str) -> None:
    """Set an input; those before it that do not exist are left out."""
    while len(node.input) <= position:
        node.input.append("")
    node.input[position] = name


FLOATS = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE})
