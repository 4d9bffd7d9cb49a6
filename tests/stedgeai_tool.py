"""Sets up the stand-in for ST's compiler and a model to show it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import jsonschema
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from npugate.commands.dispatch import run as _run
from npugate.console import Console

SAMPLES = Path(__file__).parent / "fixtures" / "stedgeai"
SCHEMA = json.loads((Path(__file__).parents[1] / "npugate/report.schema.json").read_text("utf-8"))
ACCEPT = "--stedgeai-accept-license"
GOOD = {"stdout": "generate-2.2.txt", "files": {"network_c_info.json": "sample_c_info.json"}}
STANDIN = Path(__file__).with_name("standin_stedgeai.py")


def install(folder: Path, **scenario) -> Path:
    """Install the stand-in below a folder; files of a scenario are named as in the samples."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "stedgeai"
    shutil.copyfile(STANDIN, program)
    program.chmod(0o755)
    told = dict(scenario, calls=str(folder / "calls.json"))
    if "stdout" in told:
        told["stdout"] = str(SAMPLES / told["stdout"])
    files = {name: str(SAMPLES / source) for name, source in told.get("files", {}).items()}
    (folder / "scenario.json").write_text(json.dumps({**told, "files": files}))
    return program


def calls(program: Path):
    """Return (arguments, environment) of the last call."""
    return json.loads(program.with_name("calls.json").read_bytes())


def model(path: Path, ir_version: int = 8) -> Path:
    """Write a float Conv, which breaks no rule at the level of an error under 2.2."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], "conv")],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 6, 6])],
        [numpy_helper.from_array(data, "w")],
    )
    opset = [helper.make_opsetid("", 13)]
    made = helper.make_model(graph, opset_imports=opset, ir_version=ir_version)
    path.write_bytes(made.SerializeToString())
    return path


class _Text(list):
    """A stream that keeps what is written."""

    write = list.append

    def flush(self):
        """Keep nothing back."""

    def isatty(self):
        return False

    def __str__(self):
        return "".join(self)


def run(*arguments, environment=None):
    """Run npugate; return its exit code, standard output and standard error."""
    out, err = _Text(), _Text()
    code = _run([str(part) for part in arguments], Console(environment or {}, out, err))
    return code, str(out), str(err)


def checked(place: Path, program, *more, command="check"):
    """Check the model with a tool; return the exit code, the JSON and the model's part of it."""
    code, _, err = run(
        command, "nets", f"--stedgeai={program}", ACCEPT, "--quiet", "--report=json=r.json", *more
    )
    assert "fault of npugate" not in err, err
    report = json.loads((place / "r.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    return code, report, report["models"][0]


def rules(model, severity):
    """Return the rules of a model's findings of one level."""
    return [f["rule"] for f in model["findings"] if f["severity"] == severity]


def is_alive(pid: int) -> bool:
    """Tell whether a process still runs half a minute after it was ended; a zombie does not."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        if state in {"Z", "X"}:
            return False
        time.sleep(0.005)
    return True
