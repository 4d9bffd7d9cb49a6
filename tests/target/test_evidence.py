"""Models that were compiled for the target break nothing of its data at the level of an error."""

import pytest

from npugate.facts import Facts
from npugate.findings.values import Severity
from npugate.limits import Limits
from npugate.model.reader import load
from npugate.rules import registry
from npugate.target import profiles
from tests.evidence import FOLDER, needs_evidence

MODELS = FOLDER / "groundtruth"
pytestmark = needs_evidence("groundtruth")
RULES = [rule for rule in registry.rules().values() if rule.id.startswith("NPU2")]
COMPILED = [
    ("models/mobilenet_v2_224_int8.onnx", ("2.2", "4.0")),
    ("models/yolov8n_micro_224_int8.onnx", ("2.2", "4.0")),
    ("models/ch_PP-OCRv4_det_160_qdq.onnx", ("2.2",)),
    ("models/yamnet_1024_64x96_tl_qdq_int8.onnx", ("2.2",)),
    ("models/yunetn_320_qdq_int8.onnx", ("2.2", "3.0")),
    ("models/face_landmarks_v1_192_int8_pc.onnx", ("2.2", "4.0")),
    ("models/yolov8n_256_qdq_w4_85.59__w8_14.41__a8_100__map_52.36.onnx", ("3.0",)),
    ("models/yolo26_320_qdq_int8_od_coco-person-st.onnx", ("2.2", "4.0")),
    *((f"oe_intermediate/{path.name}", ("2.2",)) for path in MODELS.glob("oe_intermediate/*")),
]
CASES = [(name, version) for name, versions in COMPILED for version in versions]


def errors(name, version):
    file = MODELS / name
    facts = Facts(load(file, file.name, Limits()))
    profile = profiles.load("stm32n6", version)
    return [
        f"{rule.name}: {hit.location}: {hit.message}"
        for rule in RULES
        for hit in rule.check(facts, profile)
        if (hit.severity or rule.severity) is Severity.ERROR
    ]


@pytest.mark.parametrize(("name", "version"), CASES)
def test_a_compiled_model_has_no_error(name, version):
    assert errors(name, version) == []


def test_the_4_bit_model_is_refused_by_the_default_toolchain_for_two_reasons():
    found = errors("models/yolov8n_256_qdq_w4_85.59__w8_14.41__a8_100__map_52.36.onnx", "2.2")
    assert [text.partition(":")[0] for text in found] == ["opset-version", "ir-version"]


@pytest.mark.parametrize("name", ["yunet_mct_quant", "yunet_baseline_mct_int8"])
def test_a_custom_quantiser_is_an_error(name):
    found = errors(f"models/{name}.onnx", "2.2")
    assert found
    assert {text.partition(":")[0] for text in found} == {"custom-operator"}
