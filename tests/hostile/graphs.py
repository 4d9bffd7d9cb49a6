"""Graphs that made the program itself fail, hang or allocate; each is a few hundred bytes.

``GRAPHS`` maps the fault to the file's bytes and the rule that names it. What a fuzzer found is
built here anew, as small as the fault allows, with others of its kind.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

INT64, FLOAT = TensorProto.INT64, TensorProto.FLOAT
Edit = Callable[[ModelProto], object]

GRAPHS: dict[str, tuple[bytes, str]] = {}


def model(
    *nodes: NodeProto,
    shape=(1, 4),
    dtype=FLOAT,
    weights=(),
    result=(None, None),
    opset=17,
) -> ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", FLOAT, result)],
        [numpy_helper.from_array(np.array(array), name) for name, array in weights],
    )
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def add(name: str, rule: str, made: ModelProto, *edits: Edit) -> None:
    assert name not in GRAPHS, name
    for edit in edits:
        edit(made)
    GRAPHS[name] = made.SerializeToString(), rule


def relu() -> ModelProto:
    return model(helper.make_node("Relu", ["x"], ["y"]), result=(1, 4))


# --- numbers that nothing can hold ---------------------------------------------------------------

for version in (2**31, 2**63 - 1, -(2**31) - 1):
    add(
        f"opset {version} of an unused domain",
        "invalid-model",
        relu(),
        lambda made, version=version: made.opset_import.add(domain="a", version=version),
        lambda made: made.graph.node[0].attribute.add(name="bogus", type=2, i=1),
    )
    add(
        f"opset {version} of ai.onnx",
        "invalid-model",
        relu(),
        lambda made, version=version: made.opset_import[0].__setattr__("version", version),
    )
for number in (-2, 9999, 2**31 - 1):
    for side in ("input", "output"):
        add(
            f"data type {number} of an {side}",
            "invalid-model",
            relu(),
            lambda made, number=number, side=side: getattr(made.graph, side)[
                0
            ].type.tensor_type.__setattr__("elem_type", number),
        )


# --- functions -----------------------------------------------------------------------------------


def with_functions(*names: str, call: bool = True) -> ModelProto:
    made = relu()
    if call:
        made.graph.node[0].op_type, made.graph.node[0].domain = names[0], "loc"
    made.opset_import.add(domain="loc", version=1)
    for name in names:
        function = made.functions.add(name=name, domain="loc", input=["a"], output=["b"])
        function.node.append(helper.make_node("Relu", ["a"], ["b"]))
        function.opset_import.append(helper.make_opsetid("", 17))
    return made


add("a function twice", "invalid-model", with_functions("F", "F"))
add("a function three times", "invalid-model", with_functions("F", "G", "F", "F"))
add("a function twice that nobody calls", "invalid-model", with_functions("F", "F", call=False))


# --- constants that are no integers where integers are wanted ------------------------------------


def sliced(**given: object) -> ModelProto:
    parts = {"starts": [0], "ends": [4], "axes": [1]} | given
    nodes = helper.make_node("Slice", ["x", *parts], ["y"])
    return model(nodes, weights=[(name, np.asarray(value)) for name, value in parts.items()])


for name, made in {
    "an axis that is none": sliced(axes=np.array([280375465082881])),
    "a negative axis that is none": sliced(axes=np.array([-3])),
    "starts of rank two": sliced(starts=np.array([[0]])),
    "starts and ends of rank two": sliced(starts=np.array([[0]]), ends=np.array([[4]])),
    "axes of rank two": sliced(axes=np.array([[1]])),
    "scalars": sliced(starts=np.array(0), ends=np.array(4), axes=np.array(1)),
    "floats": sliced(starts=np.array([0.5]), ends=np.array([np.inf])),
    "an axis that is not a number": sliced(axes=np.array([np.nan])),
    "no bounds": sliced(starts=np.zeros(0, np.int64)),
}.items():
    add(f"Slice with {name}", "", made)


def shaped(operator: str, value: np.ndarray, **attributes: object) -> ModelProto:
    node = helper.make_node(operator, ["x", "to"], ["y"], **attributes)
    return model(node, weights=[("to", value)])


for value in (np.nan, np.inf, -np.inf, 1e300):
    for operator in ("Reshape", "Expand", "Tile", "Unsqueeze", "Squeeze", "Pad", "ReduceSum"):
        add(f"{operator} by {value}", "", shaped(operator, np.array([value, 1.0])))


def constant_axes(value: float) -> ModelProto:
    held = numpy_helper.from_array(np.array([value], np.float32), "v")
    first = helper.make_node("Constant", [], ["axes"], value=held)
    return model(first, helper.make_node("Unsqueeze", ["x", "axes"], ["y"]))


add("Unsqueeze by a Constant that is no number", "", constant_axes(np.nan))


def quantized(zero: np.ndarray, **scaled: object) -> ModelProto:
    nodes = (
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], **scaled),
        helper.make_node("Conv", ["x", "w"], ["y"]),
    )
    scale = np.ones(np.shape(zero), np.float32)
    weights = [("q", np.ones((4, 3, 1, 1), np.int8)), ("s", scale), ("z", zero)]
    return model(*nodes, shape=(1, 3, 8, 8), weights=weights, result=(1, 4, 8, 8))


add("a zero point that is no number", "", quantized(np.array(np.nan, np.float32)))
add("zero points that are infinite", "", quantized(np.full(4, np.inf, np.float32), axis=0))


def scalar_weight() -> ModelProto:
    made = quantized(np.zeros(4, np.int8), axis=0)
    made.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array(1, np.int8), "q"))
    return made


add("scales along an axis of a scalar", "", scalar_weight())


# --- attributes that do not fit ------------------------------------------------------------------


def permuted(perm: list[int], shape=(1, 4)) -> ModelProto:
    scale = [("s", np.float32(0.5)), ("z", np.int8(0))]
    nodes = (
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["a"]),
        helper.make_node("DequantizeLinear", ["a", "s", "z"], ["b"]),
        helper.make_node("Transpose", ["b"], ["c"], perm=perm),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["d", "s", "z"], ["y"]),
    )
    return model(*nodes, shape=shape, weights=scale, result=(1, 4))


for perm in ([0, 3, 1, 2], [0], [0, 0], [-1, 0], [2**62, 0]):
    add(f"Transpose by {perm} of rank 2", "shape-inference-failed", permuted(perm))


# --- C++ that does not end, or allocates without end ---------------------------------------------


def einsum(equation: bytes) -> ModelProto:
    node = helper.make_node("Einsum", ["x"], ["y"])
    node.attribute.add(name="equation", type=3, s=equation)
    return model(node, shape=(), result=(None,))


add("Einsum of letters that are none", "invalid-model", einsum(b"\xff\xff\xff\xff"))
add("Einsum of digits", "invalid-model", einsum(b"0->0"))


def vector(length: int) -> ModelProto:
    """Make a cycle, so that shapes stay open, which reads a vector of a declared length."""
    made = model(helper.make_node("Add", ["y", "w"], ["y"]), opset=14)
    made.graph.initializer.add(name="w", data_type=FLOAT, dims=[length], raw_data=bytes(15))
    return made


add("a vector of 2^31 elements", "tensor-data-mismatch", vector(2**31))
add("a vector of 2^40 elements", "tensor-data-mismatch", vector(2**40))


def by_vector(operator: str, length: int) -> ModelProto:
    """Make an operator whose result has as many dimensions as a declared vector is long."""
    inputs = ["s"] if operator == "ConstantOfShape" else ["x", "s"]
    made = model(helper.make_node(operator, inputs, ["y"]), result=())
    made.graph.output[0].type.tensor_type.ClearField("shape")
    made.graph.input.append(helper.make_tensor_value_info("s", INT64, [length]))
    return made


for operator in ("Reshape", "Expand", "ConstantOfShape", "Tile"):
    add(f"{operator} to 2^31 dimensions", "", by_vector(operator, 2**31))


# --- figures without end in the estimates --------------------------------------------------------


def int8_layer(operator: str, dims: list[int], shape: list[int], **given: object) -> ModelProto:
    """Make a layer in QDQ whose weight only claims its dimensions."""
    nodes = (
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["a"]),
        helper.make_node("DequantizeLinear", ["a", "s", "z"], ["b"]),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["c"]),
        helper.make_node(operator, ["b", "c"], ["d"], **given),
        helper.make_node("QuantizeLinear", ["d", "s", "z"], ["e"]),
        helper.make_node("DequantizeLinear", ["e", "s", "z"], ["y"]),
    )
    scale = [("s", np.float32(0.5)), ("z", np.int8(0))]
    made = model(*nodes, shape=shape, weights=scale, result=(None,) * len(shape))
    made.graph.initializer.add(name="w", data_type=TensorProto.INT8, dims=dims)
    return made


for size in (10**5, 10**9, 10**18):
    rule = "tensor-data-mismatch"
    conv = int8_layer("Conv", [4, 3, size, size], [1, 3, 8, 8])
    add(f"a kernel of {size} x {size}", rule, conv)
    add(f"a kernel 1 x {size}", rule, int8_layer("Conv", [4, 3, 1, size], [1, 3, 8, 8]))


def many_heads(heads: int) -> ModelProto:
    scale = [("s", np.float32(0.5)), ("z", np.int8(0))]
    nodes = (
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["a"]),
        helper.make_node("DequantizeLinear", ["a", "s", "z"], ["b"]),
        helper.make_node("Transpose", ["b"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("QuantizeLinear", ["t", "s", "z"], ["tq"]),
        helper.make_node("DequantizeLinear", ["tq", "s", "z"], ["td"]),
        helper.make_node("MatMul", ["b", "td"], ["d"]),
        helper.make_node("QuantizeLinear", ["d", "s", "z"], ["e"]),
        helper.make_node("DequantizeLinear", ["e", "s", "z"], ["y"]),
    )
    return model(*nodes, shape=(1, heads, 2, 2), weights=scale, result=(1, heads, 2, 2))


for heads in (10**6, 2**31, 2**62):
    add(f"a product of {heads} heads", "", many_heads(heads))
