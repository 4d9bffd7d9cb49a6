"""action.yml, docker/action.yml, the scripts, the workflows and the README follow one table."""

import re
from pathlib import Path

import pytest
import yaml

from npugate.github.inputs import INPUTS, OUTPUTS, inputs_table

ROOT = Path(__file__).resolve().parents[2]
COMPOSITE = ROOT / "action.yml"
DOCKER = ROOT / "docker" / "action.yml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = sorted((ROOT / "scripts").glob("*.sh"))
WRITES = {
    ("locks.yml", "propose"): {("contents", "write"), ("pull-requests", "write")},
    ("site.yml", "publish"): {("pages", "write"), ("id-token", "write")},
}
PINNED = re.compile(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def declared(path: Path) -> list[tuple[str, str, str, bool]]:
    return [
        (name, row["default"], row["description"], row["required"])
        for name, row in load(path)["inputs"].items()
    ]


def steps(path: Path) -> list[dict]:
    """Return the steps of an action or of all jobs of a workflow."""
    document = load(path)
    if "runs" in document:
        return document["runs"].get("steps", [])
    return [step for job in document["jobs"].values() for step in job["steps"]]


def test_the_composite_action_declares_the_table():
    table = [(row.name, row.default, row.description, row.required) for row in INPUTS]
    assert declared(COMPOSITE) == table


def test_the_docker_action_declares_the_rows_that_it_can_do():
    table = [(r.name, r.default, r.description, r.required) for r in INPUTS if not r.composite]
    assert declared(DOCKER) == table


@pytest.mark.parametrize("path", [COMPOSITE, DOCKER], ids=["composite", "docker"])
def test_both_declare_the_outputs_of_the_table(path):
    found = {name: row["description"] for name, row in load(path)["outputs"].items()}
    assert found == {row.name: row.description for row in OUTPUTS}


def test_every_output_comes_from_the_check_step():
    values = {name: row["value"] for name, row in load(COMPOSITE)["outputs"].items()}
    assert values == {row.name: f"${{{{ steps.check.outputs.{row.name} }}}}" for row in OUTPUTS}


def test_the_check_step_hands_every_input_on():
    check = next(step for step in steps(COMPOSITE) if step.get("id") == "check")
    passed = {name: value for name, value in check["env"].items() if name.startswith("INPUT_")}
    assert passed == {row.variable: f"${{{{ inputs.{row.name} }}}}" for row in INPUTS}


def test_the_container_gets_every_input_and_nothing_secret():
    script = (ROOT / "scripts" / "run-container.sh").read_text(encoding="utf-8")
    passed = set(re.findall(r"--env \"?([A-Z_]+)", script))
    assert passed >= {row.variable for row in INPUTS}
    allowed = {"HOME", "CI", "RUNNER_DEBUG", "GITHUB_ACTIONS", "GITHUB_EVENT_NAME"}
    allowed |= {"GITHUB_EVENT_PATH", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"}
    allowed |= {"GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_SHA"}  # for links
    allowed |= {"GITHUB_ACTION_REPOSITORY", "GITHUB_ACTION_REF"}
    allowed |= {"NPUGATE_FOLDER", "NPUGATE_TRACKED", "NPUGATE_CHANGES", "NPUGATE_BASE_FOLDER"}
    allowed |= {
        "NPUGATE_INDEX",
        "NPUGATE_SETTINGS",
        "GITHUB_SERVER_URL",
        "GITHUB_REPOSITORY",
        "GITHUB_SHA",
    }
    assert passed - {row.variable for row in INPUTS} == allowed
    for flag in ("--network none", "--cap-drop ALL", "--read-only", "no-new-privileges"):
        assert flag in script
    assert "docker.sock" not in script


@pytest.mark.parametrize(
    ("name", "mounted"),
    [
        ("comment.sh", ["$state/out", "$GITHUB_EVENT_PATH"]),
        ("fetch-base.sh", ["$state/listed", "$fetched", "$GITHUB_EVENT_PATH"]),
    ],
)
def test_a_step_with_a_token_has_neither_the_workspace_nor_a_model(name, mounted):
    holders = [step["run"] for step in steps(COMPOSITE) if "token" in str(step).lower()]
    assert [run.rpartition("/")[2].strip('"') for run in holders] == ["fetch-base.sh", "comment.sh"]
    script = (ROOT / "scripts" / name).read_text(encoding="utf-8")
    (container,) = re.findall(r"^run=\($.*^timeout", script, re.MULTILINE | re.DOTALL)
    assert "GITHUB_WORKSPACE" not in container
    assert re.findall(r"source=([^,]*),", container) == mounted
    assert container.count(",readonly") == 2
    for flag in ("--cap-drop ALL", "--read-only", "no-new-privileges"):
        assert flag in script
    assert "docker.sock" not in script


def test_the_comment_comes_after_the_artifact_and_before_the_gate():
    names = [step["name"] for step in steps(COMPOSITE)]
    place = names.index("Comment on the pull request")
    assert names[place - 1] == "Keep the reports"
    assert place == len(names) - 2


def test_the_gate_is_the_last_step_and_always_runs():
    last = steps(COMPOSITE)[-1]
    assert last["if"] == "always()"
    assert "gate.sh" in last["run"]


def test_a_run_without_a_verdict_closes_no_alert():
    upload = next(step for step in steps(COMPOSITE) if "upload-sarif" in step.get("uses", ""))
    assert """contains(fromJSON('["pass", "fail"]'), steps.check.outputs.verdict)""" in upload["if"]


def test_an_upload_that_fails_changes_no_verdict():
    for step in steps(COMPOSITE):
        assert step.get("continue-on-error", False) is ("uses" in step), step["name"]


@pytest.mark.parametrize("path", [COMPOSITE, *WORKFLOWS], ids=lambda path: path.name)
def test_no_expression_is_pasted_into_a_script(path):
    for step in steps(path):
        assert "${{" not in step.get("run", ""), step


@pytest.mark.parametrize("path", [COMPOSITE, *WORKFLOWS], ids=lambda path: path.name)
def test_other_peoples_actions_are_pinned_by_commit_with_their_version(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    uses = [line.partition("uses: ")[2] for line in lines if re.match(r"\s*(- )?uses: ", line)]
    for action in uses:
        assert action in {"./", "./docker"} or PINNED.fullmatch(action), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_grants_nothing_that_a_job_does_not_ask_for(path):
    workflow = load(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert "timeout-minutes" in job, name
        allowed = {("contents", "read"), *WRITES.get((path.name, name), ())}
        # tests/project/test_release_workflow.py says what the release may write.
        assert path.name == "release.yml" or set(job["permissions"].items()) <= allowed, name


def test_a_released_image_is_named_with_its_digest_or_not_at_all():
    first, *others = steps(COMPOSITE)
    image = first["env"]["NPUGATE_RELEASED_IMAGE"]
    assert re.fullmatch(r"|ghcr\.io/\S+@sha256:[0-9a-f]{64}", image)
    handed_on = {step["env"].get("NPUGATE_RELEASED_IMAGE") for step in others if "env" in step}
    assert handed_on == {None, "${{ steps.list.outputs.released-image }}"}
    script = (ROOT / "scripts" / "engine.sh").read_text(encoding="utf-8")
    assert "image=${INPUT_IMAGE:-${NPUGATE_RELEASED_IMAGE-}}" in script


def test_every_script_is_run_by_the_action_and_is_there():
    named = {
        match
        for step in steps(COMPOSITE)
        for match in re.findall(r"[\w-]+\.sh", step.get("run", ""))
    }
    others = {"engine.sh", "list-tracked.sh"}  # by these
    assert named | others == {path.name for path in SCRIPTS}


def test_the_readme_shows_the_table():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert inputs_table() in readme


def test_only_files_that_the_build_reads_go_to_the_builder():
    kept = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        name.rstrip("/")
        for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.MULTILINE)
        for name in line.split()[:-1]
    }
    assert copied == set(kept)
    digest = (ROOT / "scripts" / "engine.sh").read_text(encoding="utf-8")
    listed = re.search(r"find (.*?)-type f", digest, re.DOTALL)
    assert listed
    hashed = {name for name in listed[1].split() if name != "\\"}
    for name in copied:
        assert any(name == top or name.startswith(f"{top}/") for top in hashed), name
