"""Run the whole composite action with act, event by event; ``make validate`` calls it.

The engine is a stand-in that starts npugate without a container, and GitHub's API is the one of the
tests on the loopback. So it runs where no engine answers; what the sandbox keeps out is for
validate_container.py.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

_ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_ROOT))

from tests.github_api import Api, Token, serving  # noqa: E402  # needs the path above

_MODELS: Final = {
    "bad.onnx": _ROOT / "examples" / "demo" / "bad.onnx",
    "clean.onnx": _ROOT / "examples" / "demo" / "clean.onnx",
    "repairable.onnx": _ROOT / "tests" / "fixtures" / "models" / "rppg_4d_fp32_dynamo.onnx",
}
_TOKEN: Final = "ghs_good"  # noqa: S105  # of the loopback
_GIT: Final = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
_WORKFLOW: Final = """
on: [push, pull_request, merge_group]
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v7
      - id: gate
        continue-on-error: true
        uses: ./
        with:
          models: models
          changed-only: "false"
          fix: "true"
          image: npugate:stand-in
      - if: always()
        env:
          RESULT: >-
            {"outcome": ${{ toJSON(steps.gate.outcome) }},
            "outputs": ${{ toJSON(steps.gate.outputs) }}}
        run: printf '%s' "$RESULT" >"$RESULTS/result.json"
"""
_STUB: Final = """
name: stub
description: Writes down what it was given
inputs: {{ {inputs} }}
outputs: {{ artifact-url: {{ description: x, value: "https://github.com/{here}/artifacts/1" }} }}
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
    """One event.

    Attributes:
        payload: file in tests/fixtures/events; empty for an event without a pull request.
        may_write: what the token may do.
        comments: how many there are afterwards.
        models: names of those in the checkout.
    """

    name: str
    event: str
    payload: str = ""
    may_write: bool = True
    comments: int = 0
    models: tuple[str, ...] = tuple(_MODELS)
    verdict: str = "fail"


_CASES: Final = (
    Case("push", "push"),
    Case("pull request", "pull_request", "branch", comments=1),
    Case(
        "all is well", "pull_request", "branch", comments=1, models=("clean.onnx",), verdict="pass"
    ),
    Case("fork", "pull_request", "fork", may_write=False),
    Case("Dependabot", "pull_request", "dependabot", may_write=False),
    Case("private repository", "pull_request", "private", comments=1),
    Case("merge queue", "merge_group"),
)


def main(arguments: Sequence[str]) -> int:
    """Run every case; return 0 when all came out right."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--act", type=Path, required=True, help="the act program")
    options = parser.parse_args(arguments)
    failed = [case.name for case in _CASES if not _passes(case, options.act.resolve())]
    return 1 if failed else 0


def _passes(case: Case, act: Path) -> bool:
    with tempfile.TemporaryDirectory(prefix="npugate-act-") as folder:
        try:
            with serving(Api(tokens={_TOKEN: Token(may_write=case.may_write)})) as api:
                _judge(case, api, _run(case, act, api, Path(folder)))
        except (Mismatch, subprocess.CalledProcessError, OSError, ValueError, KeyError) as error:
            sys.stdout.write(f"FAILED the composite action, {case.name}: {error}\n")
            return False
    sys.stdout.write(f"ok     the composite action, {case.name}\n")
    return True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of act left."""

    log: str
    result: Mapping[str, object]
    runs: tuple[Mapping[str, object], ...]


def _run(case: Case, act: Path, api: Api, folder: Path) -> Outcome:
    workspace, results, temporary = (folder / name for name in ("work", "results", "runner"))
    for path in (results, temporary):
        path.mkdir()
    _checkout(workspace, case)
    record, programs = folder / "record", folder / "bin"
    _engine(programs, record, api.url)
    event = folder / "event.json"
    event.write_text(_event(case), encoding="utf-8")
    command: list[object] = [
        act, case.event, "-e", event, "-P", "ubuntu-latest=-self-hosted", "--no-cache-server",
        "--pull=false", "-s", f"GITHUB_TOKEN={_TOKEN}", "--env", f"RESULTS={results}",
        "--env", f"RUNNER_TEMP={temporary}",
    ]  # fmt: skip
    for stub, reference in _stubs(folder):
        command += ["--local-repository", f"{reference}={stub}"]
    mine = dict(os.environ)  # noqa: TID251  # act needs what this process has
    mine["PATH"] = f"{programs}:{mine['PATH']}"
    done = subprocess.run(  # noqa: S603  # no shell
        [str(word) for word in command], cwd=workspace, env=mine, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise Mismatch(
            f"act ends with {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-1000:]}"
        )
    runs = tuple(json.loads(line) for line in record.read_text("utf-8").splitlines())
    return Outcome(done.stdout, json.loads((results / "result.json").read_bytes()), runs)


def _checkout(workspace: Path, case: Case) -> None:
    """Make a repository with the models, and with this action to use as ``./``."""
    listed = _git(_ROOT, "ls-files", "-z", "-co", "--exclude-standard").stdout
    for name in filter(None, listed.split("\0")):
        if (_ROOT / name).is_file() and not name.startswith((".github/", "tests/")):
            target = workspace / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(_ROOT / name, target)
    (workspace / "models").mkdir()
    for name in case.models:
        shutil.copy2(_MODELS[name], workspace / "models" / name)
    workflow = workspace / ".github" / "workflows" / "gate.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(_WORKFLOW, encoding="utf-8")
    _git(workspace, "init", "-q", "-b", "main")
    _git(workspace, "remote", "add", "origin", "https://github.com/o/r.git")
    _git(workspace, "add", "-A", "-f")
    _git(workspace, "commit", "-qm", "demo")


def _git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["git", *_GIT, *words]
    return subprocess.run(command, cwd=folder, text=True, capture_output=True, check=True)  # noqa: S603  # no shell


def _engine(folder: Path, record: Path, api: str) -> None:
    folder.mkdir()
    program = folder / "docker"
    stand_in = _ROOT / "tools" / "engine_without_containers.py"
    words = f"exec '{sys.executable}' '{stand_in}' '{record}' '{api}' -- \"$@\""
    program.write_text(f"#!/bin/sh\n{words}\n", encoding="utf-8")
    program.chmod(0o755)


def _event(case: Case) -> str:
    if case.payload:
        return (_ROOT / "tests/fixtures/events" / f"{case.payload}.json").read_text("utf-8")
    commits = {"base_sha": "b" * 40, "head_sha": "a" * 40}
    return json.dumps({"merge_group": commits} if case.event == "merge_group" else {})


def _stubs(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield a stand-in for each action that ours uses, and the reference it stands in for."""
    action = yaml.safe_load((_ROOT / "action.yml").read_text(encoding="utf-8"))
    for step in action["runs"]["steps"]:
        if "uses" not in step:
            continue
        name, _, commit = step["uses"].partition("@")
        owner, repository, *path = name.split("/")
        place = (folder / repository).joinpath(*path)
        place.mkdir(parents=True)
        inputs = ", ".join(f"{key}: {{description: x}}" for key in step["with"])
        text = _STUB.format(inputs=inputs, name=place.name, here="o/r/actions/runs/1")
        (place / "action.yml").write_text(text, encoding="utf-8")
        yield folder / repository, f"{owner}/{repository}@{commit}"


def _judge(case: Case, api: Api, outcome: Outcome) -> None:
    outputs = outcome.result["outputs"]
    if not isinstance(outputs, dict):
        raise Mismatch("there are no outputs")
    _expect("verdict", outputs["verdict"], case.verdict)
    wanted = "failure" if case.verdict == "fail" else "success"
    _expect("outcome", outcome.result["outcome"], wanted)
    _expect("models", outputs["models"], str(len(case.models)))
    _expect("comments", len(api.bodies()), case.comments)
    for body in api.bodies():
        _expect_in(f"npugate: {case.verdict.upper()}", body)
        _expect_in("/artifacts/1)", body)
        for name in case.models:
            _expect_in(f"<code>models/{name}</code>", body)
    if len(case.models) > 1:
        _expect("repaired", outputs["repaired"] not in {"", "0"}, expected=True)
    told = "no comment on the pull request" in outcome.log
    _expect("notice of a missing permission", told, expected=not case.may_write)
    token = [run for run in outcome.runs if "GITHUB_TOKEN" in str(run)]
    _expect("containers with a token", [run["command"] for run in token], _commenting(case))


def _commenting(case: Case) -> list[list[str]]:
    return [["comment"]] if case.payload else []


def _expect(what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise Mismatch(f"{what}: {actual!r}, expected {expected!r}")


def _expect_in(part: str, whole: str) -> None:
    if part not in whole:
        raise Mismatch(f"{part!r} is not in\n{whole[:2000]}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
