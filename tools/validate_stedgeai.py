"""Run npugate's container back end against a real engine; ``make validate`` calls it.

The image that it builds holds a stand-in for ST's compiler, since the real one may not be handed
on. What is proved is everything around the compiler: the sealed container, the time limit, the
output that comes out, the container that is gone afterwards.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[1]
_TESTS: Final = _ROOT / "tests"
_SAMPLES: Final = _TESTS / "fixtures" / "stedgeai"
_MODEL: Final = _ROOT / "examples" / "demo"
_BASE: Final = "python:3.12-slim-bookworm"
_IMAGE: Final = "npugate-stedgeai-standin:validate"
_PLACE: Final = "/opt/standin"
_SPARE: Final = 60  # seconds for everything but the compiler


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario of the stand-in and what the report must say.

    Attributes:
        verdict: of the compiler, as in the JSON report.
        words: stand in its reason or in the record of what it printed.
        limit: seconds that the compiler gets.
    """

    name: str
    scenario: Mapping[str, object]
    verdict: str
    words: Sequence[str] = ()
    limit: int = 60


_CASES: Final = (
    Case(
        "it compiles, sealed: no network, the model read-only, the JSON copied out",
        {
            "stdout": f"{_PLACE}/samples/generate-2.2.txt",
            "files": {"network_c_info.json": f"{_PLACE}/samples/sample_c_info.json"},
            "touch": True,
        },
        "compiled",
        ("touch: OSError", "reach: "),
    ),
    Case(
        "it refuses",
        {"stdout": f"{_PLACE}/samples/failed-crash.txt", "status": 255},
        "refused",
        ("crashed",),
    ),
    Case("it hangs", {"hang": 600}, "no-verdict", ("ended after 5 s",), limit=5),
    Case(
        "it prints a hundred megabytes",
        {"stdout": f"{_PLACE}/samples/generate-4.0.txt", "megabytes": 100},
        "compiled",
    ),
)


def main(arguments: Sequence[str]) -> int:
    """Run every case; return 0 when all passed, or when there is no engine to run them on."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--npugate", type=Path, required=True, help="the command line")
    parser.add_argument("--base", default=_BASE, help="an image with python3 (%(default)s)")
    options = parser.parse_args(arguments)
    engine = _run("docker", "version")
    if engine.returncode:
        sys.stdout.write("skipped: the compiler in a container: no docker engine answers\n")
        return 0
    failed = 0
    for case in _CASES:
        with tempfile.TemporaryDirectory() as folder:
            faults = list(_faults(case, Path(folder), options))
        failed += bool(faults)
        told = "".join(f"\n       {fault}" for fault in faults)
        sys.stdout.write(f"{'FAILED' if faults else 'ok    '} {case.name}{told}\n")
    _run("docker", "image", "rm", "--force", _IMAGE)
    with tempfile.TemporaryDirectory() as folder:
        faults = list(_action(Path(folder)))
    told = "".join(f"\n       {fault}" for fault in faults)
    word = "FAILED" if faults else "ok    "
    sys.stdout.write(f"{word} the action asks a tool of the runner{told}\n")
    return 1 if failed or faults else 0


def _action(folder: Path) -> Iterator[str]:
    """Run the action's script as a runner would that has the tool, here the stand-in."""
    tool, work, state = (folder / name for name in ("Core/2.2/Utilities/linux", "work", "state"))
    for place in (tool, work, state):
        place.mkdir(parents=True)
    shutil.copyfile(_TESTS / "standin_stedgeai.py", tool / "stedgeai")
    (tool / "stedgeai").chmod(0o755)
    shutil.copytree(_SAMPLES, tool / "samples")
    scenario = {
        "stdout": str(tool / "samples" / "generate-2.2.txt"),
        "files": {"network_c_info.json": str(tool / "samples" / "sample_c_info.json")},
        "calls": "/tmp/calls.json",  # noqa: S108 - inside the container
        "touch": True,
    }
    (tool / "scenario.json").write_text(json.dumps(scenario), "utf-8")
    shutil.copyfile(next(_MODEL.rglob("*.onnx")), work / "net.onnx")
    done = _run(
        "bash", str(_ROOT / "scripts/run-container.sh"), cwd=work, environment=_runner(folder, tool)
    )
    reports = state / "out" / "npugate-report"
    try:
        found = json.loads((reports / "npugate.json").read_bytes())["models"][0]["stedgeai"]
    except (OSError, ValueError, LookupError):
        yield f"no report: {done.stdout[-2000:]}{done.stderr[-1000:]}"
        return
    if (found["verdict"], found["back_end"]) != ("compiled", "cli"):
        yield f"{found['verdict']} by {found['back_end']}: {found['reason']}"
    if found["figures"]["cycles"] is None:
        yield "the JSON file was not read"
    if "**Compiler:**" not in (folder / "summary").read_text("utf-8"):
        yield "the summary does not show the compiler"
    record = (reports / "stedgeai" / "net.onnx" / "stdout.txt").read_text("utf-8")
    if "reach: done" in record or "hunter2" in record:
        yield f"the compiler was not sealed: {record[:500]}"


def _runner(folder: Path, tool: Path) -> dict[str, str]:
    """Return the variables that a runner with the tool on its path hands to the script."""
    return {
        "PATH": f"{tool}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "NPUGATE_STATE": str(folder / "state"),
        "GITHUB_ACTION_PATH": str(_ROOT),
        "GITHUB_WORKSPACE": str(folder / "work"),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "INPUT_MODELS": "net.onnx",
        "INPUT_CHANGED_ONLY": "false",
        "INPUT_FAIL_ON": "never",
        "INPUT_STEDGEAI": "auto",
        "INPUT_STEDGEAI_ACCEPT_LICENSE": "true",
        "SECRET_OF_THE_RUNNER": "hunter2",
    }


def _faults(case: Case, folder: Path, options: argparse.Namespace) -> Iterator[str]:
    _build(case, folder / "image", options.base)
    work = folder / "work"
    work.mkdir()
    shutil.copyfile(next(_MODEL.rglob("*.onnx")), work / "net.onnx")
    before = _containers()
    start = monotonic()
    done = _run(
        str(options.npugate.resolve()),
        *("stedgeai", "net.onnx", "--stedgeai", f"docker://{_IMAGE}", "--record", "kept"),
        *("--stedgeai-accept-license", "--stedgeai-timeout", str(case.limit), "--format", "json"),
        cwd=work,
    )
    if monotonic() - start > case.limit + _SPARE:
        yield f"it took {monotonic() - start:.0f} s"
    try:
        found = json.loads(done.stdout)["models"][0]["stedgeai"]
    except (ValueError, LookupError):
        yield f"no report: {done.stdout[-1000:]}{done.stderr[-1000:]}"
        return
    if (found["verdict"], found["back_end"]) != (case.verdict, "container"):
        yield f"{found['verdict']} by {found['back_end']}: {found['reason']}"
    said = found["reason"] + (work / "kept" / "net.onnx" / "stdout.txt").read_text("utf-8")
    yield from (f"nothing says {words!r}" for words in case.words if words not in said)
    if "done" in [line.partition(": ")[2] for line in said.splitlines() if ": " in line]:
        yield "the container could write to the model's folder or reach the network"
    if "files" in case.scenario and found["figures"]["cycles"] is None:
        yield "the JSON file was not copied out"
    if left := _containers() - before:
        yield f"containers are left: {left}"


def _build(case: Case, folder: Path, base: str) -> None:
    folder.mkdir()
    shutil.copyfile(_TESTS / "standin_stedgeai.py", folder / "stedgeai")
    (folder / "stedgeai").chmod(0o755)
    shutil.copytree(_SAMPLES, folder / "samples")
    scenario = {**case.scenario, "calls": "/npugate/workspace/calls.json"}
    (folder / "scenario.json").write_text(json.dumps(scenario), "utf-8")
    (folder / "Dockerfile").write_text(
        f"FROM {base}\nCOPY . {_PLACE}/\nENV PATH={_PLACE}:$PATH\nUSER 12345\n", "utf-8"
    )
    done = _run("docker", "build", "--quiet", "--tag", _IMAGE, str(folder))
    if done.returncode:
        sys.exit(f"the stand-in's image could not be built from {base}: {done.stderr[-1000:]}")


def _containers() -> set[str]:
    """Return the containers that the back end has made and that are still there."""
    label = "label=npugate=stedgeai"
    return set(_run("docker", "ps", "--all", "--quiet", "--filter", label).stdout.split())


def _run(
    *arguments: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a list of ours
        arguments, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
