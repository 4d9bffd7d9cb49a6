"""The borders of the conditions on attributes and operands, beside the cases of every predicate."""

from npugate.target.constraints import PREDICATES
from tests.one_node import first_node

MAP = "float[1, 8, 16, 16] x"


def test_the_rank_of_the_first_operand_counts_unless_another_is_named():
    node = first_node("float[2, 3] x", "int64 i = {0}", "y = Gather <axis = 1> (x, i)")
    test = PREDICATES["input_rank_above"].test
    assert test(node, {"limit": 1}) == {"rank": 2, "limit": 1}
    assert test(node, {"limit": 0, "position": 1}) is None


def test_an_attribute_that_is_a_graph_is_not_judged():
    node = first_node(
        "bool c, float[1] x",
        "",
        "y = If (c) <then_branch = a () => (float[1] s) { s = Relu (x) },"
        " else_branch = b () => (float[1] t) { t = Abs (x) }>",
    )
    args = {"attribute": "then_branch", "values": [1]}
    assert PREDICATES["attribute_not_in"].test(node, args) is None
    assert PREDICATES["attribute_in"].test(node, args) is None


def test_a_node_without_operands_leaves_no_attribute_to_a_rank():
    node = first_node("", "", "y = Constant <value = float {1.0}> ()")
    assert PREDICATES["attribute_unset_above"].test(node, {"attribute": "axis", "rank": 2}) is None
