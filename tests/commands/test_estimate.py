"""``npugate estimate``: what it prints, what it ends with."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from npugate import cli
from npugate.reporters import costs
from tests.hostile.graphs import GRAPHS
from tests.reporters.test_estimates import estimate, report_of
from tests.sample_report import HOSTILE

MODELS = Path(__file__).resolve().parents[1] / "fixtures/models"


def ended(capsys, *arguments):
    code = cli.main(["estimate", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_it_says_what_leaves_the_npu_and_what_it_needs(capsys):
    code, out, err = ended(capsys, str(MODELS / "rppg_4d_fp32.onnx"))
    assert (code, err) == (0, "")
    assert "PLACEMENT  20 epochs: 0 NPU, 0 hybrid, 20 CPU" in out
    assert out.count("why: it is computed in float") == 1  # once, not twenty times
    assert "MEMORY" in out
    assert "at the peak" in out
    assert "and 10 more off the NPU" in out
    assert (
        "more off the NPU" not in ended(capsys, str(MODELS / "rppg_4d_fp32.onnx"), "--verbose")[1]
    )


def test_the_board_and_the_toolchain_are_those_asked_for(capsys):
    model = str(MODELS / "rppg_4d_fp32.onnx")
    out = ended(capsys, model, "--board", "nucleo-n657x0-q", "--toolchain", "4.0")[1]
    assert "for nucleo-n657x0-q, toolchain 4.0" in out
    code, _, err = ended(capsys, model, "--board", "no-such-board")
    assert code == 2
    assert "no-such-board" in err


def test_json_is_the_report_of_a_check(capsys):
    code, out, _ = ended(capsys, str(MODELS / "rppg_4d_fp32.onnx"), "--format", "json")
    assert code == 0
    assert json.loads(out)["models"][0]["estimate"]["epochs"]["cpu"] == 20


@pytest.mark.parametrize("data", [b"", b"no model", b"\x08\x08"])
def test_what_is_no_model_is_said_and_ends_with_1(capsys, tmp_path, data):
    (tmp_path / "x.onnx").write_bytes(data)
    code, out, _ = ended(capsys, str(tmp_path / "x.onnx"))
    assert code == 1 or data == b"\x08\x08"
    assert "estimate" in out or "PLACEMENT" in out


def test_a_target_without_an_accelerator_is_not_estimated(capsys):
    out = ended(capsys, str(MODELS / "rppg_4d_fp32.onnx"), "--target", "stm32h7")[1]
    assert "not estimated: the target has no NPU" in out


def test_a_file_that_is_no_model_is_told_why(tmp_path, capsys):
    path = tmp_path / "net.onnx"
    path.write_text("hello")
    code, out = ended(capsys, str(path))[:2]
    assert code == 1
    assert "not estimated: the file is no ONNX model" in " ".join(out.split())


def test_time_and_memory_are_told_with_their_intervals():
    text = costs.render(report_of(estimate()))
    assert "TIME  1.5 ms (1.2 to 1.8)" in text
    assert "75% of it on the NPU, 25% on the CPU" in text
    assert "activations  2.0 KiB (1.6 KiB to 2.4 KiB), at least 1.0 KiB" in text
    assert "Softmax on CPU, ends a chain of NPU epochs" in text


def test_a_hostile_name_stays_on_its_line():
    report = report_of(estimate())
    for name in HOSTILE.values():
        models = tuple(replace(model, path=name) for model in report.models)
        text = costs.render(replace(report, models=models))
        assert "\x1b" not in text
        assert not [line for line in text.splitlines() if line.startswith("::")]


def test_a_file_that_is_no_valid_model_is_named_and_ends_with_1(capsys, tmp_path):
    data, rule = GRAPHS["a function twice"]
    (tmp_path / "x.onnx").write_bytes(data)
    code, out, _ = ended(capsys, str(tmp_path / "x.onnx"))
    assert code == 1
    assert f"not a valid model: NPU007 {rule}: the local function 'loc.F'" in out
