"""A model that is replaced where it is: nothing is lost, whoever ends the program and whenever."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from npugate import cli
from npugate.errors import UsageError
from npugate.limits import Limits
from npugate.model import external_data, writer
from npugate.repository import file_marks, in_place, weight_readers
from tests.commands.test_fix import WEIGHTED, model

X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 64)


def write(path, location="w.bin", seed=1, size=400):
    """Write a model that is repaired, its weights in a file beside it."""
    made = model(WEIGHTED.replace("1, 400", f"1, {size}"))
    (big,) = [item for item in made.graph.initializer if item.name == "big"]
    values = np.random.default_rng(seed).normal(size=(1, size)).astype(np.float32)
    big.CopyFrom(numpy_helper.from_array(values, "big"))
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / location).unlink(missing_ok=True)
    onnx.save(made, path, save_as_external_data=True, location=location, size_threshold=1024)
    return path


def numbers(path):
    """Return what a model computes, read in one piece so that its name does not matter."""
    whole = onnx.load(path)
    session = ort.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": X})[0]


def fix(*arguments):
    return cli.main(["fix", "--in-place", "--quiet", *arguments])


def named(path):
    return external_data.locations(onnx.load(path, load_external_data=False), Limits())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "repo").mkdir()
    monkeypatch.chdir(tmp_path / "repo")
    return tmp_path / "repo"


def test_the_new_weights_have_a_file_of_their_own_and_the_old_one_goes(folder):
    path = write(folder / "m.onnx", "m.onnx.data")
    before, old = numbers(path), path.read_bytes()
    assert fix("m.onnx") == 0
    assert path.read_bytes() != old
    assert np.array_equal(numbers(path), before)
    assert sorted(item.name for item in folder.iterdir()) == ["m.onnx", *named(path)]
    assert named(path) != ("m.onnx.data",)


def test_a_model_that_shares_the_weights_is_never_ruined(folder, capsys):
    path = write(folder / "m.onnx", "m.onnx.data")
    other = folder / "other.onnx"
    other.write_bytes(path.read_bytes())
    before = numbers(path)
    assert fix("m.onnx") == 0
    assert np.array_equal(numbers(path), before)
    assert np.array_equal(numbers(other), before)
    told = capsys.readouterr().err
    assert "m.onnx.data, which" in told
    assert "other.onnx may read it" in told
    assert fix("other.onnx") == 0
    assert np.array_equal(numbers(other), before)
    assert not (folder / "m.onnx.data").exists()


@pytest.mark.parametrize(
    ("other", "location"),
    [
        ("deep/b.onnx", "w.bin"),
        ("b.onnx", "deep/w.bin"),
        ("b.onnx", "deep/./w.bin"),
        ("deep/b.weird", "w.bin"),
        ("deep/b.onnx.bak", "w.bin"),
        ("../b.onnx", "repo/deep/w.bin"),
    ],
)
def test_whoever_names_the_weights_keeps_them(folder, other, location):
    path = write(folder / "deep/m.onnx")
    shared = onnx.load(path, load_external_data=False)
    for entry in shared.graph.initializer[-1].external_data:
        if entry.key == "location":
            entry.value = location
    (folder / other).write_bytes(shared.SerializeToString())
    assert fix("deep/m.onnx") == 0
    assert (folder / "deep/w.bin").exists()
    assert named(path) != ("w.bin",)


def test_weights_that_a_link_leads_to_stay(folder):
    write(folder / "deep/m.onnx")
    (folder / "else").mkdir()
    (folder / "else/w.bin").symlink_to("../deep/w.bin")
    assert fix("deep/m.onnx") == 0
    assert (folder / "else/w.bin").exists()
    (folder / "deep/w.bin").unlink()
    (folder / "else/w.bin").unlink()
    write(folder / "deep/m.onnx")
    (folder / "else/deep").symlink_to("../deep")
    assert fix("deep/m.onnx") == 0
    assert (folder / "deep/w.bin").exists()


def test_what_cannot_be_looked_at_keeps_the_weights(folder, monkeypatch):
    path = write(folder / "m.onnx")
    (folder / "absent.bin").write_bytes(b"")
    assert weight_readers.reader_of(folder / "absent.bin", path) == ""
    monkeypatch.setattr(weight_readers, "_MOST_BYTES", 10)
    assert weight_readers.reader_of(folder / "absent.bin", path) == weight_readers.TOO_MUCH
    monkeypatch.setattr(weight_readers, "_MOST_BYTES", 1 << 30)
    monkeypatch.setattr(weight_readers, "_MOST_ENTRIES", 1)
    assert weight_readers.reader_of(folder / "absent.bin", path) == weight_readers.TOO_MUCH
    monkeypatch.setattr(weight_readers, "_MOST_ENTRIES", 1000)

    def refused(_file, _name):
        raise PermissionError(13, "Permission denied", "secret")

    monkeypatch.setattr(weight_readers, "_mentions", refused)
    assert "secret cannot be looked at" in weight_readers.reader_of(folder / "absent.bin", path)


def test_a_name_across_two_blocks_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_readers, "_BLOCK", 8)
    for at in range(20):
        file = tmp_path / "file"
        file.write_bytes(b"." * at + b"w.bin" + b"." * 9)
        assert weight_readers._mentions(file, b"w.bin")
        assert not weight_readers._mentions(file, b"x.bin")


def restored(folder):
    for copy in folder.rglob("*.bak"):
        copy.rename(copy.with_name(copy.name.removesuffix(".bak")))


@pytest.mark.parametrize("location", ["m.onnx.data", "sub/w.bin"])
def test_a_backup_keeps_model_and_weights_and_can_be_put_back(folder, location):
    (folder / "sub").mkdir()
    path = write(folder / "m.onnx", location)
    before, old, weights = numbers(path), path.read_bytes(), (folder / location).read_bytes()
    assert fix("--backup", "m.onnx") == 0
    assert (folder / "m.onnx.bak").read_bytes() == old
    assert (folder / f"{location}.bak").read_bytes() == weights
    assert np.array_equal(numbers(folder / "m.onnx.bak"), before)  # as it lies there
    (folder / location).write_bytes(bytes(len(weights)))  # the next export has the same name
    assert np.array_equal(numbers(path), before)
    restored(folder)
    assert path.read_bytes() == old
    assert np.array_equal(numbers(path), before)


def test_two_models_that_share_weights_are_both_backed_up(folder):
    path = write(folder / "m.onnx", "m.onnx.data")
    (folder / "n.onnx").write_bytes(path.read_bytes())
    before = numbers(path)
    assert fix("--backup", "m.onnx", "n.onnx") == 0
    restored(folder)
    assert np.array_equal(numbers(path), before)
    assert np.array_equal(numbers(folder / "n.onnx"), before)


@pytest.mark.parametrize("taken", ["m.onnx.bak", "w.bin.bak"])
@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_backup_of_something_else_is_never_written_over(folder, capsys, taken, kind):
    path = write(folder / "m.onnx")
    old = {item.name: item.read_bytes() for item in folder.iterdir()}
    if kind == "file":
        (folder / taken).write_bytes(b"precious")
    else:
        (folder / taken).symlink_to("m.onnx" if taken == "m.onnx.bak" else "w.bin")
    assert fix("--backup", "m.onnx") == 2
    assert f"{taken} exists already; move it away" in capsys.readouterr().err
    assert {name: (folder / name).read_bytes() for name in old} == old
    assert path.exists()


def test_a_second_run_on_what_the_first_one_left_replaces_nothing_else(folder):
    path = write(folder / "m.onnx")
    before = numbers(path)
    assert fix("m.onnx") == 0
    (first,) = named(path)
    write(path, first, seed=2)  # the user's next version, saved where the repaired weights are
    changed = numbers(path)
    assert not np.array_equal(changed, before)
    assert fix("m.onnx") == 0
    assert np.array_equal(numbers(path), changed)
    assert len(list(folder.iterdir())) == 2


def test_weights_of_a_name_that_is_taken_get_another(folder):
    path = write(folder / "m.onnx")
    before = numbers(path)
    copy = folder / "copy.onnx"
    whole = onnx.load(path).SerializeToString()
    writer.save(whole, copy, beside=True)
    (place,) = named(copy)
    (folder / place).write_bytes(b"something else")
    writer.save(whole, copy, beside=True)
    assert (folder / place).read_bytes() == b"something else"
    assert named(copy) == (place.replace(".data", "-2.data"),)
    assert np.array_equal(numbers(copy), before)


def test_a_link_in_the_place_of_the_model_is_refused(folder, capsys):
    write(folder / "store/m.onnx")
    (folder / "m.onnx").symlink_to("store/m.onnx")
    (folder / "w.bin").write_bytes((folder / "store/w.bin").read_bytes())
    old = (folder / "store/m.onnx").read_bytes()
    assert fix("m.onnx") == 2
    assert "m.onnx: it is a symbolic link" in capsys.readouterr().err
    assert (folder / "m.onnx").is_symlink()
    assert (folder / "store/m.onnx").read_bytes() == old


def test_weights_that_changed_meanwhile_are_not_thrown_away(folder):
    path = write(folder / "m.onnx")
    noted = file_marks.marks(folder, ["w.bin"])
    whole, old = onnx.load(path).SerializeToString(), path.read_bytes()
    (folder / "w.bin").write_bytes(b"\1" * (folder / "w.bin").stat().st_size)
    with pytest.raises(UsageError, match="changed while it was repaired"):
        in_place.put(whole, path, noted, backup=False)
    assert path.read_bytes() == old
    (folder / "w.bin").unlink()
    with pytest.raises(UsageError, match="cannot read"):
        in_place.put(whole, path, noted, backup=False)


def test_new_weights_are_as_private_as_the_model(folder):
    path = write(folder / "m.onnx")
    path.chmod(0o600)
    assert fix("--backup", "m.onnx") == 0
    modes = {item.name: item.stat().st_mode & 0o777 for item in folder.iterdir()}
    assert modes["m.onnx"] == modes[named(path)[0]] == modes["m.onnx.bak"] == 0o600


@pytest.mark.parametrize("name", ["n" * 250 + ".onnx", "\N{ROCKET}" * 62 + ".onnx"])
def test_a_name_as_long_as_names_may_be(folder, name):
    path = write(folder / name)
    before = numbers(path)
    assert fix(name) == 0
    assert np.array_equal(numbers(path), before)
    assert named(path) != ("w.bin",)


def test_weights_in_a_body_or_a_function_are_brought_along(folder):
    text = WEIGHTED.replace("z = Softmax (big)", "z = Softmax (big) q = local.f ()").replace(
        "y = Add (c, s)", "t = Add (c, s) y = Add (t, q)"
    )
    made = model(
        text.replace('"" : 14]', '"" : 14, "local" : 1]')
        + """
        <domain: "local", opset_import: ["" : 14]> f () => (k)
        { k = Constant <value = float[1, 1] {3.0}> () }
    """
    )
    value = made.functions[0].node[0].attribute[0].t
    value.CopyFrom(numpy_helper.from_array(np.full((1, 1), 3.0, np.float32), "k"))
    path = folder / "m.onnx"
    onnx.save(made, path)
    before = numbers(path)
    value.data_location = onnx.TensorProto.EXTERNAL
    value.ClearField("raw_data")
    (folder / "k.bin").write_bytes(np.float32(3).tobytes())
    for key, text in (("location", "k.bin"), ("length", "4")):
        value.external_data.add(key=key, value=text)
    onnx.save(made, path)
    assert cli.main(["fix", "--quiet", "m.onnx"]) == 0
    copy = folder / "npugate-fixed/m.onnx"
    assert "k.bin" not in named(copy)
    assert np.array_equal(numbers(copy), before)


def test_a_failure_says_which_models_were_written_before_it(folder, capsys):
    for name in "abc":
        write(folder / f"{name}.onnx", f"{name}.bin")
    (folder / "c.onnx.bak").write_bytes(b"precious")
    assert fix("--backup", "a.onnx", "b.onnx", "c.onnx") == 2
    told = capsys.readouterr().err
    assert "c.onnx.bak exists already" in told
    assert "written before that: a.onnx, b.onnx" in told


def test_copies_that_are_written_again_leave_no_weights_behind(folder):
    path, copy = folder / "m.onnx", folder / "npugate-fixed/m.onnx"
    kept = copy.with_name("m.onnx.0123456789abcdef.data")
    for seed in (1, 2, 2):
        write(path, seed=seed)
        before = numbers(path)
        assert cli.main(["fix", "--quiet", "m.onnx"]) == 0
        assert np.array_equal(numbers(copy), before)
        kept.write_bytes(b"of no copy")
    assert {item.name for item in copy.parent.iterdir()} == {"m.onnx", kept.name, *named(copy)}
