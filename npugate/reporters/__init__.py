"""The report as text, JSON, JUnit, SARIF, Markdown or Code Quality: each ``render(report) -> str``.

A format is one file with a function ``render`` and one row here. A module is imported when its
format is first used, so that a run that prints text loads no XML writer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final, cast

from npugate.report.values import Report

__all__ = ["REPORTERS", "Render"]

Render = Callable[[Report], str]


def _lazy(module: str) -> Render:
    def render(report: Report) -> str:
        found = cast("Render", import_module(f"npugate.reporters.{module}").render)
        return found(report)

    return render


REPORTERS: Final[Mapping[str, Render]] = {
    name: _lazy(name)
    for name in (
        "text",
        "json",
        "junit",
        "sarif",
        "markdown",
        "gitlab",
        "html",
    )
}
