"""The release publishes what was tested, in order, and each job may do only its own part."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.test_action_yml import ROOT, load
from tools.release import base

WORKFLOW = load(ROOT / ".github" / "workflows" / "release.yml")
JOBS = WORKFLOW["jobs"]
MAY_WRITE = {
    "test": set(),
    "wheel": set(),
    "base": set(),
    "image": {"packages"},
    "index": {"packages", "id-token", "attestations"},
    "publish": {"contents", "id-token", "attestations"},
    "package-index": {"id-token"},
    "move": {"contents"},
}
PUBLISHES = re.compile(
    r"docker login|type=image|imagetools create|cosign sign|git push|gh release|twine\" upload"
)


def needed(name):
    """Return every job that has to succeed before this one."""
    direct = JOBS[name].get("needs", [])
    direct = [direct] if isinstance(direct, str) else direct
    return set(direct).union(*(needed(other) for other in direct))


def is_off_in_a_dry_run(part):
    return part.get("if") == "${{ !inputs.dry-run }}"


def scripts(job):
    return [(step, step["run"]) for step in JOBS[job]["steps"] if "run" in step]


def script(job, word):
    (text,) = [text for _, text in scripts(job) if word in text]
    return text


def test_each_job_may_write_its_own_part_only():
    found = {
        name: {key for key, level in job["permissions"].items() if level == "write"}
        for name, job in JOBS.items()
    }
    assert found == MAY_WRITE


def test_it_is_started_by_hand_with_a_version_and_tries_by_default():
    (start,) = [value for key, value in WORKFLOW.items() if key in ("on", True)]
    assert set(start) == {"workflow_dispatch"}
    inputs = start["workflow_dispatch"]["inputs"]
    assert inputs["version"]["required"] is True
    assert inputs["dry-run"]["default"] is True


@pytest.mark.parametrize(
    ("job", "after"),
    [
        ("wheel", {"test"}),
        ("base", {"test"}),
        ("image", {"test", "wheel", "base"}),
        ("index", {"test", "wheel", "base", "image"}),
        ("publish", {"test", "wheel", "base", "image", "index"}),
        ("package-index", {"test", "wheel", "base", "image", "index", "publish"}),
        ("move", {"test", "wheel", "base", "image", "index", "publish", "package-index"}),
    ],
)
def test_a_job_waits_for_what_it_publishes(job, after):
    assert needed(job) == after


@pytest.mark.parametrize("job", JOBS)
def test_a_dry_run_publishes_nothing(job):
    off = any(is_off_in_a_dry_run(JOBS[name]) for name in {job, *needed(job)})
    publishing = [step for step, text in scripts(job) if PUBLISHES.search(text)]
    assert off or all(is_off_in_a_dry_run(step) for step in publishing)


def test_every_job_that_publishes_is_known_to():
    found = {job for job in JOBS if any(PUBLISHES.search(text) for _, text in scripts(job))}
    assert found == {"image", "index", "publish", "package-index", "move"}


def test_what_is_published_needs_the_approval_of_an_environment():
    guarded = {name: job.get("environment") for name, job in JOBS.items()}
    assert guarded == {
        "test": None,
        "wheel": None,
        "base": None,
        "image": None,
        "index": "release",
        "publish": "release",
        "package-index": "pypi",
        "move": "release",
    }


def test_both_architectures_are_built_from_the_tested_wheel_and_tried_before_the_push():
    legs = JOBS["image"]["strategy"]["matrix"]["include"]
    assert {leg["arch"]: "arm" in leg["runner"] for leg in legs} == {"amd64": False, "arm64": True}
    for step, text in scripts("image"):
        assert "--build-context wheel=wheel" in text
        assert '--build-arg "BASE_IMAGE=$BASE_IMAGE"' in text
        assert step["env"]["BASE_IMAGE"] == "${{ needs.base.outputs.image }}"
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^FROM \S+ AS wheel$", dockerfile, re.MULTILINE)
    assert "COPY --from=wheel /dist /dist" in dockerfile
    push = script("image", "type=image")
    for word in ("--sbom=true", "--provenance=mode=max", "push-by-digest=true"):
        assert word in push


def test_the_base_image_is_resolved_once_and_may_be_another(tmp_path):
    """The step is run with a stand-in for docker, which says what a registry would."""
    (step,) = [step for step in JOBS["base"]["steps"] if "run" in step]
    assert JOBS["base"]["outputs"] == {"image": "${{ steps.resolve.outputs.image }}"}
    assert step["env"] == {"BASE_IMAGE": "${{ vars.BASE_IMAGE }}"}
    digest = "sha256:" + "ab" * 32
    (tmp_path / "docker").write_text(
        f'#!/bin/sh\necho "$4" >>"{tmp_path}/asked"\necho \'{{"digest": "{digest}"}}\'\n'
    )
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / "jq").write_text(
        f'#!{sys.executable}\nimport json, sys\nprint(json.load(sys.stdin)["digest"])\n'
    )
    (tmp_path / "jq").chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.defpath}",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    name = base(ROOT).strip()
    mirror = "mirror.example/python:3.13-slim"
    for given in ("", mirror):
        shell = ["bash", "-eo", "pipefail", "-c", step["run"]]
        subprocess.run(shell, cwd=ROOT, env={**environment, "BASE_IMAGE": given}, check=True)
    lines = [f"{image}@{digest}" for image in (name, mirror)]
    assert (tmp_path / "asked").read_text().split() == [name, mirror]
    assert (tmp_path / "output").read_text().split() == [f"image={line}" for line in lines]
    assert all(line in (tmp_path / "summary").read_text() for line in lines)


def test_the_bot_keeps_the_file_that_names_the_base_image():
    bot = load(ROOT / ".github" / "dependabot.yml")
    kept = {row["package-ecosystem"]: row["directory"] for row in bot["updates"]}
    assert kept["docker"] == "/docker/base"
    assert (ROOT / "docker/base/Dockerfile").is_file()


def test_the_image_is_signed_by_digest_and_the_signature_is_verified():
    text = script("index", "cosign sign")
    assert text.index("cosign sign") < text.index("cosign verify")
    (step,) = [step for step, found in scripts("index") if found == text]
    assert step["env"]["IMAGE"].endswith("@${{ steps.index.outputs.digest }}")


def test_the_tag_is_pushed_before_the_release_and_only_the_major_tag_is_forced():
    order = [text for _, text in scripts("publish")]
    assert ["git push" in text for text in order] == [True, False]
    assert ["gh release create" in text for text in order] == [False, True]
    forced = {job for job in JOBS for _, text in scripts(job) if "--force" in text}
    assert forced == {"move"}
    assert "--draft" in order[1]
    assert ".immutable" in order[1]


@pytest.mark.parametrize("job", JOBS)
def test_every_call_of_the_release_tool_names_a_command_that_it_has(job):
    from tools import release  # noqa: PLC0415 - the commands are its own table

    called = [m for _, text in scripts(job) for m in re.findall(r"tools/release\.py (\w+)", text)]
    assert set(called) <= set(release._COMMANDS)
