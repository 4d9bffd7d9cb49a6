import pytest

from fixers import take_one_sample
from npugate.rules import registry
from npugate.rules.testing import model_from_text
from npugate.surgery.results import Declined, RepairOptions, Skipped
from npugate.target import profiles
from tests.fixers.test_samples_apart import outcomes_of

HEAD = '<ir_version: 8, opset_import: ["" : 14]> '
TARGET = profiles.load("stm32n6")
RULES = registry.rules()


def repaired(text):
    model = model_from_text(HEAD + text)
    for index, node in enumerate(model.graph.node):
        node.name = f"n{index}"
    return outcomes_of(model)


NETWORKS = {
    "a head that is flattened": """net (float[4, 3, 8, 8] x) => (float[4, 5] y)
        <float[4, 3, 3, 3] w, int64[2] flat = {4, 144}, float[144, 5] m>
        { c = Conv (x, w)  r = Relu (c)  f = Reshape (r, flat)  y = MatMul (f, m) }""",
    "a target with -1 in front": """net (float[4, 3, 8, 8] x) => (float[4, 64] y)
        <float[1, 3, 1, 1] w, int64[2] flat = {-1, 64}>
        { c = Conv (x, w)  y = Reshape (c, flat) }""",
    "two inputs": """net (float[3, 2, 8, 8] a, float[3, 2, 8, 8] b) => (float[3, 2, 1, 1] y)
        { s = Add (a, b)  y = GlobalMaxPool (s) }""",
    "as many heads as samples": """net (float[4, 3, 8, 8] x) => (float[4, 64, 4] y)
        <float[4, 3, 1, 1] w, int64[3] heads = {4, 4, 64}>
        { c = Conv (x, w)  h = Reshape (c, heads)  y = Transpose <perm = [0, 2, 1]> (h) }""",
    "frames within samples": """net (float[4, 6, 8, 8] x) => (float[4, 2] y)
        <int64[4] split = {8, 3, 8, 8}, float[1, 3, 1, 1] w, int64[2] join = {4, 2}>
        { f = Reshape (x, split)  c = Conv (f, w)  g = GlobalAveragePool (c)
          y = Reshape (g, join) }""",
    "a resize to sizes": """net (float[2, 3, 4, 4] x) => (float[2, 1, 8, 8] y)
        <int64[4] s = {2, 3, 8, 8}, float[1, 3, 1, 1] w>
        { z = Resize (x, , , s)  y = Conv (z, w) }""",
}


SHARED = {
    "a switch that is off": """net (float[4, 3, 8, 8] x, float s) => (float[4, 1, 8, 8] y)
        <float[1, 3, 1, 1] w, bool off = {0}>
        { c = Conv (x, w)  d = Dropout (c, s, off)  y = Relu (d) }""",
    "a number": """net (float[4, 3, 8, 8] x, float s) => (float[4, 1, 8, 8] y)
        <float[1, 3, 1, 1] w> { c = Conv (x, w)  y = Mul (c, s) }""",
    "a row": """net (float[4, 3, 8, 8] x, float[8] s) => (float[4, 1, 8, 8] y)
        <float[1, 3, 1, 1] w> { c = Conv (x, w)  y = Add (c, s) }""",
}


@pytest.mark.parametrize("name", SHARED)
def test_an_input_that_all_samples_share_stays_as_it_is(name):
    result, outcomes = repaired(SHARED[name])
    assert outcomes["take-one-sample"].state == "applied", outcomes["take-one-sample"].reason
    assert result.report.verification.equal is True
    first, second = result.model.graph.input
    assert first.type.tensor_type.shape.dim[0].dim_value == 1
    assert [dim.dim_value for dim in second.type.tensor_type.shape.dim] in ([], [8])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_takes_one_sample_and_computes_each_as_before(name):
    result, outcomes = repaired(NETWORKS[name])
    assert outcomes["take-one-sample"].state == "applied", outcomes["take-one-sample"].reason
    assert result.report.verification.equal is True
    assert result.report.verification.samples == 12
    leading = [
        info.type.tensor_type.shape.dim[0].dim_value
        for info in (*result.model.graph.input, *result.model.graph.output)
    ]
    assert set(leading) == {1}
    assert "NPU105" not in {rule for rule, _ in result.hits}


DECLINED = {
    "numbers drawn for all samples": (
        """net (float[4, 3, 8, 8] x, bool on) => (float[4, 3, 1, 1] y) <float half = {0.5}>
        { g = GlobalMaxPool (x)  y = Dropout <seed = 1> (g, half, on) }""",
        "Dropout 'n1' draws random numbers",
    ),
    "statistics of all samples": (
        """net (float[4, 3, 8, 8] x) => (float[4, 3, 8, 8] y)
        <float[3] s = {1, 1, 1}, float[3] b = {0, 0, 0}>
        { m = MaxPool <kernel_shape = [1, 1]> (x)
          y = BatchNormalization <training_mode = 1> (m, s, b, b, s) }""",
        "BatchNormalization 'n1' works across the samples",
    ),
    "noise on all samples": (
        """net (float[4, 3, 8, 8] x) => (float[4, 3, 1, 1] y)
        { g = GlobalMaxPool (x)  n = RandomNormalLike (g)  y = Add (g, n) }""",
        "RandomNormalLike 'n1' draws random numbers",
    ),
    "a softmax across the samples": (
        """net (float[4, 3, 8, 8] x) => (float[4, 3, 1, 1] y)
        { g = GlobalMaxPool (x)  y = Softmax <axis = 0> (g) }""",
        "Softmax 'n1' works across the samples",
    ),
    "an average over the samples": (
        """net (float[4, 3, 8, 8] x) => (float[1, 3, 8, 8] y)
        { m = MaxPool <kernel_shape = [1, 1]> (x)  y = ReduceMean <axes = [0]> (m) }""",
        "ReduceMean 'n1' works across the samples",
    ),
    "an output that hides them": (
        """net (float[4, 3, 8, 8] x) => (float[1, 12] y) <int64[2] s = {1, 12}>
        { g = GlobalMaxPool (x)  y = Reshape (g, s) }""",
        "the samples are not in front of 'y' [1, 12]",
    ),
}


@pytest.mark.parametrize("name", DECLINED)
def test_what_joins_the_samples_is_declined(name):
    text, reason = DECLINED[name]
    model = model_from_text(HEAD + text)
    for index, node in enumerate(model.graph.node):
        node.name = f"n{index}"
    result = take_one_sample.apply(model, TARGET, RepairOptions())
    assert result == Declined(f"{reason}; export the model with a batch of 1")


def test_constants_that_differ_from_sample_to_sample_are_declined_and_equal_ones_cut():
    text = (
        "net (float[2, 3, 4, 4] x) => (float[2, 3, 4, 4] y) <float[2, 3, 1, 1] k>"
        " { m = MaxPool <kernel_shape = [1, 1]> (x)  y = Add (m, k) }"
    )
    _, outcomes = repaired(text)
    assert "differs from sample to sample" in outcomes["take-one-sample"].reason
    same = text.replace("float[2, 3, 1, 1] k>", "float[2, 3, 1, 1] k = {1, 2, 3, 1, 2, 3}>")
    result, outcomes = repaired(same)
    assert outcomes["take-one-sample"].state == "applied"
    assert result.report.verification.equal is True


def test_a_wrong_division_would_be_told_by_the_proof(monkeypatch):
    """Mix the samples behind the rules' backs: only the numbers can tell."""
    monkeypatch.setattr("npugate.surgery.rebatch.change", lambda _rows, _node: False)
    text, _ = DECLINED["a softmax across the samples"]
    result, outcomes = repaired(text)
    assert outcomes["take-one-sample"].state == "declined"
    assert result.model is None
    assert "the numbers differ" in outcomes["take-one-sample"].reason


def test_one_sample_is_nothing_to_do():
    model = model_from_text(HEAD + "net (float[1, 3, 4] x) => (float[1, 3, 4] y) { y = Relu (x) }")
    assert take_one_sample.apply(model, TARGET, RepairOptions()) == Skipped(
        "the inputs take one sample"
    )
