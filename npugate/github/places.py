"""Addresses on GitHub that a page links to, from what the runner says of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from npugate.report.documentation import FILE_SUFFIX, OF_SITE, Documentation

_SERVER: Final = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?")
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
_COMMIT: Final = re.compile(r"[0-9a-f]{40,64}")
_NUMBER: Final = re.compile(r"[0-9]{1,20}")
_REVISION: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")
# An action on a server of one's own may come from that server or from here: nothing says which.
_PUBLIC: Final = "https://github.com"
_BELOW: Final = re.compile(r"(/[A-Za-z0-9_.-]+)+")


def repository(environment: Mapping[str, str]) -> str:
    """Return ``owner/name``; empty when it is not one."""
    name = environment.get("GITHUB_REPOSITORY", "")
    return name if _REPOSITORY.fullmatch(name) and "/." not in f"/{name}" else ""


def blob(environment: Mapping[str, str]) -> str:
    """Return the address below which the checked files are shown; empty when it is not known."""
    here, commit = _here(environment), environment.get("GITHUB_SHA", "")
    return f"{here}/blob/{commit}" if here and _COMMIT.fullmatch(commit) else ""


def run(environment: Mapping[str, str]) -> str:
    """Return the address of the run; empty when it is not known."""
    here, number = _here(environment), environment.get("GITHUB_RUN_ID", "")
    if not here or not _NUMBER.fullmatch(number):
        return ""
    attempt = environment.get("GITHUB_RUN_ATTEMPT", "")
    again = f"/attempts/{attempt}" if _NUMBER.fullmatch(attempt) and attempt != "1" else ""
    return f"{here}/actions/runs/{number}{again}"


def artifact(environment: Mapping[str, str]) -> str:
    """Return the address of the uploaded reports; empty when there are none."""
    given = environment.get("NPUGATE_ARTIFACT_URL", "")
    here = _here(environment)
    if not here or not given.startswith(here) or not _BELOW.fullmatch(given[len(here) :]):
        return ""
    return "" if {".", ".."} & set(given.split("/")) else given


def documentation(environment: Mapping[str, str]) -> Documentation:
    """Return where the pages of rules and repairs are: on the site, else where the action is from.

    They are nowhere where the action stands in the checkout (``uses: ./``), and where the input
    ``image`` runs a program that may be of another revision.
    """
    if OF_SITE.base:
        return OF_SITE
    name = environment.get("GITHUB_ACTION_REPOSITORY", "")
    revision = environment.get("GITHUB_ACTION_REF", "")
    known = _REPOSITORY.fullmatch(name) and "/." not in f"/{name}"
    if not known or not _REVISION.fullmatch(revision) or environment.get("INPUT_IMAGE"):
        return Documentation()
    if environment.get("GITHUB_SERVER_URL") != _PUBLIC:
        return Documentation()
    return Documentation(f"{_PUBLIC}/{name}/blob/{revision}/docs/", FILE_SUFFIX)


def _here(environment: Mapping[str, str]) -> str:
    server, name = environment.get("GITHUB_SERVER_URL", ""), repository(environment)
    return f"{server}/{name}" if name and _SERVER.fullmatch(server) else ""
