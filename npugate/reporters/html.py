"""The report as one page that needs nothing else: no server, no network (docs/report-page.md).

The page's program and styles are in ``page/``, the libraries that draw in ``third_party/``. Each is
written into the page as published and named by its digest in the page's content security policy,
which forbids everything else: a name in a model that got past the escaping would still not run.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Final

from npugate import escape
from npugate.report.values import Report
from npugate.reporters import outline
from npugate.reporters.pagedata import page
from npugate.sha256 import sha256

_HERE: Final = Path(__file__).resolve().parent
_OURS: Final = _HERE / "page"
_STYLES: Final = ("page.css",)
_SCRIPTS: Final = ("basics.js", "tables.js", "graph.js", "charts.js", "page.js")
_LIBRARIES: Final = (
    ("cytoscape", "cytoscape.min.js"),
    ("dagre", "dagre.min.js"),
    ("uplot", "uPlot.iife.min.js"),
)
_LIBRARY_STYLES: Final = (("uplot", "uPlot.min.css"),)
# cytoscape adds a style element of its own, which the policy forbids, unless it finds this one.
_CYTOSCAPE_STYLE: Final = (
    "__________cytoscape_stylesheet",
    ".__________cytoscape_container { position: relative; }",
)
_SOURCE_MAP: Final = re.compile(r"^//# sourceMappingURL=.*$", re.MULTILINE)
_HOLE: Final = re.compile(r"\{\{(\w+)\}\}")


def render(report: Report, sources: str = "") -> str:
    """Return the page.

    Args:
        report: a whole run; graphs and estimates are drawn where its models have them.
        sources: what a path is put behind to link to it, for example
            ``https://github.com/OWNER/NAME/blob/main/``; empty links nothing.
    """
    styles = [_CYTOSCAPE_STYLE]
    styles += [("", _bundled(library, name)) for library, name in _LIBRARY_STYLES]
    styles += [("", _read(_OURS / name)) for name in _STYLES]
    scripts = [_bundled(library, name) for library, name in _LIBRARIES]
    scripts += [_read(_OURS / name) for name in _SCRIPTS]
    title = report.models[0].path if len(report.models) == 1 else f"{len(report.models)} models"
    holes = {
        "policy": _policy(scripts, [style for _, style in styles]),
        "title": escape.attribute(f"{outline.verdict_word(report)}: {title}", escape.NAME_LIMIT),
        "licences": "\n".join(_licence(library) for library, _ in _LIBRARIES),
        "styles": "\n".join(_style(name, text) for name, text in styles),
        "data": escape.json_script(page(report, sources)),
        "scripts": "\n".join(f"<script>{text}</script>" for text in scripts),
    }
    return _HOLE.sub(lambda match: holes[match[1]], _read(_OURS / "page.html"))


def _style(name: str, text: str) -> str:
    return f'<style id="{name}">{text}</style>' if name else f"<style>{text}</style>"


def _policy(scripts: list[str], styles: list[str]) -> str:
    """Return a policy that runs these scripts, uses these styles, and allows no request."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_digest, scripts))}",
            f"style-src {' '.join(map(_digest, styles))}",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    raw = bytes.fromhex(sha256(text.encode()))
    return f"'sha256-{base64.b64encode(raw).decode()}'"


def _third_party(library: str) -> Path:
    """Return the folder of a library: in a wheel, else in a checkout."""
    installed = _HERE.parent / "third_party" / library
    return installed if installed.is_dir() else _HERE.parents[1] / "third_party" / library


def _bundled(library: str, name: str) -> str:
    return _SOURCE_MAP.sub("", _read(_third_party(library) / name))


def _licence(library: str) -> str:
    text = _read(_third_party(library) / "LICENSE").replace("--", "- -")
    return f"<!-- {library}:\n{text.strip()}\n-->"


def _read(path: Path) -> str:
    """Return a file of ours; characters that a log would act on are written as escapes."""
    text = path.read_text(encoding="utf-8")
    return "".join(c if c.isprintable() or c == "\n" else _written(c) for c in text)


def _written(char: str) -> str:
    return {"\t": " ", "\r": ""}.get(char, f"\\u{ord(char):04x}")
