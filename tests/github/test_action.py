import html
import io
import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from npugate.errors import UsageError
from npugate.github import action, log, outputs
from npugate.github.inputs import OUTPUTS
from npugate.github.summary import annotation_lines
from tests import sample_estimate, sample_report
from tests.sample_report import ALL_HOSTILE, CLEAN, REPAIRED, REPORT


class Step:
    """A step on a runner: its files, its log, and what the check was asked for."""

    def __init__(self, folder: Path, outcome) -> None:
        self.folder = folder
        self.outcome = outcome
        self.asked: tuple[str, ...] | None = None
        self.log = io.StringIO()

    def run(self, event_name: str = "push", **environment: str) -> int:
        (self.folder / "event.json").write_text("{}")
        runner = {
            "GITHUB_EVENT_NAME": event_name,
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_WORKSPACE": str(self.folder),
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
        }
        return action.main(runner | environment, self.log, self.check)

    def check(self, arguments):
        self.asked = tuple(arguments)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs, read as the runner reads them."""
        lines = (self.folder / "output").read_text(encoding="utf-8").splitlines()
        found = {}
        while lines:
            name, _, delimiter = lines.pop(0).partition("<<")
            end = lines.index(delimiter)
            found[name] = "\n".join(lines[:end])
            lines = lines[end + 1 :]
        return found

    @property
    def commands(self) -> list[str]:
        """The commands that the runner would act on."""
        found, stopped = [], ""
        for line in self.log.getvalue().split("\n"):
            match = re.match(r"\s*::([A-Za-z-]+|[0-9a-f]{32})( [^:]*)?::(.*)", line)
            if stopped:
                stopped = "" if match and match[1] == stopped else stopped
            elif match and match[1] == "stop-commands":
                stopped = match[3]
            elif match:
                found.append(line)
        return found


@pytest.fixture
def step(tmp_path):
    return lambda outcome: Step(tmp_path, outcome)


def test_a_failing_report_gives_outputs_summary_reports_and_exit_code_1(step, tmp_path):
    run = step(REPORT)
    assert run.run(INPUT_NAME="leg") == 1
    folder = tmp_path / "npugate-report"
    assert run.outputs == {
        "verdict": "fail",
        "exit-code": "1",
        "models": "3",
        "failed": "2",
        "errors": str(REPORT.total(action.Severity.ERROR)),
        "warnings": str(REPORT.total(action.Severity.WARNING)),
        "notes": str(REPORT.total(action.Severity.NOTE)),
        "repaired": "",
        "folder": str(folder),
        "json": str(folder / "npugate.json"),
        "sarif": str(folder / "npugate.sarif"),
        "junit": str(folder / "npugate.junit.xml"),
        "markdown": str(folder / "npugate.md"),
    }
    assert json.loads((folder / "npugate.json").read_bytes())["exit_code"] == 1
    category = json.loads((folder / "npugate.sarif").read_bytes())["runs"][0]["automationDetails"]
    assert category == {"id": "npugate/stm32n6/leg/"}
    assert (tmp_path / "summary.md").read_text(encoding="utf-8").startswith("# leg\n\n## ")


def test_a_clean_report_passes_without_an_annotation(step):
    run = step(CLEAN)
    assert run.run() == 0
    assert run.outputs["verdict"] == "pass"
    assert run.commands == []


def test_the_compiler_is_asked_for_with_consent_and_what_it_says_kept(step, tmp_path):
    run = step(CLEAN)
    run.run(INPUT_STEDGEAI="off", INPUT_STEDGEAI_ACCEPT_LICENSE="true")
    assert not [word for word in run.asked if "stedgeai" in word or "record" in word]
    run.run(
        INPUT_STEDGEAI="/opt/tool",
        INPUT_STEDGEAI_PROFILE="fast@a.json",
        INPUT_STEDGEAI_ACCEPT_LICENSE="true",
    )
    assert set(run.asked) >= {
        "--stedgeai=/opt/tool",
        f"--record={tmp_path}/npugate-report/stedgeai",
        "--stedgeai-profile=fast@a.json",
        "--stedgeai-accept-license",
    }
    run.run(INPUT_STEDGEAI="auto")
    assert "--stedgeai-accept-license" not in run.asked


def test_only_the_reports_asked_for_are_written(step, tmp_path):
    run = step(CLEAN)
    run.run(INPUT_REPORTS="gitlab", NPUGATE_FOLDER=str(tmp_path / "elsewhere"))
    written = sorted(path.name for path in (tmp_path / "elsewhere").iterdir())
    assert written == ["npugate.gitlab.json", "npugate.json"]
    assert run.outputs["sarif"] == ""
    assert run.outputs["folder"] == str(tmp_path / "elsewhere")


def test_the_page_is_among_the_reports_and_links_to_the_commit_that_was_checked(step, tmp_path):
    run = step(REPORT)
    where = {"GITHUB_SERVER_URL": "https://h.example", "GITHUB_REPOSITORY": "o/r"}
    run.run(GITHUB_SHA="12" * 20, **where)
    page = (tmp_path / "npugate-report" / "npugate.html").read_text(encoding="utf-8")
    commit = "12" * 20
    link = f"https://h.example/o/r/blob/{commit}/examples/rppg/model_4d_stm32.py#L27"
    assert link in page
    assert "--pictured" in run.asked
    run.run(**where)
    assert "h.example" not in (tmp_path / "npugate-report" / "npugate.html").read_text("utf-8")


def test_the_plots_are_beside_the_page_and_only_there(step, tmp_path):
    estimate = sample_estimate.estimate(sample_estimate.graph(2))
    run = step(replace(CLEAN, models=(replace(CLEAN.models[0], estimate=estimate),)))
    run.run(INPUT_REPORTS="json")
    assert not (plots := tmp_path / "npugate-report/plots").exists()
    run.run(INPUT_REPORTS="html")
    assert {path.name.split(".onnx.")[1] for path in plots.iterdir()} == {"memory.svg", "time.svg"}


def test_without_the_page_no_graph_is_kept(step):
    run = step(CLEAN)
    run.run(INPUT_REPORTS="json, sarif")
    assert run.asked == ("check",)


def test_every_output_is_written_whatever_happens(step):
    names = {row.name for row in OUTPUTS}
    good, bad = step(REPORT), step(UsageError("no such target"))
    good.run()
    assert set(good.outputs) == names
    (good.folder / "output").unlink()
    assert bad.run() == 2
    assert set(bad.outputs) == names
    assert (bad.outputs["verdict"], bad.outputs["exit-code"]) == ("error", "2")
    assert bad.commands == ["::error title=npugate::no such target"]
    assert bad.outputs["models"] == ""
    assert json.loads(Path(bad.outputs["json"]).read_bytes())["exit_code"] == 2
    assert "no such target" in (bad.folder / "summary.md").read_text(encoding="utf-8")


def test_a_fault_of_ours_is_no_verdict_on_the_models(step):
    run = step(ZeroDivisionError("::set-output name=verdict::pass"))
    assert run.run() == 3
    assert run.outputs["verdict"] == "error"
    assert len(run.commands) == 1
    assert "this is a fault of npugate: ZeroDivisionError" in run.commands[0]


def test_a_wrong_input_asks_for_no_check(step):
    run = step(REPORT)
    assert run.run(INPUT_SARIF="perhaps") == 2
    assert run.asked is None


def test_the_inputs_become_the_arguments_of_the_command_line(step):
    run = step(CLEAN)
    run.run(
        **{
            "INPUT_MODELS": "a.onnx\n-b.onnx",
            "INPUT_TARGET": "stm32n6",
            "INPUT_TOOLCHAIN": "3.0",
            "INPUT_CONFIG": "ci/gate.toml",
            "INPUT_FAIL-ON": "warning",
        }
    )
    assert run.asked == (
        "check",
        "--pictured",
        "--target=stm32n6",
        "--toolchain=3.0",
        "--config=ci/gate.toml",
        "--fail-on=warning",
        "--",
        "a.onnx",
        "-b.onnx",
    )


def test_what_git_tracks_is_checked_when_no_model_is_named(step, tmp_path):
    tracked = tmp_path / "tracked"
    tracked.write_bytes(b"a.onnx\0")
    run = step(CLEAN)
    run.run(NPUGATE_TRACKED=str(tracked))
    assert run.asked == ("check", "--pictured", f"--files-from={tracked}")


def test_repairs_go_into_the_folder_and_the_verdict_stays_that_of_the_repository(step, tmp_path):
    run = step(REPAIRED)
    assert run.run(INPUT_FIX="true") == 1
    folder = tmp_path / "npugate-report"
    assert run.asked == ("fix", f"--output-dir={folder / 'repaired'}", "--pictured")
    assert (run.outputs["verdict"], run.outputs["repaired"]) == ("fail", "1")
    page = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "after repair ✅ pass" in page
    model = json.loads((folder / "npugate.json").read_bytes())["models"][0]
    assert (model["verdict"], model["repair"]["verdict_after"]) == ("fail", "pass")


def test_a_checkout_without_models_is_told_of_the_missing_step(step, tmp_path):
    (tmp_path / "tracked").write_bytes(b"")
    run = step(CLEAN)
    assert run.run(NPUGATE_TRACKED=str(tmp_path / "tracked")) == 2
    assert "actions/checkout" in run.commands[0]


def test_a_change_that_deletes_the_last_model_passes(step, tmp_path):
    (tmp_path / "tracked").write_bytes(b"")
    (tmp_path / "changes").write_bytes(b"D\0models/last.ONNX\0")
    run = step(CLEAN)
    tracked, changes = str(tmp_path / "tracked"), str(tmp_path / "changes")
    assert run.run(NPUGATE_TRACKED=tracked, NPUGATE_CHANGES=changes) == 0
    assert "--allow-empty" in run.asked


@pytest.mark.parametrize(
    ("event", "changes", "asked", "notice"),
    [
        ("pull_request", b"M\0a.onnx\0", "--changes-from", ""),
        ("push", b"M\0a.onnx\0", "", ""),
        ("pull_request", None, "", "the changed files are not known"),
        ("pull_request", b"M\0npugate.toml\0", "", "npugate.toml changed"),
        ("pull_request", b"M\0sub/pyproject.toml\0", "", "pyproject.toml changed"),
        ("pull_request", b"M\0ci/gate.toml\0", "", "ci/gate.toml changed"),
    ],
)
def test_a_pull_request_is_judged_by_what_it_changes(step, tmp_path, event, changes, asked, notice):
    environment = {"INPUT_CONFIG": "ci/gate.toml", "INPUT_MODELS": "m"}
    if changes is not None:
        (tmp_path / "changes").write_bytes(changes)
        environment["NPUGATE_CHANGES"] = str(tmp_path / "changes")
    run = step(CLEAN)
    assert run.run(event, **environment) == 0
    given = [one for one in run.asked if one.startswith("--changes-from")]
    assert given == ([f"{asked}={tmp_path / 'changes'}"] if asked else [])
    assert [notice in line for line in run.commands] == ([True] if notice else [])


def test_a_list_of_changes_that_is_cut_off_is_no_pass(step, tmp_path):
    (tmp_path / "changes").write_bytes(b"M\0")
    run = step(CLEAN)
    assert run.run("pull_request", NPUGATE_CHANGES=str(tmp_path / "changes")) == 2


def test_a_model_has_one_annotation_on_the_line_that_made_its_worst_finding():
    lines = list(annotation_lines(REPORT))
    assert len(lines) == 2
    assert lines[0].startswith("::error file=models/pointer.onnx,title=npugate%3A models/pointer")
    assert lines[1].startswith("::error file=examples/rppg/model_4d_stm32.py,line=27,title=")


def test_ten_annotations_of_a_kind_are_the_most_and_the_last_counts_the_rest():
    pointer = REPORT.models[1]
    models = tuple(replace(pointer, path=f"m{number}.onnx") for number in range(30))
    lines = list(annotation_lines(replace(REPORT, models=models)))
    assert len(lines) == 10
    assert "21 more models" in lines[-1]
    assert len(list(annotation_lines(replace(REPORT, models=models[:10])))) == 10
    assert "more model" not in "".join(annotation_lines(replace(REPORT, models=models[:10])))


def test_no_text_of_a_model_becomes_a_command_or_an_output(step):
    run = step(ALL_HOSTILE)
    assert run.run() == 1
    assert set(run.outputs) == {row.name for row in OUTPUTS}
    for command in run.commands:
        assert re.match(r"::(error|warning) file=[^:]*,title=npugate%3A [^:]*::NPU", command) or (
            "more model" in command
        )
    assert "##[" not in run.log.getvalue()
    assert "##vso[" not in run.log.getvalue()
    run.log.getvalue().encode("utf-8")


def test_a_hostile_path_cannot_end_its_output_early(step, tmp_path):
    folder = tmp_path / "x\nverdict=pass\nnpugate-0"
    run = step(REPORT)
    run.run(NPUGATE_FOLDER=str(folder))
    assert run.outputs["verdict"] == "fail"
    assert run.outputs["folder"] == str(folder)


def test_a_hostile_notice_stays_one_line(step):
    run = step(UsageError(f"no {sample_report.HOSTILE['newline command']}"))
    assert run.run() == 2
    assert run.commands == ["::error title=npugate::no x\\n::error file=a::owned"]


def test_the_log_of_a_run_is_quoted_whatever_its_text(step):
    run = step(CLEAN)
    run.log.write(log.quoted("::error::a\n::0::\n::stop-commands::b\n\ud800"))
    run.log.write("::notice::after\n")
    assert run.commands == ["::notice::after"]
    run.log.getvalue().encode("utf-8")


def test_reports_that_cannot_be_written_are_no_verdict(step, tmp_path):
    (tmp_path / "file").touch()
    run = step(CLEAN)
    assert run.run(NPUGATE_FOLDER=str(tmp_path / "file")) == 3
    assert (run.outputs["verdict"], run.outputs["folder"]) == ("error", "")
    assert "the reports cannot be written" in run.commands[-1]


def test_outside_of_a_runner_there_are_no_files_to_write(tmp_path):
    log = io.StringIO()
    environment = {"NPUGATE_FOLDER": str(tmp_path / "reports")}
    assert action.main(environment, log, lambda _: CLEAN) == 0
    assert (tmp_path / "reports" / "npugate.json").exists()


@pytest.mark.parametrize("name", ["a=b", "a\nb", "", "a<<b"])
def test_an_output_with_a_name_that_means_something_is_refused(name):
    with pytest.raises(ValueError, match="no name of an output"):
        outputs.render({name: "x"})


def test_the_models_of_the_base_are_compared_with_where_they_were_kept(step, tmp_path):
    (tmp_path / "changes").write_bytes(b"M\0a.onnx\0")
    kept = {"NPUGATE_BASE_FOLDER": "/old", "NPUGATE_CHANGES": str(tmp_path / "changes")}
    run = step(CLEAN)
    run.run("pull_request", **kept)
    assert run.asked[:3] == ("check", "--pictured", "--base-folder=/old")
    run.run("pull_request", **kept, INPUT_NEW_ONLY="false")
    assert run.asked[2:4] == ("--base-folder=/old", "--all-findings")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (b"M\0npugate.toml\0", "npugate.toml"),
        (b"D\0models/npugate.toml\0", "models/npugate.toml"),
        (b"M\0.github/workflows/ci.yml\0", ".github/workflows/ci.yml"),
        (b"R100\0pyproject.toml\0old.toml\0", "pyproject.toml"),
        (b"M\0ci/gate.toml\0", "ci/gate.toml"),
        (b"M\0boards/mine.toml\0", "boards/mine.toml"),
        (b"M\0models/a.onnx\0", None),
    ],
)
def test_a_change_of_the_gate_opens_the_summary(step, tmp_path, changes, named):
    (tmp_path / "changes").write_bytes(changes)
    run = step(CLEAN)
    run.run(
        "pull_request",
        NPUGATE_CHANGES=str(tmp_path / "changes"),
        INPUT_CONFIG="ci/gate.toml",
        INPUT_TARGET="boards/mine.toml",
    )
    page = html.unescape((tmp_path / "summary.md").read_text(encoding="utf-8"))
    told = "this change edits what it is checked with"
    assert (told in page) == (named is not None)
    if named:
        first = page[page.index(told) :].splitlines()[0]
        assert named in first.replace("\\", "")
        assert page.index(told) < page.index("| model |") if "| model |" in page else True


def test_the_summary_links_the_line_of_python_where_it_can_be_seen(step, tmp_path):
    here = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r"}
    step(REPORT).run(**here, GITHUB_SHA="c" * 40)
    page = (tmp_path / "summary.md").read_text(encoding="utf-8")
    address = f"https://github.com/o/r/blob/{'c' * 40}/examples/rppg/model_4d_stm32.py#L27"
    assert f"]({address})" in page
