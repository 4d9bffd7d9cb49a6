import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from npugate.proof import samples
from npugate.proof.compare import difference
from npugate.proof.samples import Port
from npugate.proof.tally import Pair, pairs
from npugate.proof.verify import verify
from npugate.rules.testing import model_from_text
from npugate.surgery.lineage import Lineage


def parsed(text: str, **weights: np.ndarray) -> ModelProto:
    model = model_from_text(text)
    for item in model.graph.initializer:
        if item.name in weights:
            item.CopyFrom(numpy_helper.from_array(weights[item.name], item.name))
    return model


HEAD = '<ir_version: 8, opset_import: ["" : 14]>'
WEIGHTS = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
NET = (
    HEAD
    + """ net (float[1, 3, 12, 12] x) => (float[1, 4, 1, 1] y)
    <float[4, 3, 3, 3] w, float far = {3000}>
    { c = Conv <pads = [1, 1, 1, 1]> (x, w)  r = Relu (c)  p = MaxPool <kernel_shape = [2, 2]> (r)
      g = GlobalAveragePool (p)  s = Sigmoid (g)  y = Add (s, far) }"""
)


def net() -> ModelProto:
    return parsed(NET, w=WEIGHTS)


def changed(old: str, new: str, weights: np.ndarray = WEIGHTS) -> ModelProto:
    assert old in NET
    return parsed(NET.replace(old, new), w=weights)


REGION = [Pair("p", "p")]
SCALED = WEIGHTS.copy()
SCALED[0] *= 1.001
MUTANTS = {
    "weights of one channel x 1.001": changed("Conv", "Conv", SCALED),
    "leaky by 0.001": changed("r = Relu (c)", "r = LeakyRelu <alpha = 0.001> (c)"),
    "average for maximum": changed("MaxPool", "AveragePool"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_told_at_the_output_of_its_region(name):
    found = verify(net(), MUTANTS[name], REGION)
    assert found.equal is False
    assert found.reason.startswith("'p' differs on ")


def test_a_mutant_that_the_output_hides_needs_the_region():
    hidden = [name for name, mutant in MUTANTS.items() if verify(net(), mutant).equal]
    assert hidden == [
        "weights of one channel x 1.001",
        "leaky by 0.001",
    ]  # else the test above would prove nothing of regions


def test_a_transpose_written_as_a_reshape_is_told():
    text = HEAD + " net (float[1, 3, 4] x) => (float[1, 4, 3] y) "
    honest = parsed(text + "{ y = Transpose <perm = [0, 2, 1]> (x) }")
    false = parsed(text + "<int64[3] s = {1, 4, 3}> { y = Reshape (x, s) }")
    assert verify(honest, honest).equal
    assert verify(honest, false).equal is False


def test_an_equal_model_is_equal_to_the_last_bit():
    found = verify(net(), net(), REGION)
    assert (found.equal, found.max_abs_error, found.samples, found.values) == (True, 0.0, 12, 2)


def test_a_sum_in_another_order_is_within_the_tolerance():
    text = HEAD + " net (float[1, 4096] x) => (float[1] y) "
    whole = parsed(text + "{ y = ReduceMean <axes = [1], keepdims = 0> (x) }")
    halves = parsed(
        text
        + """<int64[3] s = {1, 64, 64}> { a = Reshape (x, s)
        b = ReduceMean <axes = [2], keepdims = 0> (a)
        y = ReduceMean <axes = [1], keepdims = 0> (b) }"""
    )
    found = verify(whole, halves)
    assert found.equal
    assert 0 < found.max_abs_error < 1e-6


def test_integers_must_be_exact():
    text = HEAD + " net (float[1, 8] x) => (int32[1, 8] y) <float c = {%s}> "
    body = "{ z = Mul (x, c)  y = Cast <to = 6> (z) }"
    low = parsed(text % "{100.0}".strip("{}") + body)
    high = parsed(text % "{101.0}".strip("{}") + body)
    found = verify(low, high)
    assert found.equal is False
    assert "> 0" in found.reason


def test_a_model_that_does_not_run_is_unverified_not_equal():
    custom = parsed(
        '<ir_version: 8, opset_import: ["" : 14, "acme" : 1]> net (float[1] x) => (float[1] y) '
        "{ y = acme.Magic (x) }"
    )
    found = verify(custom, custom)
    assert found.equal is None
    assert found.reason.startswith("onnxruntime refuses the original: ")


def test_an_output_that_is_never_finite_proves_nothing():
    text = HEAD + " net (float[1, 4] x) => (float[1, 4] y) <float z = {0}> "
    model = parsed(text + "{ n = Sub (x, x)  y = Div (n, n) }")
    found = verify(model, model)
    assert found.equal is None
    assert "'y'" in found.reason


def test_nan_where_the_original_has_none_is_a_difference():
    text = HEAD + " net (float[1, 4] x) => (float[1, 4] y) "
    good = parsed(text + "{ y = Relu (x) }")
    bad = parsed(text + "{ a = Sub (x, x)  b = Div (a, a)  y = Add (x, b) }")
    assert "NaN" in verify(good, bad).reason


def test_an_output_that_hardly_reacts_is_noted():
    text = HEAD + " net (float[1, 4] x) => (float[1, 4] y) <float z = {0}, float o = {7}> "
    model = parsed(text + "{ a = Mul (x, z)  y = Add (a, o) }")
    found = verify(model, model)
    assert found.equal
    assert found.notes == ("output 'y' hardly reacts to the inputs: a weak proof",)


def test_an_output_whose_size_follows_the_input_reacts():
    model = parsed(HEAD + " net (float[1, 40] x) => (int64[2, n] y) { y = NonZero (x) }")
    found = verify(model, model)
    assert (found.equal, found.notes) == (True, ())


def test_a_batch_is_compared_sample_by_sample():
    batch = parsed(HEAD + " net (float[4, 3] x) => (float[4, 3] y) { y = Softmax (x) }")
    single = parsed(HEAD + " net (float[1, 3] x) => (float[1, 3] y) { y = Softmax (x) }")
    mixing = parsed(HEAD + " net (float[4, 3] x) => (float[4, 3] y) { y = Softmax <axis = 0> (x) }")
    assert verify(batch, single, per_sample=4).equal
    assert verify(mixing, single, per_sample=4).equal is False


def test_a_symbolic_dimension_takes_the_repaired_models_number():
    open_ended = parsed(HEAD + " net (float[N, 3] x) => (float[N, 3] y) { y = Relu (x) }")
    fixed = parsed(HEAD + " net (float[1, 3] x) => (float[1, 3] y) { y = Relu (x) }")
    assert verify(open_ended, fixed).equal


def test_an_input_of_another_rank_gets_the_same_elements():
    deep = parsed(HEAD + " net (float[1, 2, 3, 4] x) => (float[1, 2, 3, 4] y) { y = Relu (x) }")
    flat = parsed(HEAD + " net (float[1, 24] x) => (float[1, 24] y) { y = Relu (x) }")
    assert verify(deep, flat).equal


def test_more_inner_tensors_than_fit_one_session_are_all_compared():
    lines = "".join(f" t{i + 1} = Relu (t{i})" for i in range(150))
    model = parsed(f"{HEAD} net (float[1, 3] t0) => (float[1, 3] t150) {{{lines} }}")
    wrong = parsed(
        f"{HEAD} net (float[1, 3] t0) => (float[1, 3] t150) "
        f"{{{lines.replace('t140 = Relu', 't140 = Neg')} }}"
    )
    pairs = [Pair(f"t{i}", f"t{i}") for i in range(1, 150)]
    assert verify(model, model, pairs).values == 150
    assert verify(model, wrong, pairs).equal is False


def test_work_lowers_the_number_of_samples_but_never_to_none():
    counts = [verify(net(), net(), work=work).samples for work in (0, 5 * 10**8, 10**12)]
    assert counts == [12, 4, 2]


def test_a_users_arrays_are_used_beside_the_generated_ones():
    data = {"x": np.ones((5, 3, 12, 12), np.float32)}
    assert verify(net(), net(), data=data).samples == 17


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"z": np.ones(3, np.float32)}, "no array for input 'x'; there are: z"),
        ({"x": np.ones((2, 2), np.float32)}, "input 'x' wants [1, 3, 12, 12], the array is [2, 2]"),
        ({"x": np.ones((1, 3, 12, 12), complex)}, "input 'x' wants float32, the array holds"),
    ],
)
def test_arrays_that_do_not_fit_are_named(data, text):
    found = verify(net(), net(), data=data)
    assert found.equal is None
    assert found.reason.startswith(text)


def test_integers_stay_inside_the_table_that_they_index():
    model = parsed(
        HEAD
        + """ net (int64[1, 6] x) => (float[6, 1, 2] y) <float[5, 2] table>
        { c = Cast <to = 6> (x)  r = Transpose <perm = [1, 0]> (c)  y = Gather (table, r) }""",
        table=np.ones((5, 2), np.float32),
    )
    assert samples.bounds(model) == {"x": 5}
    values = [
        s.feeds["x"] for s in samples.generated([Port("x", TensorProto.INT64, (1, 99), 5)], 12)
    ]
    assert {int(v) for array in values for v in array.reshape(-1)} == {0, 1, 2, 3, 4}


def test_samples_are_the_same_every_time():
    ports = [Port("x", TensorProto.FLOAT, (2, 3)), Port("b", TensorProto.BOOL, (4,))]
    first, second = (list(samples.generated(ports, 12)) for _ in range(2))
    assert len({sample.label for sample in first}) == 12
    for one, other in zip(first, second, strict=True):
        assert all(np.array_equal(one.feeds[name], other.feeds[name]) for name in ("x", "b"))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_limit_follows_the_type(dtype):
    values = np.array([1.0, 1000.0], dtype)
    step = np.finfo(dtype).eps * 1000
    near = np.array([1.0, 1000 + 20 * float(step)]).astype(dtype)
    far = np.array([1.0, 1000 + 50 * float(step)]).astype(dtype)
    assert difference(values, near, lambda: 0.0).is_equal
    assert not difference(values, far, lambda: 0.0).is_equal
    assert difference(values, far, lambda: float(step)).is_equal


def test_the_models_are_unchanged_by_the_proof():
    model = net()
    before = model.SerializeToString()
    verify(model, net(), REGION)
    assert model.SerializeToString() == before


def test_text_is_compared_too():
    info = helper.make_tensor_value_info("y", TensorProto.STRING, [1])
    value = helper.make_tensor("v", TensorProto.STRING, [1], [b"a"])
    other = helper.make_tensor("v", TensorProto.STRING, [1], [b"b"])

    def constant(tensor: TensorProto) -> ModelProto:
        node = helper.make_node("Constant", [], ["y"], value=tensor)
        graph = helper.make_graph([node], "g", [], [info])
        return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 14)])

    assert verify(constant(value), constant(value)).equal
    assert verify(constant(value), constant(other)).equal is False


def test_a_sequence_is_compared_part_by_part():
    text = HEAD + " net (float[2, 3] x) => (seq(float[?, ?]) y) "
    rows = parsed(text + "{ y = SplitToSequence <axis = 0> (x) }")
    columns = parsed(text + "{ y = SplitToSequence <axis = 1> (x) }")
    swapped = parsed(text + "{ n = Neg (x)  y = SplitToSequence <axis = 0> (n) }")
    assert verify(rows, rows).equal
    assert verify(rows, columns).reason == "'y' has 3 parts on impulse/0"
    assert verify(rows, swapped).equal is False


def test_numbers_that_the_original_does_not_take_are_left_out():
    text = HEAD + " net (float[1, 2] x, int64[1] axis) => (float[?, ?] y) "
    model = parsed(text + "{ y = ReduceSum (x, axis) }")  # axes 2 and 3 do not exist
    found = verify(model, model)
    assert found.equal
    assert 0 < found.samples < 12
    assert any("the original fails on" in note for note in found.notes)


def test_a_users_data_that_the_original_does_not_take_proves_nothing():
    text = HEAD + " net (float[1, 2] x, int64[1] axis) => (float[?, ?] y) "
    model = parsed(text + "{ y = ReduceSum (x, axis) }")
    data = {"x": np.ones((1, 2), np.float32), "axis": np.array([7])}
    found = verify(model, model, data=data)
    assert found.equal is None
    assert "inputs[0]" in found.reason


def test_an_output_of_another_shape_than_declared_is_told():
    text = (
        HEAD + " net (float[1, 6] x) => (float[1, 6] y) <int64[2] s = {%s}> { y = Reshape (x, s) }"
    )
    found = verify(parsed(text % "1, 6"), parsed(text % "6, 1"))
    assert found.equal is False
    assert found.reason.startswith("'y' has the shape [6, 1], it declares [1, 6] on ")


def test_a_constant_changed_in_place_is_told_at_its_region():
    """The node is the same to the last byte, and the output hides what it makes."""
    other = net()
    weight = next(item for item in other.graph.initializer if item.name == "w")
    weight.CopyFrom(numpy_helper.from_array(SCALED, "w"))
    found = pairs(net(), other, Lineage(frozenset("xcrpgsy")))
    assert found == [Pair("c", "c")]
    assert verify(net(), other).equal  # without the pair, nothing is seen
    assert verify(net(), other, found).reason.startswith("'c' differs on ")


def test_the_samples_of_a_batch_are_independent():
    ports = [
        Port("x", TensorProto.FLOAT, (1, 500)),
        Port("k", TensorProto.FLOAT, (3,), shared=True),
    ]
    for sample in samples.generated(ports, 12, parts=8):
        rows = [np.sort(part["x"].ravel()) for part in sample.parts]
        for at, row in enumerate(rows):
            for other in rows[:at]:
                assert not np.allclose(row, other)
                assert abs(row.mean() - other.mean()) + abs(row.std() - other.std()) > 1e-3
        assert len({part["k"].tobytes() for part in sample.parts}) == 1


def test_a_users_few_arrays_make_independent_samples_too():
    ports = [Port("x", TensorProto.FLOAT, (1, 3))]
    found = samples.given(ports, {"x": np.array([[1, 2, 3], [4, 5, 6]], np.float32)}, parts=6)
    for sample in found:
        assert len({part["x"].tobytes() for part in sample.parts}) == 6


def test_samples_that_move_when_others_change_are_told():
    """Each sample by itself is right: the others are only seen when they change."""
    leak = (
        HEAD
        + """ net (float[3, 4] x) => (float[3, 4] y) <float tiny = {1e-7}>
        { m = ReduceMax <axes = [0], keepdims = 1> (x)  t = Mul (m, tiny)  y = Add (x, t) }"""
    )
    single = HEAD + " net (float[1, 4] x) => (float[1, 4] y) { y = Identity (x) }"
    found = verify(parsed(leak), parsed(single), per_sample=3)
    assert found.equal is False
    assert "changes on" in found.reason
    assert "when other samples of the batch change" in found.reason


def test_an_input_that_is_quantised_at_once_gets_the_range_of_its_integers():
    text = (
        HEAD
        + """ net (float[1, 4] x) => (float[1, 4] y) <float s = {2}, uint8 z = {100}>
        { q = QuantizeLinear (x, s, z)  y = DequantizeLinear (q, s, z) }"""
    )
    model = parsed(text)
    assert samples.spans(model) == {"x": (-200.0, 310.0)}
    found = verify(model, model)
    assert found.equal
    assert found.tolerance > 1e-3  # numbers of that size were fed
