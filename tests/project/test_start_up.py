"""What a check must not load: see docs/performance.md."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from npugate import sha256

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests" / "fixtures" / "models" / "rppg_4d_fp32.onnx"


@pytest.mark.parametrize("size", [0, 55, 56, 64, 4097])
def test_the_light_digest_is_sha_256(size):
    data = bytes(index % 251 for index in range(size))
    assert sha256.sha256(data) == hashlib.sha256(data).hexdigest()


def run(program, environment, *arguments):
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_check_of_a_small_model_loads_neither_openssl_nor_the_tools_of_the_repairs():
    program = (
        "import sys, os\n"
        "from npugate.cli import main\n"
        "main(['check', '--quiet', sys.argv[1]])\n"
        "heavy = {'_hashlib', 'onnxruntime', 'onnx_graphsurgeon', 'torch', 'tqdm', 'shtab'}\n"
        "print(sorted(heavy & set(sys.modules)), os.environ['OPENBLAS_NUM_THREADS'])"
    )
    assert run(program, {}, str(MODEL)) == "[] 1\n"


def test_a_user_may_give_the_numeric_library_its_threads():
    program = (
        "import os\n"
        "from npugate.cli import main\n"
        "main(['rules'])\n"
        "print(os.environ['OPENBLAS_NUM_THREADS'])"
    )
    assert run(program, {"OPENBLAS_NUM_THREADS": "2"}).endswith("\n2\n")


@pytest.mark.parametrize(
    ("name", "is_loaded"), [("rppg_4d_fp32.onnx", True), ("rppg_stm32_clean_fp32.onnx", False)]
)
def test_the_tools_of_the_repairs_are_loaded_where_a_finding_calls_for_one(name, is_loaded):
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "importtime",
            "-m",
            "npugate",
            "fix",
            "--dry-run",
            str(MODEL.parent / name),
        ],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("onnxruntime" in done.stderr) == is_loaded
