"""Every report in every format: each is a pure function ``render(report) -> str``.

A format of the report of a check is one file with a function ``render`` and one row of ``FILES``.
A module is imported when its format is first used, so that a run that prints text loads no XML
writer. The reports of other commands (``quantized``, ``evaluated``, ``exported``, ``deployment``)
are one file each, which names its formats in ``FORMATS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast

if TYPE_CHECKING:  # annotations only: the command line asks for the names of the formats
    from npugate.report.values import Report

__all__ = ["FILES", "REPORTERS", "Render"]

R_contra = TypeVar("R_contra", contravariant=True)


class Render(Protocol[R_contra]):
    """One format of one kind of report: deterministic, without clock, environment or files."""

    def __call__(self, report: R_contra, /) -> str:
        """Return the whole report."""


def _lazy(module: str) -> Render[Report]:
    def render(report: Report, /) -> str:
        found = cast("Render[Report]", import_module(f"npugate.reporters.{module}").render)
        return found(report)

    return render


FILES: Final[Mapping[str, str]] = {
    "text": "npugate.txt",
    "json": "npugate.json",
    "junit": "npugate.junit.xml",
    "sarif": "npugate.sarif",
    "markdown": "npugate.md",
    "gitlab": "npugate.gitlab.json",
    "html": "npugate.html",
}
"""Every format of the report of a check -> the file in which the action keeps it."""

REPORTERS: Final[Mapping[str, Render[Report]]] = {name: _lazy(name) for name in FILES}
