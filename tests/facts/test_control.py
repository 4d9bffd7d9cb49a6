"""Which control flow is settled before a model runs."""

import onnx
import pytest

from npugate.facts import Facts, control
from npugate.limits import Limits
from npugate.rules import testing
from npugate.surgery import structure


def node_of(text, op_type="Loop"):
    facts = Facts(structure.skeleton(testing.model_from_text(text)), Limits())
    (node,) = [item for item in facts.nodes if item.op_type == op_type]
    return node


def loop(
    *,
    turns="3",
    start="yes",
    body="c2 = Identity (c) v2 = Relu (v)",
    outputs="bool c2, float[4] v2",
    results="y",
    inputs="float[4] x",
):
    """Return a Loop with one value that is carried along."""
    return node_of(
        f"""
        <ir_version: 8, opset_import: ["" : 18]>
        net ({inputs}) => (y) <int64 n = {{{turns}}}, bool yes = {{1}}, bool no = {{0}}>
        {{ {results} = Loop <body = b (int64 i, bool c, float[4] v) => ({outputs})
           {{ {body} }}> (n, {start}, x) }}
        """
    )


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ("0", ""),
        ("1", "it always runs 1 time"),
        ("2", "it always runs 2 times"),
        ("64", "it always runs 64 times"),
        ("65", ""),
    ],
)
def test_a_loop_of_a_known_number_of_turns_is_settled(turns, said):
    assert control.settled(loop(turns=turns)) == said


@pytest.mark.parametrize(("start", "settled"), [("yes", True), ("", True), ("no", False)])
def test_a_loop_that_begins(start, settled):
    assert bool(control.settled(loop(start=start))) == settled


def test_a_loop_whose_start_is_computed_is_open():
    assert control.settled(loop(start="s", inputs="float[4] x, bool s")) == ""


@pytest.mark.parametrize(
    ("body", "settled"),
    [
        ("c2 = Identity (c) v2 = Relu (v)", True),
        ("k = Identity (c) c2 = Cast <to = 9> (k) v2 = Relu (v)", True),
        ("c2 = Identity (yes) v2 = Relu (v)", True),
        ("c2 = Constant <value = bool {1}> () v2 = Relu (v)", True),
        ("c2 = Identity (no) v2 = Relu (v)", False),
        ("c2 = Not (c) v2 = Relu (v)", False),
        ("t = ReduceSum <keepdims = 0> (v) c2 = Cast <to = 9> (t) v2 = Relu (v)", False),
        ("c2 = Identity (c) v2 = RandomNormalLike (v)", False),
        ("c2 = Identity (c) v2 = Dropout (v)", False),
    ],
)
def test_a_loop_that_goes_on_and_draws_nothing_is_settled(body, settled):
    assert bool(control.settled(loop(body=body))) == settled


def test_a_loop_that_stacks_results_is_not_written_out():
    node = loop(outputs="bool c2, float[4] v2, float[4] v2", results="y, z")
    assert control.settled(node) == ""


def test_a_loop_is_written_out_up_to_a_number_of_nodes():
    def body(count):
        chain = " ".join(f"t{i + 1} = Relu ({f't{i}' if i else 'v'})" for i in range(count - 2))
        return f"{chain} c2 = Identity (c) v2 = Relu (t{count - 2})"

    assert control.settled(loop(turns="50", body=body(40))) == "it always runs 50 times"
    assert control.settled(loop(turns="50", body=body(41))) == ""


def test_a_loop_without_a_number_of_turns_is_open():
    assert control.settled(loop(turns="3", start="yes, x) z = Identity (x")) != ""
    text = """
        <ir_version: 8, opset_import: ["" : 18]>
        net (float[4] x) => (y) <bool yes = {1}>
        { y = Loop <body = b (int64 i, bool c, float[4] v) => (bool c2, float[4] v2)
           { c2 = Identity (c) v2 = Relu (v) }> (, yes, x) }
    """
    assert control.settled(node_of(text)) == ""


BRANCHES = (
    "<then_branch = a () => (float[4] s) { s = Relu (x) },"
    " else_branch = b () => (float[4] t) { t = Abs (x) }>"
)


@pytest.mark.parametrize(
    ("constants", "test", "said"),
    [
        ("bool q = {1}", "q", "its condition is always true"),
        ("bool q = {0}", "q", "its condition is always false"),
        ("bool[1] q = {1}", "q", "its condition is always true"),
        ("", "free", ""),
    ],
)
def test_a_branch_whose_condition_is_known_is_settled(constants, test, said):
    text = f"""
        <ir_version: 8, opset_import: ["" : 18]>
        net (float[4] x, bool free) => (y) <{constants}> {{ y = If ({test}) {BRANCHES} }}
    """
    assert control.settled(node_of(text, "If")) == said


def test_another_operator_and_another_domain_hold_no_flow_of_the_standard():
    text = """
        <ir_version: 8, opset_import: ["" : 18, "own" : 1]>
        net (float[4] x) => (y, z) <bool q = {1}> { y = Relu (x) z = own.If (q) }
    """
    assert control.settled(node_of(text, "Relu")) == ""
    assert control.settled(node_of(text, "If")) == ""


def test_what_draws_random_numbers_is_named_as_in_the_standard():
    assert {item.name for item in onnx.defs.get_all_schemas()} >= control.RANDOM
