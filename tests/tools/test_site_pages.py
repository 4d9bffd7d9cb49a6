"""The site is made of the same Markdown: its pages, its links and its navigation."""

import importlib.util
import re
from types import SimpleNamespace

import pytest

from npugate.rules import registry
from npugate.target import profiles
from tests.project import test_links
from tests.project.test_action_yml import ROOT, load
from tests.project.test_links import PAGES

spec = importlib.util.spec_from_file_location("site_pages", ROOT / "tools/site_pages.py")
site_pages = importlib.util.module_from_spec(spec)
spec.loader.exec_module(site_pages)

README = (ROOT / "README.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
CONFIG = load(ROOT / "mkdocs.yml")
BLOB = "https://github.com/o/n/blob/abc"


def flat(entries):
    for entry in entries:
        if isinstance(entry, dict):
            yield from flat(next(iter(entry.values())))
        else:
            yield entry


def navigation():
    config = SimpleNamespace(nav=CONFIG["nav"], site_url=None)
    return site_pages.on_config(config)


def moved(text, source="docs/why.md", page=None, blob=""):
    page = page or site_pages.page_of(source)
    return site_pages.linked(text, source, page, site_pages.source_link(blob))


# --- navigation -----------------------------------------------------------------------------------


def test_the_navigation_has_the_sections_that_were_asked_for():
    assert [title for entry in CONFIG["nav"] for title in entry] == [
        "Start", "Check", "Repair", "Quantise and deploy", "Action", "Rules", "Repairs", "Targets",
        "Evidence", "Contributing",
    ]  # fmt: skip


def test_every_page_is_in_the_navigation_once():
    named = list(flat(navigation().nav))
    made = [name.removeprefix("docs/") for name in PAGES if name.startswith("docs/")]
    made += [*site_pages.SECTIONS, *site_pages.OTHERS.values()]
    assert sorted(named) == sorted(made)


def test_rules_repairs_and_targets_have_a_page_each():
    named = set(flat(navigation().nav))
    assert {f"rules/{rule.name}.md" for rule in registry.rules().values()} <= named
    assert {f"repairs/{name}.md" for name in registry.repairs()} <= named
    assert {f"targets/{name}.md" for name in profiles.names()} <= named


def test_the_site_is_built_for_the_address_that_the_reports_link_to(monkeypatch):
    monkeypatch.setattr(site_pages, "SITE", "https://docs.example/npugate/")
    assert navigation().site_url == "https://docs.example/npugate/"
    assert "site_url" not in CONFIG


def test_a_dead_link_fails_the_build():
    assert re.search(r"mkdocs build --strict --clean$", MAKEFILE, re.MULTILINE)
    kinds = {key for table in CONFIG["validation"].values() for key in table.items()}
    assert {level for _, level in kinds} == {"warn"}
    assert {"not_found", "anchors", "omitted_files"} <= {name for name, _ in kinds}


# --- pages of the README --------------------------------------------------------------------------


def test_the_readme_is_on_the_site_whole_and_each_section_once():
    pages = dict(site_pages.taken_apart(README))
    assert list(pages) == ["index.md", *list(site_pages.SECTIONS)[1:]]
    lines = [line for line in README.splitlines() if line and not line.startswith("#")]
    shown = [line for text in pages.values() for line in text.splitlines() if line]
    assert sorted(lines) == sorted(line for line in shown if not line.startswith("#"))
    for text in pages.values():
        assert re.match(r"# \S", text)
        headings = re.findall(r"^# ", test_links.FENCE.sub("", text), re.MULTILINE)
        assert len(headings) == 1


def test_a_section_that_is_on_no_page_is_told():
    with pytest.raises(site_pages.SiteError, match="the section 'New'"):
        dict(site_pages.taken_apart(f"{README}\n## New\n\ntext\n"))
    with pytest.raises(site_pages.SiteError, match="has no section 'Repair'"):
        dict(site_pages.taken_apart(README.replace("\n## Repair\n", "\n## Try it\n")))


def test_a_heading_in_a_listing_begins_no_section():
    dict(site_pages.taken_apart(f"{README}\n```\n## New\n```\n"))


# --- links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "page", "target", "expected"),
    [
        ("README.md", "index.md", "docs/rules/README.md", "rules/README.md"),
        ("README.md", "check.md", "docs/estimate.md", "estimate.md"),
        ("README.md", "index.md", "CONTRIBUTING.md#add-a-rule", "contributing.md#add-a-rule"),
        ("examples/rppg/README.md", "examples/rppg.md", "../../docs/deploy.md", "../deploy.md"),
        ("docs/why.md", "why.md", "estimate.md#placement", "estimate.md#placement"),
        ("docs/deploy.md", "deploy.md", "../examples/rppg/README.md", "examples/rppg.md"),
        ("docs/walkthrough.md", "walkthrough.md", "pictures/comment.png", "pictures/comment.png"),
    ],
)
@pytest.mark.parametrize("shown", ["[text]", "![text]", "[a text\nin lines]", "[`code`]"])
def test_a_link_between_files_is_one_between_pages(source, page, target, expected, shown):
    assert moved(f"({shown}({target}))", source, page) == f"({shown}({expected}))"
    assert site_pages.origin(page) == source


def test_a_link_to_a_file_that_is_no_page_leads_into_the_repository_or_is_code():
    text = "[the schema](../npugate/report.schema.json), [`errors`](../npugate/errors.py)"
    assert moved(text) == "`the schema`, `errors`"
    assert moved(text, blob=BLOB) == (
        f"[the schema]({BLOB}/npugate/report.schema.json), [`errors`]({BLOB}/npugate/errors.py)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "`[a](../npugate/errors.py)`",
        "``[a](gone.md) ` ``",
        "```\n[a](gone.md)\n```\n",
        "text\n\n~~~\n[a](gone.md)\n",
        "[a](https://docs.example/x)",
        "[a](#placement)",
    ],
)
def test_code_and_links_to_elsewhere_are_left_alone(text):
    assert moved(text) == text


@pytest.mark.parametrize("target", ["gone.md", "../../outside.md", "../npugate/no_such.py"])
def test_a_link_to_nothing_is_told(target):
    with pytest.raises(site_pages.SiteError, match=re.escape(f"docs/why.md: the link to {target}")):
        moved(f"text\n[a]({target})")


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_of_the_repository_can_be_moved(name):
    if site_pages.page_of(name):
        text = (ROOT / name).read_text("utf-8")
        assert "](../npugate/" not in re.sub(r"`[^`]*`", "", moved(text, name, blob=BLOB))


def test_the_repository_is_known_in_a_workflow_only(monkeypatch):
    for key, value in (("SERVER_URL", "https://github.com"), ("REPOSITORY", "o/n"), ("SHA", "abc")):
        monkeypatch.setenv(f"GITHUB_{key}", value)
    assert site_pages._repository() == BLOB
    monkeypatch.delenv("GITHUB_SHA")
    assert site_pages._repository() == ""


# --- publishing -----------------------------------------------------------------------------------


def test_the_workflow_publishes_what_make_site_built_and_only_from_the_default_branch():
    workflow = load(ROOT / ".github" / "workflows" / "site.yml")
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    assert {"run": "make site"} in build["steps"]
    (upload,) = [step for step in build["steps"] if "upload-pages" in step.get("uses", "")]
    assert upload["with"]["path"] == CONFIG["site_dir"]
    assert build["permissions"] == {"contents": "read"}
    assert "run" not in str([list(step) for step in publish["steps"]])
    assert "github.event_name != 'pull_request'" in publish["if"]
    assert "github.event.repository.default_branch" in publish["if"]
