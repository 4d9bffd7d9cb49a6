"""Every link of the documentation leads to a file of the repository, and to a heading of it."""

import posixpath
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"!?\[[^\[\]]*\]\(([^()\s]+)\)")
FENCE = re.compile(r"^\s*(```|~~~).*?^\s*\1\s*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)


def tracked():
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = done.stdout.decode().split("\0")
    return frozenset(name for name in names if name and (ROOT / name).is_file())


FILES = tracked()
FOLDERS = {str(parent) for name in FILES for parent in Path(name).parents}
PAGES = sorted(
    name
    for name in FILES
    if name.endswith(".md") and not name.startswith(("tests/fixtures/", "third_party/"))
)


@cache
def prose(name):
    return FENCE.sub("", (ROOT / name).read_text("utf-8"))


def links(name):
    """Return where a page links to; what is in code is no link, but the text of one may be code."""
    text = prose(name)
    plain = CODE.sub(lambda code: "" if "](" in code[0] else "code", text)
    return LINK.findall(plain)


@cache
def anchors(name):
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(name), re.MULTILINE)
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", title).lower() for title in titles)
    return {re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page):
    dead = []
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
        if there not in FILES | FOLDERS or (anchor and anchor not in anchors(there)):
            dead.append(target)
    assert dead == []


def test_links_are_found_where_they_are_and_only_there(tmp_path, monkeypatch):
    text = (
        "[a](one.md) `[b](two.md)` [`c`\nd](three.md#x) ![e](four.png)\n"
        "```\n[f](five.md)\n```\n[g](https://h.example) `` ` `` [i](six.md)\n"
        "## The `code`, **bold** [title](x.md): (2)\n"
    )
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "p.md").write_text(text, encoding="utf-8")
    found = ["one.md", "three.md#x", "four.png", "https://h.example", "six.md", "x.md"]
    assert links("p.md") == found
    assert anchors("p.md") == {"the-code-bold-title-2"}


def test_readme_and_contributing_lead_to_what_a_newcomer_looks_for():
    for page, wanted in {
        "README.md": ["docs/writing-a-target.md", "docs/why.md", "docs/rules/README.md",
                      "docs/repairs/README.md", "docs/architecture.md", "CONTRIBUTING.md"],
        "CONTRIBUTING.md": ["docs/writing-a-target.md", "docs/architecture.md"],
    }.items():  # fmt: skip
        assert [target for target in wanted if target not in links(page)] == []
