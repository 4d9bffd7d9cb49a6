"""``npugate deploy``: what counts as a change, the form of its report, a disk that is full."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from jsonschema import validate

import npugate
from npugate import cli
from npugate.deploy import cache, step_report
from npugate.deploy.values import Step
from tests.small_networks import network, samples

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((Path(npugate.__file__).parent / "deploy.schema.json").read_bytes())
GIVEN = ("--calibration", "cal.npz", "--data", "test.npz", "--model", "m.onnx")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a small float model and data, as the working directory."""
    monkeypatch.chdir(tmp_path)
    onnx.save(network(), "m.onnx")
    np.savez("cal.npz", x=samples(30))
    np.savez("test.npz", x=samples(30, seed=2))
    np.save("truth.npy", np.arange(30) % 2)
    return tmp_path


def again(capsys, *more):
    """Deploy and return the steps that were done, by name."""
    cli.main(["deploy", *GIVEN, *more])
    capsys.readouterr()
    report = json.loads(Path("npugate-deploy/deployment.json").read_bytes())
    validate(report, SCHEMA)
    steps = report["plans"][0]["steps"]
    return {s["name"] for s in steps if s["verdict"] != "skipped" and not s["is_cached"]}


def test_other_labels_in_the_same_file_are_a_change(place, capsys):
    assert "evaluate" in again(capsys, "--labels", "truth.npy")
    assert again(capsys, "--labels", "truth.npy") == set()
    np.save("truth.npy", np.arange(30) % 3)
    assert {"quantize", "evaluate"} <= again(capsys, "--labels", "truth.npy")


def test_another_configuration_is_a_change_for_the_steps_that_judge(place, capsys):
    assert again(capsys)
    Path("npugate.toml").write_text('ignore = ["opset-version"]\n')
    assert {"source", "diagnose", "final"} <= again(capsys)
    assert again(capsys) == set()
    text = 'ignore = ["opset-version"]\n[deploy]\nmodel = "m.onnx"\n'
    Path("npugate.toml").write_text(text)  # the arguments say the same
    assert again(capsys) == set()


def test_a_lost_record_of_the_calibration_is_made_again(place, capsys):
    assert again(capsys)
    Path("npugate-deploy/fix/model_int8.calibration.json").unlink(missing_ok=True)
    left = list(Path("npugate-deploy/fix").glob("*calibration*"))
    for path in left:
        path.unlink()
    assert again(capsys) == {"quantize"}


def step(folder):
    return Step("n", "t", (), (folder,), (), folder / "r.json", "")


def test_a_sample_that_moves_to_another_label_is_a_change(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
    (tmp_path / "cat/one.npy").write_bytes(b"1")
    before = cache.key(step(tmp_path))
    (tmp_path / "cat/one.npy").rename(tmp_path / "dog/one.npy")
    assert cache.key(step(tmp_path)) != before


def test_a_model_without_integer_inputs_is_not_said_to_differ():
    found = step_report.of_step("verify", {"samples": 1, "outputs": [], "int8_inputs_equal": None})
    assert dict(found)["int8 inputs"] == "none: the model takes float"


def test_a_full_disk_fails_a_step_and_leaves_no_half_model(place):
    # A file-size limit stands for a disk that is full; it must not cut our own byte code short.
    alone = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))

    command = [sys.executable, "-m", "npugate", "deploy", *GIVEN]
    ended = subprocess.run(
        command,
        env=alone,
        preexec_fn=small_files,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode in {1, 2}, said
    assert "cannot write" in said
    assert "Traceback" not in said
    assert not list((place / "npugate-deploy").rglob("*.onnx"))
    assert not list((place / "npugate-deploy").rglob(".*.onnx.*"))
