import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from npugate.cli import main
from npugate.errors import UsageError
from npugate.export.run import export
from npugate.export.values import ExportJob
from npugate.facts import provenance
from npugate.proof.samples import Port, generated
from npugate.proof.sessions import Session
from tests.torch_extra import needs_torch

ROOT = Path(__file__).resolve().parents[2]
NET = """
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, image):
        x = self.drop(self.conv(image))
        return x.view(-1, 144)


class Way(Net):
    def forward(self, image):
        return self.conv(image) if image.sum() > 1 else self.conv(image) * 2


class Random(Net):
    def forward(self, image):
        return F.dropout(self.conv(image) + 1)


class Training(Net):
    def forward(self, image):
        return F.batch_norm(self.conv(image), torch.zeros(4), torch.ones(4), training=True)


def net(): return Net(), torch.zeros(1, 3, 8, 8)
def batch(): return Net(), (torch.zeros(5, 3, 8, 8),)
def way(): return Way(), torch.zeros(1, 3, 8, 8)
def random(): return Random(), torch.zeros(1, 3, 8, 8)
def training(): return Training(), torch.rand(1, 3, 8, 8)
def module_only(): return Net()
def numbers(): return Net(), [[1.0, 2.0]]
def raises(): raise RuntimeError("no such thing")
def leaves(): raise SystemExit(0)
def misfit(): return Net(), torch.zeros(1, 4, 8, 8)
value = 3
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "broken.py").write_text("import torch\nimport not_installed_anywhere\n")
    (tmp_path / "typo.py").write_text("def net(:\n")
    return tmp_path


def job(folder, entry="net.py:net", **more):
    more = {"exporter": "torchscript", "seeds": 1, **more}
    return ExportJob(entry, folder / "out.onnx", folder=folder, **more)


def of(path):
    model = onnx.load(path)
    return model, model.opset_import[0].version


@needs_torch
def test_both_exporters_are_tried_and_the_file_is_what_was_asked_for(folder):
    report = export(job(folder, exporter="auto"))
    assert report.passed
    assert [item.exporter for item in report.attempts] == ["dynamo", "torchscript"]
    dynamo, other = report.attempts
    assert (dynamo.opset_written, dynamo.opset, other.opset) == (18, 14, 14)
    assert report.chosen
    assert report.reason
    for item in report.attempts:
        assert item.agreement.equal
        assert item.agreement.samples == 5
        assert item.agreement.max_rel_error <= 1e-5
    model, opset = of(folder / "out.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert opset == 14
    assert report.inputs == (("image", "float32", "[1, 3, 8, 8]"),)
    assert not {node.op_type for node in model.graph.node} & {"Dropout"}
    assert str(folder) not in str(model)
    traces = {node.op_type: provenance.frames(node) for node in model.graph.node}
    assert traces["Reshape"][0].file == "net.py"
    line = NET.splitlines().index("        return x.view(-1, 144)") + 1
    assert traces["Reshape"][0].line == line
    found = next(item for item in report.findings if item.name == "reshape-wildcard")
    assert (found.file, found.line, found.text) == ("net.py", line, "return x.view(-1, 144)")
    assert found.fixed


@needs_torch
@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("net.py:module_only", "returned a Net; return (module, inputs)"),
        ("net.py:numbers", "an example input is a list, not a tensor"),
        ("net.py:raises", "RuntimeError: no such thing"),
        ("net.py:leaves", "SystemExit: 0"),
        ("net.py:misfit", "the module, run on the example inputs, raised RuntimeError"),
        ("net.py:value", "is a int, not a function"),
        ("net.py:nett", "has no 'nett'"),
        ("net.py:random", "gives other outputs when it is run again"),
        ("nowhere.py:net", "there is no file nowhere.py"),
        ("nowhere:net", "there is no module 'nowhere'"),
        ("broken:net", "not_installed_anywhere"),
        ("typo.py:net", "SyntaxError"),
        ("net", "write module:callable"),
    ],
)
def test_what_is_wrong_with_the_code_is_said_and_nothing_is_written(folder, entry, said):
    with pytest.raises(UsageError) as caught:
        export(job(folder, entry))
    assert said in str(caught.value)
    assert "npugate/export" not in str(caught.value)
    assert not (folder / "out.onnx").exists()


@needs_torch
def test_the_traceback_shows_the_line_of_the_user(folder):
    with pytest.raises(UsageError) as caught:
        export(job(folder, "net.py:raises"))
    assert f'File "{folder / "net.py"}", line' in str(caught.value)
    assert "in raises" in str(caught.value)


@needs_torch
@pytest.mark.parametrize(
    ("entry", "said"),
    [("net.py:way", "something else than PyTorch"), ("net.py:training", "in training mode")],
)
def test_a_graph_that_is_not_the_module_is_not_written(folder, entry, said):
    (folder / "out.onnx").write_bytes(b"what was there")
    report = export(job(folder, entry))
    assert (report.exit_code, report.output, report.chosen) == (1, None, "")
    assert said in report.attempts[0].fault
    assert (folder / "out.onnx").read_bytes() == b"what was there"


@needs_torch
def test_a_batch_of_examples_is_exported_with_batch_1_and_said(folder):
    report = export(job(folder, "net.py:batch"))
    assert report.inputs == (("image", "float32", "[1, 3, 8, 8]"),)
    assert "batch of 5" in report.notices[0]


@needs_torch
def test_weights_are_loaded_and_others_are_refused(folder):
    code = (
        "import net, torch; state = net.Net().state_dict(); torch.save(state, 'good.pt');"
        "state.pop('conv.bias'); torch.save(state, 'short.pt'); torch.save(net.Net(), 'code.pt')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    report = export(job(folder, weights=folder / "good.pt"))
    assert report.passed
    assert len(report.weights_digest) == 64
    for name, said in (("short.pt", "missing: conv.bias"), ("code.pt", "without running code")):
        with pytest.raises(UsageError, match=said):
            export(job(folder, weights=folder / name))


@needs_torch
def test_a_place_that_cannot_be_written_is_an_error_and_leaves_nothing(folder):
    (folder / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        export(ExportJob("net.py:net", folder / "file" / "x.onnx", folder=folder, seeds=1))
    assert sorted(p.name for p in folder.iterdir() if p.suffix == ".onnx") == []


def test_without_torch_the_command_says_what_to_install(folder, monkeypatch, capsys):
    real = __import__("importlib.util").util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a: None if name == "torch" else real(name, *a)
    )
    monkeypatch.chdir(folder)
    assert main(["export", "net.py:net", "--output", "out.onnx"]) == 2
    assert "pip install 'npugate[export]'" in capsys.readouterr().err
    assert not Path("out.onnx").exists()


@needs_torch
def test_the_command_prints_the_report_and_writes_it_as_json(folder):
    arguments = ["export", "net:net", "--output", "o.onnx", "--exporter", "torchscript"]
    arguments += ["--seeds", "1", "--report", "json=r.json"]
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        f"from npugate.cli import main; sys.exit(main({arguments!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "PASSED: wrote o.onnx" in done.stdout
    assert "agrees with PyTorch: 5 samples" in done.stdout
    assert "write the size" in done.stdout
    document = json.loads((folder / "r.json").read_text())
    assert document["schema"] == "npugate-export/1"
    assert document["passed"] is True


@needs_torch
def test_clean_twin_and_repaired_original_agree_with_each_other_and_with_pytorch(tmp_path):
    made = {}
    for name in ("original", "clean"):
        output = tmp_path / f"{name}.onnx"
        entry = f"examples.rppg.entry:{name}"
        report = export(ExportJob(entry, output, exporter="torchscript", seeds=1, folder=ROOT))
        assert report.passed, report.attempts
        assert report.attempt.agreement.max_rel_error <= 1e-5
        made[name] = (report, Session(onnx.load(output)))
    assert made["original"][0].attempt.errors_before == 8
    assert "fold-batch" in made["original"][0].attempt.repairs
    assert made["clean"][0].attempt.errors_before == 0
    port = Port("x", onnx.TensorProto.FLOAT, (1, 72, 36, 36))
    for sample in generated([port], 12):
        left, right = (next(iter(s.run(sample.feeds).values())) for _, s in made.values())
        np.testing.assert_allclose(left, right, rtol=1e-5)
