"""The worked example: the committed files are what their scripts say, and compute the same."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from examples.rppg import data
from npugate.facts import Facts
from npugate.limits import Limits
from npugate.model.reader import load
from npugate.repository.source_lines import Checkout

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests" / "fixtures" / "models"
ORIGINALS = ("rppg_4d_fp32.onnx", "rppg_4d_fp32_dynamo.onnx")
CLEAN = "rppg_stm32_clean_fp32.onnx"
RELATIVE_ERROR = 1e-5  # float32, other order of summation


def facts(name: str) -> Facts:
    return Facts(load(MODELS / name, name, Limits()))


def predict(name: str, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(MODELS / name), options)
    return np.concatenate([session.run(None, {"images": image[None]})[0] for image in images])


def test_the_three_files_compute_the_same() -> None:
    images = data.make("test", 6).images
    expected = predict(ORIGINALS[0], images)
    for name in (ORIGINALS[1], CLEAN):
        np.testing.assert_allclose(predict(name, images), expected, rtol=RELATIVE_ERROR)


def test_the_network_has_learned_the_pulse() -> None:
    split = data.make("test", 60)
    error = np.abs(predict(CLEAN, split.images) - split.bpm).mean()
    assert error < 6  # always saying 100 is off by 30


@pytest.mark.parametrize(
    ("name", "opset", "ir"),
    [(ORIGINALS[0], 14, 7), (ORIGINALS[1], 18, 10), (CLEAN, 14, 8)],
)
def test_versions_are_what_the_exporters_write(name: str, opset: int, ir: int) -> None:
    model = onnx.load(MODELS / name)
    assert (model.opset_import[0].version, model.ir_version) == (opset, ir)


@pytest.mark.parametrize(("name", "layers"), [(ORIGINALS[0], 6), (ORIGINALS[1], 5)])
def test_originals_have_six_axes_and_a_batch_of_24(name: str, layers: int) -> None:
    found = facts(name)
    assert max(tensor.rank or 0 for tensor in found.tensors) == 6
    kinds = {"Conv", "MaxPool", "GlobalAveragePool"}
    batches = [
        node.inputs[0].shape[0]
        for node in found.nodes
        if node.op_type in kinds and len(node.inputs[0].shape) == 4
    ]
    assert batches == [24] * layers


def test_the_clean_twin_has_four_axes_and_a_batch_of_1() -> None:
    tensors = [tensor for tensor in facts(CLEAN).tensors if not tensor.is_constant]
    assert max(tensor.rank or 0 for tensor in tensors) <= 4
    assert {tensor.shape[0] for tensor in tensors if tensor.rank} == {1}


def test_traces_of_the_dynamo_file_name_lines_that_are_there() -> None:
    checkout = Checkout(ROOT)
    lines = (ROOT / "examples/rppg/model.py").read_text().splitlines()
    sources = {
        node.label: checkout.source(node.frames)
        for node in facts(ORIGINALS[1]).nodes
        if node.frames
    }
    assert len(sources) > 20
    for source in sources.values():
        assert source is not None
        assert source.file == "examples/rppg/model.py"
        assert lines[source.line - 1].strip() == source.text
    assert sources["node_view"].text.startswith("x = x.view(B, 8, 3, 3, 36, 36)")


def test_the_data_is_the_same_every_time() -> None:
    first, again = data.make("calibration", 3), data.make("calibration", 3)
    np.testing.assert_array_equal(first.images, again.images)
    assert first.images.shape == (3, 72, 36, 36)
    assert (first.bpm >= data.SLOWEST_BPM).all()
    assert (first.bpm <= data.FASTEST_BPM).all()
