"""Where the action's pages are, from what the runner says."""

import json
import os
import re
import subprocess

import pytest
from msgspec.structs import replace

from npugate.github import places
from npugate.report.documentation import Documentation
from tests.comment_step import api, no_proxy, step
from tests.github import test_action
from tests.project.test_action_yml import ROOT, load
from tests.sample_report import REPORT

__all__ = ["api", "no_proxy", "step"]

RUNNER = {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "team/models",
    "GITHUB_SHA": "c" * 40,
    "GITHUB_ACTION_REPOSITORY": "owner/npugate",
    "GITHUB_ACTION_REF": "v1.2.0",
}
NOWHERE = Documentation()
PLACE = {"base": "https://github.com/owner/npugate/blob/v1.2.0/docs/", "suffix": ".md"}
PAGE = f"{PLACE['base']}rules/tensor-rank.md"


@pytest.fixture(autouse=True)
def _without_a_site(monkeypatch):
    monkeypatch.setattr(places, "OF_SITE", NOWHERE)


@pytest.fixture
def step_of_check(tmp_path):
    return lambda outcome: test_action.Step(tmp_path, outcome)


@pytest.mark.parametrize("revision", ["v1.2.0", "a" * 40, "release/1.x", "refs/tags/v1"])
def test_the_pages_are_in_the_repository_and_revision_of_the_action(revision):
    found = places.documentation({**RUNNER, "GITHUB_ACTION_REF": revision})
    base = f"https://github.com/owner/npugate/blob/{revision}/docs/"
    assert found.rule("tensor-rank") == f"{base}rules/tensor-rank.md"
    assert found.home == f"{base}rules/README.md"


def test_the_site_comes_first(monkeypatch):
    site = Documentation("https://docs.example/")
    monkeypatch.setattr(places, "OF_SITE", site)
    assert places.documentation(RUNNER) == site
    assert places.documentation({}) == site


@pytest.mark.parametrize(
    "more",
    [
        {"GITHUB_ACTION_REPOSITORY": ""},  # uses: ./
        {"GITHUB_ACTION_REPOSITORY": "owner"},
        {"GITHUB_ACTION_REPOSITORY": "owner/.."},
        {"GITHUB_ACTION_REPOSITORY": "owner/npugate/blob"},
        {"GITHUB_ACTION_REF": ""},
        {"GITHUB_ACTION_REF": "../../other/name"},
        {"GITHUB_ACTION_REF": "v1/../../x"},
        {"GITHUB_ACTION_REF": "v1)](https://evil.example/"},
        {"GITHUB_ACTION_REF": "v1#x"},
        {"GITHUB_ACTION_REF": "v1\n"},
        {"GITHUB_SERVER_URL": "https://github.example.com"},  # the action may be from github.com
        {"GITHUB_SERVER_URL": ""},
        {"INPUT_IMAGE": "ghcr.io/owner/npugate:0.9"},  # perhaps of another revision
    ],
)
def test_the_pages_are_nowhere_where_a_link_could_lead_nowhere(more):
    assert places.documentation({**RUNNER, **more}) == NOWHERE


def test_the_summary_and_the_reports_link_to_the_pages_of_the_action(step_of_check, tmp_path):
    run = step_of_check(REPORT)
    run.run(**RUNNER, INPUT_REPORTS="json, sarif, junit, markdown, html")
    folder = tmp_path / "npugate-report"
    written = [
        path for path in folder.iterdir() if path.suffix in {".sarif", ".xml", ".md", ".html"}
    ]
    assert len(written) == 4
    for path in (tmp_path / "summary.md", *written):
        assert PAGE in path.read_text("utf-8"), path
    assert json.loads((folder / "npugate.json").read_text("utf-8"))["documentation"] == PLACE


def test_an_action_that_stands_in_the_checkout_names_the_command(step_of_check, tmp_path):
    run = step_of_check(replace(REPORT, documentation=Documentation("https://old.example/")))
    run.run(**{**RUNNER, "GITHUB_ACTION_REPOSITORY": "", "GITHUB_ACTION_REF": ""})
    summary = (tmp_path / "summary.md").read_text("utf-8")
    assert "npugate explain" in summary
    assert "old.example" not in summary


def test_the_comment_links_to_the_pages_of_the_action_whatever_the_report_says(step):
    evil = replace(REPORT, documentation=Documentation("https://evil.example/"))
    where = {name: text for name, text in RUNNER.items() if "ACTION" in name}
    step.run(evil, **where)
    assert PAGE in step.body
    assert "evil.example" not in step.body
    step.run(evil, GITHUB_RUN_ID="101")
    assert "npugate explain" in step.body
    assert "evil.example" not in step.body


# --- the scripts of the composite action ----------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "given", "expected"),
    [
        ("/r/_actions/o/n/v1", {"NPUGATE_ACTION_REPOSITORY": "o/n", "NPUGATE_ACTION_REF": "v1"},
         "o/n v1"),
        ("/r/_actions/o/n/a/b/", {"GITHUB_ACTION_REPOSITORY": "o/n", "GITHUB_ACTION_REF": "a/b"},
         "o/n a/b"),
        # An action around this one is named instead.
        ("/r/_actions/o/n/v1", {"NPUGATE_ACTION_REPOSITORY": "o/outer", "NPUGATE_ACTION_REF": "v1"},
         " "),
        ("/r/_actions/o/n/v1", {"NPUGATE_ACTION_REPOSITORY": "o/n", "NPUGATE_ACTION_REF": "v2"},
         " "),
        ("/r/_actions/o/n/v1", {"NPUGATE_ACTION_REPOSITORY": "*/n", "NPUGATE_ACTION_REF": "*"},
         " "),
        ("/r/work/models/./", {}, " "),
        ("/r/_actions/o/n/v1", {}, " "),
    ],
)  # fmt: skip
def test_the_scripts_believe_a_source_that_the_path_agrees_with(path, given, expected):
    code = 'set -u; source "$1"; action_source; echo "$action_repository $action_ref"'
    done = subprocess.run(
        ["bash", "-c", code, "bash", str(ROOT / "scripts" / "engine.sh")],
        env={"PATH": os.defpath, "GITHUB_ACTION_PATH": path, **given},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{expected}\n"


@pytest.mark.parametrize("script", ["run-container.sh", "comment.sh"])
def test_both_containers_are_told_where_the_action_is_from(script):
    text = (ROOT / "scripts" / script).read_text("utf-8")
    assert re.search(r"^action_source$", text, re.MULTILINE)
    for name, value in (("REPOSITORY", "repository"), ("REF", "ref")):
        assert f'--env "GITHUB_ACTION_{name}=$action_{value}"' in text
    assert "--env INPUT_IMAGE" in text
    steps = load(ROOT / "action.yml")["runs"]["steps"]
    (step,) = [found for found in steps if script in found.get("run", "")]
    assert step["env"]["NPUGATE_ACTION_REPOSITORY"] == "${{ github.action_repository }}"
    assert step["env"]["NPUGATE_ACTION_REF"] == "${{ github.action_ref }}"
    assert step["env"]["INPUT_IMAGE"] == "${{ inputs.image }}"
