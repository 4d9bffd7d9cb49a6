"""A pull request on a made-up repository, judged by the scripts of the action and the program."""

from __future__ import annotations

import html
import io
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest

from npugate import cli
from npugate.commands.action import _report_of
from npugate.github import action, pages
from npugate.reporters import reading
from npugate.rules.testing import model_from_text
from tests.project.test_list_models import IDENTITY, PATH, SCRIPT

needs_git = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("git")), reason="needs bash and git"
)

HEAD = '<ir_version: 8, opset_import: ["" : 14]> '
GOOD = HEAD + "net (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }"
BATCHED = (
    HEAD
    + """net (float[1, 24, 8, 8] x) => (float[8, 4, 8, 8] y)
    <int64[4] fold = {8, 3, 8, 8}, float[4, 3, 1, 1] w>
    { h = Reshape (x, fold)  y = Conv (h, w) }"""
)


def data(text: str) -> bytes:
    """Return a model file; its nodes are named by their place, whatever they do."""
    model = model_from_text(text)
    for index, node in enumerate(model.graph.node):
        node.name = f"node{index}"
    return model.SerializeToString()


good = data(GOOD)
bad = data(BATCHED)


def external(location: str, text: str = BATCHED) -> tuple[bytes, bytes]:
    """Return a model and its weights, which it looks for at a location."""
    model = model_from_text(text.replace("float[4, 3, 1, 1]", "float[64, 3, 1, 1]"))
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_value = 64
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "w")
    raw = weights.raw_data or onnx.numpy_helper.to_array(weights).tobytes()
    weights.ClearField("raw_data")
    weights.ClearField("float_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(raw)))):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    return model.SerializeToString(), raw


@dataclass
class Link:
    """A symbolic link to write."""

    to: str


Content = bytes | str | Link | None


@dataclass
class Outcome:
    """What the run said."""

    code: int
    summary: str
    comment: str
    report: dict
    log: str

    @property
    def verdict(self) -> str:
        return {0: "pass", 1: "fail"}.get(self.code, "error")

    def live(self, path: str) -> list[str]:
        """Return the names of the findings of a model that count."""
        model = next(model for model in self.report["models"] if model["path"] == path)
        return [found["name"] for found in model["findings"] if not found["suppressed"]]

    @property
    def paths(self) -> list[str]:
        return [model["path"] for model in self.report["models"]]


class PullRequest:
    """A repository with a base, and a branch that is checked against it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "work"
        self.beside = folder
        self.folder.mkdir()
        monkeypatch.chdir(self.folder)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *IDENTITY, *arguments],
            cwd=self.folder, env=PATH, check=True, capture_output=True,
        )  # fmt: skip
        return os.fsdecode(done.stdout).strip()

    def commit(self, files: Mapping[str, Content]) -> str:
        for name, content in files.items():
            path = self.folder / name
            if os.path.lexists(path) and (content is None or path.is_symlink()):
                path.unlink()
            if content is None:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Link):
                if os.path.lexists(path):
                    path.unlink()
                path.symlink_to(content.to)
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.git("add", "-A", "-f")
        self.git("commit", "-qm", "c", "--allow-empty")
        return self.git("rev-parse", "HEAD")

    def write_baseline(self, file: str, *models: str) -> None:
        """Record what the work tree has, as a user does before committing it."""
        assert cli.main(["check", "--quiet", f"--write-baseline={file}", *models]) in {0, 1}

    def base(self, files: Mapping[str, Content]) -> None:
        self.commit(files)
        self.git("checkout", "-q", "-B", "topic")

    def change(self, files: Mapping[str, Content], **inputs: str) -> Outcome:
        """Commit a change to the topic branch and judge it."""
        self.commit(files)
        return self.judge(**inputs)

    def list_models(self) -> Path:
        """Run the first step; return its folder."""
        output = self.beside / "listed"
        output.unlink(missing_ok=True)
        given = {
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_OUTPUT": str(output),
            "GITHUB_SHA": "f" * 40,
            "GITHUB_WORKSPACE": str(self.folder),
            "NPUGATE_BASE": self.git("rev-parse", "main"),
            "NPUGATE_CHANGED_ONLY": "auto",
            "RUNNER_TEMP": str(self.beside),
        }
        subprocess.run(
            ["bash", str(SCRIPT)], env=PATH | given, check=True, capture_output=True, text=True
        )
        lines = dict(line.split("=", 1) for line in output.read_text().splitlines())
        assert "base" not in lines, "there is no base"
        return Path(lines["state"])

    def judge(self, **inputs: str) -> Outcome:
        """Run the first two steps as action.yml does, without a container."""
        return self.check(self.list_models(), **inputs)

    def check(self, state: Path, **inputs: str) -> Outcome:
        (state / "event.json").write_text(json.dumps({"pull_request": {"number": 1}}))
        environment = {
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(state / "event.json"),
            "GITHUB_OUTPUT": str(state / "output"),
            "GITHUB_STEP_SUMMARY": str(state / "summary.md"),
            "GITHUB_WORKSPACE": str(self.folder),
            "NPUGATE_FOLDER": str(state / "report"),
            "INPUT_REPORTS": "json",
            **PATH,
            **handed(state),
            **inputs,
        }
        log = io.StringIO()
        code = action.main(environment, log, lambda words: _report_of(words, environment))
        written = (state / "report/npugate.json").read_bytes()
        comment = pages.sticky(reading.read(written), "", environment).body
        summary = (state / "summary.md").read_text("utf-8")
        return Outcome(code, summary, comment, json.loads(written), log.getvalue())


def handed(state: Path) -> dict[str, str]:
    """Return the variables that run-container.sh makes of what the first step left."""
    rows = {
        "NPUGATE_TRACKED": "tracked",
        "NPUGATE_CHANGES": "changes",
        "NPUGATE_BASE_FOLDER": "base",
        "NPUGATE_SETTINGS": "settings",
    }
    return {name: str(state / file) for name, file in rows.items() if (state / file).exists()}


def told(page):
    """Return a page of Markdown as a reader sees it."""
    return html.unescape(page).replace("\\", "").replace("`", "")


def submodule(request, path, files, *, commit=True):
    other = request.beside / "other"
    other.mkdir()
    _git(other, "init", "-q", "-b", "main")
    for name, content in files.items():
        (other / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    _git(other, "add", "-A")
    _git(other, "commit", "-qm", "c")
    request.git("submodule", "--quiet", "add", other.as_uri(), path)
    if commit:
        request.commit({})


def advance(request, path, files):
    place = request.folder / path
    for name, content in files.items():
        (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    _git(place, "add", "-A")
    _git(place, "commit", "-qm", "c")
    request.commit({})


def _git(folder, *arguments):
    subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, check=True, capture_output=True)
