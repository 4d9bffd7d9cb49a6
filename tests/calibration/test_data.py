"""Data for calibration and evaluation: what is read, what is refused and in which words."""

import io
import zipfile

import numpy as np
import pytest
from onnx import TensorProto

from npugate.calibration import data, labels, preprocessing, sampling
from npugate.errors import UsageError
from npugate.proof.samples import Port

PORT = Port("x", TensorProto.FLOAT, (1, 3, 4, 5))
ROWS = np.arange(6 * 60, dtype=np.float32).reshape(6, 3, 4, 5)


def opened(path, ports=(PORT,), *lines):
    return data.open_data(path, ports, preprocessing.parse(lines))


def test_every_form_of_the_same_samples_gives_the_same_numbers(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    np.savez(tmp_path / "rows.npz", x=ROWS, other=np.zeros(2))
    np.savez_compressed(tmp_path / "small.npz", any_name=ROWS[:, None])
    (tmp_path / "many").mkdir()
    for index, row in enumerate(ROWS):
        np.save(tmp_path / "many" / f"{index}.npy", row)
    for name in ("rows.npy", "rows.npz", "small.npz", "many"):
        found = opened(tmp_path / name)
        assert found.count == 6
        for index in (0, 3, 5, 1):  # backwards, too
            sample = found.sample(index)
            assert sample.feeds["x"].dtype == np.float32
            assert np.array_equal(sample.feeds["x"], ROWS[index : index + 1])
    same = {data.digest(opened(tmp_path / n).sample(2)) for n in ("rows.npy", "small.npz", "many")}
    assert len(same) == 1
    assert data.digest(opened(tmp_path / "rows.npy").sample(1)) not in same


def test_an_image_passes_through_the_declared_preprocessing(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.zeros((8, 10, 3), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = 255, 51, 0
    for place in ("cat/a.png", "dog/b.png"):
        (tmp_path / "set" / place).parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels).save(tmp_path / "set" / place)
    (tmp_path / "how.toml").write_text("resize = [4, 5]\nmean = [0.5, 0.2, 0]\nstd = [0.5, 1, 1]\n")
    found = opened(tmp_path / "set", (PORT,), str(tmp_path / "how.toml"), "scale=0.00392156862745")
    made = found.sample(1).feeds["x"]
    assert made.shape == (1, 3, 4, 5)
    assert np.allclose(made[0].mean((1, 2)), [1, 0, 0], atol=1e-6)
    found = opened(tmp_path / "set", (PORT,), "resize=[4,5]", "scale=1", 'colour="bgr"')
    assert np.array_equal(found.sample(0).feeds["x"][0].max((1, 2)), [0, 51, 255])
    known = labels.read(None, found)
    assert known.names == ("cat", "dog")
    assert known.values.tolist() == [0, 1]


def test_arrays_with_the_channels_last_are_turned(tmp_path):
    np.save(tmp_path / "a.npy", ROWS.transpose(0, 2, 3, 1))
    made = opened(tmp_path / "a.npy", (PORT,), 'source="hwc"').sample(4).feeds["x"]
    assert np.array_equal(made, ROWS[4:5])


@pytest.mark.parametrize(
    ("array", "lines", "words"),
    [
        (ROWS.astype(np.uint8), (), "say how the model was trained"),
        (ROWS.astype(np.complex64), (), "wants float32, the data is complex64"),
        (ROWS[:, :2], (), r"wants \[1, 3, 4, 5\], the sample is \[2, 4, 5\]"),
        (np.where(ROWS == 7, np.nan, ROWS), (), "sample 0: input 'x' has NaN"),
        (np.where(ROWS == 7, np.inf, ROWS), (), "NaN or infinite"),
        (ROWS, ("limits=[0, 1]",), "holds 0 to 59, outside of the declared limits 0 to 1"),
        (ROWS, ("mean=[1, 2]",), "2 values for an array of"),
        (ROWS, ("resize=[2, 2]",), "resize is for images"),
        (ROWS[:0], (), "there is not one sample"),
        (np.array([{}, {}], dtype=object), (), "Python objects"),
        (np.asfortranarray(ROWS), (), "C order"),
    ],
)
def test_data_that_does_not_fit_is_refused_with_what_to_do(array, lines, words, tmp_path):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UsageError, match=words):
        opened(tmp_path / "a.npy", (PORT,), *lines).sample(0)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def test_files_that_are_none_are_refused(tmp_path):
    np.save(tmp_path / "cut.npy", ROWS)
    cut(tmp_path / "cut.npy")
    with pytest.raises(UsageError, match="ends before its array"):
        opened(tmp_path / "cut.npy").sample(5)
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty").mkdir()
    (tmp_path / "huge.npy").write_bytes(b"\x93NUMPY\x01\x00" + b"\xff\xff" + b"{" * 65535)
    with zipfile.ZipFile(tmp_path / "none.npz", "w") as archive:
        archive.writestr("readme.txt", "no arrays")
    cases = {
        "text.npz": "no file of arrays",
        "empty": "not one sample",
        "absent.npz": "no such file",
        "huge.npy": "no array that can be read",
        "none.npz": "no array in it",
    }
    for name, words in cases.items():
        with pytest.raises(UsageError, match=words):
            opened(tmp_path / name)


def test_a_damaged_archive_is_an_error_with_the_name_of_the_array(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=ROWS.shape))
    data_bytes = bytearray((tmp_path / "a.npz").read_bytes())
    data_bytes[len(data_bytes) // 2] ^= 0xFF
    (tmp_path / "a.npz").write_bytes(data_bytes)
    with pytest.raises(UsageError, match=r"a\.npz, x"):
        [opened(tmp_path / "a.npz").sample(index) for index in range(6)]


def test_a_model_with_two_inputs_takes_an_array_for_each(tmp_path):
    ports = (PORT, Port("n", TensorProto.INT64, (1, 2), 9))
    np.savez(tmp_path / "a.npz", x=ROWS, n=np.arange(12).reshape(6, 2))
    made = opened(tmp_path / "a.npz", ports).sample(3).feeds
    assert made["n"].tolist() == [[6, 7]]
    np.savez(tmp_path / "b.npz", x=ROWS, n=np.arange(4).reshape(2, 2))
    with pytest.raises(UsageError, match="different numbers of samples: x 6, n 2"):
        opened(tmp_path / "b.npz", ports)
    np.savez(tmp_path / "c.npz", x=ROWS)
    with pytest.raises(UsageError, match="no array for the input 'n'; there are: x"):
        opened(tmp_path / "c.npz", ports)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("resise=[1,2]", "did you mean 'resize'"),
        ("resize=[0, 2]", "above 0"),
        ("scale=0", "must not be 0"),
        ("std=[0.0]", "above 0"),
        ("mean=[nan]", "numbers"),
        ('layout="nchw"', "chw or hwc"),
        ("limits=[1, 1]", "lowest value first"),
        ("absent.toml", "cannot be read"),
        ("a==b", "TOML"),
    ],
)
def test_a_preprocessing_that_makes_no_sense_is_refused(line, words):
    with pytest.raises(UsageError, match=words):
        preprocessing.parse([line])


def labelled(tmp_path, values):
    np.savez(tmp_path / "a.npz", x=ROWS, answer=np.asarray(values))
    return labels.read("answer", opened(tmp_path / "a.npz"))


def test_labels_come_from_the_archive_a_file_or_a_table(tmp_path):
    assert labelled(tmp_path, np.arange(6.0)[:, None]).values.tolist() == [0, 1, 2, 3, 4, 5]
    dataset = opened(tmp_path / "a.npz")
    (tmp_path / "l.csv").write_text("file,rate\n" + "".join(f"f{n},{n}.5\n" for n in range(6)))
    assert labels.read(str(tmp_path / "l.csv"), dataset).values.tolist()[5] == 5.5
    (tmp_path / "w.csv").write_text("cat\ndog\ncat\ncat\ndog\ncat\n")
    words = labels.read(str(tmp_path / "w.csv"), dataset)
    assert words.is_classes
    assert words.names == ("cat", "dog")
    (tmp_path / "short.csv").write_text("1\n2\n")
    with pytest.raises(UsageError, match="2 labels for 6 samples"):
        labels.read(str(tmp_path / "short.csv"), dataset)
    with pytest.raises(UsageError, match="NaN"):
        labelled(tmp_path, [1, 2, 3, 4, 5, np.nan])


def test_a_rare_range_of_labels_gets_its_share():
    values = np.concatenate(
        [np.random.default_rng(0).uniform(60, 80, 900), np.linspace(40, 160, 100)]
    )
    choice = sampling.choose(1000, 120, labels.Labels(values), seed=3)
    assert len(choice.indices) == len(set(choice.indices)) == 120
    assert min(s.taken for s in choice.strata) >= 7
    picked = values[list(choice.indices)]
    assert (picked > 100).sum() >= 40, "as they are, 50 of 1000 would give 6"
    assert choice == sampling.choose(1000, 120, labels.Labels(values), seed=3)
    assert choice != sampling.choose(1000, 120, labels.Labels(values), seed=4)


def test_a_range_without_any_sample_is_named():
    values = np.array([40.0, 41.0, 42.0, 160.0])
    assert len(sampling.choose(4, 4, labels.Labels(values), 0).gaps) == 10


def test_classes_are_taken_evenly_and_what_one_lacks_goes_to_the_others():
    values = np.array([0] * 50 + [1] * 2 + [2] * 50)
    choice = sampling.choose(102, 30, labels.Labels(values), 0)
    assert [s.taken for s in choice.strata] == [14, 2, 14]


@pytest.mark.parametrize("values", [np.zeros(6), np.zeros(6, np.int64)])
def test_labels_that_are_all_the_same_cover_nothing(values):
    with pytest.raises(UsageError, match="covers one case only"):
        sampling.choose(6, 3, labels.Labels(values), 0)


def test_an_array_of_a_version_with_a_long_header_is_read(tmp_path):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, ROWS, version=(2, 0))
    (tmp_path / "a.npy").write_bytes(buffer.getvalue())
    assert np.array_equal(opened(tmp_path / "a.npy").sample(1).feeds["x"][0], ROWS[1])
