"""One model being edited: read what is known, make nodes, change links."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from npugate.facts.graph import Array, whole_numbers
from npugate.surgery import linking
from npugate.surgery.lineage import Lineage
from npugate.surgery.node import (
    DEFAULT_DOMAINS,
    Attribute,
    Dims,
    Node,
    NoFormError,
    Rewritten,
    Value,
)
from npugate.surgery.shapes import Known, infer
from npugate.surgery.weight_store import WeightStore


class Draft:
    """A private copy of a model, linked for editing.

    Attributes:
        graph: the main graph as onnx-graphsurgeon links it. Bodies of subgraphs are read only.
        opset: version of ai.onnx.
        repair: name of the repair at work; noted on the nodes it makes.
        lineage: which tensors hold the elements of a tensor of the original model.
    """

    def __init__(
        self, model: ModelProto, lineage: Lineage | None = None, store: WeightStore | None = None
    ) -> None:
        """Link a model for editing. The draft takes the message over: hand it a copy.

        Args:
            model: ai.onnx imported, no local functions, every node with a name of its own.
            lineage: of an earlier draft of the same original; None when this is the original.
            store: holds the weights that the model refers to, and takes new ones.

        Raises:
            EditError: it holds what this layer would lose.
        """
        linking.refuse(model)
        self.repair = ""
        self.opset = linking.opset_of(model)
        self.captured = linking.captured_by_bodies(model)
        self._names = linking.names_in(model) | self.captured
        self.lineage = lineage or Lineage(frozenset(self._names))
        self._known = dict(infer(model))
        self._proto = model
        self._store = store
        self.graph = linking.link(model)
        self._held = {item.name: item for item in model.graph.initializer}
        self._made: dict[str, linking.Constant] = {}
        self._changed: set[str] = set()
        self._emitted: list[Node] = []
        self._at: Node | None = None
        self._count = 0

    # what is known of a value

    def dims(self, value: Value) -> Dims:
        """Return the static shape of a value.

        Raises:
            NoFormError: a dimension is unknown.
        """
        dims = self.maybe_dims(value)
        if dims is None:
            raise NoFormError(f"the shape of {value.name!r} is not known at compile time")
        return dims

    def maybe_dims(self, value: Value) -> Dims | None:
        """Return the static shape of a value; None when a dimension is unknown."""
        known = self._known.get(value.name)
        return None if known is None else known.static

    def rank(self, value: Value) -> int | None:
        """Return the number of dimensions; None when it is unknown."""
        known = self._known.get(value.name)
        return None if known is None or known.shape is None else len(known.shape)

    def dtype(self, value: Value) -> int:
        """Return the ``TensorProto`` data type of a value.

        Raises:
            NoFormError: it is unknown, or no tensor.
        """
        known = self._known.get(value.name)
        if known is None or not known.dtype:
            raise NoFormError(f"the type of {value.name!r} is not known")
        return known.dtype

    def array(self, value: Value | None) -> Array | None:
        """Return the value of an initializer or Constant node as T[*dims], else None; read-only."""
        if not linking.is_constant(value):
            maker = None if value is None else self.producer(value)
            return (
                linking.constant_of(maker) if maker is not None and maker.is_a("Constant") else None
            )
        held = self._held.get(value.name)  # not value.values, which would keep a second copy
        if held is None:
            return value.values
        stored = None if self._store is None else self._store.array(held)
        return np.asarray(numpy_helper.to_array(held)) if stored is None else stored

    def ints(self, value: Value | None) -> list[int] | None:
        """Return a constant vector of integers as a list; None when it is no such constant."""
        numbers = whole_numbers(self.array(value))
        return None if numbers is None else list(numbers)

    def is_output(self, value: Value) -> bool:
        """Tell whether a value is an output of the model."""
        return any(value is item for item in self.graph.outputs)

    def is_kept(self, value: Value) -> bool:
        """Tell whether a value's name must stay: an output, or read by the body of a subgraph."""
        return value.name in self.captured or self.is_output(value)

    def producer(self, value: Value) -> Node | None:
        """Return the node that makes a value."""
        return value.inputs[0] if value.inputs else None

    def consumers(self, value: Value) -> list[Node]:
        """Return the nodes of the main graph that read a value, once each."""
        return list({id(node): node for node in value.outputs}.values())

    @property
    def nodes(self) -> list[Node]:
        """The nodes of the main graph, in order."""
        return self.graph.nodes  # type: ignore[no-any-return]  # onnx-graphsurgeon has no types

    @property
    def outputs(self) -> list[Value]:
        """The outputs of the model."""
        return list(self.graph.outputs)

    @property
    def inputs(self) -> list[Value]:
        """The inputs that a user feeds."""
        return list(self.graph.inputs)

    # making things

    def name(self, base: str) -> str:
        """Return a name that nothing in the model has, made from a base."""
        stem = base.partition("~")[0]
        while True:
            self._count += 1
            name = f"{stem}~{self._count}"
            if name not in self._names:
                self._names.add(name)
                return name

    def constant(self, array: Array, base: str = "constant") -> Value:
        """Make an initializer of an array T[*dims]; T[] stays without axes."""
        value = linking.constant(self.name(base), np.array(array, order="C"))
        dtype = int(helper.np_dtype_to_tensor_dtype(value.values.dtype))
        self._known[value.name] = Known(dtype, tuple(array.shape))
        self._made[value.name] = value
        return value

    def int64(self, numbers: Sequence[int] | int, base: str = "constant") -> Value:
        """Make an initializer of 64-bit integers: a vector, or of one number a scalar."""
        return self.constant(np.array(numbers, np.int64), base)

    def variable(self, base: str, dims: Sequence[int], dtype: int) -> Value:
        """Make a value that no node makes yet."""
        value = linking.variable(self.name(base))
        self._know(value, dims, dtype)
        return value

    def emit(
        self,
        op_type: str,
        inputs: Sequence[Value | None],
        dims: Sequence[int],
        dtype: int,
        output: Value | None = None,
        domain: str = "",
        **attributes: Attribute | None,
    ) -> Value:
        """Add a node with one output in front of the node being rewritten.

        Args:
            op_type: the operator.
            inputs: in position order; None leaves an optional one out.
            dims: shape of the output.
            dtype: ``TensorProto`` data type of the output.
            output: an existing value that it makes from now on; None for a new one.
            domain: of the operator.
            attributes: None leaves one out.
        """
        outputs = [output] if output is not None else None
        return self.emit_many(op_type, inputs, [(dims, dtype)], outputs, domain, **attributes)[0]

    def emit_many(
        self,
        op_type: str,
        inputs: Sequence[Value | None],
        results: Sequence[tuple[Sequence[int], int]],
        outputs: Sequence[Value] | None = None,
        domain: str = "",
        **attributes: Attribute | None,
    ) -> list[Value]:
        """Add a node with several outputs, otherwise as ``emit``; results are (dims, dtype)."""
        base = self._at.outputs[0].name if self._at is not None and self._at.outputs else op_type
        made = list(outputs or (self.variable(base, *result) for result in results))
        for value, (dims, dtype) in zip(made, results, strict=True):
            list.clear(value.inputs)  # the node it had keeps its place for it until it is dropped
            self._know(value, dims, dtype)
        node = Node(
            op_type,
            self.name(self._at.label if self._at is not None else op_type),
            {key: item for key, item in attributes.items() if item is not None},
            [linking.left_out() if value is None else value for value in inputs],
            made,
            domain,
        )
        node.origin = self._at.origin if self._at is not None else NodeProto()
        node.is_new = True
        node.changed = set()
        self._emitted.append(node)
        return made

    def reshape(self, value: Value, dims: Sequence[int], output: Value | None = None) -> Value:
        """Return the same elements in another shape; a constant gets it without a node."""
        wanted = tuple(int(dim) for dim in dims)
        if output is None and self.maybe_dims(value) == wanted:
            return value
        array = self.array(value)
        if array is not None and array.size != prod(wanted):
            raise NoFormError(f"{value.name!r} has {array.size} elements, not {prod(wanted)}")
        if array is not None and output is None:
            return self.constant(array.reshape(wanted), value.name)
        shape = self.int64(list(wanted), "shape")
        made = self.emit("Reshape", [value, shape], wanted, self.dtype(value), output)
        self.same(value, made)
        return made

    def same(self, left: Value, right: Value) -> None:
        """Note that two values hold the same elements in the same order."""
        self.lineage.join(left.name, right.name)

    # changing things

    def rewrite(self, change: Callable[[Node], bool]) -> Rewritten:
        """Visit every node in order; put what is emitted for a node in its place.

        Args:
            change: emits what stands for the node and returns True, or leaves it and returns False.
                When it raises ``NoFormError``, the node stays as it was.
        """
        kept: list[Node] = []
        replaced = 0
        failures: list[tuple[Node, str]] = []
        for node in list(self.nodes):
            self._at, self._emitted = node, []
            try:
                is_gone = change(node)
            except NoFormError as error:
                failures.append((node, str(error)))
                self._undo(node)
                is_gone = False
            self._at = None
            kept += self._emitted
            if is_gone:
                self.drop(node)
                replaced += 1
            else:
                kept.append(node)
        self._emitted = []
        self.graph.nodes = kept
        return Rewritten(replaced, tuple(failures))

    def _undo(self, node: Node) -> None:
        for made in reversed(self._emitted):
            self.drop(made)
        for value in node.outputs:
            if not value.inputs:
                list.append(value.inputs, node)
        self._emitted = []

    def drop(self, node: Node) -> None:
        """Unlink a node; values that another node makes by now keep their maker."""
        node.inputs.clear()
        for value in node.outputs:
            if any(maker is node for maker in value.inputs):
                list.remove(value.inputs, node)
        list.clear(node.outputs)

    def insert_first(self, make: Callable[[], None]) -> None:
        """Run a function that emits nodes, and put them in front of every other."""
        self._emitted = []
        make()
        self.graph.nodes = [*self._emitted, *self.nodes]
        self._emitted = []

    def insert_last(self, make: Callable[[], None]) -> None:
        """Run a function that emits nodes, and put them behind every other."""
        self._emitted = []
        make()
        self.graph.nodes = [*self.nodes, *self._emitted]
        self._emitted = []

    def set_input(self, node: Node, position: int, value: Value) -> None:
        """Make a node read another value."""
        node.inputs[position] = value

    def set_attributes(self, node: Node, **attributes: Attribute | None) -> None:
        """Set attributes of a node; None removes one."""
        for key, item in attributes.items():
            if item is None:
                if node.attrs.pop(key, None) is None:
                    continue
            else:
                node.attrs[key] = item
            node.changed.add(key)

    def replace_reads(self, value: Value, other: Value) -> None:
        """Make every node that reads a value read another one. The name must not be kept."""
        for node in self.consumers(value):
            for position, item in enumerate(node.inputs):
                if item is value:
                    node.inputs[position] = other

    def sweep(self) -> int:
        """Remove nodes that nothing reads; return how many."""
        used = {value.name for value in self.graph.outputs} | self.captured
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if any(value.name in used for value in node.outputs if value.name):
                kept.append(node)
                used.update(value.name for value in node.inputs)
            else:
                self.drop(node)
        gone = len(self.nodes) - len(kept)
        self.graph.nodes = kept[::-1]
        return gone

    def declare(self, value: Value, dims: Sequence[int]) -> None:
        """Change the declared shape of an input or output of the model."""
        for info in (*self._proto.graph.input, *self._proto.graph.output):
            if info.name == value.name:
                shape = info.type.tensor_type.shape
                info.type.tensor_type.ClearField("shape")
                shape = info.type.tensor_type.shape
                for dim in dims:
                    shape.dim.add().dim_value = dim
        self._know(value, dims, self.dtype(value))

    def redirect_output(self, value: Value, dims: Sequence[int], declared: Sequence[int]) -> None:
        """Declare an output anew and fill it from a value of the old shape.

        Args:
            value: an output of the model.
            dims: its shape so far.
            declared: the new one, with the same elements in the same order.
        """
        dtype = self.dtype(value)
        inner = self.variable(value.name, dims, dtype)
        maker = self.producer(value)
        if maker is not None:
            position = next(i for i, item in enumerate(maker.outputs) if item is value)
            maker.outputs[position] = inner
        self.replace_reads(value, inner)
        self.declare(value, declared)
        self.insert_last(lambda: self._fill(inner, declared, value))

    def _fill(self, inner: Value, declared: Sequence[int], value: Value) -> None:
        self.reshape(inner, declared, value)

    def import_opset(self, version: int, ir_version: int | None = None) -> None:
        """Set the version of ai.onnx, and of the file format."""
        for item in self._proto.opset_import:
            if item.domain in DEFAULT_DOMAINS:
                item.version = version
        self.opset = version
        if ir_version is not None:
            self._proto.ir_version = ir_version

    def finish(self) -> ModelProto:
        """Return the edited model. The draft must not be used afterwards."""
        kept = {value.name for value in self.graph.outputs} | self.captured
        linking.write(self._proto, self.nodes, kept, self._made, self.repair, self._store)
        linking.prune(self._proto.graph, self._changed)
        return self._proto

    def _know(self, value: Value, dims: Sequence[int], dtype: int) -> None:
        known = Known(dtype, tuple(int(dim) for dim in dims))
        if self._known.get(value.name, known) != known:
            self._changed.add(value.name)
        self._known[value.name] = known
