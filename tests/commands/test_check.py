"""The command line from end to end: small models in a folder, exit codes, reports, messages."""

import io
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest
from msgspec.structs import replace

from npugate import cli
from npugate.commands import check, dispatch, reports
from npugate.commands.arguments import SHELLS
from npugate.console import Console
from npugate.findings.values import Severity
from npugate.reporters import FILES, REPORTERS
from npugate.repository.discover import Search
from npugate.rules import registry, testing
from npugate.run import pipeline
from npugate.settings.options import CheckSettings, Options
from npugate.target import profiles

SCHEMA = json.loads((Path(cli.__file__).parent / "report.schema.json").read_bytes())
HEAD = '<ir_version: 8, opset_import: ["" : 14]> net '
CLEAN = HEAD + "(float[1, 8] x) => (float[1, 8] y) { y = Relu (x) }"
WARNS = HEAD + "(float[1, 8] a, float[1, 8] b) => (float[2, 8] y) { y = Concat <axis = 0> (a, b) }"
FAILS = HEAD + "(float[N, 8, C] x) => (float[N, 8, C] y) { y = Relu (x) }"
FORMS = {form: file for form, file in FILES.items() if form != "html"}
FLOAT = ("--ignore", "float-model")  # every model here is one; it is not what is looked at


def named(value):
    if isinstance(value, set):  # in one order: each worker must find these names
        return "+".join(sorted(value)) or "none"
    return " ".join(value) if isinstance(value, list) else str(value)


@dataclass
class Ended:
    status: int
    out: str
    err: str

    @property
    def report(self):
        parsed = json.loads(self.out)
        jsonschema.validate(parsed, SCHEMA)
        return parsed

    @property
    def rules(self):
        return {f["rule"] for model in self.report["models"] for f in model["findings"]}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(*arguments, environment=None, out=None, err=None):
    console = Console(environment or {}, out or io.StringIO(), err or io.StringIO())
    status = dispatch.run(arguments, console)
    return Ended(status, console.stdout.getvalue(), console.stderr.getvalue())


def save(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(testing.model_from_text(text).SerializeToString())
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path, "clean.onnx", CLEAN)
    save(tmp_path, "warns.onnx", WARNS)
    save(tmp_path, "fails.onnx", FAILS)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["clean.onnx"], 0),
        (["warns.onnx"], 0),
        (["fails.onnx"], 1),
        (["clean.onnx", "fails.onnx"], 1),
        (["absent.onnx"], 2),
        (["clean.onnx", "--target", "no-such-chip"], 2),
        (["clean.onnx", "--toolchain", "0.1"], 2),
        (["clean.onnx", "--jobs", "0"], 2),
        (["clean.onnx", "--no-such-flag"], 2),
        (["clean.onnx", "--config", "absent.toml"], 2),
        (["clean.onnx", "--baseline", "absent.json"], 2),
        (["warns.onnx", "--fail-on", "warning", *FLOAT], 1),
        (["clean.onnx", "--fail-on", "warning", *FLOAT], 0),
        (["fails.onnx", "--fail-on", "never"], 0),
        (["warns.onnx", "--severity", "batch-axis=error"], 1),
        (["fails.onnx", "--select", "batch-axis"], 0),
    ],
    ids=named,
)
def test_the_exit_status_says_how_it_went(here, arguments, status):
    assert run("check", *arguments).status == status


def broken(_facts, _target):
    raise ZeroDivisionError("a rule of its own")
    yield


def test_a_rule_that_raises_is_a_finding_and_ends_with_3_and_hides_no_other(here):
    rules = dict(registry.rules())
    rules["NPU204"] = replace(rules["NPU204"], check=broken)
    report = pipeline.run(Options(Search(here, ("fails.onnx",))), rules)
    found = {f.rule: f for f in report.models[0].findings}
    assert report.exit_code == 3
    assert report.crashed
    assert found["NPU002"].severity is Severity.ERROR
    assert "NPU204" in found["NPU002"].message
    assert "ZeroDivisionError: a rule of its own" in found["NPU002"].message
    assert set(found) > {"NPU002"}
    parsed = json.loads(REPORTERS["json"](report))
    jsonschema.validate(parsed, SCHEMA)
    assert parsed["exit_code"] == 3


def test_leaving_the_rule_that_raises_out_is_a_way_on(here):
    rules = dict(registry.rules())
    rules["NPU204"] = replace(rules["NPU204"], check=broken)
    command = CheckSettings(ignore=frozenset({"NPU204"}))
    report = pipeline.run(Options(Search(here, ("clean.onnx",)), command=command), rules)
    assert report.exit_code == 0


def test_json_is_alone_on_standard_output_and_valid(here):
    ended = run("check", "--format", "json", "--fail-on", "never")
    assert [m["path"] for m in ended.report["models"]] == [
        "clean.onnx",
        "fails.onnx",
        "warns.onnx",
    ]
    assert ended.report["summary"]["models"] == 3
    assert ended.report["fail_on"] == "never"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["clean.onnx"], 0),
        (["fails.onnx"], 1),
        (["absent.onnx"], 2),
        (["clean.onnx", "--baseline", "absent.json"], 2),
    ],
    ids=named,
)
def test_every_report_is_written_whatever_the_outcome(here, arguments, status):
    wanted = [f"--report={form}=out/{name}" for form, name in FORMS.items()]
    ended = run("check", "--quiet", *arguments, *wanted)
    assert ended.status == status
    assert ended.out == ""
    written = {path.name: path.read_text() for path in (here / "out").iterdir()}
    assert set(written) == set(FORMS.values())
    parsed = json.loads(written["npugate.json"])
    jsonschema.validate(parsed, SCHEMA)
    assert parsed["exit_code"] == status
    assert all(written.values())


def test_a_report_is_written_when_npugate_itself_fails(here, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(check, "examine", fail)
    ended = run("check", "clean.onnx", "--report", "json=x.json", "--report", "junit=x.xml")
    parsed = json.loads((here / "x.json").read_text())
    jsonschema.validate(parsed, SCHEMA)
    assert (ended.status, parsed["exit_code"]) == (3, 3)
    assert "a fault of ours" in parsed["notices"][0]
    assert "please report it" in ended.err
    assert "Traceback" in ended.err
    assert "a fault of ours" in (here / "x.xml").read_text()


def test_one_report_that_cannot_be_written_does_not_cost_the_others(here):
    (here / "file").write_text("")
    ended = run(
        "check",
        "clean.onnx",
        "--report=json=file/x.json",
        "--report=text=x.txt",
        "--report=junit=x.xml",
    )
    assert ended.status == 2
    assert "cannot write file/x.json" in ended.err
    assert ended.out
    assert (here / "x.txt").read_text()
    assert (here / "x.xml").read_text()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("jsn=x", "did you mean 'json'?"),
        ("json", "name a file"),
        ("json=", "name a file"),
        ("json=-", "name a file"),
    ],
)
def test_a_report_that_cannot_be_understood_is_refused_before_the_run(here, value, words):
    ended = run("check", "clean.onnx", "--report", value)
    assert ended.status == 2
    assert words in ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--select", "batch-axes"], "did you mean 'batch-axis'?"),
        (["--ignore", "NPU9999"], "there is no rule 'NPU9999'"),
        (["--severity", "batch-axis"], "write RULE=LEVEL"),
        (["--severity", "batch-axis=warn"], "did you mean 'warning'?"),
        (["--severity", "batch-axs=note"], "did you mean 'batch-axis'?"),
        (["--target", "stm32n7"], "stm32n6"),
        (["--fail-on", "note"], "invalid choice"),
    ],
    ids=named,
)
def test_a_word_that_is_not_known_is_answered_with_the_nearest(here, capsys, arguments, words):
    ended = run("check", "clean.onnx", *arguments)
    assert ended.status == 2
    assert words in ended.err + capsys.readouterr().err  # argparse writes for itself


@pytest.mark.parametrize("pattern", ["absent.onnx", "empty", "*.none"])
def test_no_model_is_an_error_with_a_message(here, pattern):
    (here / "empty").mkdir()
    ended = run("check", pattern)
    assert ended.status == 2
    assert pattern in ended.err or "no " in ended.err.lower()
    assert ended.err.startswith("npugate: error: ")
    assert ended.out == ""


def test_no_model_is_no_error_where_the_user_says_so(here):
    (here / "empty").mkdir()
    ended = run("check", "empty", "--allow-empty", "--format", "json")
    assert ended.status == 0
    assert ended.report["models"] == []


@pytest.mark.parametrize(
    ("arguments", "present", "absent"),
    [
        ([], {"NPU204"}, set()),
        (["--ignore", "batch-axis"], set(), {"NPU204"}),
        (["--ignore", "NPU2"], set(), {"NPU204"}),
        (["--ignore", "float-model,batch-axis"], set(), {"NPU204"}),
        (["--select", "npu204"], {"NPU204"}, {"NPU301", "NPU302"}),
        (["--select", "NPU204", "--ignore", "NPU204"], set(), {"NPU204"}),
        (["--severity", "NPU204=off"], set(), {"NPU204"}),
    ],
    ids=named,
)
def test_rules_are_chosen_by_id_prefix_or_name(here, arguments, present, absent):
    ended = run("check", "warns.onnx", "--format", "json", *arguments)
    assert present <= ended.rules
    assert not absent & ended.rules


def test_a_select_runs_nothing_else_and_the_report_says_what_ran(here):
    ended = run("check", "warns.onnx", "--format", "json", "--select", "batch-axis")
    assert ended.rules == {"NPU204"}
    ran = {row["name"] for row in ended.report["rules"].values()}
    assert "batch-axis" in ran
    assert "float-model" not in ran
    assert "rule-crashed" in ran  # what tells of the run itself is always on


def test_the_level_that_the_user_gives_is_that_of_the_finding(here):
    arguments = ("--select", "batch-axis", "--severity", "batch-axis=note")
    ended = run("check", "warns.onnx", "--format", "json", *arguments)
    assert [f["severity"] for f in ended.report["models"][0]["findings"]] == ["note"]


def test_an_unreadable_model_cannot_be_deselected(here):
    (here / "bad.onnx").write_bytes(b"no model")
    ended = run("check", "bad.onnx", "--format", "json", "--select", "batch-axis")
    assert ended.status == 1
    assert ended.report["models"][0]["verdict"] == "unreadable"


def test_paths_are_those_of_the_repository_from_wherever_it_is_called(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    save(tmp_path, "deep/er/a.onnx", CLEAN)
    save(tmp_path, "deep/b.onnx", CLEAN)
    monkeypatch.chdir(tmp_path / "deep")
    ended = run("check", "er/a.onnx", str(tmp_path / "deep" / "b.onnx"), "--format", "json")
    assert [m["path"] for m in ended.report["models"]] == ["deep/b.onnx", "deep/er/a.onnx"]
    assert str(tmp_path) not in ended.out


@pytest.mark.parametrize(
    ("environment", "terminal", "coloured"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"NO_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
    ],
)
def test_colours_are_for_terminals_and_those_who_force_them(here, environment, terminal, coloured):
    out = Terminal() if terminal else io.StringIO()
    ended = run("check", "fails.onnx", environment=environment, out=out)
    assert ("\x1b[" in ended.out) == coloured


@pytest.mark.parametrize(
    ("environment", "err", "shown"),
    [({}, io.StringIO, False), ({}, Terminal, True), ({"CI": "true"}, Terminal, False)],
)
def test_the_bar_is_seen_on_a_terminal_only_and_only_in_a_long_run(
    environment, err, shown, monkeypatch
):
    console = Console(environment, io.StringIO(), err())
    with reports._Progress(console) as bar:
        bar.update(1, 3)
        assert console.stderr.getvalue() == ""
        late = time.monotonic() + 60
        monkeypatch.setattr(reports, "monotonic", lambda: late)
        bar.update(2, 3)
    assert ("/3 [" in console.stderr.getvalue()) == shown


def test_a_quiet_run_says_nothing_and_still_judges(here):
    ended = run("check", "fails.onnx", "--quiet")
    assert (ended.status, ended.out, ended.err) == (1, "", "")


@pytest.mark.parametrize("name", ["NPU104", "npu104"])
def test_explain_gives_the_page_of_a_rule(name):
    rule = registry.rules()["NPU104"]
    ended = run("explain", name)
    assert ended.status == 0
    assert ended.out == run("explain", rule.name).out
    for part in (rule.id, rule.name, rule.summary, "Why", "Fix"):
        assert part in ended.out


def test_explain_of_an_unknown_rule_is_refused():
    ended = run("explain", "batch-axes")
    assert ended.status == 2
    assert "did you mean 'batch-axis'?" in ended.err


def test_rules_lists_every_rule_in_both_forms():
    rules = registry.rules()
    lines = run("rules").out.splitlines()
    rows = json.loads(run("rules", "--format", "json").out)
    assert [line.split()[:2] for line in lines] == [[r.id, r.name] for r in rules.values()]
    assert {row["id"]: row["summary"] for row in rows} == {r.id: r.summary for r in rules.values()}


def test_targets_lists_them_and_shows_one():
    listed = run("targets").out.splitlines()
    assert [line.split()[0] for line in listed] == list(profiles.names())
    shown = run("targets", "stm32n6", "--toolchain", "4.0").out
    assert shown.startswith("stm32n6, toolchain 4.0: ")
    assert run("targets", "stm32n7").status == 2


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_is_a_script_that_knows_the_commands(shell):
    ended = run("completion", shell)
    assert ended.status == 0
    assert all(word in ended.out for word in ("check", "explain", "completion"))


def test_completion_for_bash_is_valid_shell():
    script = run("completion", "bash").out
    subprocess.run(["bash", "-n"], input=script.encode(), check=True)


def test_main_takes_the_arguments_of_the_process(here, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["npugate", "rules"])
    assert (cli.main(), cli.main(["check", "fails.onnx", "--quiet"])) == (0, 1)
    assert "NPU001" in capsys.readouterr().out
