"""Bodies of control flow that do not fit the nodes that hold them."""

import pytest

from npugate.facts import Facts
from npugate.limits import Limits
from npugate.rules import testing
from npugate.surgery import structure


def problems(nodes, signature, constants="", opset=18):
    text = f"""
        <ir_version: 8, opset_import: ["" : {opset}]>
        net {signature} <{constants}> {{ {nodes} }}
    """
    facts = Facts(structure.skeleton(testing.model_from_text(text)), Limits())
    return [(item.message, item.location) for item in facts.problems("shape-inference-failed")]


LOOP = """
    [{name}] y{number} = Loop <body = b (int64 i, bool c, {carried} v) => (bool c2, {carried} v2)
      {{ c2 = Identity (c) v2 = Relu (v) }}> (n, yes, x)
"""
FED = "(float[4] x, int64 n, bool yes) => (y0)"


def loop(carried, name="loop", number=0):
    return LOOP.format(carried=carried, name=name, number=number)


def test_a_body_that_fits_is_no_fault():
    assert problems(loop("float[4]"), FED) == []


def test_a_body_that_declares_another_type_names_its_node():
    ((message, place),) = problems(loop("float16[4]"), FED)
    assert (place.node, place.op_type) == ("loop", "Loop")
    assert message.startswith("Loop: ")
    assert "op_type" not in message
    assert "elem type" in message


def test_of_two_loops_the_one_that_is_named_by_onnx_is_the_place():
    nodes = loop("float[4]", "first") + loop("float16[4]", "second", 1)
    ((_, place),) = problems(nodes, FED)
    assert place.node == "second"


def test_of_two_loops_without_a_name_neither_is_the_place():
    nodes = (loop("float[4]", "x") + loop("float16[4]", "x", 1)).replace("[x]", "")
    ((message, place),) = problems(nodes, FED)
    assert (place.node, place.op_type) == ("", "Loop")
    assert message.startswith("Loop: ")


def test_the_shapes_that_a_body_declares_of_its_results_are_not_judged():
    nodes = loop("float[4]").replace("float[4] v2", "float[9] v2")
    assert problems(nodes, FED) == []


@pytest.mark.parametrize("opset", [8, 9])
def test_a_scan_is_judged_from_the_opset_on_that_inference_knows(opset):
    nodes = """
        y = Scan <num_scan_inputs = 1, body = b (float16[4] v) => (float16[4] w)
          { w = Relu (v) }> (x)
    """
    signature = "(float[3, 4] x) => (y)"
    if opset == 8:
        nodes, signature = nodes.replace("(x)", "(, x)"), "(float[1, 3, 4] x) => (y)"
    assert bool(problems(nodes, signature, opset=opset)) == (opset == 9)


def test_a_loop_is_judged_in_every_opset():
    ((_, place),) = problems(loop("float16[4]"), FED, opset=8)
    assert place.op_type == "Loop"
