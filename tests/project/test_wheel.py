"""The wheel: built offline from the checkout, installed elsewhere, run among hostile files."""

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from npugate import __version__
from npugate.rules import registry

ROOT = Path(__file__).resolve().parents[2]
FIRST_SETUPTOOLS = 77  # reads the licence of pyproject.toml as it is written
SOURCES = ("npugate", "checks", "fixers", "third_party")


@pytest.fixture(scope="module")
def tracked():
    """List the files that git has or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def build(tracked, tmp_path_factory):
    """Build the wheel from the tracked files, so that nothing left in the checkout helps it."""
    have = importlib.metadata.version("setuptools")
    if int(have.partition(".")[0]) < FIRST_SETUPTOOLS:
        pytest.skip(f"setuptools {have} is older than build-system.requires of pyproject.toml")
    source, out = (tmp_path_factory.mktemp(name) for name in ("source", "wheel"))
    for name in tracked:
        if name.partition("/")[0] in (*SOURCES, name):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    code = "import sys, setuptools.build_meta as b; b.build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", code, out],
        cwd=source,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*.whl")
    return path, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(build):
    return build[0]


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install the wheel into a folder; what it depends on is what the tests run with."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--disable-pip-version-check", "--target", folder, wheel]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture
def hostile(tmp_path):
    """Make a working directory whose files have the names that npugate imports."""
    boast = "open('imported', 'w').close()\nraise SystemExit(99)\n"
    for name in ("npugate.py", "onnx.py", "numpy.py", "checks/__init__.py", "fixers/__init__.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(boast)
    (tmp_path / "checks" / "hostile_rule.py").write_text(boast)
    return tmp_path


def run(installed, cwd, *arguments):
    """Run the console entry of the wheel, isolated, as an installed script would."""
    code = (
        f"import sys; sys.path.insert(0, {str(installed)!r}); sys.argv[0] = 'npugate'\n"
        "import importlib.metadata as m\n"
        "(entry,) = [e for e in m.distribution('npugate').entry_points if e.name == 'npugate']\n"
        "sys.exit(entry.load()())"
    )
    return subprocess.run(
        [sys.executable, "-I", "-c", code, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def packaged(name):
    """Return where a file of the checkout belongs in the wheel."""
    return name if name.startswith("npugate/") else f"npugate/{name}"


def test_the_build_warns_of_nothing(build):
    assert [line for line in build[1].splitlines() if "warning" in line.lower()] == []


def test_the_wheel_holds_what_git_tracks_and_nothing_else(tracked, names):
    assert names == {packaged(name) for name in tracked if name.partition("/")[0] in SOURCES}


def test_the_wheel_holds_nothing_outside_its_package(names):
    assert {name.partition("/")[0] for name in names} == {"npugate"}
    assert {name for name in names if "test_" in name or "fixtures" in name} == set()


def test_the_wheel_has_the_version_and_the_licence(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inner = archive.namelist()
        metadata = next(name for name in inner if name.endswith(".dist-info/METADATA"))
        assert f"\nVersion: {__version__}\n" in archive.read(metadata).decode()
    assert any(name.endswith("LICENSE") for name in inner)


def test_its_own_rules_run_and_not_those_of_the_working_directory(installed, hostile):
    model = ROOT / "examples" / "demo" / "bad.onnx"
    (hostile / "bad.onnx").write_bytes(model.read_bytes())
    listed = run(installed, hostile, "rules")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(registry.rules())
    checked = run(installed, hostile, "check", "bad.onnx")
    assert (checked.returncode, checked.stderr) == (1, "")
    assert "bad.onnx" in checked.stdout
    assert not (hostile / "imported").exists()


def test_every_part_that_loads_late_is_there(installed, tmp_path):
    for arguments in (["targets", "stm32n6"], ["explain", "NPU104"], ["completion", "bash"]):
        done = run(installed, tmp_path, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout
    code = (
        f"import sys; sys.path.insert(0, {str(installed)!r})\n"
        "import importlib, importlib.util, pkgutil, npugate\n"
        "left_out = {'npugate.__main__'}\n"
        "if not importlib.util.find_spec('torch'):\n"
        "    left_out.add('npugate.export.pytorch')\n"
        "names = {m.name for m in pkgutil.walk_packages(npugate.__path__, 'npugate.')}\n"
        "assert left_out < names\n"
        "loaded = [importlib.import_module(name) for name in sorted(names - left_out)]\n"
        "assert len(loaded) > 60, len(loaded)\n"
        f"assert all(m.__file__.startswith({str(installed)!r}) for m in loaded if m.__file__)\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True)
