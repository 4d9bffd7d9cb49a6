"""Imports that are missing or contradict each other, and operators that an opset lacks."""

import pytest
from onnx import helper

from npugate.facts import structure
from npugate.facts.graph import UNKNOWN_DOMAIN
from npugate.rules import testing


def mended(nodes, opset='"" : 14', change=None):
    proto = testing.model_from_text(
        f"<ir_version: 8, opset_import: [{opset}]> net (float[1, 8] x) => (y) {{ {nodes} }}"
    )
    if change is not None:
        change(proto)
    skeleton = structure.legalise(proto)
    told = [item for item in skeleton.problems if item.rule != "output-without-shape"]
    return skeleton, [(item.rule, item.message) for item in told]


def test_the_two_names_of_the_standard_are_one():
    skeleton, told = mended("y = ai.onnx.Relu (x)", '"ai.onnx" : 14')
    assert skeleton.opsets == {"": 14}
    assert told == []
    assert [entry.domain for entry in skeleton.proto.opset_import] == [""]
    assert skeleton.proto.graph.node[0].domain == ""


def test_a_domain_imported_twice_is_told_when_the_versions_differ():
    def again(version):
        return lambda proto: proto.opset_import.append(helper.make_opsetid("", version))

    skeleton, told = mended("y = Relu (x)", change=again(13))
    message = "opset_import names domain 'ai.onnx' with versions 14 and 13"
    assert told == [("invalid-model", message)]
    assert skeleton.opsets == {"": 14}
    assert mended("y = Relu (x)", change=again(14))[1] == []


@pytest.mark.parametrize(
    ("version", "kept"), [(2**31, 2**31 - 1), (-(2**31), 0), (2**40, 2**31 - 1)]
)
def test_a_version_that_no_reader_can_hold_is_told(version, kept):
    def change(proto):
        proto.opset_import[0].version = version

    skeleton, told = mended("y = Relu (x)", change=change)
    assert told[0] == (
        "invalid-model",
        f"opset_import names domain 'ai.onnx' with version {version}, which no reader can hold",
    )
    assert skeleton.opsets == {"": kept}


def test_the_largest_version_that_can_be_held_is_no_fault_of_its_own():
    def change(proto):
        proto.opset_import[0].version = 2**31 - 1

    assert not [
        message for _, message in mended("y = Relu (x)", change=change)[1] if "hold" in message
    ]


def test_a_domain_that_is_used_and_not_imported_is_told_with_its_first_operator():
    skeleton, told = mended("a = own.First (x) b = own.Second (a) y = Relu (b)")
    message = (
        "operators of domain 'own' are used, First the first, but opset_import does not name it"
    )
    assert told == [("missing-opset-import", message)]
    assert skeleton.opsets == {"": 14, "own": 1}
    assert {entry.domain: entry.version for entry in skeleton.proto.opset_import} == skeleton.opsets


@pytest.mark.parametrize(
    ("nodes", "assumed"),
    [
        ("y = Relu (x)", 14),
        ("s = Constant <value_ints = [8]> () y = Reshape (x, s)", 14),
        ("y = Squeeze <axes = [0]> (x)", 12),  # an attribute up to opset 12
        ("y = Mish (x)", 18),
        ("y = Gelu (x)", 20),
        ("y = NoSuchOperator (x)", 14),
    ],
)
def test_an_opset_that_fits_the_nodes_is_assumed_where_none_is_stated(nodes, assumed):
    def change(proto):
        del proto.opset_import[:]

    skeleton, told = mended(nodes, change=change)
    assert skeleton.opsets == {"": assumed}
    assert told[0][0] == "missing-opset-import"
    assert "'ai.onnx'" in told[0][1]


def test_an_operator_that_the_opset_lacks_is_told_once_and_put_aside():
    skeleton, told = mended("a = Mish (x) b = Mish (a) y = Relu (b)")
    message = "Mish does not exist in opset 14; it came with opset 18"
    assert told == [("operator-not-in-opset", message)]
    domains = [node.domain for node in skeleton.proto.graph.node]
    assert domains == [UNKNOWN_DOMAIN, UNKNOWN_DOMAIN, ""]
    assert UNKNOWN_DOMAIN in {entry.domain for entry in skeleton.proto.opset_import}


def test_an_operator_that_never_was_is_told_so():
    skeleton, told = mended("[bad] a = NoSuchOperator (x) y = Relu (a)")
    ((rule, message),) = told
    assert rule == "operator-not-in-opset"
    assert message.startswith("NoSuchOperator is no operator of ai.onnx in any version up to ")
    (problem,) = [item for item in skeleton.problems if item.rule == "operator-not-in-opset"]
    assert (problem.location.node, problem.location.op_type) == ("bad", "NoSuchOperator")


def test_operators_of_other_domains_are_nobodys_matter():
    skeleton, told = mended("y = own.Thing (x)", '"" : 14, "own" : 1')
    assert told == []
    assert skeleton.proto.graph.node[0].domain == "own"
    assert UNKNOWN_DOMAIN not in {entry.domain for entry in skeleton.proto.opset_import}


def test_no_operator_is_judged_by_an_opset_that_is_none():
    def change(proto):
        proto.opset_import[0].version = 0

    told = mended("y = Mish (x)", change=change)[1]
    assert "operator-not-in-opset" not in {rule for rule, _ in told}


@pytest.mark.parametrize(
    ("equation", "sound"),
    [
        ("ij,jk->ik", True),
        ("...i , j -> ...", True),
        ("Ab->A", True),
        ("i1,jk", False),
        ("i;j", False),
        ("\\x00", False),
    ],
)
def test_an_equation_is_made_of_letters(equation, sound):
    def change(proto):
        proto.graph.node[0].attribute[0].s = equation.encode()

    skeleton, told = mended('[sum] y = Einsum <equation = "i,j"> (x, x)', change=change)
    words = "Einsum: its equation holds characters that no equation has"
    assert told == ([] if sound else [("invalid-model", words)])
    assert (skeleton.proto.graph.node[0].domain == UNKNOWN_DOMAIN) == (not sound)


def test_an_equation_that_is_missing_is_the_checkers_matter():
    def change(proto):
        del proto.graph.node[0].attribute[:]

    told = mended('[sum] y = Einsum <equation = "i,j"> (x, x)', change=change)[1]
    assert told == []
