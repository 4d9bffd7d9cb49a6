"""Real runs of real models, replayed by the stand-in through the command line."""

import json
import shutil

import pytest

from tests import stedgeai_tool as tool
from tests.evidence import FOLDER, needs_evidence

TRUTH = FOLDER / "groundtruth"
REPORTS, MODELS = TRUTH / "reports", TRUTH / "models"
pytestmark = needs_evidence("groundtruth")
STUDIO = REPORTS / "Magnus3327/stm32n6-edge-ai-benchmarks/Output/Output_CV_Models/AI_STUDIO"
OCR = REPORTS / "SanXiaCoat/OCR-and-Navigator-Based-On-STM32N6/CubeProjects/Navigator"
YAMNET = (
    "TitoNicolaDrugman/stm32ai-modelzoo-services/application_code/audio/STM32N6/Projects/"
    "X-CUBE-AI/models/network_analyze_report.txt"
)


def first_call(log, place):
    """Write what a log holds of its first call of the tool."""
    text = log.read_text("utf-8", "backslashreplace")
    start = text.index("ST Edge AI Core v")
    end = text.find("ST Edge AI Core v", start + 1)
    place.write_text(text[start : end if end > 0 else None])
    return place


def checked(place, model, toolchain, **scenario):
    (place / "nets").mkdir()
    shutil.copyfile(MODELS / model, place / "nets" / model)
    program = tool.install(place / "bin", **scenario)
    return tool.checked(place, program, f"--toolchain={toolchain}")


def compared(model):
    return {row["subject"]: row for row in model["stedgeai"]["compared"]}


def test_yamnet_by_2_1(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "yamnet_1024_64x96_tl_qdq_int8.onnx"
    code, _, model = checked(tmp_path, name, "2.1", stdout=str(REPORTS / YAMNET))
    assert (code, model["stedgeai"]["verdict"]) == (0, "compiled")
    figures = model["stedgeai"]["figures"]
    assert (figures["toolchain"], figures["macs"]) == ("2.1", 71_164_808)
    assert [row["operators"] for row in figures["off_npu"]] == [
        ["Transpose"],
        ["DequantizeLinear"],
        ["Softmax"],
    ]
    assert compared(model)["verdict"]["agrees"]
    assert compared(model)["toolchain"]["agrees"]


def test_a_text_detector_by_2_2_with_its_json(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = OCR / "ExtMemLoader/X-CUBE-AI/App/ocr_det_generate_report.txt"
    info = OCR / ".ai/ocr_det_ch_PP-OCRv4_det_160_qdq.onnx_c_info.json"
    code, _, model = checked(
        tmp_path,
        "ch_PP-OCRv4_det_160_qdq.onnx",
        "2.2",
        files={"network_generate_report.txt": str(report), "network_c_info.json": str(info)},
    )
    assert (code, model["stedgeai"]["verdict"]) == (0, "compiled")
    figures = model["stedgeai"]["figures"]
    assert figures["epochs"] == {
        "total": 184,
        "software": 14,
        "hybrid": 0,
        "hardware": 170,
        "blobs": None,
    }
    assert figures["cycles"] == 18_748_071
    pools = {pool["name"]: pool for pool in figures["pools"]}
    assert (pools["npuRAM5"]["used_bytes"], pools["npuRAM5"]["exact"]) == (456_984, True)
    assert compared(model)["verdict"]["agrees"]


def test_a_detector_by_4_0(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = first_call(STUDIO / "yolov8n_micro_224.txt", tmp_path / "log.txt")
    code, _, model = checked(tmp_path, "yolov8n_micro_224_int8.onnx", "4.0", stdout=str(log))
    assert (code, model["stedgeai"]["verdict"]) == (0, "compiled")
    figures = model["stedgeai"]["figures"]
    assert (figures["weights_bytes"], figures["activations_bytes"]) == (3_158_049, 401_408)
    assert figures["epochs"]["blobs"] == 10
    rows = compared(model)
    assert rows["verdict"]["agrees"]
    assert rows["epochs on the CPU"]["compiled"] == "5"
    assert rows["Concat (hybrid)"]["compiled"] == "5"
    assert rows["activations"]["compiled"] == "392.0 KiB"
    assert all(row["predicted"] for row in rows.values())
    assert "matte" not in json.dumps(model)


FAILED = {
    "mobileclips0.txt": ("NPU003", "shape-inference"),
    "yolov11x_float32/error.txt": ("NPU602", "activations-do-not-fit"),
}


@pytest.mark.parametrize(("log", "expected"), FAILED.items())
def test_a_real_refusal(tmp_path, monkeypatch, log, expected):
    monkeypatch.chdir(tmp_path)
    place = first_call(STUDIO / log, tmp_path / "log.txt")
    name = "mobilenet_v2_224_int8.onnx"
    code, _, model = checked(tmp_path, name, "4.0", stdout=str(place), status=255)
    rule, row = expected
    assert (code, model["stedgeai"]["verdict"]) == (1, "refused")
    assert model["stedgeai"]["known"] == [row]
    assert tool.rules(model, "error") == [rule]
    assert not compared(model)["verdict"]["agrees"]
