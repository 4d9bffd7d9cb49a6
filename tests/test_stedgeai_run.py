"""The compiler asked through the command line: a stand-in replays what real runs look like."""

import json
import os
import time
from pathlib import Path

import jsonschema
import pytest

from npugate.cli import Console, _run
from tests import stedgeai_tool as tool
from tests.stedgeai_tool import SAMPLES

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = json.loads((ROOT / "npugate" / "report.schema.json").read_text("utf-8"))
ACCEPT = "--stedgeai-accept-license"
GOOD = {"stdout": "generate-2.2.txt", "files": {"network_c_info.json": "sample_c_info.json"}}


class Text(list):
    """A stream that keeps what is written."""

    write = list.append

    def isatty(self):
        return False

    def __str__(self):
        return "".join(self)


def run(*arguments, environment=None):
    out, err = Text(), Text()
    code = _run([str(part) for part in arguments], Console(environment or {}, out, err))
    return code, str(out), str(err)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tool.model(tmp_path / "nets" / "small.onnx")
    return tmp_path


def checked(place, program, *more, command="check"):
    """Check the model with the stand-in; return the exit code and the model's part of the JSON."""
    code, _, err = run(
        command, "nets", f"--stedgeai={program}", ACCEPT, "--quiet", "--report=json=r.json", *more
    )
    assert "fault of npugate" not in err, err
    report = json.loads((place / "r.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    return code, report, report["models"][0]


def rules(model, severity):
    return [f["rule"] for f in model["findings"] if f["severity"] == severity]


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
    secret = {"GITHUB_TOKEN": "ghs_secret", "PATH": os.environ["PATH"], "HOME": str(place)}  # noqa: TID251
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
    child = int((place / "bin" / "child").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
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


def test_what_was_recorded_can_be_read_again_without_the_tool(place):
    program = tool.install(place / "bin", **GOOD)
    _, _, first = checked(place, program, "--record=kept")
    kept = place / "kept" / "nets__small.onnx"
    assert sorted(path.name for path in kept.iterdir()) == [
        "network_c_info.json",
        "run.json",
        "stdout.txt",
    ]
    assert "someone" not in (kept / "stdout.txt").read_text()
    assert "<folder>/sample_net.onnx" in (kept / "stdout.txt").read_text()
    program.unlink()
    code, _, again = checked(place, "off", "--replay=kept")
    assert code == 0
    assert again["stedgeai"] == {**first["stedgeai"], "back_end": "replay"}


def test_paths_stay_in_a_record_that_was_asked_for_raw(place):
    program = tool.install(place / "bin", **GOOD)
    checked(place, program, "--record=kept", "--record-raw")
    text = (place / "kept" / "nets__small.onnx" / "stdout.txt").read_text()
    assert "/home/someone/net/sample_net.onnx" in text
    assert "someone" not in (place / "r.json").read_text(), "the report is never raw"


def test_secrets_of_the_environment_do_not_reach_a_record(place):
    program = tool.install(place / "bin", bytes=b"login hunter22 of matilda\n".hex(), **GOOD)
    environment = {"STM32AI_PASSWORD": "hunter22", "USERNAME": "matilda"}
    run("check", "nets", f"--stedgeai={program}", ACCEPT, "--record=kept", environment=environment)
    text = (place / "kept" / "nets__small.onnx" / "stdout.txt").read_text()
    assert "login <secret> of <secret>" in text


def test_a_damaged_record_is_a_wrong_argument(place):
    folder = place / "kept" / "nets__small.onnx"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{")
    code, _, err = run("check", "nets", "--replay=kept")
    assert code == 2
    assert "is damaged" in err


def test_without_a_record_of_the_model_there_is_no_verdict(place):
    (place / "kept").mkdir()
    code, report, model = checked(place, "off", "--replay=kept")
    assert code == 0
    assert model["stedgeai"]["reason"] == "there is no record of this model"
    assert len(report["notices"]) == 1


@pytest.mark.parametrize("more", [[], [ACCEPT]])
def test_without_licence_or_tool_there_is_one_notice_and_our_own_verdict(place, more):
    run_, out, _ = run("check", "nets", "--stedgeai=auto", *more, "--format=json")
    report = json.loads(out)
    assert run_ == 0
    (notice,) = report["notices"]
    assert ("licence" if not more else "was not found") in notice
    assert "stedgeai" not in report["models"][0]


def test_a_tool_that_was_named_must_be_there(place):
    code, _, err = run("check", "nets", "--stedgeai=nowhere/stedgeai", ACCEPT)
    assert code == 2
    assert "no stedgeai there" in err


def test_the_tool_is_found_on_the_path_and_by_its_root(place):
    program = tool.install(place / "root" / "Utilities" / "linux", **GOOD)
    for environment in (
        {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"},  # noqa: TID251
        {"STEDGEAI_CORE_DIR": str(place / "root"), "PATH": "/usr/bin:/bin"},
    ):
        program.with_name("calls.json").unlink(missing_ok=True)
        code, _, _ = run("check", "nets", "--stedgeai=auto", ACCEPT, environment=environment)
        assert code == 0
        assert tool.calls(program)[0][0] == "generate"


WRONG = {
    "--stedgeai-profile=a b": "write NAME or NAME@FILE",
    "--stedgeai-profile=--help": "write NAME or NAME@FILE",
    "--stedgeai-profile=fast@nowhere.json": "there is no such file",
    "--input-data-type=int4": "known are",
    "--stedgeai-timeout=0": "more than 0",
    "--record-raw": "goes with --record",
    "--replay=nowhere": "there is no such folder",
    "--stedgeai=docker://": "name an image",
}


@pytest.mark.parametrize(("argument", "words"), WRONG.items())
def test_a_wrong_argument_is_told(place, argument, words):
    program = tool.install(place / "bin", **GOOD)
    code, _, err = run("check", "nets", f"--stedgeai={program}", ACCEPT, argument)
    assert code == 2
    assert words in err


def test_a_model_that_cannot_be_read_is_not_given_to_the_compiler(place):
    (place / "nets" / "small.onnx").write_bytes(b"no model")
    program = tool.install(place / "bin", **GOOD)
    code, _, model = checked(place, program)
    assert code == 1
    assert model["stedgeai"]["verdict"] == "not-run"
    assert not program.with_name("calls.json").exists()


def test_the_command_of_its_own_asks_only_the_compiler(place):
    tool.model(place / "nets" / "small.onnx", ir_version=11)
    program = tool.install(place / "bin", **GOOD)
    code, report, model = checked(place, program, command="stedgeai")
    assert code == 0
    assert rules(model, "error") == []
    assert model["stedgeai"]["verdict"] == "compiled"
    assert "NPU601" in report["rules"]
    program = tool.install(place / "bin", stdout="failed-ir-version.txt", status=255)
    code, _, model = checked(place, program, command="stedgeai")
    assert (code, rules(model, "error")) == (1, ["NPU601"])


def test_the_command_of_its_own_without_a_tool_is_an_error(place):
    code, _, err = run("stedgeai", "nets", ACCEPT)
    assert code == 2
    assert "was not found" in err


def test_text_and_markdown_show_the_figures_and_the_disagreement(place):
    program = tool.install(place / "bin", stdout="generate-2.1.txt")
    arguments = ("check", "nets", f"--stedgeai={program}", ACCEPT)
    _, text, _ = run(*arguments)
    assert "COMPILER: ST Edge AI Core 2.1.0-20194 (cli): compiled" in text
    assert "epochs: 4, of which 1 software" in text
    assert "- toolchain: predicted 2.2, compiled 2.1 (differs)" in text
    _, page, _ = run(*arguments, "--format=markdown")
    assert "**Compiler:**" in page
    assert "| toolchain | 2.2 | 2.1 |" in page


def test_a_refusal_is_in_the_reports_for_machines(place):
    program = tool.install(place / "bin", stdout="failed-crash.txt", status=255)
    arguments = ("check", "nets", f"--stedgeai={program}", ACCEPT)
    _, sarif, _ = run(*arguments, "--format=sarif")
    results = json.loads(sarif)["runs"][0]["results"]
    assert [r["level"] for r in results if r["ruleId"] == "NPU601"] == ["error"]
    _, junit, _ = run(*arguments, "--format=junit")
    assert "NPU601" in junit


def test_the_samples_are_there():
    assert len(list(SAMPLES.iterdir())) >= 14
