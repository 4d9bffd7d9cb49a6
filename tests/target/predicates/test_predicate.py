"""How a predicate is declared and reads a node."""

from pathlib import Path

from npugate.facts import Facts
from npugate.limits import Limits
from npugate.model.reader import read
from npugate.rules import testing
from npugate.target.predicates import predicate, windows
from tests.one_node import first_node


def test_a_declared_predicate_is_still_the_function():
    assert windows.stride_above is predicate.PREDICATES["stride_above"].test


def test_an_argument_left_out_is_its_default():
    assert predicate.number({}, "limit") == 0
    assert predicate.number({"limit": 3}, "limit") == 3
    assert predicate.number({}, "limit", 7) == 7
    assert predicate.many({}, "values") == ()


def test_an_axis_is_counted_from_the_front():
    node = first_node("float[2, 3, 4] x", "", "y = Concat <axis = -1> (x, x)")
    assert predicate.axis_of(node, None) == (2, 3)
    node = first_node("float[2, 3, 4] x", "", "y = Softmax (x)")
    assert predicate.axis_of(node, -1) == (2, 3)
    assert predicate.axis_of(node, 0) == (0, 3)
    assert predicate.axis_of(node, None) is None


def test_an_axis_of_a_tensor_without_a_known_rank_is_unknown():
    text = """
        <ir_version: 8, opset_import: ["" : 18, "own" : 1]>
        net (float[4] x) => (y) { t = own.Thing (x) y = Concat <axis = 1> (t, t) }
    """
    data = testing.model_from_text(text).SerializeToString()
    node = Facts(read(data, "net.onnx", Limits(), Path())).nodes[1]
    assert predicate.axis_of(node, None) is None
