"""Reports that cannot be written, places that are no files, and a system that refuses."""

import contextlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from npugate import atomic_write, cli
from npugate.errors import UsageError
from npugate.reporters import FILES
from tests.commands.test_check import CLEAN, FAILS, run, save

PROGRAM = [sys.executable, "-m", "npugate"]
FORMS = tuple(FILES)
FULL = Path("/dev/full")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path, "clean.onnx", CLEAN)
    save(tmp_path, "bad.onnx", FAILS)
    return tmp_path


def device(folder, name, minor):
    """Return a device that no fault of the code can do harm to: root gets one of its own."""
    if os.geteuid() != 0:
        return Path("/dev") / name
    try:
        os.mknod(folder / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        with (folder / name).open("rb"):
            return folder / name
    except OSError as error:
        pytest.skip(f"root cannot make a device here: {error}")


def shell(command, **more):
    """Run a line of sh in which ``npugate`` is the program."""
    line = f'npugate() {{ "{sys.executable}" -m npugate "$@"; }}; {command}'
    ran = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, **more)
    assert "Traceback" not in ran.stderr
    return ran


@contextlib.contextmanager
def read_from(place):
    """Read a pipe to its end beside what is done meanwhile."""
    found = []
    reader = threading.Thread(daemon=True, target=lambda: found.append(place.read_bytes()))
    reader.start()
    yield found
    reader.join(timeout=60)
    assert not reader.is_alive()


def test_a_pipe_is_written_through_and_stays_one(here):
    os.mkfifo(here / "pipe")
    with read_from(here / "pipe") as found:
        assert run("check", "clean.onnx", "--report", "json=pipe").status == 0
    assert json.loads(found[0])["exit_code"] == 0
    assert stat.S_ISFIFO((here / "pipe").stat().st_mode)
    assert {path.name for path in here.iterdir()} == {"clean.onnx", "bad.onnx", "pipe"}


def test_a_pipe_that_nobody_reads_is_told_and_not_waited_for(here):
    os.mkfifo(here / "pipe")
    ended = run("check", "clean.onnx", "--report", "json=pipe")
    assert ended.status == 2
    assert "cannot write pipe: nobody reads from this pipe" in ended.err


def test_a_device_is_written_through_and_stays_one(here):
    null = device(here, "null", 3)
    before = null.stat().st_rdev
    assert run("check", "clean.onnx", "--report", f"json={null}").status == 0
    status = null.stat()
    assert stat.S_ISCHR(status.st_mode)
    assert status.st_rdev == before


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("place", ["file", "pipe"])
def test_standard_output_is_a_place_for_a_report(here, name, place):
    if name == "/dev/stdout" and os.geteuid() == 0:
        assert atomic_write.is_stream(
            Path(name)
        )  # a fault would take the link from the whole system
        return
    # The file has a line already, and gets another one afterwards: nothing is written over.
    to = ">out" if place == "file" else "| cat >out"
    ran = shell(
        f"{{ echo first; npugate check clean.onnx --quiet --report json={name}; echo last; }} {to}"
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = (here / "out").read_text().splitlines()
    assert (lines[0], lines[-1]) == ("first", "last")
    assert json.loads("\n".join(lines[1:-1]))["exit_code"] == 0


def test_a_descriptor_that_is_not_open_is_told(here):
    ended = run("check", "clean.onnx", "--report", "json=/dev/fd/987")
    assert ended.status == 2
    assert "cannot write /dev/fd/987: Bad file descriptor" in ended.err


@pytest.mark.parametrize("to", ["real.json", "../outside.json", "nowhere/at/all", "link"])
def test_a_link_is_neither_replaced_nor_followed(here, to):
    (here / "real.json").write_text("kept")
    (here / "link").symlink_to(to)
    ended = run("check", "clean.onnx", "--report", "json=link", "--write-baseline", "base.json")
    assert ended.status == 2
    assert "cannot write link: it is a symbolic link" in ended.err
    assert (here / "link").is_symlink()
    assert (here / "real.json").read_text() == "kept"
    assert not (here.parent / "outside.json").exists()


def test_what_writes_a_baseline_a_twin_or_a_page_replaces_no_link_either(here, capsys):
    (here / "real").write_text("kept")
    for name in ("base.json", "page.html", "int8.onnx"):
        (here / name).symlink_to("real")
    for arguments in (
        ["check", "clean.onnx", "--write-baseline", "base.json"],
        ["report", "clean.onnx", "--html", "page.html"],
        ["quantize", "clean.onnx", "--random-calibration", "--output", "int8.onnx"],
        ["export", "module:make", "--output", "int8.onnx"],
    ):
        assert cli.main(arguments) == 2, arguments
        assert "it is a symbolic link; name" in capsys.readouterr().err
    assert (here / "real").read_text() == "kept"
    assert not list(here.glob("*.calibration.json"))


def test_a_socket_a_disk_and_a_folder_are_refused(here):
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("socket")
        (here / "folder").mkdir()
        for name, what in (("socket", "a socket"), ("folder", "a folder")):
            with pytest.raises(UsageError, match=f"cannot write {name}: it is {what}"):
                atomic_write.write_text(Path(name), "text")
        assert stat.S_ISSOCK(Path("socket").stat().st_mode)


def test_a_disk_is_refused(here, monkeypatch):
    monkeypatch.setattr(atomic_write, "_kind", lambda _path: stat.S_IFBLK)
    with pytest.raises(UsageError, match="cannot write disk: it is a disk"):
        atomic_write.write_bytes(Path("disk"), b"data")
    assert not Path("disk").exists()


def test_whatever_ends_the_writing_leaves_no_file_behind(here):
    def parts():
        yield b"some"
        raise KeyboardInterrupt

    before = sorted(here.iterdir())
    with pytest.raises(KeyboardInterrupt):
        atomic_write.write_parts(here / "new", parts())
    assert sorted(here.iterdir()) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_that_root_replaces_stays_its_owners(here):
    (here / "report.json").write_text("")
    os.chown(here / "report.json", 1234, 1234)
    atomic_write.write_text(here / "report.json", "new")
    status = (here / "report.json").stat()
    assert (status.st_uid, status.st_gid) == (1234, 1234)


@pytest.mark.skipif(not FULL.exists(), reason="this system has no full device")
@pytest.mark.parametrize("model", ["clean.onnx", "bad.onnx"])
@pytest.mark.parametrize("form", FORMS)
def test_a_report_that_cannot_be_written_is_no_pass_anywhere(here, model, form):
    shutil.copy(here / model, here / "m.onnx")
    full = device(here, "full", 7)
    reports = [f"--report={form}={full}", "--report=json=x.json", "--report=text=x.txt"]
    ended = run("check", "m.onnx", *reports, "--format", form)
    assert ended.status == 2
    assert f"cannot write {full}: No space left on device" in ended.err
    assert ended.out
    written = json.loads((here / "x.json").read_text())
    assert written["exit_code"] == 2
    assert "No space left" in written["notices"][0]
    for text in (ended.out if form == "text" else "", (here / "x.txt").read_text()):
        assert "PASS" not in text
    assert "verdict: ERROR (exit status 2)" in (here / "x.txt").read_text()
    if form == "json":
        assert json.loads(ended.out)["exit_code"] == 2


def test_fix_says_no_pass_either(here):
    (here / "file").write_text("")
    ended = run("fix", "clean.onnx", "--report", "json=file/x.json")
    assert ended.status == 2
    assert "PASS" not in ended.out


@pytest.mark.skipif(not FULL.exists(), reason="this system has no full device")
@pytest.mark.parametrize(
    "arguments",
    [
        "check clean.onnx",
        "check bad.onnx",
        "check clean.onnx --format json",
        "check clean.onnx --format html",
        "estimate clean.onnx",
        "fix clean.onnx",
        "snapshot clean.onnx",
        "report clean.onnx --html x.html",
        "explain NPU101",
        "rules",
        "targets",
        "completion bash",
        "--help",
        "--version",
        "check --help",
    ],
)
def test_a_full_standard_output_ends_with_2_and_a_sentence(here, arguments):
    ran = shell(f"npugate {arguments} >/dev/full")
    assert ran.returncode == 2
    told = [line for line in ran.stderr.splitlines() if "standard output" in line]
    assert told == ["npugate: error: cannot write to standard output: No space left on device"]


def test_a_closed_standard_output_is_told_and_no_file_gets_its_number(here):
    ran = shell("npugate check clean.onnx --report json=x.json >&-")
    assert ran.returncode == 2
    assert "standard output is closed" in ran.stderr
    assert json.loads((here / "x.json").read_text())["exit_code"] == 0
    assert shell("npugate check clean.onnx --quiet >&- <&-").returncode == 0


@pytest.mark.skipif(not FULL.exists(), reason="this system has no full device")
def test_nobody_to_tell_changes_no_exit_status(here):
    for error in ("2>/dev/full", "2>&-"):
        assert shell(f"npugate check absent.onnx {error}").returncode == 2
        assert shell(f"npugate check bad.onnx --verbose {error}").returncode == 1


def test_a_reader_that_went_away_is_quiet(here):
    ran = shell("npugate rules --format json | true; npugate check clean.onnx | true")
    assert ran.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        "check",
        "check m.onnx",
        "fix",
        "estimate",
        "snapshot",
        "report --html x.html",
        "stedgeai",
        "deploy",
        "quantize m.onnx --random-calibration --output q.onnx",
        "verify m.onnx",
    ],
)
def test_a_working_directory_that_is_gone_ends_with_2_and_a_sentence(here, arguments):
    ran = shell(f"mkdir gone; cd gone; rmdir ../gone; npugate {arguments}")
    assert ran.returncode == 2
    assert "the working directory cannot be found" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_what_needs_no_files_works_where_the_directory_is_gone(here):
    assert shell("mkdir gone; cd gone; rmdir ../gone; npugate explain NPU101").returncode == 0


@pytest.mark.parametrize("number", ["ENOSPC", "EMFILE", "EROFS"])
def test_a_system_that_has_run_out_of_something_is_no_fault_of_ours(here, monkeypatch, number):
    import errno  # noqa: PLC0415 - by name

    def refused(*_):
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)), "place")

    monkeypatch.setattr("npugate.commands.check.examine", refused)
    ended = run("check", "clean.onnx", "--report", "json=x.json")
    assert ended.status == 2
    assert "the system refused: place: " in ended.err
    assert json.loads((here / "x.json").read_text())["exit_code"] == 2


def test_a_deployment_begins_without_touching_what_a_link_leads_to(here):
    from npugate.deploy import run as deploy  # noqa: PLC0415 - heavy

    (here / "kept").write_text("kept")
    (here / "out").mkdir()
    (here / "out/.npugate-probe").symlink_to("../kept")
    deploy.check_writable(here / "out")
    assert (here / "kept").read_text() == "kept"
    assert [path.name for path in (here / "out").iterdir()] == [".npugate-probe"]


def test_an_int8_model_is_not_written_over_what_it_is_made_of(here, capsys):
    for option in ("--calibration", "--labels"):
        (here / "data.npz").write_bytes(b"data")
        arguments = ["quantize", "clean.onnx", "--output", "data.npz", option, "data.npz"]
        arguments += ["--random-calibration"] if option == "--labels" else []
        assert cli.main(arguments) == 2
        assert "itself: choose another --output" in capsys.readouterr().err
        assert (here / "data.npz").read_bytes() == b"data"
