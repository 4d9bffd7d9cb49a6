"""Models with their weights on disk."""

import hashlib

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from npugate import atomic_write
from npugate.errors import UsageError
from npugate.model import writer

SIZES = (300, 5, 1025, 2000)  # floats; the second is too small to go beside


def model() -> ModelProto:
    weights = [
        numpy_helper.from_array(np.arange(size, dtype=np.float32), f"w{size}") for size in SIZES
    ]
    return helper.make_model(helper.make_graph([], "net", [], [], weights))


def test_weights_beside_a_model_are_aligned_and_read_back_as_they_were(tmp_path):
    whole = model()
    writer.save(whole.SerializeToString(), tmp_path / "m.onnx", beside=True)
    written = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    places = [
        {entry.key: entry.value for entry in item.external_data}
        for item in written.graph.initializer
        if item.data_location == TensorProto.EXTERNAL
    ]
    (data,) = [path for path in tmp_path.iterdir() if path.suffix == ".data"]
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    assert data.name == f"m.onnx.{digest[:16]}.data"
    assert [place["location"] for place in places] == [data.name] * 3
    assert [int(place["offset"]) for place in places] == [0, 4096, 12288]
    back = onnx.load(tmp_path / "m.onnx")
    for item, old in zip(back.graph.initializer, whole.graph.initializer, strict=True):
        assert np.array_equal(numpy_helper.to_array(item), numpy_helper.to_array(old))


def test_what_fails_while_it_is_written_leaves_the_old_file(tmp_path):
    place = tmp_path / "m.data"
    place.write_bytes(b"old")

    def parts():
        yield b"new"
        raise OSError(28, "No space left on device")

    with pytest.raises(UsageError, match="No space left"):
        atomic_write.write_parts(place, parts())
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("m.data", b"old")]
