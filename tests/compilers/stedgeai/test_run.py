"""The compiler asked through the command line: a stand-in replays what real runs look like."""

import json
import os
import time
from pathlib import Path

import pytest

from tests import stedgeai_tool as tool
from tests.stedgeai_tool import ACCEPT, GOOD, checked, rules, run


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tool.model(tmp_path / "nets" / "small.onnx")
    return tmp_path


def test_a_model_that_compiles_passes_with_all_figures(place):
    program = tool.install(place / "bin", **GOOD)
    code, _, model = checked(place, program)
    assert (code, model["verdict"]) == (0, "pass")
    found = model["stedgeai"]
    assert (found["verdict"], found["back_end"]) == ("compiled", "cli")
    figures = found["figures"]
    assert figures["version"] == "2.2.0-20266 2adc00962"
    assert (figures["weights_bytes"], figures["activations_bytes"]) == (41473, 1081344)
    assert figures["epochs"] == {
        "total": 5,
        "software": 2,
        "hybrid": 0,
        "hardware": 3,
        "blobs": None,
    }
    assert [row["operators"] for row in figures["off_npu"]] == [
        ["DepthToSpace"],
        ["DequantizeLinear"],
    ]
    assert found["compared"][:2] == [
        {"subject": "verdict", "predicted": "no error", "compiled": "compiled", "agrees": True},
        {"subject": "toolchain", "predicted": "2.2", "compiled": "2.2", "agrees": True},
    ]
    assert found["known"] == ["obsolete-profile-key"]
    assert "NPU604" in rules(model, "note")


def test_the_tool_is_called_with_a_list_in_a_folder_of_its_own(place):
    program = tool.install(place / "bin", **GOOD)
    odd = place / "nets" / "--output=x; é $(touch y).onnx"
    (place / "nets" / "small.onnx").rename(odd)
    profile = place / "my profile.json"
    profile.write_text("{}")
    secret = {"GITHUB_TOKEN": "ghs_secret", "PATH": os.environ["PATH"], "HOME": str(place)}  # noqa: TID251 - the real one
    code, _, _ = run(
        "check",
        "nets",
        f"--stedgeai={program}",
        ACCEPT,
        f"--stedgeai-profile=fast@{profile}",
        "--input-data-type=uint8",
        "--inputs-ch-position=chlast",
        environment=secret,
    )
    assert code == 0
    arguments, environment = tool.calls(program)
    model = Path(arguments[arguments.index("--model") + 1])
    assert model.name == "output_x_touch_y.onnx"
    assert str(model).isascii()
    assert not model.exists(), "the work folder is gone"
    assert arguments[:1] == ["generate"]
    assert arguments[arguments.index("--target") + 1] == "stm32n6"
    assert arguments[arguments.index("--st-neural-art") + 1] == f"fast@{profile}"
    assert arguments[-4:] == ["--input-data-type", "uint8", "--inputs-ch-position", "chlast"]
    assert "GITHUB_TOKEN" not in environment
    assert not (place / "y").exists()


def test_weights_in_another_file_go_along(place):
    import onnx  # noqa: PLC0415 - this test only

    model = onnx.load(place / "nets" / "small.onnx")
    onnx.save(
        model,
        place / "nets" / "small.onnx",
        save_as_external_data=True,
        location="small.bin",
        size_threshold=0,
    )
    program = tool.install(place / "bin", **GOOD)
    code, _, _ = checked(place, program)
    assert code == 0
    assert json.loads((place / "bin" / "seen.json").read_text()) == ["small.bin", "small.onnx"]


REFUSED = {
    "failed-ir-version.txt": ("NPU207", "ir-version", "IR version"),
    "failed-allocation.txt": ("NPU602", "activations-do-not-fit", "do not fit"),
    "failed-crash.txt": ("NPU601", "compiler-crash", "crashed"),
    "failed-wrapped.txt": ("NPU003", "shape-inference", "shapes cannot be inferred"),
}


@pytest.mark.parametrize(("log", "expected"), REFUSED.items())
def test_a_refusal_is_an_error_of_the_rule_that_it_is_about(place, log, expected):
    rule, row, words = expected
    program = tool.install(place / "bin", stdout=log, status=255)
    code, _, model = checked(place, program)
    assert code == 1
    assert rules(model, "error") == [rule]
    message = next(f["message"] for f in model["findings"] if f["severity"] == "error")
    assert words in message
    assert "refused the model" in message
    assert model["stedgeai"]["verdict"] == "refused"
    assert model["stedgeai"]["known"] == [row]
    assert model["stedgeai"]["compared"][0]["agrees"] is False, "we did not predict it"


def test_an_unknown_failure_is_told_whole_with_how_to_file_it(place):
    program = tool.install(place / "bin", stdout="failed-unknown.txt", status=255)
    code, _, model = checked(place, program)
    (message,) = [f["message"] for f in model["findings"] if f["rule"] == "NPU601"]
    assert code == 1
    assert "TOOL ERROR: the flux of node '/head/Add' in <folder>/net.onnx" in message
    assert "please file it" in message
    assert "secret-customer" not in json.dumps(model)


def test_a_failure_without_words_is_told_with_its_status_and_its_last_lines(place):
    program = tool.install(place / "bin", bytes=b"segfault soon\n".hex(), status=7)
    code, _, model = checked(place, program)
    (message,) = [f["message"] for f in model["findings"] if f["rule"] == "NPU601"]
    assert code == 1
    assert "exit status 7 | segfault soon" in message


def test_a_rule_that_is_switched_off_does_not_hide_a_refusal(place):
    program = tool.install(place / "bin", stdout="failed-ir-version.txt", status=255)
    code, _, model = checked(place, program, "--ignore=NPU207")
    assert code == 1
    assert rules(model, "error") == ["NPU601"]


def test_an_error_that_we_predicted_is_told_once(place):
    tool.model(place / "nets" / "small.onnx", ir_version=11)
    program = tool.install(place / "bin", stdout="failed-ir-version.txt", status=255)
    code, _, model = checked(place, program)
    assert code == 1
    assert rules(model, "error") == ["NPU207"]
    first = model["stedgeai"]["compared"][0]
    assert first["compiled"] == "refused, which NPU207 is about"
    assert first["agrees"] is True


def test_an_error_of_ours_that_the_compiler_took_is_called_out(place):
    tool.model(place / "nets" / "small.onnx", ir_version=11)
    program = tool.install(place / "bin", **GOOD)
    code, _, model = checked(place, program)
    assert code == 1, "our own verdict stands"
    first = model["stedgeai"]["compared"][0]
    assert first == {
        "subject": "verdict",
        "predicted": "errors: NPU207",
        "compiled": "compiled",
        "agrees": False,
    }


def test_a_profile_that_the_tool_does_not_take_says_nothing_about_the_model(place):
    program = tool.install(place / "bin", stdout="failed-arguments.txt", status=255)
    code, report, model = checked(place, program)
    assert (code, model["verdict"]) == (0, "pass")
    assert model["stedgeai"]["verdict"] == "no-verdict"
    assert "E102(CliArgumentError)" in model["stedgeai"]["reason"]
    assert "NPU601" in rules(model, "warning"), "--fail-on warning can gate on it"
    assert any("without a verdict of the compiler: 1" in text for text in report["notices"])


def test_quantisation_that_was_dropped_is_an_error_although_the_run_went_well(place):
    program = tool.install(place / "bin", stdout="trap-quantization.txt")
    code, _, model = checked(place, program)
    assert code == 1
    assert rules(model, "error") == ["NPU603"]
    assert model["stedgeai"]["verdict"] == "compiled"


def test_activations_in_external_memory_are_a_warning(place):
    program = tool.install(place / "bin", stdout="generate-2.1.txt")
    code, _, model = checked(place, program)
    (message,) = [f["message"] for f in model["findings"] if f["rule"] == "NPU602"]
    assert code == 0
    assert "600.0 KiB" in message
    assert "hyperRAM" in message
    rows = {row["subject"]: row for row in model["stedgeai"]["compared"]}
    assert rows["toolchain"] == {
        "subject": "toolchain",
        "predicted": "2.2",
        "compiled": "2.1",
        "agrees": False,
    }


@pytest.mark.parametrize("version", ["2.1", "2.2", "4.0"])
def test_each_layout_compiles(place, version):
    program = tool.install(place / "bin", stdout=f"generate-{version}.txt")
    code, _, model = checked(place, program)
    assert code == 0
    assert model["stedgeai"]["figures"]["toolchain"] == version


def test_a_tool_that_hangs_is_ended_with_its_children(place):
    program = tool.install(place / "bin", hang=60)
    start = time.monotonic()
    code, report, model = checked(place, program, "--stedgeai-timeout=1")
    assert time.monotonic() - start < 30
    assert code == 0
    assert model["stedgeai"]["verdict"] == "no-verdict"
    assert "it was ended after 1 s" in model["stedgeai"]["reason"]
    assert rules(model, "warning").count("NPU601") == 1
    assert not tool.is_alive(int((place / "bin" / "child").read_text()))
    assert len(report["notices"]) == 1


def test_a_tool_that_crashes_gives_no_verdict(place):
    program = tool.install(place / "bin", signal=11)
    code, _, model = checked(place, program)
    assert code == 0
    assert model["stedgeai"]["reason"] == "the compiler was ended by signal 11"


def test_a_hundred_megabytes_of_output_are_bounded_and_still_read(place):
    program = tool.install(place / "bin", megabytes=100, **GOOD)
    code, _, model = checked(place, program, "--record=kept")
    assert code == 0
    assert model["stedgeai"]["verdict"] == "compiled"
    assert (place / "kept" / "nets__small.onnx" / "stdout.txt").stat().st_size < 9 * 1024 * 1024


def test_output_that_is_no_text_is_read_all_the_same(place):
    program = tool.install(place / "bin", bytes="fffe00c3280a", **GOOD)
    code, _, model = checked(place, program)
    assert code == 0
    assert model["stedgeai"]["figures"]["weights_bytes"] == 41473


def test_a_run_that_leaves_no_report_is_no_verdict(place):
    program = tool.install(place / "bin")
    code, _, model = checked(place, program)
    assert code == 0
    assert "left no report" in model["stedgeai"]["reason"]
