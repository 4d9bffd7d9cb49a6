"""Make a checkout with a secret in it, and models that ask for it; run commands on them."""

import json
import os
from pathlib import Path

import numpy as np
from onnx import TensorProto, numpy_helper, parser

from npugate import cli
from npugate.reporters import REPORTERS
from tests.project.test_list_models import git

SECRET = "AUTHORIZATION: basic c2VjcmV0IG9mIHRoZSBqb2I="
LINE = 4  # of the secret, in both
CONFIG = f'[core]\n\tbare = false\n[http "https://example.org/"]\n\textraheader = {SECRET}\n'
KEY = f"# written\n# by\n# a job\nkey = '{SECRET}'\n"
SIZE = 256
FIX = ("fix", "--output-dir=out/fixed", "--select=normalize-slices")


def network(location="", trace=""):
    """Return a model with a finding and a repair for it, external data and a trace if wanted."""
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 14]>
        net (float[1, 4] x, float[1, 64] u) => (float[1, 2] y, float[1, 64] v)
        <int64[1] a = {-2}, int64[1] b = {9223372036854775807}, int64[1] axis = {1}>
        { y = Slice (x, a, b, axis)  v = Mul (u, w) }
    """)
    weight = numpy_helper.from_array(np.full(SIZE // 4, 2, np.float32), "w")
    if location:
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=location)
    model.graph.initializer.append(weight)
    if trace:
        # As TorchScript writes it, without the text of the line: that is taken from the file.
        model.graph.node[0].doc_string = f"/build/{trace}({LINE}): <module>\n"
    return model.SerializeToString()


def put(name, data=KEY):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode().ljust(SIZE, b"\n"))


def link(name, target):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).symlink_to(target)


def track(*names):
    git(Path(), "add", "-f", "--", *names)
    git(Path(), "commit", "-qm", "tracked")


def repository():
    git(Path(), "init", "-q")
    put(".git/config", CONFIG)


def enter(folder, monkeypatch):
    """Make a repository whose own folder holds a secret the working directory."""
    (folder / "checkout").mkdir()
    monkeypatch.chdir(folder / "checkout")
    repository()


def run(capfd, *words):
    """Run a command; return its exit code, and all that it printed or wrote below ``out``."""
    code = cli.main([str(word) for word in words])
    printed = "".join(capfd.readouterr()).encode()
    paths = [Path(place, name) for place, _, names in os.walk("out") for name in names]
    return code, b"\n".join([printed, *(path.read_bytes() for path in sorted(paths))])


def reported(capfd, command, *words):
    reports = [f"--report={form}=out/report.{form}" for form in REPORTERS]
    return run(capfd, command, *words, "--format=text", *reports)


def findings():
    (model,) = json.loads(Path("out/report.json").read_text())["models"]
    return {finding["name"]: finding for finding in model["findings"]}


def submodule(tmp_path, monkeypatch, name, data):
    """Add a repository with one file as the submodule ``sub``."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    with monkeypatch.context() as here:
        here.chdir(other)
        put(name, data)
        track(name)
    git(Path(), "submodule", "add", "-q", str(other), "sub")
    track("sub", ".gitmodules")
