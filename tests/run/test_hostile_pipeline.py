"""Every hostile file through the whole program in one run: a report, and the others judged."""

import io
import json
import os
from pathlib import Path

import jsonschema
import pytest

import npugate
from npugate import cli
from npugate.commands import dispatch
from npugate.console import Console
from npugate.reporters import REPORTERS
from npugate.rules import registry
from tests.hostile import cases

SCHEMA = json.loads((Path(npugate.__file__).parent / "report.schema.json").read_bytes())
GOOD = ("a-good.onnx", "m-good.onnx", "z-good.onnx")  # before, among and after the hostile ones
NO_FILE = {"folder", "missing file"}  # refused before the run, or looked through: see test_discover
NAMES = {rule.name: rule.id for rule in registry.rules().values()}


def folder_of(name):
    return f"{list(cases.CASES).index(name):03}"


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Run the program once over all files; return its status, what it wrote and its report."""
    root = tmp_path_factory.mktemp("hostile")
    placed = {}
    for name, case in cases.CASES.items():
        folder = root / folder_of(name)
        folder.mkdir()
        placed[name] = case.write(folder)
    for name in GOOD:
        (root / name).write_bytes(cases.good().SerializeToString())
    listed = root / "list"
    files = [path for name, path in placed.items() if name not in NO_FILE]
    lines = [*(os.path.relpath(path, root) for path in files), *GOOD]
    listed.write_text("\n".join(lines) + "\n")
    out, err = io.StringIO(), io.StringIO()
    arguments = ["check", "--format", "json", "--files-from", str(listed)]
    arguments += [f"--report={form}={root / ('out.' + form)}" for form in REPORTERS]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        status = dispatch.run(arguments, Console({}, out, err))
    assert out.getvalue(), err.getvalue()
    reports = {form: (root / f"out.{form}").read_text() for form in REPORTERS}
    reported = {name: os.path.relpath(path, root) for name, path in placed.items()}
    return status, err.getvalue(), json.loads(out.getvalue()), reports, reported


def test_the_run_ends_with_findings_and_without_a_fault_of_its_own(ended):
    status, err, report, reports, _ = ended
    assert (status, err) == (1, "")
    assert report["crashed"] is False
    jsonschema.validate(report, SCHEMA)
    assert all(reports.values())
    assert not any("Traceback" in text for text in reports.values())


@pytest.mark.parametrize("name", GOOD)
def test_a_good_model_among_them_is_judged(ended, name):
    (model,) = [m for m in ended[2]["models"] if m["path"] == name]
    assert model["verdict"] == "pass"
    assert model["census"]["nodes"] == 1


@pytest.mark.parametrize("name", [name for name in cases.CASES if name not in NO_FILE])
def test_each_is_in_the_report_under_the_rule_that_names_it(ended, name):
    _, _, report, _, reported = ended
    found = [m for m in report["models"] if m["path"] == reported[name]]
    rules = {finding["rule"] for model in found for finding in model["findings"]}
    assert len(found) == 1
    assert {NAMES[rule] for rule in cases.CASES[name].expect} <= rules
    assert NAMES["rule-crashed"] not in rules
    if cases.CASES[name].expect:
        assert found[0]["verdict"] != "pass"


@pytest.mark.parametrize(
    "name",
    [
        "external data: name of a megabyte",
        "tensor: type 9999",
        "tensor: negative type",
        "name: no utf-8",
        "32 nested Ifs",
    ],
)
def test_fix_declines_a_file_that_its_libraries_choke_on(name, tmp_path, monkeypatch, capsys):
    file = cases.CASES[name].write(tmp_path)
    before = file.read_bytes()
    monkeypatch.chdir(tmp_path)
    asked = ["fix", str(file), "--format", "json", "--select", ",".join(registry.repairs())]
    assert cli.main(asked) in {0, 1}
    report = json.loads(capsys.readouterr().out)
    assert not (report["models"][0]["repair"] or {}).get("output")
    assert not report["crashed"]
    assert file.read_bytes() == before
