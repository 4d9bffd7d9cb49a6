"""Dropout and BatchNormalization in training mode are named in every opset; others are not."""

import pytest

from tests.parameter_models import found, messages, text

RULE = "training-mode"
SIGNATURE = "(float[1, 8, 4, 4] x) => (float[1, 8, 4, 4] y)"
STATISTICS = "float[8] a, float[8] b, float[8] m, float[8] v"


def test_dropout_training_of_the_field_is_named(tmp_path):
    model = text(
        SIGNATURE,
        "float[8, 8, 1, 1] w, float ratio = {0.5}, bool training = {1}",
        "c = Conv (x, w) y = Dropout (c, ratio, training)",
    )
    hits = found(model, RULE, tmp_path)
    assert [hit.message for hit in hits] == [
        "training_mode is true: 0.5 of the values are thrown away at random"
    ]
    assert hits[0].location.op_type == "Dropout"


WRONG = {
    "a ratio that is left out": (
        "bool training = {1}",
        "r = Relu (x) y = Dropout (r, , training)",
        17,
        "training_mode is true: 0.5 of the values are thrown away at random",
    ),
    "BatchNormalization with the attribute": (
        STATISTICS,
        "y, m1, v1 = BatchNormalization <training_mode = 1> (x, a, b, m, v)",
        17,
        "training_mode is 1: it divides by the spread of the sample at hand",
    ),
    "BatchNormalization with five outputs": (
        STATISTICS,
        "y, m1, v1, m2, v2 = BatchNormalization (x, a, b, m, v)",
        9,
        "it is in training mode: it makes 5 outputs, 1 is wanted",
    ),
    "BatchNormalization of an old exporter": (
        STATISTICS,
        "y = BatchNormalization (x, a, b, m, v)",
        6,
        "is_test is 0: it divides by the spread of the sample at hand",
    ),
    "Dropout of an old exporter": (
        "float unused = {1}",
        "y = Dropout <ratio = 0.3> (x)",
        6,
        "is_test is 0: values are thrown away at random",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_training_is_named(case, tmp_path):
    constants, nodes, opset, message = WRONG[case]
    assert messages(text(SIGNATURE, constants, nodes, opset), RULE, tmp_path) == [message]


def test_a_mode_that_is_fed_is_named(tmp_path):
    model = text(
        "(float[1, 8, 4, 4] x, bool training) => (float[1, 8, 4, 4] y)",
        "float ratio = {0.5}",
        "y = Dropout (x, ratio, training)",
    )
    assert messages(model, RULE, tmp_path) == [
        "training_mode is 'training', which is only known at run time"
    ]


RIGHT = {
    "without a mode": ("float ratio = {0.5}", "y = Dropout (x, ratio)", 17),
    "mode false": (
        "float ratio = {0.5}, bool training = {0}",
        "y = Dropout (x, ratio, training)",
        17,
    ),
    "nothing is thrown away": (
        "float ratio = {0}, bool training = {1}",
        "y = Dropout (x, ratio, training)",
        17,
    ),
    "opset 9": ("float unused = {1}", "y = Dropout <ratio = 0.5> (x)", 9),
    "is_test": ("float unused = {1}", "y = Dropout <is_test = 1, ratio = 0.5> (x)", 6),
    "BatchNormalization": (STATISTICS, "y = BatchNormalization (x, a, b, m, v)", 17),
    "BatchNormalization, opset 9": (STATISTICS, "y = BatchNormalization (x, a, b, m, v)", 9),
    "BatchNormalization, mode 0": (
        STATISTICS,
        "y = BatchNormalization <training_mode = 0> (x, a, b, m, v)",
        17,
    ),
}


@pytest.mark.parametrize("case", RIGHT)
def test_inference_is_clean(case, tmp_path):
    constants, nodes, opset = RIGHT[case]
    assert messages(text(SIGNATURE, constants, nodes, opset), RULE, tmp_path) == []
