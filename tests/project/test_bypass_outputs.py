"""What the container of the check says is not believed: it has read models that nobody vetted."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from npugate.github.inputs import OUTPUTS
from npugate.github.outputs import render
from tests.pull_request import PullRequest, bad, good, needs_git

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = ROOT / "tools" / "standin_engine.py"

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")

# A container that was taken over: it may write what it likes below the folder that it was given.
TAKEN = """#!/bin/sh
[ "$1" = run ] || exit 0
exec '{python}' - "$STATE" <<'END'
import os, pathlib, sys
out = pathlib.Path(sys.argv[1], "out")
(out / "npugate-report").mkdir(parents=True, exist_ok=True)
{code}
END
"""


class Step:
    """The step that checks, with a container of ours."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.folder, self.state = folder, folder / "state"
        for name in ("bin", "state", "workspace"):
            (folder / name).mkdir(exist_ok=True)
        docker = folder / "bin/docker"
        docker.write_text(engine)
        docker.chmod(0o755)
        self.secret = folder / "secret"
        self.secret.write_text("ghs_secret")
        self.environment = {
            "PATH": f"{folder}/bin:{os.defpath}:/usr/local/bin",
            "HOME": str(folder),
            "STATE": str(self.state),
            "NPUGATE_STATE": str(self.state),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_WORKSPACE": str(folder / "workspace"),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
            "INPUT_IMAGE": "npugate:test",
        }

    def run(self, **more: str) -> dict[str, str]:
        done = subprocess.run(
            ["bash", str(ROOT / "scripts/run-container.sh")],
            env=self.environment | more, cwd=self.folder,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        self.log = done.stdout
        return read((self.folder / "output").read_text())

    @property
    def summary(self) -> str:
        path = self.folder / "summary.md"
        return path.read_text() if path.exists() else ""


def read(text: str) -> dict[str, str]:
    """Read outputs as the runner does."""
    found, lines = {}, text.splitlines()
    while lines:
        line = lines.pop(0)
        name, sign, delimiter = line.partition("<<")
        if sign and "=" not in name:
            end = lines.index(delimiter)
            found[name] = "\n".join(lines[:end])
            lines = lines[end + 1 :]
        else:
            name, _, found[name] = line.partition("=")[0], None, line.partition("=")[2]
    return found


def taken(tmp_path: Path, code: str) -> Step:
    return Step(tmp_path, TAKEN.format(python=sys.executable, code=code))


def says(tmp_path: Path, values: dict[str, str], more: str = "") -> Step:
    """Return a step whose container writes these outputs in the right form."""
    text = render(values) if values else ""
    return taken(tmp_path, f"(out / 'output').write_text({text!r})\n{more}")


def whole(place: Path, /, **more: str) -> dict[str, str]:
    folder = place / "out/npugate-report"
    values = dict.fromkeys((row.name for row in OUTPUTS), "")
    values |= {"verdict": "fail", "exit-code": "1", "models": "3", "failed": "1", "errors": "2"}
    values |= {"folder": str(folder), "json": str(folder / "npugate.json")}
    return values | more


FILES = "(out / 'npugate-report/npugate.json').write_text('{}')\n"


def test_what_is_right_is_handed_on(tmp_path):
    values = whole(tmp_path / "state")
    assert says(tmp_path, values, FILES).run() == values


@pytest.mark.parametrize(
    "more",
    [
        {"folder": "/etc"},
        {"folder": ""},
        {"folder": "{state}/out/../.."},
        {"folder": "{state}"},
        {"folder": "{state}/out/npugate-report/../../../workspace"},
        {"folder": "relative"},
        {"json": "/etc/passwd"},
        {"sarif": "{folder}/secret"},
        {"sarif": "{state}/out/npugate-report/none.sarif"},
        {"sarif": "{state}/engine"},
        {"verdict": "pass"},
        {"verdict": "perhaps"},
        {"verdict": ""},
        {"exit-code": "0"},
        {"exit-code": "-1"},
        {"exit-code": "1 "},
        {"models": "many"},
        {"errors": "1\n2"},
        {"markdown": "{state}/out/npugate-report/*"},
        {"state": "/x"},
        {"PATH": "/x"},
        {"image": "evil"},
    ],
)
def test_what_is_wrong_in_an_output_is_no_verdict(tmp_path, more):
    places = {"state": str(tmp_path / "state"), "folder": str(tmp_path)}
    wrong = {key: value.format(**places) for key, value in more.items()}
    step = says(tmp_path, whole(tmp_path / "state", **wrong), FILES)
    if more == {"folder": ""}:
        assert step.run()["folder"] == ""  # nothing was written: nothing is uploaded
        return
    assert step.run() == {"verdict": "error", "exit-code": "3"}
    assert "::error title=npugate::" in step.log


@pytest.mark.parametrize(
    "code",
    [
        "(out / 'output').write_text('verdict=pass\\nexit-code=0\\n')",
        "(out / 'output').write_text('verdict<<E\\npass\\nE\\nexit-code<<E\\n0\\nE\\n')",
        "(out / 'output').write_text(good + 'PATH=/x\\n')",
        "(out / 'output').write_text(good + good)",
        "(out / 'output').write_text(good[:-20])",
        "(out / 'output').write_bytes(good.encode().replace(b'fail', b'fa\\0il'))",
        "(out / 'output').write_text(good * 20000)",
        "(out / 'output').mkdir()",
        "os.mkfifo(out / 'output')",
        "(out / 'real').write_text(good); (out / 'output').symlink_to('real')",
        "(out / 'output').symlink_to(out.parent.parent / 'secret')",
        "pass",
    ],
)
def test_outputs_of_another_form_are_no_verdict(tmp_path, code):
    good = render(whole(tmp_path / "state"))
    step = taken(tmp_path, f"good = {good!r}\n{FILES}{code}")
    assert step.run() == {"verdict": "error", "exit-code": "3"}


@pytest.mark.parametrize(
    "code",
    [
        "(out / 'npugate-report/x').symlink_to(out.parent.parent / 'secret')",
        "(out / 'npugate-report/deep').symlink_to(out.parent.parent)",
        (
            "(out / 'npugate-report/npugate.json').unlink(); "
            "(out / 'npugate-report/npugate.json').symlink_to(out.parent.parent / 'secret')"
        ),
        "os.mkfifo(out / 'npugate-report/x')",
        (
            "os.rename(out / 'npugate-report', out / 'y'); "
            "(out / 'npugate-report').symlink_to(out / 'y')"
        ),
    ],
)
def test_a_link_among_the_reports_is_no_verdict(tmp_path, code):
    step = says(tmp_path, whole(tmp_path / "state"), FILES + code)
    assert step.run() == {"verdict": "error", "exit-code": "3"}


@pytest.mark.parametrize(
    "code",
    [
        "(out / 'summary.md').symlink_to(out.parent.parent / 'secret')",
        "(out / 'summary.md').mkdir()",
        "os.mkfifo(out / 'summary.md')",
    ],
)
def test_a_summary_that_is_no_file_is_not_shown(tmp_path, code):
    step = says(tmp_path, whole(tmp_path / "state"), FILES + code)
    assert step.run()["verdict"] == "error"
    assert "ghs_secret" not in step.summary


def test_a_summary_longer_than_github_takes_is_cut(tmp_path):
    code = "(out / 'summary.md').write_text('x' * 2 ** 21)"
    step = says(tmp_path, whole(tmp_path / "state"), FILES + code)
    assert step.run()["verdict"] == "fail"
    assert len(step.summary) <= 2**20


@needs_git
def test_the_steps_together_stop_a_new_model(tmp_path, monkeypatch):
    """The first two steps as they are, with the program where the container would be."""
    request = PullRequest(tmp_path, monkeypatch)
    request.base({"net.onnx": good, "gone.onnx": good, "npugate.toml": "may-leave = false\n"})
    request.commit({"net.onnx": bad, "gone.onnx": None, "npugate.toml": "fail-on = 'never'\n"})
    state = request.list_models()
    engine = f"#!/bin/sh\nexec '{sys.executable}' '{STAND_IN}' \"$@\"\n"
    (tmp_path / "step").mkdir()
    step = Step(tmp_path / "step", engine)
    (tmp_path / "event.json").write_text('{"pull_request": {"number": 1}}')
    found = step.run(
        NPUGATE_STATE=str(state),
        GITHUB_WORKSPACE=str(request.folder),
        GITHUB_EVENT_NAME="pull_request",
        GITHUB_EVENT_PATH=str(tmp_path / "event.json"),
        INPUT_REPORTS="json",
    )
    assert (found["verdict"], found["exit-code"], found["failed"]) == ("fail", "1", "1")
    assert found["json"] == str(state / "out/npugate-report/npugate.json")
    assert "left the gate" in step.summary
    assert "not taken over" in step.summary
