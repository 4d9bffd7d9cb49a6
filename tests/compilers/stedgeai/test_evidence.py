"""Real reports of 2.0 to 4.0.1, kept outside of the repository: each is read, and read rightly."""

import re

import pytest

from npugate.compilers.stedgeai import catalogue, info, reading, redact, text
from npugate.report.compiled import EpochCounts
from tests.evidence import FOLDER, needs_evidence

REPORTS = FOLDER / "groundtruth" / "reports"
pytestmark = needs_evidence("groundtruth", "reports")

TEXTS = sorted(REPORTS.rglob("*.txt"))
INFOS = sorted(REPORTS.rglob("*c_info.json"))
OLDER = sorted(path for path in REPORTS.rglob("*_report.json") if path.parent.name == ".ai")
MAGNUS = "Magnus3327/stm32n6-edge-ai-benchmarks/Output"
STUDIO = f"{MAGNUS}/Output_CV_Models/AI_STUDIO"
CUBEMX = f"{MAGNUS}/Output_Baseline/CubeMX_xcubeai"
OCR = "SanXiaCoat/OCR-and-Navigator-Based-On-STM32N6/CubeProjects"
YAMNET = (
    "TitoNicolaDrugman/stm32ai-modelzoo-services/application_code/audio/STM32N6/Projects/"
    "X-CUBE-AI/models/network_analyze_report.txt"
)
BERT = "TitoNicolaDrugman/Transformer-NPU-STM32N6/st_modelzoo/deployment/c_project/Middlewares/ST"
PELE = "PeleAB/STM32N6-FaceRecognition"
HAN = "Han-Sang-min/STM32N6_AI"
VERSIONS = {"2.0.0-20049", "2.1.0-20194", "2.2.0-20266", "4.0.0-20500", "4.0.1-20581"}


def name(path):
    return str(path.relative_to(REPORTS))[-70:]


def runs(place):
    return text.read((REPORTS / place).read_bytes())


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_every_text_gives_a_run_with_figures_or_a_failure(path):
    found = text.read(path.read_bytes())
    assert found
    for run in found:
        assert run.command in {"generate", "analyze", "validate", ""}
        assert not run.version or run.version.partition(" ")[0] in VERSIONS
        assert run.failure or run.macs or run.weights or run.counts or run.timing
        if run.counts is not None and run.compiler and run.epochs:
            assert sum(row.kind == "SW" for row in run.epochs) == run.counts.software
            hybrid = sum(row.kind == "HYBRID" for row in run.epochs)
            assert run.counts.hybrid in (None, hybrid)


def test_there_are_as_many_texts_as_were_collected():
    assert len(TEXTS) == 58


@pytest.mark.parametrize("path", INFOS, ids=name)
def test_every_c_info_is_read(path):
    run = info.read(path.read_bytes())
    assert run.version.partition(" ")[0] in VERSIONS
    assert run.model
    assert run.pools or run.timing or run.weights


@pytest.mark.parametrize("path", OLDER, ids=name)
def test_every_older_report_is_read(path):
    run = info.read(path.read_bytes())
    assert (run.toolchain, run.failure) == ("2.0", None)
    assert run.weights
    assert run.activations


def kinds(run):
    return [(row.first, *row.operators) for row in run.epochs if row.kind in {"SW", "HYBRID"}]


# Read by eye from the files; the index is of the run in the file.
BY_HAND = [
    (
        f"{HAN}/Appli/X-CUBE-AI/App/network_generate_report.txt",
        0,
        {
            "version": "2.0.0-20049",
            "compiler": "0.0.0-0000",
            "macs": 777_482_634,
            "weights": 11_064_337,
            "activations": 351_232,
            "flash": 11_144_718,
            "ram": 507_653,
            "counts": EpochCounts(21, 1),
            "external_activations": 343 * 1024,
        },
    ),
    (
        f"{PELE}/converted_models/face_detection_generate_report.txt",
        0,
        {
            "version": "2.1.0-20194 329b0e98d",
            "counts": EpochCounts(81, 10),
            "model": "centerface",
            "external_activations": 0,
        },
    ),
    (
        YAMNET,
        0,
        {
            "command": "analyze",
            "toolchain": "2.1",
            "macs": 71_164_808,
            "activations": 147_456,
            "counts": EpochCounts(39, 3),
        },
    ),
    (
        f"{BERT}/AI/network_generate_report.txt",
        0,
        {
            "model_format": "sa/sa per tensor",
            "macs": 8_411_143_898,
            "parameters": 2_150_981,
            "weights": 2_154_368,
            "activations": 545_056,
            "counts": None,
        },
    ),
    (
        f"{CUBEMX}/Conv2d_poll/network_generate_report.txt",
        0,
        {
            "version": "2.2.0-20266 2adc00962",
            "compiler": "1.1.1-14",
            "macs": 1_916_944,
            "weights": 497,
            "activations": 12_304,
            "flash": 15_405,
            "ram": 12_333,
            "counts": EpochCounts(2, 0),
        },
    ),
    (
        f"{MAGNUS}/Output_CV_Models/Cube_MX/mobilenet_v2_224.txt",
        0,
        {
            "command": "generate",
            "compiler": "1.1.1-14",
            "macs": None,
            "weights": 4_137_361,
            "activations": 2_107_392,
            "counts": EpochCounts(58, 3),
            "seconds": 18.515,
        },
    ),
    (
        f"{MAGNUS}/Output_CV_Models/Cube_MX/mobilenet_v2_224.txt",
        1,
        {"command": "validate", "macs": 301_277_256, "model": "mobilenet_v2_224_int8"},
    ),
    (
        f"{OCR}/Navigator/ExtMemLoader/X-CUBE-AI/App/ocr_det_generate_report.txt",
        0,
        {
            "macs": 178_307_948,
            "weights": 1_417_281,
            "activations": 2_169_112,
            "counts": EpochCounts(184, 14),
        },
    ),
    (
        f"{MAGNUS}/Output_Baseline/Dev_Cloud/AICore4.0/conv2d_32f_7x7_report.txt",
        0,
        {
            "version": "4.0.0-20500 359356bb0",
            "compiler": "1.1.3-262",
            "model_format": "ss/sa per channel",
            "macs": 19_660_800,
            "parameters": 4_736,
            "weights": 4_833,
            "activations": 1_585_152,
            "flash": 26_440,
            "ram": 1_585_181,
            "counts": EpochCounts(5, 0, 0, 5, 0),
            "seconds": 4.094,
            "failure": None,
        },
    ),
    (
        f"{STUDIO}/yolov8n_micro_224.txt",
        0,
        {
            "version": "4.0.1-20581 7ed50de05",
            "compiler": "1.1.3-275",
            "model_format": "sa/sa per tensor",
            "macs": 537_501_776,
            "parameters": 3_157_066,
            "weights": 3_158_049,
            "activations": 401_408,
            "counts": EpochCounts(108, 5, 8, 95, 10),
            "external_activations": 0,
        },
    ),
    (
        f"{STUDIO}/yolov8n_micro_224.txt",
        1,
        {"command": "validate", "macs": 541_138_699},
    ),
]


@pytest.mark.parametrize(("place", "index", "expected"), BY_HAND)
def test_the_figures_are_those_that_a_reader_sees(place, index, expected):
    run = runs(place)[index]
    assert {key: getattr(run, key) for key in expected} == expected


def test_the_operators_off_the_npu_are_those_that_a_reader_sees():
    run = runs(f"{MAGNUS}/Output_CV_Models/Cube_MX/mobilenet_v2_224.txt")[0]
    assert kinds(run) == [
        (54, "DequantizeLinear"),
        (55, "GlobalAveragePool"),
        (56, "QuantizeLinear"),
    ]
    run = runs(f"{STUDIO}/yolov8n_micro_224.txt")[0]
    assert kinds(run) == [
        (52, "DepthToSpace"),
        (53, "Concat"),
        (62, "DepthToSpace"),
        (64, "Concat"),
        (94, "Concat"),
        (108, "Concat"),
        (111, "Concat"),
        (113, "Transpose"),
        (115, "Softmax"),
        (118, "DequantizeLinear"),
        (119, "Sub(float)"),
        (120, "QuantizeLinear"),
        (121, "QuantizeLinear"),
    ]


def test_the_measurements_are_those_that_a_reader_sees():
    slow = runs(f"{STUDIO}/yolov8n_micro_224.txt")[1].timing
    assert (slow.milliseconds, slow.low, slow.high, slow.samples) == (47.584, 46.337, 48.490, 10)
    assert dict(slow.clocks_mhz) == {"mcu": 600, "noc": 400, "npu": 800, "nic": 800}
    fast = runs(f"{MAGNUS}/Output_CV_Models/Cube_MX/mobilenet_v2_224.txt")[1].timing
    assert (fast.milliseconds, dict(fast.clocks_mhz)["npu"]) == (20.694, 1000)
    pool = runs(f"{CUBEMX}/Conv2d_poll/network_validate_report.txt")[0].timing
    assert (pool.milliseconds, pool.cpu_cycles) == (0.080, (7424, 53813, 2924))


FAILED = [
    (f"{MAGNUS}/Output_CV_Models/Cube_MX/Resnet34.txt", 0, "activations-do-not-fit"),
    (f"{STUDIO}/mobileclips0.txt", 0, "shape-inference"),
    (f"{STUDIO}/mobileclips0.txt", 1, "layer-format"),
    (
        f"{STUDIO}/yolov11x_float32/error.txt",
        0,
        "activations-do-not-fit",
    ),
    (f"{MAGNUS}/Output_Baseline/AI_STUDIO/conv2d_32f_7x7.txt", 1, "board-timeout"),
    (f"{MAGNUS}/Output_Baseline/Dev_Cloud/AICore4.0/conv2d_32f_7x7_report.txt", 1, "board-timeout"),
]


@pytest.mark.parametrize(("place", "index", "row"), FAILED)
def test_each_real_failure_is_in_the_catalogue(place, index, row):
    failure = runs(place)[index].failure
    assert failure is not None
    assert catalogue.of_failure([str(failure), *failure.detail]).id == row


def test_the_first_failure_of_the_log_with_two_is_in_the_catalogue_as_well():
    log = (REPORTS / MAGNUS / "Output_CV_Models/Cube_MX/Resnet34.txt").read_text()
    (run,) = text.read(log[: log.index("Ho cambiato")])
    assert catalogue.of_failure([str(run.failure)]).id == "ir-version"


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_no_run_that_went_well_shows_a_failure(path):
    failing = {place for place, _, _ in FAILED}
    if any(str(path).endswith(place) for place in failing) or "epochController" in path.name:
        return
    assert [run.failure for run in text.read(path.read_bytes()) if run.failure] == []


def test_real_traps_are_in_the_catalogue():
    log = (REPORTS / MAGNUS / "Output_CV_Models/AI_STUDIO/yolov11x_float32/error.txt").read_text()
    found = {row.id: count for row, count in catalogue.of_output(log.splitlines())}
    assert found["not-quantized"] > 400
    cloud = REPORTS / MAGNUS / "Output_Baseline/Dev_Cloud/AICore2.2/conv2d_poll.txt"
    found = {row.id for row, _ in catalogue.of_output(cloud.read_text().splitlines())}
    assert found == {"obsolete-profile-key"}


PAIRS = [
    (
        f"{PELE}/converted_models/face_detection_generate_report.txt",
        f"{PELE}/converted_models/face_detection_c_info.json",
    ),
    *(
        (
            f"{OCR}/{place}/ExtMemLoader/X-CUBE-AI/App/ocr_det_generate_report.txt",
            f"{OCR}/{place}/.ai/ocr_det_ch_PP-OCRv4_det_160_qdq.onnx_c_info.json",
        )
        for place in ("Navigator", "OCR_Detection/AI_Vision")
    ),
    (
        f"{HAN}/Appli/X-CUBE-AI/App/network_generate_report.txt",
        f"{HAN}/.ai/network_tiny_yolo_v2_224_int8.tflite_c_info.json",
    ),
    *(
        (f"{BERT}/AI{old}/network_generate_report.txt", f"{BERT}/AI{old}/network_c_info.json")
        for old in ("", "/old_-_v1", "/old_-_v2", "/old_-_v3")
    ),
    *(
        (f"{CUBEMX}/{net}/network_validate_report.txt", f"{CUBEMX}/{net}/network_c_info.json")
        for net in ("Conv2d_16f_3x3", "Conv2d_1x1", "Conv2d_32f_5x5", "Conv2d_32f_7x7")
    ),
    *(
        (f"{CUBEMX}/{net}/network_validate_report.txt", f"{CUBEMX}/{net}/network_c_info.json")
        for net in ("Conv2d_3x3", "Conv2d_poll", "Depthwise_3x3", "conv2d_64f_3x3")
    ),
]


@pytest.mark.parametrize(("printed", "written"), PAIRS)
def test_text_and_json_of_one_run_tell_the_same(printed, written):
    told, exact = runs(printed)[0], info.read((REPORTS / written).read_bytes())
    for key in ("command", "version", "weights", "activations", "parameters", "model"):
        one, other = getattr(told, key), getattr(exact, key)
        assert one == other or None in (one, other), key
    if told.counts is not None:
        assert (told.counts.total, told.counts.software) == (
            exact.counts.total,
            exact.counts.software,
        )
        assert [(row.first, row.kind) for row in told.epochs] == [
            (row.first, row.kind) for row in exact.epochs
        ]
    others = {pool.name: pool for pool in exact.pools}
    for pool in told.pools:
        unit = 1024 * 1024 if pool.used_bytes > 1024 * 1024 else 1024
        assert abs(pool.used_bytes - others[pool.name].used_bytes) <= 0.0006 * unit, pool.name
        assert pool.start == others[pool.name].start
    if told.timing is not None:
        assert told.timing.cpu_cycles == exact.timing.cpu_cycles
        assert told.timing.milliseconds == pytest.approx(exact.timing.milliseconds, abs=0.0006)
    assert told.counts or told.timing or told.weights == exact.weights


def test_one_account_is_made_of_text_json_and_memories():
    printed, written = PAIRS[0]
    pools = (
        "PeleAB/STM32N6-FaceRecognition/st_ai_ws/neural_art__face_detection/face_detection.mpool"
    )
    files = {"x_c_info.json": (REPORTS / written).read_bytes()}
    files["x.mpool"] = (REPORTS / pools).read_bytes()
    run = reading.read((REPORTS / printed).read_bytes(), files)
    assert {p.name: p.used_bytes for p in run.pools}["npuRAM5"] == 384 * 1024
    assert run.counts == EpochCounts(81, 10, 1, 70)
    assert run.weights == 2_455_409
    assert sum(1 for row in run.epochs if row.operators) == 81


PRIVATE = re.compile(
    r"matteo?\b|[\\/]Users[\\/]|/home/|\bHANS\b|Vostro|drugm|Universita|Tirocinio|002F00223|"
    r"usbmodem",
    re.IGNORECASE,
)


@pytest.mark.parametrize("path", [*TEXTS, *INFOS, *OLDER], ids=name)
def test_no_user_path_and_no_serial_number_is_left_and_no_figure_is_lost(path):
    data = path.read_bytes()
    clean = redact.data(data)
    assert [match[0] for match in PRIVATE.finditer(clean.decode())] == []
    if path.suffix == ".txt":
        before, after = text.read(data), text.read(clean)
        assert [run.failure is None for run in before] == [run.failure is None for run in after]
    else:
        before, after = (info.read(data),), (info.read(clean),)
    for one, other in zip(before, after, strict=True):
        for key in ("version", "macs", "weights", "activations", "pools", "counts", "epochs"):
            assert getattr(one, key) == getattr(other, key)
        assert (one.timing, one.flash, one.model) == (other.timing, other.flash, other.model)
