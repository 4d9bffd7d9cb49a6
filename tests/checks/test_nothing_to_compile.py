"""A model that computes nothing is named; one operator is enough to be a model."""

import pytest

from tests.parameter_models import messages, text

RULE = "nothing-to-compile"
SIGNATURE = "(float[1, 3, 36, 36] input) => (float[1, 3, 36, 36] y)"
END = ", and no layer says what its axes are"

WRONG = {
    "identity_only of the field": (
        text(SIGNATURE, "float unused = {1}", "y = Identity (input)"),
        "nothing is computed: its one node only passes values on (Identity)" + END,
    ),
    "Identity and Dropout": (
        text(SIGNATURE, "float r = {0.5}", "a = Identity (input) y = Dropout (a, r)"),
        "nothing is computed: its 2 nodes only pass values on (Dropout, Identity)" + END,
    ),
    "no node": (
        text("(float[1, 3] y) => (float[1, 3] y)", "float unused = {1}", ""),
        "the model has no operator: there is nothing to compile",
    ),
    "outputs that hang on constants alone": (
        text("(float[1, 3] x) => (float[2] y)", "float[2] a = {1, 2}", "y = Mul (a, a)"),
        "nothing is computed: its outputs are constants or inputs passed on" + END,
    ),
    "an operator that no output hangs on": (
        text(SIGNATURE, "float unused = {1}", "r = Relu (input) y = Identity (input)"),
        "nothing is computed: its outputs are constants or inputs passed on" + END,
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_model_without_computation_is_named(case, tmp_path):
    model, message = WRONG[case]
    assert messages(model, RULE, tmp_path) == [message]


RIGHT = {
    "one operator": text(SIGNATURE, "float unused = {1}", "y = Relu (input)"),
    "Identity behind it": text(SIGNATURE, "float u = {1}", "r = Relu (input) y = Identity (r)"),
    "one of two outputs": text(
        "(float[1, 3] x) => (float[1, 3] a, float[1, 3] b)",
        "float unused = {1}",
        "a = Identity (x) b = Sigmoid (x)",
    ),
    "a body that computes": text(
        "(bool c, float[1, 3] x) => (float[1, 3] y)",
        "float unused = {1}",
        "y = If (c) <then_branch = a () => (float[1, 3] t) { t = Relu (x) },"
        " else_branch = b () => (float[1, 3] e) { e = Neg (x) }>",
    ),
    "no output: another fault": text("(float[1, 3] x) => ()", "float u", "y = Relu (x)"),
    "another shape": text(
        "(float[1, 3, 4] x) => (float[12] y)", "int64[1] s = {-1}", "y = Reshape (x, s)"
    ),
    "a Transpose": text(
        "(float[1, 3] x) => (float[3, 1] y)", "float u", "y = Transpose <perm = [1, 0]> (x)"
    ),
    "a conversion": text("(float[1, 3] x) => (int32[1, 3] y)", "float u", "y = Cast <to = 6> (x)"),
}


@pytest.mark.parametrize("case", RIGHT)
def test_a_model_with_an_operator_is_clean(case, tmp_path):
    assert messages(RIGHT[case], RULE, tmp_path) == []
