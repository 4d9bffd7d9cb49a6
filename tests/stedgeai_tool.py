"""Sets up the stand-in for ST's compiler and a model to show it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SAMPLES = Path(__file__).parent / "fixtures" / "stedgeai"
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
