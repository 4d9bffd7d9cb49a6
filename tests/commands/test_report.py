"""``npugate report``, and the page as a format of the other commands."""

import json
import re
from pathlib import Path

import pytest

from npugate import cli
from npugate.findings.values import Severity
from npugate.report.values import ModelReport, Report
from npugate.reporters import plots
from tests import sample_estimate

ROOT = Path(__file__).resolve().parents[2]
BAD = ROOT / "examples" / "demo" / "bad.onnx"
GOOD = ROOT / "tests" / "fixtures" / "models" / "rppg_stm32_clean_fp32.onnx"
TRACED = ROOT / "tests" / "fixtures" / "models" / "rppg_4d_fp32_dynamo.onnx"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for path in (BAD, GOOD, TRACED):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def data(path):
    (text,) = re.findall(r'id="npugate-data">(.*)</script>', path.read_text())
    return json.loads(text)


def test_a_page_is_written_and_findings_do_not_fail_the_command(folder, capsys):
    assert cli.main(["report", "bad.onnx", "--html", "deep/out.html"]) == 0
    assert capsys.readouterr().out == "deep/out.html\n"
    (model,) = data(folder / "deep/out.html")["models"]
    assert model["path"] == "bad.onnx"
    assert model["before"]["verdict"] == "fail"
    assert len(model["before"]["graph"]["nodes"]) == 7
    assert any(found["node"] >= 0 for found in model["before"]["findings"])


def test_modules_come_from_the_scopes_that_the_exporter_wrote(folder):
    assert cli.main(["report", TRACED.name, "--html", "out.html", "--quiet"]) == 0
    graph = data(folder / "out.html")["models"][0]["before"]["graph"]
    scopes = {graph["texts"][row[2]] for row in graph["nodes"]}
    assert any(scope.startswith("spatial/") for scope in scopes)


def test_a_repair_is_shown_beside_the_original_and_nothing_else_is_written(folder):
    before = {path.name for path in folder.iterdir()}
    assert cli.main(["report", "bad.onnx", "--fix", "--html", "out.html", "--quiet"]) == 0
    repair = data(folder / "out.html")["models"][0]["repair"]
    assert repair["repaired"]
    assert repair["proof"]["equal"]
    assert repair["after"]["graph"]["nodes"]
    assert repair["after"]["estimate"]["epochs"]
    assert len(repair["after"]["findings"]) < 7
    assert {path.name for path in folder.iterdir()} == before | {"out.html"}


@pytest.mark.parametrize("name", ["check", "fix"])
def test_check_and_fix_write_the_page_too_and_keep_their_exit_code(name, folder):
    arguments = [name, "bad.onnx", "--quiet", "--report=html=out.html", "--report=json=out.json"]
    code = cli.main(arguments)
    assert code == json.loads((folder / "out.json").read_text())["exit_code"] == 1
    assert data(folder / "out.html")["models"][0]["before"]["graph"] is not None


def test_a_failure_is_a_page_too(folder):
    assert cli.main(["check", "none.onnx", "--report=html=out.html"]) == 2
    assert "none.onnx" in data(folder / "out.html")["notices"][0]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["bad.onnx"], "--html FILE, --plots DIR"),
        (["bad.onnx", "--html", "o.html", "--source-url", "javascript:x"], "begins with https://"),
        (["none.onnx", "--html", "o.html"], "none.onnx"),
    ],
)
def test_a_wrong_call_says_what_is_right(arguments, reason, folder, capsys):
    assert cli.main(["report", *arguments]) == 2
    assert reason in capsys.readouterr().err
    assert not (folder / "o.html").exists()


def test_a_model_that_cannot_be_read_is_on_the_page_and_ends_with_one(folder):
    (folder / "broken.onnx").write_bytes(b"no model")
    assert cli.main(["report", "broken.onnx", "--html", "out.html", "--quiet"]) == 1
    (model,) = data(folder / "out.html")["models"]
    assert (model["before"]["verdict"], model["before"]["graph"]) == ("unreadable", None)


def test_links_lead_to_the_sources_from_where_the_page_is(folder):
    source = folder / "examples" / "rppg" / "model.py"
    source.parent.mkdir(parents=True)
    source.write_text((ROOT / "examples" / "rppg" / "model.py").read_text())
    cli.main(["report", TRACED.name, "--html", "pages/out.html", "--quiet"])
    near = _links(folder / "pages/out.html")
    assert near
    assert all(re.fullmatch(r"\.\./examples/rppg/model\.py#L\d+", link) for link in near)
    url = "https://example.org/o/r/blob/main"
    cli.main(["report", TRACED.name, "--html", "out.html", "--quiet", "--source-url", url])
    assert all(link.startswith(f"{url}/examples/rppg/") for link in _links(folder / "out.html"))


def _links(path):
    findings = data(path)["models"][0]["before"]["findings"]
    return [found["source"]["link"] for found in findings if found["source"]]


def test_each_model_has_plots_of_its_own_below_the_folder():
    view = sample_estimate.graph(3)
    estimate = sample_estimate.estimate(view)
    names = ("a/net.onnx", "a_net.onnx", "../../x\n.onnx", "plain.onnx")
    models = tuple(ModelReport(name, "", 1, (), estimate=estimate) for name in names[:3])
    models += (ModelReport(names[3], "", 1, ()),)
    report = Report("0", "t", "1", Severity.ERROR, models, {})
    assert [name for name, _ in plots.named(report)] == [
        "a_net.onnx.memory.svg",
        "a_net.onnx.time.svg",
        "a_net.onnx-2.memory.svg",
        "a_net.onnx-2.time.svg",
        "_.._x_.onnx.memory.svg",
        "_.._x_.onnx.time.svg",
    ]
