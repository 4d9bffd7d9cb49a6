"""A model whose every name is an attack, through each command: nothing of it acts anywhere."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from npugate import cli
from tests.reporters.test_hostile_names import assert_calm
from tests.sample_report import HOSTILE
from tests.small_networks import network, samples

# What protobuf can hold, and a tensor's name may be.
NAMES = {
    title: text
    for title, text in HOSTILE.items()
    if text and len(text) < 1_000 and not re.search("[\ud800-\udfff]", text)
}
LIVE = re.compile(r"<script|<img|<evil|<!-- npugate -->", re.IGNORECASE)


def renamed(model, text):
    """Return a model with an attack for every name that a file decides."""
    graph = model.graph
    names = {
        name: f"{text}{name}" for node in graph.node for name in (*node.input, *node.output) if name
    }
    for node in graph.node:
        node.name = f"{text}{node.op_type}"
        node.doc_string = text
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        stack = node.metadata_props.add()
        stack.key, stack.value = (
            "pkg.torch.onnx.stack_trace",
            f'File "{text}", line 1, in f\n  {text}',
        )
    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        value.name = names.get(value.name, value.name)
    graph.name = graph.doc_string = model.producer_name = model.domain = text
    return model


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with data by the position of the input, as the working directory."""
    monkeypatch.chdir(tmp_path)
    np.save("cal.npy", samples(30))
    np.save("test.npy", samples(30, seed=2))
    return tmp_path


def told(capfd, folder, before):
    """Return what was printed, and the texts of the files that were written."""
    out, err = capfd.readouterr()
    texts = {"out": out, "err": err}
    for path in folder.rglob("*"):
        if path.is_file() and path not in before and path.suffix not in {".onnx", ".npy", ".png"}:
            texts[path.name] = path.read_text("utf-8")
    return texts


@pytest.mark.parametrize("text", NAMES.values(), ids=NAMES)
def test_no_command_lets_a_name_act(place, capfd, text):
    onnx.save(renamed(network(), text), "m.onnx")
    before = set(place.rglob("*"))
    report = [f"--report=json={place}/r.json", f"--report=markdown={place}/r.md"]
    runs = [
        ["estimate", "m.onnx"],
        ["snapshot", "m.onnx"],
        ["report", "m.onnx", "--html", "m.html", "--plots", "plots"],
        ["fix", "m.onnx", "--output-dir", "fixed"],
        ["quantize", "m.onnx", "--output", "q.onnx", "--calibration", "cal.npy", *report],
        ["evaluate", "m.onnx", "q.onnx", "--data", "test.npy", *report],
        ["verify", "q.onnx", "--data", "test.npy", f"--report=json={place}/r.json"],
    ]
    for words in runs:
        code = cli.main(words)
        texts = told(capfd, place, before)
        assert code in {0, 1}, (words, texts["err"])
        for name, output in texts.items():
            if name != "m.html":  # has programs of its own; tests/reporters/test_html.py reads it
                assert_calm(output)
                assert name.endswith((".json", "txt", "out", "err")) or not LIVE.search(output), (
                    name
                )
            if name.endswith(".json"):
                json.loads(output)
    assert {path.name for path in Path().iterdir()} <= {
        "m.onnx", "cal.npy", "test.npy", "m.onnx.txt", "m.html", "plots", "fixed", "q.onnx",
        "q.onnx.calibration.json", "r.json", "r.md",
    }  # fmt: skip
