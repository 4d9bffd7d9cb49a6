"""The long run over real models writes what became of each, and says where something is odd."""

import subprocess
import sys
from pathlib import Path

from onnx import parser

TOOL = Path(__file__).parents[2] / "tools" / "corpus.py"
NET = """
    <ir_version: 8, opset_import: ["" : {opset}]>
    net (float[1, 8] x) => (float[1, 8] y) {{ y = Relu (x) }}
"""


def run(*arguments):
    command = [sys.executable, TOOL, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def write(folder, name, opset):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(parser.parse_model(NET.format(opset=opset)).SerializeToString())


def test_the_page_has_a_row_for_each_model_and_its_public_name_only(tmp_path):
    write(tmp_path / "zoo", "a/good.onnx", 14)
    write(tmp_path / "zoo", "a/old.onnx", 6)
    (tmp_path / "zoo" / "broken.onnx").write_bytes(b"<html>")
    write(tmp_path / "nodes", "relu/model.onnx", 6)
    manifest = tmp_path / "list.csv"
    manifest.write_text("file,size\na/good.onnx,1\nb/gone.onnx,1\n", encoding="utf-8")
    page = tmp_path / "page.md"
    options = ["--node-tests", tmp_path / "nodes", "--manifest", manifest, "--output", page]
    done = run(tmp_path / "zoo", *options)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    text = page.read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert "| zoo | 3 | 1 | 1 | 1 |" in text
    assert "| backend tests | 1 | 0 | 1 | 0 |" in text
    assert "| `a/good.onnx` | 1 | 1 | pass | 0 | 0 | 0 |  |" in text
    assert "| `a/old.onnx` | 1 | 1 | fail | 1 | 0 | 0 | **NPU206** (1) |" in text
    assert "| `broken.onnx` | 1 | 0 | unreadable | 1 |" in text
    assert "relu/model.onnx" not in text
    assert "1 were not at hand:\n\n- `b/gone.onnx`" in text


def test_a_folder_without_models_is_trouble(tmp_path):
    (tmp_path / "empty").mkdir()
    page = tmp_path / "page.md"
    done = run(tmp_path / "empty", "--output", page)
    assert (done.returncode, done.stdout) == (1, "`empty` holds no model\n")
    assert "- `empty` holds no model" in page.read_text(encoding="utf-8")


def test_a_run_that_ends_oddly_is_trouble(tmp_path):
    write(tmp_path / "zoo", "good.onnx", 14)
    done = run(tmp_path / "zoo", "--toolchain", "99.9", "--output", tmp_path / "page.md")
    assert done.returncode == 1
    assert "ended with 2" in done.stdout
