"""The mended copy of a model, and the words of each fault."""

import onnx
import pytest
from onnx import TensorProto, helper

from npugate.facts import structure
from npugate.findings.values import Location
from npugate.rules import testing


def model(nodes, signature="(float[1, 8] x) => (float[1, 8] y)", constants="", opset=14):
    return testing.model_from_text(
        f'<ir_version: 8, opset_import: ["" : {opset}]> net {signature} <{constants}> {{ {nodes} }}'
    )


def faults(skeleton):
    return [(item.rule, item.message, item.location) for item in skeleton.problems]


def test_a_sound_model_is_copied_without_a_fault():
    proto = model("a = Abs (x) y = Relu (a)")
    before = proto.SerializeToString()
    skeleton = structure.legalise(proto)
    assert faults(skeleton) == []
    assert proto.SerializeToString() == before
    assert skeleton.inputs == {"x"}
    assert skeleton.opsets == {"": 14}


def test_a_weight_that_is_not_held_is_declared_and_no_input():
    proto = model("y = Add (x, w)", constants="float[1, 8] w")
    proto.graph.initializer[0].ClearField("raw_data")
    proto.graph.initializer[0].ClearField("float_data")
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [1, 8]))
    skeleton = structure.legalise(proto)
    graph = skeleton.proto.graph
    assert [info.name for info in graph.input] == ["x", "w"]
    assert [dim.dim_value for dim in graph.input[1].type.tensor_type.shape.dim] == [1, 8]
    assert not graph.initializer
    assert skeleton.inputs == {"x"}


def test_a_weight_that_is_held_stays_an_initializer():
    proto = model("y = Add (x, w)", constants="float[1, 8] w")
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [1, 8]))
    graph = structure.legalise(proto).proto.graph
    assert [info.name for info in graph.input] == ["x"]
    assert [item.name for item in graph.initializer] == ["w"]


@pytest.mark.parametrize(
    ("version", "mended", "rules"),
    [
        (0, 4, ["invalid-model"]),
        (1, 4, ["initializer-not-input"]),
        (3, 4, ["initializer-not-input"]),
        (4, 4, []),
        (8, 8, []),
        (onnx.IR_VERSION + 5, onnx.IR_VERSION, []),
    ],
)
def test_the_version_of_the_format_is_one_that_readers_know(version, mended, rules):
    proto = model("t = Add (x, w) y = Mul (t, v)", constants="float[1, 8] w, float[1, 8] v")
    proto.ir_version = version
    skeleton = structure.legalise(proto)
    assert skeleton.proto.ir_version == mended
    assert [item.rule for item in skeleton.problems] == rules
    if rules == ["initializer-not-input"]:
        wanted = f"IR version {version} wants every initializer among the inputs"
        message = f"{wanted}; 2 of 2 are not, the first is 'v'"
        assert faults(skeleton)[0][1:] == (message, Location(value="v"))


def test_a_name_that_is_made_again_gets_another():
    proto = model("a = Abs (x) b = Neg (x) y = Relu (a)")
    proto.graph.node[1].output[0] = "a"
    skeleton = structure.legalise(proto)
    assert faults(skeleton) == [
        ("duplicate-name", "value 'a' is made twice", Location("", "a", "Neg", "a"))
    ]
    assert [node.output[0] for node in skeleton.proto.graph.node] == ["a", "a::1.0", "y"]


def test_a_node_that_makes_an_input_is_told_so():
    proto = model("x = Abs (w) y = Relu (x)", constants="float[1, 8] w")
    skeleton = structure.legalise(proto)
    assert faults(skeleton) == [
        (
            "duplicate-name",
            "value 'x' is also an input or initializer",
            Location("", "x", "Abs", "x"),
        )
    ]


def test_nodes_of_one_name_are_counted():
    proto = model("a = Abs (x) b = Abs (a) y = Relu (b)")
    for node in proto.graph.node:
        node.name = "same"
    (fault,) = faults(structure.legalise(proto))
    assert fault == (
        "duplicate-node-name",
        "3 nodes are named 'same'; reports and repairs cannot tell them apart",
        Location(graph="", node="same"),
    )


def test_a_value_nobody_makes_is_told_once_for_its_first_reader():
    proto = model("a = Add (x, ghost) b = Mul (a, ghost) y = Relu (b)")
    assert faults(structure.legalise(proto)) == [
        (
            "undefined-value",
            "Add reads 'ghost', which no input, initializer or node makes",
            Location("", "a", "Add", "ghost"),
        )
    ]


def test_nodes_are_put_into_an_order_near_that_of_the_file():
    skeleton = structure.legalise(model("y = Relu (b) b = Abs (a) a = Neg (x) c = Exp (x)"))
    assert [node.output[0] for node in skeleton.proto.graph.node] == ["a", "b", "y", "c"]
    assert faults(skeleton) == [
        (
            "unsorted-nodes",
            "node 'y' reads 'b' before the node that makes it",
            Location("", "y", "Relu", "b"),
        )
    ]


def test_a_cycle_is_named_with_its_nodes():
    skeleton = structure.legalise(model("a = Add (x, c) b = Abs (a) c = Neg (b) y = Relu (c)"))
    assert faults(skeleton) == [
        ("invalid-model", "the graph has a cycle through 'a', 'b', 'c'", Location(""))
    ]


def test_a_long_cycle_is_named_with_the_first_five():
    chain = " ".join(f"v{i} = Abs (v{i - 1})" for i in range(1, 8))
    skeleton = structure.legalise(model(f"v0 = Neg (v7) {chain} y = Relu (v7)"))
    ((_, message, _),) = faults(skeleton)
    assert message == "the graph has a cycle through 'v0', 'v1', 'v2', 'v3', 'v4'"


def test_the_order_counts_what_a_body_reads():
    branches = (
        "<then_branch = a () => (float[1, 8] p) { p = Relu (m) },"
        " else_branch = b () => (float[1, 8] q) { q = Abs (x) }>"
    )
    skeleton = structure.legalise(
        model(f"y = If (t) {branches} m = Neg (x)", "(float[1, 8] x, bool t) => (float[1, 8] y)")
    )
    assert [node.op_type for node in skeleton.proto.graph.node] == ["Neg", "If"]
    assert [item.rule for item in skeleton.problems] == ["unsorted-nodes"]
    node = skeleton.proto.graph.node[1]
    assert list(structure.reads(node)) == ["t", "m", "x"]


@pytest.mark.parametrize(
    ("dims", "symbol", "mended"),
    [
        (["N", 8], "N", [1, 8]),
        ([None, 8], "?", [1, 8]),
        ([0, 8], "?", [1, 8]),
        ([-1, 8], "?", [1, 8]),
        ([1, 8], None, [1, 8]),
        ([3, 8], None, [3, 8]),
        (["N"], None, [0]),
        ([], None, []),
    ],
)
def test_an_open_leading_axis_is_a_batch_of_one(dims, symbol, mended):
    proto = model("y = Relu (x)")
    fed = helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)
    proto.graph.input[0].CopyFrom(fed)
    skeleton = structure.legalise(proto)
    assert skeleton.symbolic_batches == ({} if symbol is None else {"x": symbol})
    shape = skeleton.proto.graph.input[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == mended


def test_stale_shapes_are_forgotten_but_for_operators_nobody_infers():
    proto = testing.model_from_text(
        '<ir_version: 8, opset_import: ["" : 14, "own" : 1]>'
        " net (float[N, 8] x) => (float[9, 9] y, float[N, 9] z)"
        " { a = Abs (x) b = own.Thing (a) y = Relu (b) z = own.Thing (y) }"
    )
    for name in ("a", "b"):
        info = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 7, "M"])
        proto.graph.value_info.append(info)
    graph = structure.legalise(proto).proto.graph
    (kept,) = graph.value_info
    assert kept.name == "b"
    dims = kept.type.tensor_type.shape.dim
    assert [dim.dim_value or dim.dim_param for dim in dims] == [1, 7, "M"]
    assert not graph.output[0].type.tensor_type.HasField("shape")  # computed
    assert graph.output[1].type.tensor_type.HasField("shape")  # of an operator nobody infers
    assert structure.declared_shapes(proto) == {"y": (9, 9), "z": (None, 9)}


def test_an_output_without_type_or_shape_is_told():
    proto = model("y = Relu (x) z = Abs (x) w = Neg (x)")
    proto.graph.output.append(helper.make_value_info("z", onnx.TypeProto()))
    proto.graph.output.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, None))
    assert faults(structure.legalise(proto)) == [
        (
            "output-without-shape",
            "graph output 'z' has neither type nor shape",
            Location(value="z"),
        ),
        ("output-without-shape", "graph output 'w' has no shape", Location(value="w")),
    ]
    assert structure.declared_shapes(proto) == {"y": (1, 8)}


def test_a_data_type_that_does_not_exist_is_told():
    proto = model("y = Relu (x)")
    proto.graph.input[0].type.tensor_type.elem_type = 99
    proto.graph.output[0].type.tensor_type.elem_type = 98
    assert faults(structure.legalise(proto)) == [
        (
            "invalid-model",
            "input 'x' has the data type 99, which does not exist",
            Location(value="x"),
        ),
        (
            "invalid-model",
            "output 'y' has the data type 98, which does not exist",
            Location(value="y"),
        ),
    ]


FUNCTION = """
    <ir_version: 8, opset_import: ["" : 14, "own" : 1]>
    net (float[1, 8] x) => (float[1, 8] y) { y = own.twice (x) }
    <domain: "own", opset_import: ["" : 14]> twice (a) => (c) { b = Relu (a) c = Abs (b) }
"""


def test_a_local_function_is_written_out():
    skeleton = structure.legalise(onnx.parser.parse_model(FUNCTION))
    assert [node.op_type for node in skeleton.proto.graph.node] == ["Relu", "Abs"]
    assert faults(skeleton) == []


def test_a_second_function_of_one_name_is_left_out_and_told():
    proto = onnx.parser.parse_model(FUNCTION)
    for _ in range(2):
        second = proto.functions.add()
        second.CopyFrom(proto.functions[0])
        second.node[0].op_type = "Neg"
    skeleton = structure.legalise(proto)
    assert [node.op_type for node in skeleton.proto.graph.node] == ["Relu", "Abs"]
    message = "the local function 'own.twice' is defined more than once"
    assert faults(skeleton) == [("invalid-model", message, Location(graph="own.twice"))] * 2


def test_a_body_has_a_name_and_its_own_place():
    branches = (
        "<then_branch = a () => (float[1, 8] p) { p = Relu (ghost) },"
        " else_branch = b () => (float[1, 8] q) { q = Abs (x) }>"
    )
    proto = model(f"y = If (t) {branches}", "(float[1, 8] x, bool t) => (float[1, 8] y)")
    for attribute in proto.graph.node[0].attribute:
        attribute.g.ClearField("name")
    skeleton = structure.legalise(proto)
    assert {item.g.name for item in skeleton.proto.graph.node[0].attribute} == {"body"}
    ((_, _, place),) = faults(skeleton)
    assert place == Location("y.then_branch", "p", "Relu", "ghost")
