"""What git tracks, as its own output says."""

import hashlib

import pytest

from npugate.model.tracked import Entry, Pointer, Tracked, pointers

OID = hashlib.sha256(b"w").hexdigest()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize 1234\n"
ONE, TWO = "1" * 40, "2" * 64


def row(name, mode="100644", blob=ONE, stage=0):
    return f"{mode} {blob} {stage}\t{name}\0".encode("utf-8", "surrogateescape")


@pytest.fixture
def top(tmp_path):
    return tmp_path.resolve()


@pytest.mark.parametrize(
    "data",
    [
        row("a")[:-1],
        row("a") + b"x",
        b"a\0",
        b"100644 short 0\ta\0",
        row("a").replace(b"\t", b" "),
        row(""),
        b"\0",
    ],
)
def test_what_is_cut_off_or_something_else_is_refused(top, data):
    with pytest.raises(ValueError, match="is not what"):
        Tracked.recorded(top, data)


def test_nothing_is_tracked_in_an_empty_list(top):
    known = Tracked.recorded(top, b"")
    assert not known.holds(top / "a")
    assert list(known.python(top)) == []


def test_a_name_is_found_whole_and_as_it_is(top):
    names = ("a", "sub/w.bin", "x 0\tw.bin", "x\t100644 0\tv.bin", "new\nline", "\udcff", "é.onnx")
    known = Tracked.recorded(top, b"".join(map(row, names)))
    for name in names:
        assert known.entry(top / name) == Entry("100644", ONE)
    for name in ("w.bin", "v.bin", "sub", "line", "sub/w", "A", "", "é.onn", "sub/w.bin/x"):
        assert known.entry(top / name) is None
    assert known.entry(top.parent / "a") is None


def test_links_and_submodules_are_no_files(top):
    rows = row("l", "120000") + row("s", "160000") + row("x", "100755", TWO)
    known = Tracked.recorded(top, rows)
    assert [known.is_file(top / name) for name in "lsx"] == [False, False, True]
    assert known.entry(top / "x").blob == TWO
    assert known.holds(top / "l")
    assert known.holds(top / "s/deep/m.onnx")


def test_of_a_conflict_the_side_that_is_no_file_counts(top):
    known = Tracked.recorded(top, row("w", stage=2) + row("w", "120000", stage=3))
    assert not known.is_file(top / "w")
    known = Tracked.recorded(top, row("w", stage=2) + row("w", stage=3))
    assert known.is_file(top / "w")


def test_python_files_are_those_that_are_no_links(top):
    names = row("l.py", "120000") + row("a.py") + row("d/B.PY", "100755") + row("c.pyc")
    names += row("x\t100644.py") + row("new\nline.py") + row("u.py", stage=1)
    known = Tracked.recorded(top, names)
    assert list(known.python(top)) == ["a.py", "d/B.PY", "x\t100644.py", "new\nline.py"]
    assert known.python(top / "d") is None
    assert list(known.python(top.parent))[1] == f"{top.name}/d/B.PY"


def test_a_model_is_bound_by_each_of_its_names_unless_it_is_exempt(top):
    (top / "m.onnx").write_bytes(b"m")
    (top / "sub").mkdir()
    (top / "sub/l.onnx").symlink_to("../m.onnx")
    (top / "job.onnx").write_bytes(b"j")
    (top / "named.onnx").symlink_to("job.onnx")
    known = Tracked.recorded(top, row("m.onnx") + row("named.onnx", "120000"))
    for name in ("m.onnx", "sub/l.onnx", "sub/../m.onnx", "named.onnx"):
        assert known.binds(top / name), name
    assert not known.binds(top / "job.onnx")
    allowed = Tracked(known.lists, frozenset({str(top / "m.onnx")}))
    assert not allowed.binds(top / "m.onnx")
    assert not allowed.binds(top / "sub/../m.onnx")
    assert allowed.binds(top / "sub/l.onnx")


def test_pointers_are_read_by_their_lengths(top):
    del top

    def said(data, blob=ONE):
        return f"{blob} blob {len(data)}\n{data}\n".encode()

    forged = f"{TWO} blob {len(POINTER)}\n{POINTER}"
    data = said(POINTER) + said(forged, "3" * 40) + said("", "4" * 40) + said("no\n\npointer", TWO)
    assert pointers(data) == {ONE: Pointer(OID, 1234)}
    assert pointers(b"") == {}
    for broken in (data[:-1], data + b"x", b"x", f"{ONE} missing\n".encode()):
        with pytest.raises(ValueError, match="is not what"):
            pointers(broken)
