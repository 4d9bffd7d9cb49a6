"""What tools/release.py lets pass, what it refuses, and what it writes into the actions."""

import io
import shutil

import pytest
import yaml

from npugate import __version__
from tests.project.test_action_yml import ROOT
from tools import release

IMAGE = "ghcr.io/owner/npugate:1.2.0@sha256:" + "0123456789abcdef" * 4
CHANGELOG = """# Changelog

## Unreleased

## 1.2.0 - 2026-11-23

### Added
- A rule.

## 1.1.0

- Older.

## 1.0.0
"""


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "npugate").mkdir()
    (tmp_path / "docker").mkdir()
    (tmp_path / "npugate" / "__init__.py").write_text('"""Doc."""\n\n__version__ = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    for name in ("action.yml", "docker/action.yml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def run(root, *arguments):
    out, log = io.StringIO(), io.StringIO()
    status = release.main(arguments, out, log, root)
    return status, out.getvalue() + log.getvalue()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("check", "1.2.0", "v1.1.0"), 0, "1.2.0 can be released"),
        (("check", "1.2.0", "v1.1.0", "v1.2.0"), 1, "is taken"),
        (("check", "1.3.0"), 1, "npugate/__init__.py does not say 1.3.0"),
        (("check", "v1.2.0"), 1, "no version of three numbers"),
        (("check", "1.2.0rc1"), 1, "no version of three numbers"),
        (("check", "1.02.0"), 1, "no version of three numbers"),
        (("notes", "1.1.0"), 0, "- Older.\n"),
        (("notes", "1.0.0"), 1, "says nothing under '## 1.0.0'"),
        (("notes", "1.2"), 1, "no version of three numbers"),
        (("newest", "1.2.0", "v1.1.9", "v2.0.0", "v1", "other"), 0, "true\n"),
        (("newest", "1.2.0", "v1.10.0"), 0, "false\n"),
        (("newest", "1.2.0"), 0, "true\n"),
        (("pin",), 2, "python tools/release.py"),
        (("else", "1.2.0"), 2, "python tools/release.py"),
        ((), 2, "python tools/release.py"),
    ],
)
def test_each_command_says_what_is_so_or_what_is_wrong(checkout, arguments, status, said):
    found, text = run(checkout, *arguments)
    assert (found, said in text) == (status, True), text


def test_the_notes_are_the_section_alone(checkout):
    assert run(checkout, "notes", "1.2.0") == (0, "### Added\n- A rule.\n")


def test_the_version_of_the_code_is_found_where_it_stands():
    assert f'\n__version__ = "{__version__}"\n' in (ROOT / "npugate/__init__.py").read_text()


def test_the_image_is_written_into_both_actions_and_nothing_else_changes(checkout):
    before = {
        n: yaml.safe_load((checkout / n).read_text()) for n in ("action.yml", "docker/action.yml")
    }
    status, _ = run(checkout, "pin", IMAGE)
    after = {n: yaml.safe_load((checkout / n).read_text()) for n in before}
    (step,) = [s for s in before["action.yml"]["runs"]["steps"] if s.get("id") == "list"]
    step["env"]["NPUGATE_RELEASED_IMAGE"] = IMAGE
    before["docker/action.yml"]["runs"]["image"] = f"docker://{IMAGE}"
    assert (status, after) == (0, before)


@pytest.mark.parametrize(
    "image",
    [
        "ghcr.io/owner/npugate:1.2.0",
        "ghcr.io/owner/npugate@sha256:" + "0" * 64,
        "ghcr.io/Owner/npugate:1.2.0@sha256:" + "0" * 64,
        "ghcr.io/owner/npugate:1.2.0@sha256:" + "0" * 63,
        'ghcr.io/owner/npugate:1.2.0@sha256:"; x' + "0" * 64,
    ],
)
def test_an_image_that_could_change_is_not_written(checkout, image):
    assert run(checkout, "pin", image)[0] == 1
    assert (checkout / "action.yml").read_text() == (ROOT / "action.yml").read_text()


def test_an_action_without_a_place_for_the_image_stops_the_release(checkout):
    (checkout / "docker/action.yml").write_text("runs:\n  using: docker\n")
    status, text = run(checkout, "pin", IMAGE)
    assert (status, text) == (1, "release: docker/action.yml has 0 places for the image, not one\n")
    assert (checkout / "action.yml").read_text() == (ROOT / "action.yml").read_text()


DIGEST = "sha256:" + "0123456789abcdef" * 4


def test_the_two_places_of_the_base_image_agree():
    status, said = run(ROOT, "base")
    assert (status, said.count("\n")) == (0, 1)
    assert said.strip().partition(":")[0] == "python"


@pytest.mark.parametrize("kept", ["FROM python:3.13-slim", "# nothing"])
def test_a_base_image_that_only_one_place_was_told_of_stops_the_release(checkout, kept):
    (checkout / "docker/base").mkdir()
    (checkout / "docker/base/Dockerfile").write_text(f"{kept}\n")
    (checkout / "Dockerfile").write_text("ARG BASE_IMAGE=python:3.12-slim\n")
    status, said = run(checkout, "base")
    assert status == 1
    assert "write the first into both" in said


@pytest.mark.parametrize(
    ("name", "digest", "status", "said"),
    [
        ("python:3.12-slim", DIGEST, 0, f"python:3.12-slim@{DIGEST}\n"),
        (f"python:3.12-slim@{DIGEST}", DIGEST, 0, f"python:3.12-slim@{DIGEST}\n"),
        ("host.example:5000/a/python:3", DIGEST, 0, f"host.example:5000/a/python:3@{DIGEST}\n"),
        (f"python:3.12-slim@{DIGEST[:-1]}0", DIGEST, 1, "the registry has"),
        ("python", DIGEST, 1, "is not NAME:TAG"),
        ("python:3 --x", DIGEST, 1, "is not NAME:TAG"),
        ("python:3", "latest", 1, "is no digest"),
        ("python:3", "", 1, "is no digest"),
    ],
)
def test_a_base_image_is_pinned_by_the_digest_that_the_registry_gave(name, digest, status, said):
    ended = run(ROOT, "based", name, digest)
    assert ended[0] == status
    assert said in ended[1]
