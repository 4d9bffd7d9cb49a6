"""What a fresh machine installs: the pinned pip first, from locks that agree, and nothing twice."""

import importlib.util
import os
import re
import shutil
import stat
import subprocess

import pytest

from tests.project.test_action_yml import ROOT, load

REQUIREMENTS = ROOT / "requirements"
LOCKS = {path.stem: path.read_text("utf-8") for path in REQUIREMENTS.glob("*.lock")}
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PIN = re.compile(r"^([\w.-]+)==(\S+).*\n( +--hash=sha256:)?", re.MULTILINE)


def check_locks():
    path = ROOT / "tools" / "check_locks.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = check_locks()


def pins(name):
    """Return the versions of a lock: a package has several where a marker decides."""
    return {(found[1].lower(), found[2]) for found in PIN.finditer(LOCKS[name])}


def test_every_list_has_a_lock_that_is_shown_to_install():
    assert set(LOCKS) == {path.stem for path in REQUIREMENTS.glob("*.in")}
    shown = [lock for locks in TOOL.TOGETHER for lock in locks]
    assert sorted([*shown, "pip", "export"]) == sorted(LOCKS)
    solved = re.search(r"for name in (pip .*); do", (ROOT / "Makefile").read_text("utf-8"))
    assert solved
    assert set(solved[1].split()) == set(LOCKS) - {"export"}


@pytest.mark.parametrize("name", sorted(set(LOCKS) - {"export"}))
def test_a_lock_has_a_hash_of_each_package(name):
    found = list(PIN.finditer(LOCKS[name]))
    assert found
    assert [pin[1] for pin in found if not pin[3]] == []


def test_what_two_locks_name_has_one_version():
    assert pins("pip") | pins("build") | pins("run") <= pins("dev")
    assert len(pins("pip")) == 1
    named = {package for package, _ in pins("dev")}
    assert {pin for pin in pins("export") if pin[0] in named} <= pins("dev")


@pytest.mark.parametrize(
    "path", [ROOT / "Makefile", ROOT / "Dockerfile", *WORKFLOWS], ids=lambda path: path.name
)
def test_no_lock_is_installed_but_by_the_pinned_pip(path):
    commands = re.sub(r"\\\n", " ", path.read_text("utf-8")).splitlines()
    installing = [line for line in commands if re.search(r"pip.* install .*\.lock", line)]
    # The environment of the image has no pip: the pinned one of another environment fills it.
    pinned = "tools/install_locks.sh /opt/pip &&"
    assert [line for line in installing if pinned not in re.sub(" +", " ", line)] == [
        line for line in installing if "requirements/export.lock" in line
    ]


def test_the_oldest_and_the_newest_pip_that_a_python_meets_are_tried():
    assert list(TOOL.first_pips((3, 11), None)) == ["22.3", "25.2"]
    assert list(TOOL.first_pips((3, 13), None)) == ["24.2", "25.2"]
    assert list(TOOL.first_pips((3, 14), None)) == ["25.2"]
    assert list(TOOL.first_pips((3, 11), ["23.2.1"])) == ["23.2.1"]
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for _, digest in TOOL.FIRST_PIPS.values())


@pytest.mark.parametrize(
    ("python", "wanted", "told"),
    [
        ((3, 15), None, "the locks are for Python 3.11, 3.12, 3.13, 3.14; this is 3.15"),
        ((3, 12), ["22.3"], "pip 22.3 is unknown; for this Python: 23.2.1, 24.2, 25.2"),
        ((3, 11), ["25.2", "9.9"], "pip 9.9 is unknown; for this Python: 22.3, 23.2.1, 24.2, 25.2"),
    ],
)
def test_a_python_or_a_pip_that_nobody_knows_is_refused(python, wanted, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        TOOL.first_pips(python, wanted)


def test_every_supported_python_is_tried_each_week():
    workflow = load(ROOT / ".github" / "workflows" / "fresh-machine.yml")
    (start,) = [value for key, value in workflow.items() if key in ("on", True)]
    assert len(start["schedule"]) == 1
    (job,) = workflow["jobs"].values()
    supported = [f"{major}.{minor}" for major, minor in TOOL.FIRST_PIPS]
    assert job["strategy"]["matrix"]["python"] == supported
    makefile = (ROOT / "Makefile").read_text("utf-8")
    oldest, newest = min(TOOL.FIRST_PIPS), max(TOOL.FIRST_PIPS)
    assert f"{oldest} <= sys.version_info[:2] <= {newest}" in makefile


# --- what make installs, with a Python that only notes what it was asked for ----------------------

_PYTHON = """#!/bin/sh
# VERSION
case "$*" in
  *"-m venv"*)
    rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python
    printf '#!/bin/sh\\nexit 1\\n' >.venv/bin/npugate; chmod +x .venv/bin/npugate
    echo venv >>log ;;
  *sys.version_info*) [ "$0" != ./old ] || exit 1 ;;
  *sys.version*) sed -n 2p "$0" ;;
  *"-m pip install"*)
    for word; do last=$word; done; [ "$last" != "$FAILING" ] || exit 1; echo "${last##*/}" >>log ;;
esac
"""
_GATE = ["venv", "pip.lock", "build.lock", "run.lock", "."]


@pytest.fixture
def checkout(tmp_path):
    """Lay out what the Makefile reads, two Pythons of different versions, and one too old."""
    if not shutil.which("make"):
        pytest.skip("needs make")
    for name in ("Makefile", "pyproject.toml", "setup.py", "tools/install_locks.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(REQUIREMENTS, tmp_path / "requirements")
    for version in ("one", "two", "old"):
        path = tmp_path / version
        path.write_text(_PYTHON.replace("VERSION", version))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def made(checkout, *arguments, code=0, **environment):
    """Run make; return what was installed."""
    log = checkout / "log"
    log.write_text("")
    outer = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}  # noqa: TID251 - as make finds it
    done = subprocess.run(
        ["make", *arguments],
        cwd=checkout,
        env={**outer, "FAILING": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return log.read_text().split()


def test_the_gate_installs_the_run_lock_and_the_tests_the_rest(checkout):
    assert made(checkout, "gate", "PYTHON=./one") == _GATE
    assert made(checkout, "venv", "PYTHON=./one") == ["pip.lock", "dev.lock"]
    assert made(checkout, ".venv/.export", "PYTHON=./one") == ["export.lock"]


def test_nothing_is_installed_twice(checkout):
    made(checkout, "venv", "PYTHON=./one")
    assert made(checkout, "gate", "PYTHON=./one") == []
    assert made(checkout, "venv", "PYTHON=./one") == []
    assert made(checkout, "gate") == []  # a .venv is kept, whatever Python is the usual one
    later = (checkout / ".venv" / ".dev").stat().st_mtime + 1
    os.utime(checkout / "requirements" / "dev.lock", (later, later))
    assert made(checkout, "gate", "PYTHON=./one") == []
    assert made(checkout, "venv", "PYTHON=./one") == ["pip.lock", "dev.lock"]


def test_another_python_makes_the_environment_anew(checkout):
    made(checkout, "venv", "PYTHON=./one")
    assert made(checkout, "gate", "PYTHON=./two") == _GATE
    assert made(checkout, "venv", "PYTHON=./two") == ["pip.lock", "dev.lock"]
    assert made(checkout, "gate", PYTHON="./two") == []


@pytest.mark.parametrize("python", ["./old", "./none", ""])
def test_a_python_that_will_not_do_is_refused_and_nothing_is_installed(checkout, python):
    assert made(checkout, "gate", f"PYTHON={python}", code=2) == []


def test_an_installation_that_failed_is_begun_again(checkout):
    failing = "tools/../requirements/run.lock"
    assert made(checkout, "gate", "PYTHON=./one", code=2, FAILING=failing) == _GATE[:3]
    assert made(checkout, "gate", "PYTHON=./one") == _GATE
