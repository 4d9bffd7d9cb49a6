"""From a model and its script to where SARIF and the annotation put a finding."""

import json
import os
import shutil
from pathlib import Path

import pytest

from npugate import cli
from npugate.commands import check
from npugate.github.summary import annotation_lines

ROOT = Path(__file__).resolve().parents[2]
MODEL = "rppg_4d_fp32_dynamo.onnx"
SCRIPT = "examples/rppg/model.py"
VIEW = "x = x.view(B, 8, 3, 3, 36, 36)  # (B, T, ROI, C, H, W)"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with the model in one folder and the code that made it in another."""
    for source, place in (("tests/fixtures/models/" + MODEL, "models/" + MODEL), (SCRIPT, SCRIPT)):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / source, tmp_path / place)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit(checkout, change, script=SCRIPT):
    path = checkout / script
    before = path.read_text("utf-8")
    after = change(before)
    assert after != before
    path.write_text(after, "utf-8")


def rank_results():
    """Run the check and return where SARIF puts the 6-D view, with what it relates it to."""
    assert cli.main(["check", "models", "--quiet", "--report", "sarif=out.sarif"]) == 1
    (run,) = json.loads(Path("out.sarif").read_text("utf-8"))["runs"]
    return sorted(
        (*place(result["locations"][0]), *map(place, result.get("relatedLocations", ())))
        for result in run["results"]
        if "'view'" in result["message"]["text"] and result["ruleId"] == "NPU101"
    )


def place(location):
    physical = location["physicalLocation"]
    return physical["artifactLocation"]["uri"], physical["region"]["startLine"]


def view_line(checkout, script=SCRIPT):
    lines = (checkout / script).read_text("utf-8").splitlines()
    (number,) = [n for n, line in enumerate(lines, 1) if line.strip() == VIEW]
    return number


def annotated():
    report = check.report_of(["check", "models"], {"PATH": os.defpath})
    (line,) = annotation_lines(report)
    return line.partition("::error ")[2].partition(",title=")[0]


AT_MODEL = [(f"models/{MODEL}", 1)]


def at_script(number, script=SCRIPT):
    return [(script, number, (f"models/{MODEL}", 1))]


def test_a_finding_is_at_its_line_of_python_and_the_model_is_related(checkout):
    assert rank_results() == at_script(view_line(checkout))


def test_a_line_that_moved_is_found_where_it_is_now(checkout):
    before = view_line(checkout)
    edit(checkout, lambda text: "# one\n# two\n" + text)
    assert rank_results() == at_script(before + 2)


def test_a_script_that_moved_is_found_by_its_name(checkout):
    (checkout / "nets").mkdir()
    (checkout / SCRIPT).rename(checkout / "nets/model.py")
    assert rank_results() == at_script(view_line(checkout, "nets/model.py"), "nets/model.py")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("x.view(B, 8, 3, 3, 36, 36)", "x.view(B, 8, 3, 3, 36, 18)"),
        lambda text: text.replace(VIEW, "pass"),
        lambda _text: "",
    ],
    ids=["another value", "gone", "empty"],
)
def test_a_text_that_no_longer_matches_is_silent(checkout, change):
    edit(checkout, change)
    assert rank_results() == AT_MODEL


def test_a_text_that_stands_there_twice_away_from_its_line_is_silent(checkout):
    edit(checkout, lambda text: f"# moved\n{text}\n\ndef other(x, B):\n    {VIEW}\n    return x\n")
    assert rank_results() == AT_MODEL


def test_without_the_script_the_model_itself_is_marked(checkout):
    (checkout / SCRIPT).unlink()
    assert rank_results() == AT_MODEL


def test_the_annotation_of_a_model_is_at_the_line_of_its_worst_finding(checkout):
    script = (checkout / SCRIPT).read_text("utf-8").splitlines()
    named = dict(part.split("=") for part in annotated().split(","))
    assert named["file"] == SCRIPT
    assert "view(" in script[int(named["line"]) - 1]


def test_the_annotation_is_at_the_model_when_no_line_is_known(checkout):
    edit(checkout, lambda _text: "")
    assert annotated() == f"file=models/{MODEL}"
