"""Settings of strangers: nested, huge or odd ones are told in a sentence, harmless for a log."""

import json
import re

import pytest

from npugate import cli, escape, nesting
from tests.commands.test_check import CLEAN, save
from tests.commands.test_written_reports import FORMS

ACTED_ON = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]|^\s*::|##\w*\[", re.MULTILINE)
EVIL = "\x1b[31mred\r\n::error::x ##[group]y\n\u202e"
DEEP = 20_000


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path, "clean.onnx", CLEAN)
    return tmp_path


def ended(capfd, *arguments):
    code = cli.main(arguments)
    told = capfd.readouterr()
    for text in told:
        found = ACTED_ON.search(text)
        assert found is None, text[max(0, found.start() - 40) : found.end() + 40]
    return code, told.err


TOML = {
    "arrays": "severity = " + "[" * DEEP + "]" * DEEP,
    "tables": "severity = " + "{a = " * DEEP + "1" + "}" * DEEP,
    "dotted keys": "baseline" + ".a" * DEEP + " = 1",
    "a dotted header": "[severity" + ".a" * DEEP + "]\nx = 1",
    "just too deep": "severity = " + "[" * 61 + "]" * 61,
}
JSON = {
    "objects": '{"schema":' * DEEP + "1" + "}" * DEEP,
    "arrays": "[" * DEEP + "]" * DEEP,
    "not closed": "[" * DEEP * 10,
    "inside": '{"schema": "npugate-baseline/1", "models": {"a": ' + "[" * DEEP + "]" * DEEP + "}}",
}


@pytest.mark.parametrize("name", TOML)
@pytest.mark.parametrize("option", ["--config", "--target"])
def test_a_setting_that_is_nested_deep_is_told(here, capfd, name, option):
    (here / "s.toml").write_text(TOML[name])
    code, told = ended(capfd, "check", "clean.onnx", option, "s.toml")
    assert code == 2
    assert re.fullmatch(r"npugate: error: s\.toml.* it is nested more than 60 deep\n", told)


@pytest.mark.parametrize("name", ["npugate.toml", "pyproject.toml"])
@pytest.mark.parametrize("command", ["check", "fix", "deploy", "estimate"])
def test_a_nested_configuration_that_is_found_is_told(here, capfd, name, command):
    (here / name).write_text(TOML["arrays"])
    code, told = ended(capfd, command)
    assert code == 2
    assert f"{name} is no TOML: it is nested more than 60 deep" in told


@pytest.mark.parametrize("name", JSON)
def test_a_baseline_that_is_nested_deep_is_told(here, capfd, name):
    (here / "b.json").write_text(JSON[name])
    code, told = ended(capfd, "check", "clean.onnx", "--baseline", "b.json")
    assert code == 2
    assert told.startswith("npugate: error: the baseline b.json is no JSON: ")


@pytest.mark.parametrize("name", JSON)
def test_a_board_that_is_nested_deep_is_told(here, capfd, name):
    (here / "b.mpool").write_text(JSON[name])
    assert ended(capfd, "check", "clean.onnx", "--board", "b.mpool")[0] == 2


@pytest.mark.parametrize("name", TOML)
def test_preprocessing_that_is_nested_deep_is_told(here, capfd, name):
    (here / "p.toml").write_text(TOML[name])
    code, told = ended(
        capfd, "verify", "clean.onnx", "--preprocess", "p.toml", "--data", "clean.onnx"
    )
    assert code == 2
    assert "Traceback" not in told


def test_what_was_remembered_and_is_nested_deep_counts_as_nothing(tmp_path):
    from npugate.calibration import sidecar  # noqa: PLC0415 - heavy
    from npugate.deploy import cache, step_report  # noqa: PLC0415 - the same

    (tmp_path / "deploy-state.json").write_text(JSON["objects"])
    assert cache.State(tmp_path).seconds("step", "digest", ()) is None
    with pytest.raises(step_report.ReportError, match="nested"):
        step_report.read(tmp_path / "deploy-state.json")
    (tmp_path / "m.onnx.calibration.json").write_text(JSON["arrays"])
    assert "nested" in str(sidecar.read(tmp_path / "m.onnx", ""))


def test_what_real_files_hold_is_not_too_deep():
    assert nesting.json_value("[" * 59 + "]" * 59) is not None
    assert nesting.toml_table(b"a = " + b"[" * 59 + b"]" * 59)
    with pytest.raises(ValueError, match="nested more than 60 deep"):
        nesting.json_value("[" * 60 + "1" + "]" * 60)
    assert nesting.json_value(json.dumps([[1], {"a": {"b": "c"}}])) == [[1], {"a": {"b": "c"}}]


@pytest.mark.parametrize(
    "text", ['target = "a\\u0000b.toml"', 'board = "a\\u0000.mpool"', 'baseline = "a\\u0000"']
)
def test_a_name_that_no_file_can_have_is_told(here, capfd, text):
    (here / "npugate.toml").write_text(text)
    code, told = ended(capfd, "check", "clean.onnx")
    assert code == 2
    assert "null byte" in told


def test_a_number_of_too_many_digits_is_told(here, capfd):
    (here / "npugate.toml").write_text("a = " + "9" * 6000)
    assert ended(capfd, "check", "clean.onnx")[0] == 2


@pytest.mark.parametrize("ending", ["", ".toml", ".mpool", ".json"])
@pytest.mark.parametrize(
    "option",
    [
        *("--baseline", "--target", "--board", "--toolchain", "--config", "--base-folder"),
        *("--base", "--changed-since", "--changes-from", "--files-from", "--report", "--severity"),
        *("--select", "--ignore", "--format", "--jobs", "--fail-on", "--source-url", "--replay"),
        *("--write-baseline", "--unknown"),
    ],
)
def test_no_argument_reaches_the_terminal_as_it_is(here, capfd, option, ending):
    name = (EVIL + ending).replace("/", "")
    place = here / name
    if option in {"--target", "--config", "--baseline", "--board"}:
        place.write_text("[[[ \x1b[31m\n::error::x")  # it is there, and damaged
        ended(capfd, "check", "clean.onnx", option, name)
        place.unlink()
    if option == "--write-baseline":
        place.symlink_to("elsewhere")
    code, told = ended(capfd, "check", "clean.onnx", option, name)
    assert code == 2
    assert "\\x1b" in told


@pytest.mark.parametrize("key", ["target", "board", "baseline", "toolchain", "unknown\\u001b[1m"])
@pytest.mark.parametrize("ending", ["", ".toml", ".mpool"])
def test_nothing_of_a_configuration_reaches_the_terminal_as_it_is(here, capfd, key, ending):
    (here / "npugate.toml").write_text(f'"{key}" = {json.dumps(EVIL + ending)}\n')
    code, told = ended(capfd, "check", "clean.onnx")
    assert code == 2
    assert "\\x1b" in told


@pytest.mark.parametrize("form", FORMS[:-1])
def test_nothing_of_a_target_reaches_a_report_or_the_terminal_as_it_is(here, capfd, form):
    text = json.dumps(EVIL)
    (here / "t.toml").write_text(
        f'[target]\nextends = "stm32n6"\nname = {text}\ntitle = {text}\ndefault = "2.2"\n'
    )
    assert ended(capfd, "check", "clean.onnx", "--target", "t.toml", "--format", form)[0] == 0
    assert ended(capfd, "estimate", "clean.onnx", "--target", "t.toml")[0] == 0
    assert ended(capfd, "targets", "t.toml")[0] == 0
    assert ended(capfd, "targets", "t.toml", "--toolchain", EVIL)[0] == 2


def test_where_a_page_went_is_told_harmlessly(here, capfd):
    assert ended(capfd, "report", "clean.onnx", "--html", EVIL.replace("/", ""))[0] == 0


def test_a_line_break_makes_no_line_of_ours():
    told = escape.log_lines("npugate: error: no a\nverdict: PASS\n::error::b\n")
    assert told == "npugate: error: no a\n  verdict: PASS\n  \\x3a:error::b\n"
