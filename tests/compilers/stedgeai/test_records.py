"""The compiler recorded, replayed, missing, alone, and in each report; see test_stedgeai_run.py."""

import json
import os

import pytest

from tests import stedgeai_tool as tool
from tests.stedgeai_tool import ACCEPT, GOOD, SAMPLES, checked, rules, run


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tool.model(tmp_path / "nets" / "small.onnx")
    return tmp_path


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
    program = tool.install(place / "bin", bytes=b"login hunter22 of matilda.m\n".hex(), **GOOD)
    environment = {"STM32AI_PASSWORD": "hunter22", "STM32AI_USERNAME": "matilda.m"}
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


def test_a_server_that_does_not_answer_changes_no_verdict(place):
    environment = {"STM32AI_URL": "http://127.0.0.1:9", "STM32AI_ACCESS_TOKEN": "of-the-test"}
    arguments = ("check", "nets", "--stedgeai=cloud", ACCEPT, "--format=json")
    code, out, _ = run(*arguments, environment=environment)
    assert code == 0
    (notice,) = json.loads(out)["notices"]
    assert notice.startswith("the compiler was not asked: /assets/versions.json: URLError")
    code, _, err = run("stedgeai", *arguments[1:], environment=environment)
    assert code == 2
    assert "was not asked" in err


def test_a_tool_that_was_named_must_be_there(place):
    code, _, err = run("check", "nets", "--stedgeai=nowhere/stedgeai", ACCEPT)
    assert code == 2
    assert "no stedgeai there" in err


def test_the_tool_is_found_on_the_path_and_by_its_root(place):
    program = tool.install(place / "root" / "Utilities" / "linux", **GOOD)
    for environment in (
        {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"},  # noqa: TID251 - the real one
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


def test_the_page_shows_the_compiler_where_it_was_asked(place):
    program = tool.install(place / "bin", stdout="generate-2.1.txt")
    arguments = ("check", "nets", "--quiet", "--report=html=page.html")

    def shown():
        page = (place / "page.html").read_text("utf-8")
        start = page.index(">", page.index('id="npugate-data"')) + 1
        return json.loads(page[start : page.index("</script>", start)])["models"][0]["compiler"]

    run(*arguments)
    assert shown() is None
    run(*arguments, f"--stedgeai={program}", ACCEPT)
    assert shown()["headline"] == "ST Edge AI Core 2.1.0-20194 (cli): compiled"
    assert ["toolchain", "2.2", "2.1", False] in shown()["rows"]


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
