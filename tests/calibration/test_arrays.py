"""Calibration data that no range can be measured on; files that promise more than they hold."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from npugate import cli
from npugate.calibration import arrays
from npugate.errors import UsageError
from tests.small_networks import network, samples


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder with a float model, as the working directory."""
    monkeypatch.chdir(tmp_path)
    onnx.save(network(), "m.onnx")
    return tmp_path


def quantize(*arguments):
    return cli.main(["quantize", "m.onnx", "--output", "q.onnx", *arguments])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (np.zeros((5, 2, 8, 8), np.float32), "all 5 samples are the same one"),
        (np.repeat(samples(1), 5, axis=0), "all 5 samples are the same one"),
        (np.full((1, 2, 8, 8), 3, np.float32), "every number in it is 3: these are no samples"),
    ],
)
def test_samples_that_do_not_differ_are_refused(capsys, data, said):
    np.save("cal.npy", data)
    assert quantize("--calibration", "cal.npy") == 2
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["cal.npy", "m.onnx"]


def test_samples_that_come_twice_are_told(capsys):
    np.save("cal.npy", samples(4)[[0, 1, 2, 3, 0, 1, 2]])
    assert quantize("--calibration", "cal.npy", "--format", "json") == 0
    notices = json.loads(capsys.readouterr().out)["notices"]
    assert any("3 of the 7 samples are in the data more than once" in text for text in notices), (
        notices
    )


def header(shape):
    """The beginning of a file of numbers, and nothing behind it."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


@pytest.mark.parametrize("shape", [(10**12, 2, 8, 8), (1, 2, 8, 8), (2**62, 2**62)])
def test_a_file_that_promises_more_than_it_holds_is_refused_at_once(capsys, shape):
    Path("cal.npy").write_bytes(header(shape))
    assert quantize("--calibration", "cal.npy") == 2
    assert "the file ends before its array does" in capsys.readouterr().err


def test_an_archive_is_held_to_its_sizes_too():
    np.savez_compressed("cal.npz", x=samples(4))
    assert arrays.stored(Path("cal.npz"))["x"].shape == (4, 2, 8, 8)
    with zipfile.ZipFile("short.npz", "w") as archive:
        archive.writestr("x.npy", header((4, 2, 8, 8)))
    with pytest.raises(UsageError, match="the file ends before its array does"):
        arrays.stored(Path("short.npz"))
