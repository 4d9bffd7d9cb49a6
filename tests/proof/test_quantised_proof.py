"""The proof of quantised models: integers are equal, but for a step at a tie behind other sums."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from npugate.proof.quantized import MOST_STEPS, stepped
from npugate.proof.tally import Pair
from npugate.proof.verify import verify
from npugate.reporters.repairs import proof
from npugate.rules.testing import model_from_text

RNG = np.random.default_rng(3)
ROWS, SUMMED = 300, 256


def mean(scale=0.05, zero=0, *, halves=False, more=(), step=0.04):
    """Return a quantised mean over 256 numbers: at once, or of 16 means of 16."""
    if halves:
        inner = [
            helper.make_node("Reshape", ["d", "split"], ["parts"], name="split"),
            helper.make_node("ReduceMean", ["parts"], ["some"], axes=[3], keepdims=0, name="some"),
            helper.make_node("ReduceMean", ["some"], ["m"], axes=[2], keepdims=0, name="all"),
        ]
    else:
        inner = [helper.make_node("ReduceMean", ["d"], ["m"], axes=[2], keepdims=0, name="mean")]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], name="d"),
        *inner,
        helper.make_node("QuantizeLinear", ["m", "t", "u"], ["r"], name="r"),
        helper.make_node("DequantizeLinear", ["r", "t", "u"], ["e"], name="e"),
        *(more or [helper.make_node("Identity", ["e"], ["y"], name="y")]),
    ]
    constants = {
        "s": np.float32(scale),
        "z": np.uint8(128),
        "t": np.float32(step),
        "u": np.uint8(128 + zero),
        "split": np.array([1, ROWS, 16, 16]),
    }
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, ROWS, SUMMED])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


def test_a_sum_in_another_order_may_turn_a_tie():
    found = verify(mean(), mean(halves=True))
    assert found.equal is True, found.reason
    assert 0 < found.steps <= MOST_STEPS
    assert found.most_steps == MOST_STEPS
    assert "of the integers of a tensor one step off, 1% may be" in proof(found)


def test_the_same_sum_may_not():
    found = verify(mean(), mean())
    assert (found.equal, found.steps, found.most_steps) == (True, 0, 0)
    assert "one step off" not in proof(found)


@pytest.mark.parametrize(
    "mutant",
    [
        {"scale": 0.0501},
        {"zero": 1},
        {"step": 0.0401},
        {"step": 0.04001},
    ],
    ids=str,
)
@pytest.mark.parametrize("halves", [False, True])
def test_a_changed_scale_or_zero_point_is_told(mutant, halves):
    assert verify(mean(), mean(halves=halves, **mutant)).equal is False


def test_integers_that_are_only_moved_must_be_equal():
    """A step off, in one element of a thousand, is a fault where nothing is summed."""
    text = [helper.make_node("Reshape", ["e", "row"], ["y"], name="row")]
    original, moved = mean(more=text), mean(more=text)
    for model in (original, moved):
        model.graph.initializer.append(numpy_helper.from_array(np.array([1, ROWS]), "row"))
    moved.graph.node[3].input[0] = "n"
    nudge = np.zeros((1, ROWS), np.float32)
    nudge[0, 7] = 0.04
    moved.graph.initializer.append(numpy_helper.from_array(nudge, "nudge"))
    moved.graph.node.insert(3, helper.make_node("Add", ["m", "nudge"], ["n"], name="n"))
    found = verify(original, moved)
    assert found.equal is False
    assert found.reason == "'r' differs on impulse/0: its integers are not the same"


def test_a_step_counts_only_where_the_number_is_between_two():
    numbers = np.array([0.0, 0.5, 1.2, 2.5], np.float32)
    size = np.ones(4, np.float32)
    wanted = np.array([0, 0, 1, 2], np.int8)
    tie, other, far = (np.array(row, np.int8) for row in ([0, 1, 1, 2], [0, 0, 2, 2], [0, 2, 1, 2]))
    assert not stepped(wanted, tie, numbers, size, 1e-6).fault
    assert stepped(wanted, tie, numbers, size, 1e-6).share == 0.25
    assert "is not halfway between two steps" in stepped(wanted, other, numbers, size, 1e-6).fault
    assert stepped(wanted, far, numbers, size, 1e-6).fault == "an integer is 2 steps off"


def test_the_share_of_steps_is_bounded():
    numbers = np.full(1000, 0.5, np.float32)
    wanted = np.zeros(1000, np.int8)
    few, many = wanted.copy(), wanted.copy()
    few[:10] = 1
    many[:11] = 1
    assert not stepped(wanted, few, numbers, np.ones(1000), 1e-6).fault
    fault = stepped(wanted, many, numbers, np.ones(1000), 1e-6).fault
    assert fault == "11 of 1000 integers are one step off"


def test_inner_integers_are_compared_though_no_pair_names_them():
    """The output hides the difference: it keeps the largest row alone."""
    hide = [helper.make_node("Clip", ["e", "low", "low"], ["y"], name="y")]
    original, changed = mean(more=hide), mean(more=hide, step=0.08)
    for model in (original, changed):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(0), "low"))
    assert "'r' differs" in verify(original, changed).reason
    assert verify(original, original, [Pair("m", "m")]).equal


def test_integers_of_a_network_without_quantisers_are_compared_too():
    """Integers come in, integers are summed, and the output keeps none of what is small."""
    text = """<ir_version: 8, opset_import: ["" : 13]>
        net (uint8[1, 1, 4, 4] x) => (bool[1, 1, 2, 2] y)
        <uint8[1, 1, 3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, %d}, int32 most = {100000}>
        { c = ConvInteger (x, w)  y = Greater (c, most) }"""
    original, changed = model_from_text(text % 9), model_from_text(text % 10)
    assert verify(original, original).equal
    assert "'c' differs" in verify(original, changed).reason
