"""The graph as the page gets it: nodes, tensors between them, modules, bodies."""

from itertools import pairwise

import onnx
import pytest
from onnx import NodeProto, StringStringEntryProto, TensorProto, helper

from npugate.facts import Facts, topology
from npugate.limits import Limits
from npugate.model.reader import load
from npugate.report.graph_view import GraphView, ViewEdge


def node(name, scopes=None):
    made = NodeProto(name=name)
    if scopes is not None:
        made.metadata_props.append(
            StringStringEntryProto(key="pkg.torch.onnx.name_scopes", value=scopes)
        )
    return made


@pytest.mark.parametrize(
    ("made", "scope"),
    [
        (node("/encoder/block/block.1/Conv"), "encoder/block/1"),
        (node("/Conv"), ""),
        (node("Conv_3"), ""),
        (node(""), ""),
        (node("model/layer/Conv2D"), "model/layer"),
        (node("n", "['', 'spatial', 'spatial.1', 'relu']"), "spatial/1"),
        (node("n", "['', 'relu']"), ""),
        (node("/a/b", '["", "it\'s", "x"]'), "it's"),
        (node("/a/b", "no list"), ""),
        (node("/" * 5_000 + "x"), ""),
    ],
)
def test_a_module_is_what_the_exporter_wrote(made, scope):
    assert topology.scope_of(made) == scope


@pytest.fixture
def facts(tmp_path):
    def examined(graph):
        path = tmp_path / "m.onnx"
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
        onnx.save(model, path)
        return Facts(load(path, "m.onnx", Limits()))

    return examined


def value(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def chain(count):
    names = [f"t{n}" for n in range(count + 1)]
    nodes = [helper.make_node("Relu", [a], [b], name=f"stage/{b}") for a, b in pairwise(names)]
    return helper.make_graph(nodes, "g", [value(names[0], 1, 2)], [value(names[-1], 1, 2)])


def test_nodes_are_in_order_with_their_types_and_joined_by_their_tensors(facts):
    view = topology.view(facts(chain(3)).graphs)
    assert [(n.label, n.op_type, n.scope, n.outputs) for n in view.nodes] == [
        (f"stage/t{n}", "Relu", "stage", ("float[1,2]",)) for n in (1, 2, 3)
    ]
    assert view.edges == (ViewEdge(0, 1), ViewEdge(1, 2))
    assert view.left_out == 0


def test_a_tensor_that_is_read_twice_is_one_edge(facts):
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="a"),
        helper.make_node("Add", ["a", "a"], ["y"], name="y"),
    ]
    graph = helper.make_graph(nodes, "g", [value("x", 1)], [value("y", 1)])
    assert topology.view(facts(graph).graphs).edges == (ViewEdge(0, 1),)


def test_a_body_hangs_below_its_node_and_reads_from_outside(facts):
    then = helper.make_graph(
        [
            helper.make_node("Relu", ["outer"], ["p"], name="reads"),
            helper.make_node("Neg", ["p"], ["q"], name="inner"),
        ],
        "then",
        [],
        [value("q", 1)],
    )
    other = helper.make_graph(
        [helper.make_node("Constant", [], ["r"], value_floats=[1.0], name="alone")],
        "else",
        [],
        [value("r", 1)],
    )
    nodes = [
        helper.make_node("Abs", ["x"], ["outer"], name="abs"),
        helper.make_node("If", ["c"], ["y"], name="if", then_branch=then, else_branch=other),
    ]
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    graph = helper.make_graph(nodes, "g", [value("x", 1), condition], [value("y", 1)])
    view = topology.view(facts(graph).graphs)
    labels = [n.label for n in view.nodes]
    edges = {(labels[e.source], labels[e.target]) for e in view.edges}
    assert edges == {("abs", "reads"), ("reads", "inner"), ("if", "alone")}
    assert {n.graph for n in view.nodes} == {"", "if.then_branch", "if.else_branch"}


def test_what_is_beyond_the_limit_is_counted(facts):
    view = topology.view(facts(chain(5)).graphs, most=2)
    assert (len(view.nodes), view.edges, view.left_out) == (2, (ViewEdge(0, 1),), 3)


def test_a_model_without_nodes_is_empty(facts):
    graph = helper.make_graph([], "g", [value("x", 1)], [value("x", 1)])
    assert topology.view(facts(graph).graphs) == GraphView()


def test_a_constant_is_told_and_what_a_quantiser_put_in_joins_its_module(facts):
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["wf"], name="w_dq"),
        helper.make_node("Add", ["x", "wf"], ["a"], name="net/block/Add"),
        helper.make_node("QuantizeLinear", ["a", "s"], ["q"], name="a_q"),
        helper.make_node("DequantizeLinear", ["q", "s"], ["y"], name="a_dq"),
    ]
    weights = [
        helper.make_tensor("w", TensorProto.UINT8, [2], [1, 2]),
        helper.make_tensor("s", TensorProto.FLOAT, [], [0.5]),
    ]
    graph = helper.make_graph(nodes, "g", [value("x", 2)], [value("y", 2)], weights)
    view = topology.view(facts(graph).graphs)
    assert [node.is_constant for node in view.nodes] == [True, False, False, False]
    assert {node.scope for node in view.nodes} == {"net/block"}


def test_a_tensor_is_told_with_what_is_known_of_it(facts):
    nodes = [
        helper.make_node("Thing", ["x"], ["a"], name="a", domain="own"),
        helper.make_node("Thing", ["x"], ["b"], name="b", domain="own"),
        helper.make_node("Thing", ["x"], ["c"], name="c", domain="own"),
    ]
    known = [
        helper.make_tensor_value_info("b", TensorProto.INT8, [2, None]),
        helper.make_tensor_value_info("c", TensorProto.FLOAT, None),
    ]
    graph = helper.make_graph(nodes, "g", [value("x", 2)], [value("y", 2)], value_info=known)
    view = topology.view(facts(graph).graphs)
    assert [node.outputs for node in view.nodes] == [("?[?]",), ("int8[2,?]",), ("float[?]",)]
