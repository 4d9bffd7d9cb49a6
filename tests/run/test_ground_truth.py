"""What fires on models with a known fate on the chip, rule by rule, and why that is right.

The models are other people's files and no part of the project: they lie in the evidence folder
of ``tests/evidence.py``. Their origins are the paths in its
``groundtruth/manifest.json``; the compiler's reports are under ``groundtruth/reports``.
"""

import contextlib
import io
import json

import pytest

from npugate.cli import main
from tests.evidence import FOLDER, needs_evidence

MODELS = FOLDER / "groundtruth"
pytestmark = needs_evidence("groundtruth")
W4 = "yolov8n_256_qdq_w4_85.59__w8_14.41__a8_100__map_52.36"

# Compiled for the N6 by the later of the toolchains given for each: no error may be in these rows.
# Those of 8 bits and opset 20 at most must have none under the default toolchain, 2.2, either.
# Common to many: W107, Reshapes to -1 that the compiler did work out, which is why it is no error;
# N206, another opset than the recommended 14; N208, domains that ONNX Runtime's quantiser imports;
# N202, the Softmax at the end, which the reports list as a software epoch.
COMPILED = [
    # W203: the 7x7 global pool, "GlobalAveragePool(float)" among the software epochs of the report.
    # N306: the file has one scale a tensor, as its quantiser was told to. W302: a Reshape stands
    # between that pool and its scale, which is why it is float.
    ("models/mobilenet_v2_224_int8", "2.2", "W203 N206 W302 N306"),
    ("models/mobilenet_v2_224_int8", "4.0", "W203 N206 W302 N306"),
    # N203: Split, Concat on axis 2 and 5x5 pools; the report has the Concats as hybrid epochs.
    # N202: the Resizes and a Transpose, too; W302: the Sub of the boxes, whose anchors are float.
    ("models/yolov8n_micro_224_int8", "2.2", "W107 N202 N203 N206 W302 N306"),
    ("models/yolov8n_micro_224_int8", "4.0", "W107 N202 N203 N206 W302 N306"),
    # W203: two ConvTransposes of stride 2: DepthToSpace and Concat are software in the report.
    # N202: the six Resizes, whose DepthToSpaces are.
    ("models/ch_PP-OCRv4_det_160_qdq", "2.2", "N202 W203"),
    # The 3 software epochs of the report are a Transpose, the Softmax and a DequantizeLinear.
    ("models/yamnet_1024_64x96_tl_qdq_int8", "2.2", "N202 N206"),
    # The twelve Reshapes [1, -1, n] of its heads; N202: its two Resizes.
    ("models/yunetn_320_qdq_int8", "2.2", "W107 N202 N206 N208"),
    ("models/yunetn_320_qdq_int8", "3.0", "W107 N202 N206 N208"),
    # N203: one convolution has stride 3, which works and is not efficient.
    ("models/face_landmarks_v1_192_int8_pc", "2.2", "N203 N206 N208"),
    ("models/face_landmarks_v1_192_int8_pc", "4.0", "N203 N206 N208"),
    # 4-bit weights and opset 21, both new in 3.0; N223, a slice that is open up to INT64_MAX, which
    # the target's data has as a warning from 4.0 on.
    (f"models/{W4}", "3.0", "W107 N202 N203 N206 N208 N223"),
    (f"models/{W4}", "4.0", "W107 N202 N203 N206 N208 W223"),
    # W203: attention multiplies two computed tensors, which is the CPU's work. W302: as the Sub of
    # yolov8n_micro.
    ("models/yolo26_320_qdq_int8_od_coco-person-st", "2.2", "W107 N202 W203 N206 N208 W302"),
    ("models/yolo26_320_qdq_int8_od_coco-person-st", "4.0", "W107 N202 W203 N206 N208 W302"),
    # Written by the front end itself, opset 15, with the scales in a file beside it: so the weights
    # are float beside quantised data (W307) and the last pool, of the whole 64x64 (N203), too
    # (N302).
    *(
        (f"oe_intermediate/baseline_conv2d_{name}_int8_OE_3_3_0", "2.2", "N203 N206 N302 W307")
        for name in ("16f_3x3", "1x1", "32f_5x5", "32f_7x7", "3x3", "64f_3x3", "pool")
    ),
    # W222: the front end writes the scalar pad value that the importer is known to stumble over.
    # N302: its one convolution is float as the file has it, and so is all behind it.
    ("oe_intermediate/baseline_depthwise_3x3_int8_OE_3_3_0", "2.2", "N203 N206 W222 N302"),
]

# What the chip or its compiler does not take, or takes for the CPU; the errors are the named ones.
# Common: W301, a float model compiles, but runs on the CPU; W103, a symbolic batch is taken as 1.
SPECIAL = [
    # A web page under the name of a model: a download that failed.
    ("models/yunet_n_320_320", "2.2", "E001"),
    # E209: operators of the domain mct_quantizers; the importer knows no custom operator.
    ("models/yunet_mct_quant", "2.2", "W103 W107 N202 N206 E209 W301"),
    ("models/yunet_baseline_mct_int8", "2.2", "W103 W107 N202 N206 E209 W301"),
    ("models/yunet_baseline_mct_int8", "4.0", "W103 W107 N202 N206 E209 W301"),
    # E207: IR 10, which 2.2 refuses in words that the finding quotes; 3.0 reads it.
    ("models/pruned_yunet_structured_20_06", "2.2", "W107 N202 N206 E207 W301"),
    ("models/pruned_yunet_structured_20_06", "3.0", "W107 N202 N206 W301"),
    # Under 2.2 three things are too new: opset 21, IR 10 and weights of 4 bits.
    (f"models/{W4}", "2.2", "W107 N202 N203 E206 E207 N208 N223 E310"),
    # E102: the width of the text line is open. With 4.0 the rank 5 of its attention is an error.
    ("models/en_PP-OCRv4_rec_qdq", "2.2", "W101 E102 W103 W107 N202 W203 W302"),
    ("models/en_PP-OCRv4_rec_qdq", "4.0", "E101 E102 W103 W107 N202 W203 W302"),
    # Float, of ST's own model zoo, and valid: no error. W203 of the SSD: its linear Resizes.
    ("models/yamnet_256_64x96_tl", "2.2", "W103 W107 N202 N206 N208 W301"),
    ("models/st_ssd_mobilenet_v1_025_256", "2.2", "W103 W107 N202 W203 N206 N208 W301"),
    ("models/mobilenet_v2_0.35_128_tfs_channel_first", "2.2", "W103 N202 N206 N208 W301"),
]


def fired(name, version, *options):
    """Return the rules that fired, each with the first letter of its worst level."""
    file = MODELS / f"{name}.onnx"
    arguments = ["check", str(file), "--toolchain", version, "--format", "json", *options]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = main(arguments)
    report = json.loads(output.getvalue())
    assert (len(report["models"]), report["crashed"]) == (1, False)
    worst = {}
    for finding in report["models"][0]["findings"]:
        letter, rule = finding["severity"][0].upper(), finding["rule"].removeprefix("NPU")
        worst[rule] = min(worst.get(rule, letter), letter, key="EWN".index)
    assert status == ("E" in worst.values())
    return " ".join(f"{letter}{rule}" for rule, letter in sorted(worst.items()))


@pytest.mark.parametrize(("name", "version", "expected"), [*COMPILED, *SPECIAL])
def test_each_real_model_gets_the_findings_that_its_fate_explains(name, version, expected):
    assert fired(name, version) == expected


def test_no_row_of_a_compiled_model_holds_an_error():
    assert [row for row in COMPILED if "E" in row[2]] == []


def test_every_model_of_the_evidence_is_judged_in_the_table():
    found = {path.relative_to(MODELS).as_posix() for path in MODELS.rglob("*.onnx")}
    assert found == {f"{name}.onnx" for name, _version, _expected in [*COMPILED, *SPECIAL]}


@pytest.mark.parametrize(
    ("name", "rule", "level"),
    [
        ("models/yunet_mct_quant", "NPU209", "warning"),
        ("models/yunet_mct_quant", "NPU209", "off"),
        ("models/pruned_yunet_structured_20_06", "NPU207", "note"),
        ("models/yunetn_320_qdq_int8", "NPU107", "error"),
        ("models/mobilenet_v2_224_int8", "NPU203", "note"),
    ],
)
def test_the_table_sees_a_rule_whose_level_was_changed(name, rule, level):
    (expected,) = {row[2] for row in [*COMPILED, *SPECIAL] if row[:2] == (name, "2.2")}
    assert fired(name, "2.2") == expected
    assert fired(name, "2.2", "--severity", f"{rule}={level}") != expected
