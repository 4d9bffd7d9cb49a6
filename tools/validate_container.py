"""Build the image and run it, and both actions, as GitHub would; ``make validate`` calls it.

Needs a container engine that answers and, for the composite action, ``act``. What cannot be run is
said, and fails nothing: the rest of the repository can be validated without an engine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import yaml

_ROOT: Final = Path(__file__).resolve().parents[1]
_DEMO: Final = _ROOT / "examples" / "demo"
_IMAGE: Final = "npugate:validate"
_SEALED: Final = (
    "--rm", "--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--read-only", "--tmpfs", "/tmp",  # noqa: S108  # inside the container
)  # fmt: skip
_MAX_IMAGE_BYTES: Final = 160_000_000  # 140 MB when it was measured; docs/container.md
_MIN_CERTIFICATES: Final = 50
_BAD, _CLEAN = "bad.onnx", "clean.onnx"


class Mismatch(Exception):  # noqa: N818  # it is not the program that is in error
    """Something came out otherwise than it should; the text says what."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the checks share: the programs, and a folder that holds a checkout of the demo."""

    npugate: Path
    act: Path | None
    workspace: Path


def main(arguments: Sequence[str]) -> int:
    """Run every check; return 0 when all that could be run passed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--npugate", type=Path, required=True, help="the command line to compare")
    parser.add_argument("--act", type=Path, help="the act program; without it, no composite action")
    options = parser.parse_args(arguments)
    engine = subprocess.run(["docker", "version"], capture_output=True, check=False)  # noqa: S607 - the one on PATH
    if engine.returncode:
        sys.stdout.write("skipped: every container test: no docker engine answers\n")
        return 0
    with tempfile.TemporaryDirectory(dir=_temporary()) as folder:
        workspace = Path(folder, "checkout")
        _checkout(workspace)
        act = options.act.resolve() if options.act else None
        setting = Setting(options.npugate.resolve(), act, workspace)
        if not _passes("the image builds and is small", _build):
            return 1
        failed = [name for name, check in _checks(setting) if not _passes(name, check)]
    if options.act is None:
        sys.stdout.write("skipped: the composite action: --act was not given\n")
    return 1 if failed else 0


def _temporary() -> str | None:
    """Return a folder that the engine sees too: with a remote engine, /tmp may be its own."""
    return os.environ.get("RUNNER_TEMP") or None  # noqa: TID251  # a tool, not the program


def _passes(name: str, check: Callable[[], None]) -> bool:
    try:
        check()
    except (Mismatch, subprocess.CalledProcessError, OSError, ValueError, KeyError) as error:
        said = f"{getattr(error, 'stdout', '')}{getattr(error, 'stderr', '')}"
        sys.stdout.write(f"FAILED {name}: {error}\n{said[-3000:]}\n")
        return False
    sys.stdout.write(f"ok     {name}\n")
    return True


def _checks(setting: Setting) -> Iterator[tuple[str, Callable[[], None]]]:
    for user in ("0:0", "12345:12345"):
        yield f"as {user} it says what the command line says", partial(_same, setting, user)
    yield "it repairs as the command line does", partial(_same_repair, setting)
    yield "no module of the workspace is imported", partial(_isolated, setting)
    yield "it knows who to trust on the web", _trusts
    repair = ("fix", "models", "--dry-run")
    for words in (("--version",), ("check", "models"), repair, ("rules",), ("comment",)):
        yield f"{words[0]}: every module has its bytecode", partial(_compiled, setting, words)
    for model, verdict, code in ((_BAD, "fail", 1), (_CLEAN, "pass", 0)):
        check = partial(_docker_action, setting, model, verdict, code)
        yield f"the plain Docker action: {model}", check
    if setting.act:
        yield "the composite action, by act", partial(_composite, setting)


def _expect(what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise Mismatch(f"{what}: {actual!r}, expected {expected!r}")


def _run(
    command: Sequence[object], cwd: Path | None = None, *, check: bool = False
) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, text=True, capture_output=True, check=check)  # noqa: S603  # no shell


def _checkout(workspace: Path) -> None:
    """Make a repository with the demo's models, and with this action to use as ``./``."""
    listed = _run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=_ROOT, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        target = workspace / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (_ROOT / name).is_file():
            shutil.copy2(_ROOT / name, target)
    models = workspace / "models"
    models.mkdir()
    for name in (_BAD, _CLEAN):
        shutil.copy2(_DEMO / name, models / name)
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    _run(["git", "init", "-q", "-b", "main"], cwd=workspace, check=True)
    _run(["git", "add", "-A", "-f"], cwd=workspace, check=True)
    _run(["git", *identity, "commit", "-qm", "demo"], cwd=workspace, check=True)


def _build() -> None:
    _run(["docker", "build", "--tag", _IMAGE, _ROOT], check=True)
    size = int(
        _run(["docker", "image", "inspect", "--format", "{{.Size}}", _IMAGE], check=True).stdout
    )
    sys.stdout.write(f"       {size / 1e6:.0f} MB\n")
    if size > _MAX_IMAGE_BYTES:
        raise Mismatch(f"the image has {size} bytes, more than {_MAX_IMAGE_BYTES}")


def _same(setting: Setting, user: str) -> None:
    check = ("check", "models", "--format", "json")
    mount = ("--volume", f"{setting.workspace}:/src:ro", "--workdir", "/src")
    inside = _run(["docker", "run", *_SEALED, "--user", user, *mount, _IMAGE, *check])
    outside = _run([setting.npugate, *check], cwd=setting.workspace)
    _expect("exit status", inside.returncode, outside.returncode)
    _expect("exit status of the demo", outside.returncode, 1)
    _expect("the JSON report is the command line's", inside.stdout == outside.stdout, True)  # noqa: FBT003  # a value to compare


def _same_repair(setting: Setting) -> None:
    """Repair inside and outside; the written models must be the same to the last byte."""
    written: list[dict[str, bytes]] = []
    for inside in (True, False):
        folder = setting.workspace.parent / f"repaired-{inside}"
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)  # whatever the umask: another user writes there
        command: tuple[object, ...] = (setting.npugate, "fix", "models", "--output-dir", folder)
        if inside:
            mounts = ("--volume", f"{setting.workspace}:/src:ro", "--volume", f"{folder}:/out")
            run = ("docker", "run", *_SEALED, *mounts, "--workdir", "/src", _IMAGE)
            command = (*run, "fix", "models", "--output-dir", "/out")
        done = _run(command, cwd=setting.workspace)
        _expect("exit status", done.returncode in {0, 1}, True)  # noqa: FBT003  # a value to compare
        written.append({p.name: p.read_bytes() for p in folder.rglob("*.onnx")})
    _expect("a model is repaired", bool(written[1]), True)  # noqa: FBT003  # as above
    _expect("the repaired models are the command line's", written[0] == written[1], True)  # noqa: FBT003  # as above


def _isolated(setting: Setting) -> None:
    """A checkout with modules of its own, on a path that the job set, must not be imported."""
    hostile = setting.workspace.parent / "hostile"
    for name in ("npugate/__init__.py", "checks/__init__.py", "json.py", "sitecustomize.py"):
        (hostile / name).parent.mkdir(parents=True, exist_ok=True)
        (hostile / name).write_text("raise SystemExit('owned')\n", encoding="utf-8")
    done = _run(
        ["docker", "run", *_SEALED, "--env", "PYTHONPATH=/src", "--env", "PATH=/src",
         "--volume", f"{hostile}:/src:ro", "--workdir", "/src", _IMAGE, "--version"]
    )  # fmt: skip
    _expect("exit status", (done.returncode, done.stderr), (0, ""))


def _trusts() -> None:
    """Without certificates the step that comments could not reach GitHub."""
    python = ["--user", "12345:12345", "--entrypoint", "/usr/local/bin/python3", _IMAGE, "-I", "-c"]
    program = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"
    done = _run(["docker", "run", *_SEALED, *python, program], check=True)
    if int(done.stdout) < _MIN_CERTIFICATES:
        raise Mismatch(f"certificates: {done.stdout.strip()}")


def _compiled(setting: Setting, words: Sequence[str]) -> None:
    """What tools/image/precompile.py left out would be compiled again in every run."""
    python = ["--entrypoint", "/usr/local/bin/python3"]
    mount = ("--volume", f"{setting.workspace}:/src:ro", "--workdir", "/src")
    program = ("-v", "-I", "/app/entrypoint.py")
    done = _run(["docker", "run", *_SEALED, *python, *mount, _IMAGE, *program, *words])
    found = re.findall(r"^# code object from '?(.*\.py)'?$", done.stderr, re.MULTILINE)
    _expect("modules without bytecode", found, [])


def _docker_action(setting: Setting, model: str, verdict: str, code: int) -> None:
    """Run docker/action.yml with the mounts and variables of a runner."""
    action = yaml.safe_load((_ROOT / "docker" / "action.yml").read_text(encoding="utf-8"))
    given = {"models": f"models/{model}", "changed-only": "false"}
    inputs = {name: given.get(name, row["default"]) for name, row in action["inputs"].items()}
    with tempfile.TemporaryDirectory(dir=setting.workspace.parent) as folder:
        commands = Path(folder, "file_commands")
        workspace = Path(folder, "workspace")
        shutil.copytree(setting.workspace, workspace)
        commands.mkdir()
        for name in ("output", "summary"):
            (commands / name).touch()
        Path(folder, "event.json").write_text("{}", encoding="utf-8")
        variables = {
            **{f"INPUT_{name.upper()}": value for name, value in inputs.items()},
            "CI": "true", "GITHUB_ACTIONS": "true", "HOME": "/github/home",
            "GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": "/github/event.json",
            "GITHUB_OUTPUT": "/github/file_commands/output",
            "GITHUB_STEP_SUMMARY": "/github/file_commands/summary",
            "GITHUB_WORKSPACE": "/github/workspace",
        }  # fmt: skip
        done = _run(
            ["docker", "run", "--rm", "--workdir", "/github/workspace",
             *(word for pair in variables.items() for word in ("-e", "=".join(pair))),
             "-v", f"{workspace}:/github/workspace", "-v", f"{commands}:/github/file_commands",
             "-v", f"{folder}/event.json:/github/event.json",
             _IMAGE, *action["runs"]["args"]]
        )  # fmt: skip
        _expect("exit status", done.returncode, code)
        values = _outputs((commands / "output").read_text(encoding="utf-8"))
        _expect("outputs", set(values), set(action["outputs"]))
        _expect("verdict", (values["verdict"], values["exit-code"]), (verdict, str(code)))
        report = workspace / Path(values["json"]).relative_to("/github/workspace")
        _expect("models", _paths(report), [f"models/{model}"])
        if not (commands / "summary").read_text(encoding="utf-8").startswith("## "):
            raise Mismatch("there is no job summary")


def _outputs(text: str) -> Mapping[str, str]:
    """Read the outputs file as the runner does."""
    lines, found = text.splitlines(), {}
    while lines:
        name, _, delimiter = lines.pop(0).partition("<<")
        end = lines.index(delimiter)
        found[name], lines = "\n".join(lines[:end]), lines[end + 1 :]
    return found


def _paths(report: Path) -> list[str]:
    return [model["path"] for model in json.loads(report.read_bytes())["models"]]


_WORKFLOW: Final = """
on: push
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v7
{steps}
"""
_STEPS: Final = """
      - id: {name}
        continue-on-error: true
        uses: ./
        with:
          models: {models}
          name: {name}
      - if: always()
        env:
          RESULT: >-
            {{"outcome": ${{{{ toJSON(steps.{name}.outcome) }}}},
            "outputs": ${{{{ toJSON(steps.{name}.outputs) }}}}}}
        run: printf '%s' "$RESULT" >"$RESULTS/{name}.json"
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


def _composite(setting: Setting) -> None:
    """Run action.yml with act on this machine, and stand-ins for other people's actions."""
    results = setting.workspace.parent / "results"
    results.mkdir()
    cases = {"bad": f"models/{_BAD}", "clean": f"models/{_CLEAN}", "missing": "models/no.onnx"}
    steps = "".join(_STEPS.format(name=name, models=models) for name, models in cases.items())
    workflow = setting.workspace / ".github" / "workflows"
    shutil.rmtree(workflow)
    workflow.mkdir()
    (workflow / "gate.yml").write_text(_WORKFLOW.format(steps=steps), encoding="utf-8")
    temporary = setting.workspace.parent / "runner"
    temporary.mkdir()
    command: list[object] = [
        setting.act, "push", "-P", "ubuntu-latest=-self-hosted", "--no-cache-server",
        "--pull=false", "--env", f"RESULTS={results}", "--env", f"RUNNER_TEMP={temporary}",
    ]  # fmt: skip
    for stub, reference in _stubs(setting.workspace.parent):
        command += ["--local-repository", f"{reference}={stub}"]
    done = _run(command, cwd=setting.workspace)
    if done.returncode:
        sys.stdout.write(done.stdout[-6000:])
    _expect("exit status of act", done.returncode, 0)
    _judge(results)


def _stubs(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield a stand-in for each action that ours uses, and the reference it stands in for."""
    action = yaml.safe_load((_ROOT / "action.yml").read_text(encoding="utf-8"))
    for step in action["runs"]["steps"]:
        if "uses" not in step:
            continue
        name, _, commit = step["uses"].partition("@")
        owner, repository, *path = name.split("/")
        stub = folder / repository
        place = stub.joinpath(*path)
        place.mkdir(parents=True)
        inputs = ", ".join(f"{key}: {{description: x}}" for key in step["with"])
        text = _STUB.format(inputs=inputs, name=place.name)
        (place / "action.yml").write_text(text, encoding="utf-8")
        yield stub, f"{owner}/{repository}@{commit}"


def _judge(results: Path) -> None:
    expected = {
        "bad": ("failure", "fail", "1", "1", "1"),
        "clean": ("success", "pass", "0", "1", "0"),
        "missing": ("failure", "error", "2", "", ""),
    }
    for name, values in expected.items():
        found = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
        outputs = found["outputs"]
        keys = ("verdict", "exit-code", "models", "failed")
        _expect(name, (found["outcome"], *(outputs[key] for key in keys)), values)
    kept = (results / "upload-artifact").read_text(encoding="utf-8")
    for name in ("bad", "clean"):
        _expect(f"artifact of {name}", f'"npugate-report-{name}"' in kept, True)  # noqa: FBT003  # a value to compare
    shown = (results / "upload-sarif").read_text(encoding="utf-8")
    _expect("SARIF files uploaded", shown.count("npugate.sarif"), 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
