"""Make the site out of the repository's own Markdown; mkdocs calls the functions named ``on_…``.

The pages below ``docs/`` are taken as they are. README.md is taken apart into pages by its
sections, and CONTRIBUTING.md and others that stand elsewhere become pages, too. A link from one
file of the repository to another becomes a link between pages; one to a file that is no page
becomes a link into the repository at the commit that is built, where a workflow says which that is,
else plain code.

Needs mkdocs and of npugate only ``SITE``, the address that the site is built for.
"""

from __future__ import annotations

import os
import posixpath
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

# The checkout: the environment that builds the site has no npugate.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from npugate import SITE

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = "docs/"
# Sections of README.md by their page; what stands before the first of them opens index.md.
SECTIONS: Final[Mapping[str, Sequence[str]]] = {
    "index.md": ("Try it", "What it checks", "What is here and what is not"),
    "check.md": ("On the command line", "Will it fit, and will it run on the NPU?", "See it"),
    "repair.md": ("Repair",),
    "quantise-and-deploy.md": ("Quantise and evaluate", "The whole road"),
    "action.md": ("As a GitHub Action",),
}
TITLES: Final = {"check.md": "Check", "quantise-and-deploy.md": "Quantise and deploy"}
# Files elsewhere than in docs/ that are pages, too.
OTHERS: Final = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "examples/ci/README.md": "examples/ci.md",
    "examples/networks/README.md": "examples/networks.md",
    "examples/rppg/README.md": "examples/rppg.md",
}
LISTED: Final = ("rules", "repairs", "targets")  # folders whose every page is in the navigation

_FENCE: Final = re.compile(r"^\s*(```|~~~)")
# A link, or code, which is left alone; the text of a link may be code itself and break a line.
_LINK: Final = re.compile(
    r"(?P<code>(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`))"
    r"|(?P<image>!?)\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s]+)\)",
    re.DOTALL,
)
_HEADING: Final = re.compile(r"^## (.+)$")
_ELSEWHERE: Final = re.compile(r"[a-z][a-z0-9+.-]*:|#|/", re.IGNORECASE)
_SERVER: Final = re.compile(r"https://[A-Za-z0-9.-]+")


class SiteError(ValueError):
    """The Markdown cannot become the site; the text says what to change."""


class Config(Protocol):
    """What is used of the configuration of mkdocs."""

    site_url: str
    nav: list[Any]


class _File(Protocol):
    src_uri: str


class _Page(Protocol):
    file: _File


def on_config(config: Config) -> Config:
    """Set the address of the site, and list every page of the folders of generated pages."""
    config.site_url = SITE
    config.nav = [listed(entry) for entry in config.nav]
    return config


def on_files(files: Any, config: Config) -> Any:  # noqa: ANN401 - a collection of mkdocs
    """Add the pages that are made of files elsewhere than in docs/."""
    generated = import_module("mkdocs.structure.files").File.generated
    readme = (ROOT / "README.md").read_text("utf-8")
    try:
        found = dict(taken_apart(readme))
    except SiteError as error:
        raise _told(error) from error
    found |= {page: (ROOT / name).read_text("utf-8") for name, page in OTHERS.items()}
    for page, text in found.items():
        files.append(generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: _Page, **_: object) -> str:
    """Return the Markdown of a page with the links that it has on the site."""
    here = page.file.src_uri
    try:
        return linked(markdown, origin(here), here, source_link(_repository()))
    except SiteError as error:
        raise _told(error) from error


def _told(error: SiteError) -> Exception:
    """Return the error that mkdocs ends with in a sentence."""
    told: Exception = import_module("mkdocs.exceptions").PluginError(str(error))
    return told


def listed(entry: Any) -> Any:  # noqa: ANN401 - an entry of a navigation is a name or a table
    """Return an entry of the navigation; that of a folder gets all the pages of the folder."""
    if not isinstance(entry, dict):
        return entry
    ((title, pages),) = entry.items()
    folder = pages[0].partition("/")[0] if isinstance(pages, list) else ""
    if folder not in LISTED or pages[0] != f"{folder}/README.md":
        return entry
    here = ROOT / DOCS / folder
    names = sorted(path.name for path in here.glob("*.md") if path.name != "README.md")
    return {title: [*pages, *(f"{folder}/{name}" for name in names)]}


def taken_apart(readme: str) -> Iterator[tuple[str, str]]:
    """Yield the pages that README.md is made into, each with its text.

    Raises:
        SiteError: a section is on no page, or a page's section is not in the README.
    """
    opening, sections = _sections(readme)
    wanted = [title for titles in SECTIONS.values() for title in titles]
    if unknown := [title for title in sections if title not in wanted]:
        raise SiteError(f"README.md: name the page of the section {unknown[0]!r} in {__file__}")
    if missing := [title for title in wanted if title not in sections]:
        raise SiteError(f"README.md has no section {missing[0]!r}, which {__file__} names")
    for page, titles in SECTIONS.items():
        if page == "index.md":
            parts = [opening]
        elif page in TITLES:
            parts = [f"# {TITLES[page]}\n"]
        else:  # one section, whose heading is the page's
            yield page, sections[titles[0]].removeprefix("#")
            continue
        yield page, "\n".join([*parts, *(sections[title] for title in titles)])


def _sections(text: str) -> tuple[str, dict[str, str]]:
    """Return what stands before the first section, and the sections by their titles."""
    opening: list[str] = []
    sections: dict[str, list[str]] = {}
    lines, fenced = opening, False
    for line in text.splitlines():
        fenced ^= bool(_FENCE.match(line))
        heading = None if fenced else _HEADING.match(line)
        if heading:
            lines = sections.setdefault(heading[1], [])
        lines.append(line)
    return "\n".join(opening), {title: "\n".join(part) + "\n" for title, part in sections.items()}


def origin(page: str) -> str:
    """Return the file of the repository that a page of the site is made of."""
    if page in SECTIONS:
        return "README.md"
    return next((name for name, made in OTHERS.items() if made == page), f"{DOCS}{page}")


def page_of(name: str) -> str | None:
    """Return the page that a file or folder of the repository is on; None where it is on none."""
    if name == "README.md":
        return "index.md"
    if name in OTHERS:
        return OTHERS[name]
    return name.removeprefix(DOCS) if name.startswith(DOCS) else None


SourceLink = Callable[[str, str], str]
"""Returns the Markdown of a link to a file that is no page, from its text and its path."""


def source_link(blob: str) -> SourceLink:
    """Return what links to files of the repository; with an empty address it writes code."""

    def link(text: str, path: str) -> str:
        shown = text if text.startswith("`") else f"`{text}`"
        return f"[{text}]({blob}/{path})" if blob else shown

    return link


def linked(markdown: str, source: str, page: str, source_link: SourceLink) -> str:
    """Return Markdown with the links that its page has on the site.

    Args:
        markdown: as the file of the repository has it.
        source: that file, by its path from the root.
        page: the page that it is on.
        source_link: writes a link to a file that is no page.

    Raises:
        SiteError: a link leads to no file of the repository.
    """

    def moved(match: re.Match[str]) -> str:
        if match["code"] or _ELSEWHERE.match(match["target"]):
            return match[0]
        target, hash_mark, anchor = match["target"].partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if path.startswith("..") or not (ROOT / path).exists():
            raise SiteError(f"{source}: the link to {target} leads to no file")
        there = page_of(path)
        if there is None:
            return source_link(match["text"], path)
        here = posixpath.relpath(there, posixpath.dirname(page) or ".")
        return f"{match['image']}[{match['text']}]({here}{hash_mark}{anchor})"

    return "".join(
        part if is_code else _LINK.sub(moved, part) for part, is_code in _blocks(markdown)
    )


def _blocks(markdown: str) -> Iterator[tuple[str, bool]]:
    """Yield Markdown in parts, each with whether it is code; together they are the whole."""
    fenced = False
    part = ""
    for line in markdown.splitlines(keepends=True):
        if not _FENCE.match(line):
            part += line
            continue
        yield (f"{part}{line}", True) if fenced else (part, False)
        part = "" if fenced else line
        fenced = not fenced
    yield part, fenced


def _repository() -> str:
    """Return the address below which the files that are built can be seen; empty where unknown."""
    server, name, commit = (
        os.environ.get(f"GITHUB_{key}", "") for key in ("SERVER_URL", "REPOSITORY", "SHA")
    )
    if not _SERVER.fullmatch(server) or not name or not commit:
        return ""
    return f"{server}/{name}/blob/{commit}"
