"""The sessions of a proof share large weights, and the proof sees what it saw before."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from npugate.proof import shared_weights
from npugate.proof.sessions import CannotRunError, Session
from npugate.proof.shared_weights import SharedWeights
from npugate.proof.verify import verify

SIZE = 640  # squared, as floats, above the least that is external


def model(weight, *, data_type=None):
    held = numpy_helper.from_array(weight, "w")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="a"),
        helper.make_node("Add", ["h", "b"], ["y"], name="b"),
    ]
    values = [
        helper.make_tensor_value_info(name, data_type or TensorProto.FLOAT, [1, SIZE])
        for name in "xy"
    ]
    bias = numpy_helper.from_array(np.ones(SIZE, weight.dtype), "b")
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], [held, bias])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


@pytest.fixture(scope="module")
def weight():
    return np.random.default_rng(0).standard_normal((SIZE, SIZE), np.float32)


def test_a_lent_model_is_small_and_computes_the_same(weight):
    whole = model(weight)
    before = whole.SerializeToString()
    external = SharedWeights().externalize(whole)
    assert len(external.data) < 20_000
    assert list(external.weights) == ["w"]
    assert whole.SerializeToString() == before
    feeds = {"x": np.random.default_rng(1).standard_normal((1, SIZE), np.float32)}
    held = Session(whole).run(feeds)["y"]  # it packs the weights, and adds up in another order
    got = Session(whole, ["h"], shared=SharedWeights()).run(feeds)
    assert np.allclose(got["y"], held, atol=1e-4)
    assert np.array_equal(got["h"] + 1, got["y"])


def test_what_is_lent_is_told_whole(weight):
    whole = model(weight)
    whole.producer_name, whole.graph.doc_string = "p", "d"
    whole.metadata_props.add(key="k", value="v")
    external = onnx.ModelProto.FromString(SharedWeights().externalize(whole).data)
    external.graph.initializer[0].CopyFrom(whole.graph.initializer[0])
    assert external == whole


def test_the_same_weight_is_held_once_and_another_of_its_name_is_not_taken_for_it(weight):
    shared = SharedWeights()
    first, second = shared.externalize(model(weight)), shared.externalize(model(weight.copy()))
    other = shared.externalize(model(weight * np.float32(1.001)))
    places = [external.weights["w"].ctypes.data for external in (first, second, other)]
    assert places[0] == places[1] != places[2]


def test_a_proof_sees_a_change_in_a_lent_weight(weight):
    changed = weight.copy()
    changed[3, 5] *= 1.5
    assert verify(model(weight), model(weight), []).equal
    found = verify(model(weight), model(changed), [])
    assert found.equal is False
    assert "'y' differs" in found.reason


def test_types_that_numpy_lacks_stay_in_the_message(weight):
    whole = model(weight)
    whole.graph.initializer[0].data_type = TensorProto.BFLOAT16
    assert not SharedWeights().externalize(whole).weights


def test_a_weight_of_another_size_than_said_is_a_reason_and_no_crash(weight):
    whole = model(weight)
    whole.graph.initializer[0].dims[0] = SIZE + 1
    with pytest.raises(CannotRunError):
        Session(whole, shared=SharedWeights())


def test_where_lending_does_not_work_the_session_has_its_own_weights(weight, monkeypatch, tmp_path):
    monkeypatch.setattr(shared_weights, "EXTERNAL_FILE", tmp_path / "absent")
    monkeypatch.setattr("npugate.proof.sessions.EXTERNAL_FILE", tmp_path / "absent")
    whole = model(weight)
    feeds = {"x": np.random.default_rng(1).standard_normal((1, SIZE), np.float32)}
    got = Session(whole, shared=SharedWeights()).run(feeds)["y"]
    assert np.array_equal(got, Session(whole).run(feeds)["y"])


def test_the_file_that_lent_weights_are_said_to_be_in_exists():
    assert shared_weights.EXTERNAL_FILE.is_file()
