"""The example files for other services: read, their command line run, their reports found."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from npugate.commands import arguments as known
from npugate.commands.parser import parser

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "ci"
PROGRAMS = ("$NPUGATE_IMAGE", "npugate")  # by the image, or inside it


def strings(part):
    """Yield every text of a document, at any depth."""
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from strings(item)
    elif isinstance(part, str):
        yield part


def text_of(name):
    return (FOLDER / name).read_text(encoding="utf-8")


def parsed(name):
    return yaml.safe_load(text_of(name))


def scripts(name):
    if name == "Jenkinsfile":
        return re.findall(r"sh '''(.*?)'''", text_of(name), re.DOTALL)
    return list(strings(parsed(name)))


def arguments(name):
    """Return what the file hands to npugate."""
    lines = "\n".join(scripts(name)).replace("\\\n", " ").splitlines()
    found = []
    for line in lines:
        if " check" in line:
            words = shlex.split(line)
            found += [words[words.index(p) + 1 :] for p in PROGRAMS if p in words]
    unique = {tuple(words) for words in found}  # an anchor is read at each place that names it
    assert len(unique) == 1, name
    return list(unique.pop())


PUBLISHED = {
    "gitlab-ci.yml": lambda: set(
        parsed("gitlab-ci.yml")["npugate"]["artifacts"]["reports"].values()
    ),
    "azure-pipelines.yml": lambda: {"npugate-report/junit.xml", "npugate-report/npugate.sarif"},
    "Jenkinsfile": lambda: set(
        re.findall(r"(?:testResults|pattern): '([^']+)'", text_of("Jenkinsfile"))
    ),
    "bitbucket-pipelines.yml": lambda: {"test-results/npugate.xml", "test-results/npugate.sarif"},
    "pre-commit-config.yaml": set,
}


def test_every_example_is_tested_and_listed():
    here = {path.name for path in FOLDER.iterdir()} - {"README.md"}
    assert here == set(PUBLISHED)
    assert set(re.findall(r"\]\(([^)/]+)\)", text_of("README.md"))) == here


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_command_line_is_one_that_npugate_takes(name):
    chosen = parser().parse_args(arguments(name))
    assert chosen.command == "check"
    for report in chosen.report or ():
        assert report.partition("=")[0] in known.FORMATS


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_reports_are_where_the_service_looks_for_them(name):
    chosen = parser().parse_args(arguments(name))
    written = {report.partition("=")[2] for report in chosen.report or ()}
    assert written == PUBLISHED[name]()


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize(("model", "status"), [("bad.onnx", 1), ("clean.onnx", 0)])
def test_the_command_fails_by_its_exit_status_and_leaves_its_reports(tmp_path, name, model, status):
    shutil.copyfile(ROOT / "examples" / "demo" / model, tmp_path / model)
    for folder in ("npugate-report", "test-results"):
        (tmp_path / folder).mkdir()
    command = [sys.executable, ROOT / "entrypoint.py", *arguments(name)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert {path for path in PUBLISHED[name]() if not (tmp_path / path).stat().st_size} == set()


@pytest.mark.parametrize("name", PUBLISHED)
def test_nothing_hides_the_exit_status(name):
    for script in scripts(name):
        assert "|| true" not in script
        assert "exit 0" not in script
    assert not re.search(
        r"allow_failure|continueOnError|returnStatus|--fail-on never", text_of(name)
    )


@pytest.mark.parametrize(
    "name", sorted(set(PUBLISHED) - {"gitlab-ci.yml", "pre-commit-config.yaml"})
)
def test_the_container_has_no_network_and_the_image_comes_from_a_variable(name):
    (script,) = {script for script in scripts(name) if "docker run" in script}
    assert "--network none" in script
    assert "docker.sock" not in script
    assert '"$NPUGATE_IMAGE" check' in script


def test_gitlab_takes_the_image_from_a_variable_and_keeps_the_reports_of_a_failed_job():
    job = parsed("gitlab-ci.yml")["npugate"]
    assert job["image"] == {"name": "$NPUGATE_IMAGE", "entrypoint": [""]}
    assert job["artifacts"]["when"] == "always"


def test_azure_publishes_after_a_failure_and_names_the_artifact_as_its_readers_expect():
    tasks = {
        step["task"]: step for step in parsed("azure-pipelines.yml")["steps"] if "task" in step
    }
    assert {task["condition"] for task in tasks.values()} == {"succeededOrFailed()"}
    assert tasks["PublishBuildArtifacts@1"]["inputs"]["ArtifactName"] == "CodeAnalysisLogs"
    assert tasks["PublishTestResults@2"]["inputs"]["testResultsFiles"] == "npugate-report/junit.xml"


def test_the_jenkinsfile_closes_what_it_opens_and_publishes_always():
    text = re.sub(r"'[^']*'", "", re.sub(r"//[^\n]*", "", text_of("Jenkinsfile")))
    for opening, closing in ("{}", "()", "[]"):
        assert text.count(opening) == text.count(closing)
    always = re.search(r"always \{(.*?)\n        \}", text_of("Jenkinsfile"), re.DOTALL)
    assert all(step in always[1] for step in ("junit ", "recordIssues ", "archiveArtifacts "))


def test_the_hook_is_the_one_that_this_repository_offers():
    (repo,) = parsed("pre-commit-config.yaml")["repos"]
    (hook,) = repo["hooks"]
    offered = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    (docker,) = [one for one in offered if one["language"] == "docker_image"]
    for key in ("entry", "files", "require_serial", "language"):
        assert hook[key] == docker[key]
