"""Run action.yml end to end with ``act``: every event, on a repository with three models.

``make validate`` calls it. Without a container engine, or with ``--standin``, a stand-in for docker
runs npugate on this machine; with one, the real image runs. The models: one that cannot be repaired
to pass, one that can, one that is clean. GitHub's API is the one of the tests, on the loopback; a
container cannot reach that, so comments are tried with the stand-in only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

_ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_ROOT))

from tests.github_api import Api, Token, serving  # noqa: E402  # needs the path above

_TOKEN: Final = "ghs_good"  # noqa: S105  # of the loopback
_MODELS: Final = {
    "clean": _ROOT / "examples/demo/clean.onnx",
    "repairable": _ROOT / "tests/fixtures/models/rppg_4d_fp32.onnx",
}
_HERE: Final = "o/r"
_WORKFLOW: Final = """
on: [push, pull_request, merge_group]
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v7
      - id: gate
        continue-on-error: true
        uses: owner/npugate@v1
        with:
          fix: true
          name: leg
          comment: ${{ env.COMMENT }}
      - if: always()
        env:
          RESULT: >-
            {"outcome": ${{ toJSON(steps.gate.outcome) }},
            "outputs": ${{ toJSON(steps.gate.outputs) }}}
          FOLDER: ${{ steps.gate.outputs.folder }}
        run: |
          printf '%s' "$RESULT" >"$RESULTS/result.json"
          cp -R "$FOLDER/.." "$RESULTS/out"
"""
_STUB: Final = """
name: stub
description: Writes down what it was given
inputs: {{ {inputs} }}
runs:
  using: composite
  steps:
    - shell: bash
      env:
        GIVEN: ${{{{ toJSON(inputs) }}}}
      run: printf '%s\\n' "$GIVEN" >>"$RESULTS/{name}"
"""


class Mismatch(Exception):  # noqa: N818  # it is not the program that is in error
    """Something came out otherwise than it should; the text says what."""


@dataclass(frozen=True, slots=True)
class Case:
    """An event, what the change does, and what must come out.

    Attributes:
        added: models that the head adds to the base, which has a bad one already.
        removed: models that it deletes.
        expected: outputs by name.
        said: what the summary must hold.
        fork: the pull request comes from another repository.
        comments: how many there are on the pull request afterwards.
        may_write: what the token may do.
        cut_off: the checkout has the head alone, and git cannot reach the rest. No container of an
            engine reaches the loopback, so it is always the stand-in that asks the API.
    """

    event: str
    added: tuple[str, ...]
    expected: Mapping[str, str]
    said: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    fork: bool = False
    comments: int = 0
    may_write: bool = True
    cut_off: bool = False


_FAIL: Final = {"verdict": "fail", "exit-code": "1"}
_PASS: Final = {"verdict": "pass", "exit-code": "0"}
CASES: Final = {
    "push checks every model": Case(
        "push", ("clean",), {**_FAIL, "models": "2", "failed": "1", "repaired": "0"}, ("old.onnx",)
    ),
    "a pull request that adds a bad model": Case(
        "pull_request", ("bad",), {**_FAIL, "models": "1", "failed": "1"}, ("bad.onnx",), comments=1
    ),
    "a pull request that adds a repairable model": Case(
        "pull_request",
        ("repairable", "clean"),
        {**_FAIL, "models": "2", "failed": "1", "repaired": "1"},
        ("repairable.onnx",),
        comments=1,
    ),
    "a pull request that adds a clean model": Case(
        "pull_request", ("clean",), {**_PASS, "models": "1", "failed": "0"}, comments=1
    ),
    "a pull request that touches no model": Case("pull_request", (), {**_PASS, "models": "0"}),
    "a pull request that deletes the bad model": Case(
        "pull_request", (), {**_PASS, "models": "0"}, removed=("old",)
    ),
    "a pull request whose base only the API has": Case(
        "pull_request",
        ("bad", "clean"),
        {**_FAIL, "models": "2", "failed": "1"},
        ("bad.onnx", "new model"),
        comments=1,
        cut_off=True,
    ),
    "a pull request from a fork": Case(
        "pull_request",
        ("bad",),
        {**_FAIL, "models": "1"},
        ("bad.onnx",),
        fork=True,
        may_write=False,
    ),
    "a pull request of Dependabot": Case(
        "pull_request", ("bad",), {**_FAIL, "models": "1"}, ("bad.onnx",), may_write=False
    ),
    "a merge queue with a bad model": Case("merge_group", ("bad",), {**_FAIL, "models": "1"}),
    "a merge queue with a clean model": Case("merge_group", ("clean",), {**_PASS, "models": "1"}),
}


@dataclass(slots=True)
class Runner:
    """A scratch repository, and where a run leaves its results."""

    folder: Path
    act: Path
    programs: Path | None
    api: Api
    commits: dict[str, str] = field(default_factory=dict)

    @property
    def workspace(self) -> Path:
        """The checkout."""
        return self.folder / "checkout"

    @property
    def results(self) -> Path:
        """What the workflow wrote."""
        return self.folder / "results"

    def git(self, *words: str) -> str:
        """Run git in the checkout."""
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        command = ["git", *identity, "-c", "commit.gpgsign=false", *words]
        done = subprocess.run(  # noqa: S603 - ours, no shell
            command, cwd=self.workspace, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Commit everything and return the commit."""
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


def main(arguments: Sequence[str]) -> int:
    """Run every case; return 0 when all came out as they must."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--act", type=Path, required=True, help="the act program")
    parser.add_argument("--standin", action="store_true", help="do not use the container engine")
    options = parser.parse_args(arguments)
    standin = options.standin or not _engine_answers()
    if standin and not options.standin:
        sys.stdout.write("no docker engine answers: a stand-in runs npugate on this machine\n")
    failed = 0
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory(dir=_temporary()) as folder:
            try:
                alone = standin or case.cut_off
                _serve(case, Path(folder), options.act.resolve(), standin=alone)
            except (
                Mismatch,
                OSError,
                ValueError,
                KeyError,
                subprocess.CalledProcessError,
            ) as error:
                said = getattr(error, "stderr", "") or ""
                sys.stdout.write(f"FAILED {name}: {error}\n{said[-2000:]}\n")
                failed += 1
                continue
        sys.stdout.write(f"ok     {name}\n")
    return 1 if failed else 0


def _engine_answers() -> bool:
    done = subprocess.run(["docker", "version"], capture_output=True, check=False)  # noqa: S607 - the one on PATH
    return done.returncode == 0


def _temporary() -> str | None:
    """Return a folder that the engine sees too: with a remote engine, /tmp may be its own."""
    return os.environ.get("RUNNER_TEMP") or None  # noqa: TID251  # a tool, not the program


def _serve(case: Case, folder: Path, act: Path, *, standin: bool) -> None:
    """Run a case beside an API of its own."""
    tokens = {_TOKEN: Token(may_write=case.may_write)}
    with serving(Api(tokens=tokens, repository=folder / "origin.git")) as api:
        _run(case, Runner(folder, act, _programs(folder) if standin else None, api))


def _run(case: Case, context: Runner) -> None:
    context.workspace.mkdir()
    context.results.mkdir()
    _repository(context, case)
    event = context.folder / "event.json"
    event.write_text(json.dumps(_payload(context, case)), encoding="utf-8")
    done = _act(context, case.event, event)
    if done.returncode:
        raise Mismatch(f"act ended with {done.returncode}: {done.stdout[-4000:]}")
    _judge(context, case)
    if context.programs is not None:
        _judge_comments(context, case, done.stdout)


def _programs(folder: Path) -> Path:
    """Return a folder with a program named docker, which is the stand-in."""
    programs = folder / "programs"
    programs.mkdir()
    program = programs / "docker"
    script = _ROOT / "tools" / "standin_engine.py"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n', encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return programs


def _repository(context: Runner, case: Case) -> None:
    models = context.workspace / "models"
    models.mkdir()
    workflows = context.workspace / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (workflows / "gate.yml").write_text(_WORKFLOW, encoding="utf-8")
    context.git("init", "-q", "-b", "main")
    context.git("remote", "add", "origin", f"https://github.com/{_HERE}.git")
    _bad(models / "old.onnx")
    context.commits["base"] = context.commit("base")
    context.git("checkout", "-q", "-b", "topic")
    for name in case.added:
        if name == "bad":
            _bad(models / "bad.onnx")
        else:
            shutil.copyfile(_MODELS[name], models / f"{name}.onnx")
    for name in case.removed:
        (models / f"{name}.onnx").unlink()
    context.commits["head"] = context.commit("head")
    context.git("clone", "-q", "--bare", ".", str(context.folder / "origin.git"))
    if case.cut_off:
        context.git("branch", "-q", "-D", "main")
        (context.workspace / ".git/shallow").write_text(f"{context.commits['head']}\n", "utf-8")
        context.git("reflog", "expire", "--expire=now", "--all")
        context.git("gc", "-q", "--prune=now")
        context.git("branch", "kept")  # act copies no empty folder, and git wants refs/heads


def _bad(path: Path) -> None:
    """Write a model with an operator that no repair can replace."""
    from onnx import TensorProto, checker, helper, save  # noqa: PLC0415 - takes a while

    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in "xy"]
    node = helper.make_node("Det", ["square"], ["y"], name="det")
    shape = helper.make_tensor("shape", TensorProto.INT64, [3], [1, 2, 2])
    fold = helper.make_node("Reshape", ["x", "shape"], ["square"], name="fold")
    values[1] = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([fold, node], "bad", values[:1], values[1:], [shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    checker.check_model(model)
    save(model, path)


def _payload(context: Runner, case: Case) -> Mapping[str, object]:
    base, head = context.commits["base"], context.commits["head"]
    repository = {"full_name": _HERE, "name": "r", "owner": {"login": "o"}}
    if case.event == "push":
        return {"before": base, "after": head, "repository": repository}
    if case.event == "merge_group":
        group = {"base_sha": base, "head_sha": head, "base_ref": "refs/heads/main"}
        return {"action": "checks_requested", "merge_group": group, "repository": repository}
    owner = "stranger/r" if case.fork else _HERE
    request = {
        "number": 7,
        "base": {"sha": base, "ref": "main", "repo": {"full_name": _HERE}},
        "head": {"sha": head, "ref": "topic", "repo": {"full_name": owner}},
    }
    return {"action": "synchronize", "number": 7, "pull_request": request, "repository": repository}


def _act(context: Runner, event: str, payload: Path) -> subprocess.CompletedProcess[str]:
    runner = context.folder / "runner"
    runner.mkdir()
    environment = dict(os.environ)  # noqa: TID251  # a tool hands on what it was given
    if context.programs is not None:
        environment["PATH"] = f"{context.programs}{os.pathsep}{environment['PATH']}"
    command: list[object] = [
        context.act, event, "-e", payload, "-P", "ubuntu-latest=-self-hosted", "--no-cache-server",
        "--pull=false", "--env", f"RESULTS={context.results}", "--env", f"RUNNER_TEMP={runner}",
        "--env", f"PATH={environment['PATH']}", "-s", f"GITHUB_TOKEN={_TOKEN}",
        "--env", f"COMMENT={str(context.programs is not None).lower()}",
        "--env", f"STANDIN_API={context.api.url}",
        "--env", f"STANDIN_RECORD={context.results / 'runs'}",
        "--local-repository", f"owner/npugate@v1={_ROOT}",
    ]  # fmt: skip
    for reference, stub in stubs(context.folder).items():
        command += ["--local-repository", f"{reference}={stub}"]
    words = [str(word) for word in command]
    return subprocess.run(  # noqa: S603  # no shell
        words, cwd=context.workspace, env=environment, text=True, capture_output=True, check=False
    )


def stubs(folder: Path) -> Mapping[str, Path]:
    """Write a stand-in for each action that ours uses; return them by reference."""
    action = yaml.safe_load((_ROOT / "action.yml").read_text(encoding="utf-8"))
    found: dict[str, Path] = {}
    for step in action["runs"]["steps"]:
        if "uses" not in step:
            continue
        name, _, commit = step["uses"].partition("@")
        owner, repository, *path = name.split("/")
        stub = folder / repository
        place = stub.joinpath(*path)
        place.mkdir(parents=True, exist_ok=True)
        inputs = ", ".join(f"{key}: {{description: x}}" for key in step["with"])
        text = _STUB.format(inputs=inputs, name=place.name)
        (place / "action.yml").write_text(text, encoding="utf-8")
        found[f"{owner}/{repository}@{commit}"] = stub
    return found


def _judge(context: Runner, case: Case) -> None:
    result = json.loads((context.results / "result.json").read_text(encoding="utf-8"))
    outputs = result["outputs"]
    for name, value in case.expected.items():
        _expect(name, outputs[name], value)
    passes = case.expected["verdict"] == "pass"
    _expect("outcome", result["outcome"], "success" if passes else "failure")
    page = (context.results / "out" / "summary.md").read_text(encoding="utf-8")
    for text in (case.expected["verdict"].upper(), *case.said):
        _expect(f"the summary holds {text}", text in page, expected=True)
    _expect("artifact", (context.results / "upload-artifact").is_file(), expected=True)
    _expect("SARIF", (context.results / "upload-sarif").is_file(), expected=True)


def _judge_comments(context: Runner, case: Case, log: str) -> None:
    bodies = context.api.bodies()
    _expect("comments", len(bodies), case.comments)
    for body in bodies:
        for text in (f"npugate: {case.expected['verdict'].upper()}", *case.said):
            _expect(f"the comment holds {text}", text in body, expected=True)
        page = (context.results / "out" / "summary.md").read_text(encoding="utf-8")
        _expect("the comment says what the summary says", page.strip() in body, expected=True)
    told = "no comment on the pull request" in log
    _expect("a notice of the missing permission", told, expected=not case.may_write)
    runs = [json.loads(line) for line in (context.results / "runs").read_text("utf-8").splitlines()]
    holders = [run["command"] for run in runs if "GITHUB_TOKEN" in str(run)]
    expected = [["base"]] * case.cut_off + [["comment"]] * ("pull" in case.event)
    _expect("containers with a token", holders, expected)
    _expect("the token on a command line", _TOKEN in str(runs), expected=False)


def _expect(what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise Mismatch(f"{what}: {actual!r}, expected {expected!r}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
