"""Make the pictures of docs/walkthrough.md: comment, summary and page of a small pull request.

::

    pip install markdown-it-py linkify-it-py
    npm pack mermaid@11 && tar xzf mermaid-11.*.tgz package/dist/mermaid.min.js
    python tools/walkthrough.py docs/pictures package/dist/mermaid.min.js

Needs a Chromium and a font with emoji. The pull request adds a model that the compiler refuses and
one that can be repaired to a branch whose base has a bad model already. Markdown is drawn in a
style like GitHub's, with the library that GitHub uses for drawings.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT), str(_ROOT / "tools")]

from devtools import Browser, find  # noqa: E402 - the folder is on the path only now
from markdown_it import MarkdownIt  # noqa: E402 - as above
from PIL import Image  # noqa: E402 - as above

from npugate.commands import action  # noqa: E402 - as above
from npugate.console import Console  # noqa: E402 - as above
from npugate.github import pages  # noqa: E402 - as above
from npugate.reporters import reading  # noqa: E402 - as above

_STYLE: Final = """
body { font: 14px/1.5 -apple-system, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif;
  color: #1f2328; background: #fff; margin: 0; padding: 24px; width: 880px; }
.box { border: 1px solid #d0d7de; border-radius: 6px; }
.head { background: #f6f8fa; border-bottom: 1px solid #d0d7de; padding: 8px 16px; color: #59636e;
  border-radius: 6px 6px 0 0; }
.head b { color: #1f2328; }
.page { padding: 4px 16px 12px; }
h2 { border-bottom: 1px solid #d0d7de; padding-bottom: .3em; font-size: 1.5em; }
table { border-collapse: collapse; margin: 0 0 16px; }
th, td { border: 1px solid #d0d7de; padding: 6px 13px; }
tr:nth-child(2n) td { background: #f6f8fa; }
code, pre { background: #818b981f; border-radius: 6px; font: 85% "DejaVu Sans Mono", monospace; }
code { padding: .2em .4em; } pre { padding: 12px; overflow: auto; } pre code { background: none; }
blockquote { border-left: .25em solid #d0d7de; color: #59636e; margin: 0 0 16px; padding: 0 1em; }
summary { cursor: pointer; } details { margin-bottom: 8px; } a { color: #0969da; }
ul { padding-left: 2em; }
"""
_DRAWING: Final = re.compile(r'<pre><code class="language-mermaid">(.*?)</code></pre>', re.DOTALL)
_DRAW: Final = """
mermaid.initialize({ startOnLoad: false });
const closed = [...document.querySelectorAll("details:not([open])")];
closed.forEach((part) => { part.open = true; }); // what is hidden has no size to draw by
mermaid.run().catch((error) => console.error(error.str ?? String(error))).then(() => {
  closed.forEach((part) => { part.open = false; });
  document.documentElement.dataset.ready = "1";
});
"""
_CHOOSE: Final = """
const choice = document.getElementById("model");
choice.value = [...choice.options].find((o) => o.text.includes("models/rppg.onnx")).value;
choice.dispatchEvent(new Event("change"));
document.getElementById("side-after").click();
document.querySelectorAll("section").forEach((part) => { part.style.padding = "12px"; });
new Promise((done) => setTimeout(done, 1500));
"""
_OLD: Final = "models/legacy.onnx"
_ADDED: Final = {
    "models/gesture.onnx": "examples/demo/bad.onnx",
    "models/rppg.onnx": "tests/fixtures/models/rppg_4d_fp32_dynamo.onnx",
    "models/clean.onnx": "examples/demo/clean.onnx",
}


def main() -> int:
    """Write the pictures into the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("mermaid", type=Path)
    chosen = parser.parse_args()
    program = find()
    if program is None:
        sys.stderr.write("no Chromium is installed\n")
        return 77
    chosen.target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        out = _checked(place)
        summary = (place / "summary.md").read_text(encoding="utf-8")
        report = reading.read((out / "npugate.json").read_bytes())
        comment = pages.sticky(report, "", _environment(place)).body
        library = chosen.mermaid.read_text(encoding="utf-8")
        head = "<b>github-actions</b> bot commented now"
        opened = comment.replace("<details>", "<details open>", 2)  # the worst model, its charts
        with Browser(program, 930, 900) as browser:
            _shoot(browser, _page(head, opened, library), chosen.target / "comment.png")
            head = "<b>Summary</b> of the job"
            _shoot(browser, _page(head, summary, library), chosen.target / "summary.png")
        with Browser(program, 1180, 860) as browser:
            _shoot_page(browser, out / "npugate.html", chosen.target)
    return 0


def _checked(place: Path) -> Path:
    """Run the action on a pull request; return the folder of its reports."""
    workspace, base = place / "checkout", place / "base"
    for folder in (workspace / "models", base / "models"):
        folder.mkdir(parents=True)
    for root in (workspace, base):
        shutil.copyfile(_ROOT / "examples/demo/bad.onnx", root / _OLD)
    for path, source in _ADDED.items():
        shutil.copyfile(_ROOT / source, workspace / path)
    shutil.copytree(_ROOT / "examples/rppg", workspace / "examples/rppg")
    (workspace / "npugate.toml").write_text('fail-on = "error"\n', encoding="utf-8")
    settings = place / "settings"
    settings.mkdir()
    (settings / "npugate.toml").write_text('fail-on = "warning"\n', encoding="utf-8")
    changes = [f"A\0{path}\0" for path in _ADDED] + [f"M\0{_OLD}\0", "M\0npugate.toml\0"]
    (base / ".changes").write_text("".join(changes), encoding="utf-8")
    (place / "changes").write_text("".join(changes), encoding="utf-8")
    for words in (["init", "-q"], ["add", "-A"]):
        command = ["git", "-C", str(workspace), *words]
        subprocess.run(command, check=True)  # noqa: S603 - the one on PATH, words of ours
    before = Path.cwd()
    os.chdir(workspace)
    with (place / "log").open("w", encoding="utf-8") as log:
        console = Console(_environment(place), log, log)
        code = action.run(argparse.Namespace(), console)
    os.chdir(before)
    if code != 1:
        raise SystemExit(f"the check ended with {code}: {(place / 'log').read_text()[-2000:]}")
    return place / "out"


def _environment(place: Path) -> Mapping[str, str]:
    return {
        "PATH": os.environ["PATH"],  # noqa: TID251 - a tool hands on what it was given
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_WORKSPACE": str(place / "checkout"),
        "GITHUB_STEP_SUMMARY": str(place / "summary.md"),
        "GITHUB_OUTPUT": str(place / "output"),
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "owner/project",
        "GITHUB_SHA": "0" * 40,
        "GITHUB_RUN_ID": "7",
        "NPUGATE_FOLDER": str(place / "out"),
        "NPUGATE_CHANGES": str(place / "changes"),
        "NPUGATE_BASE_FOLDER": str(place / "base"),
        "NPUGATE_SETTINGS": str(place / "settings"),
        "INPUT_FIX": "true",
        "INPUT_MODELS": "models",
        "INPUT_REPORTS": "json, html",
    }


def _page(head: str, text: str, library: str) -> str:
    drawn = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text)
    drawn = _DRAWING.sub(r'<pre class="mermaid">\1</pre>', drawn)
    body = f'<div class="box"><div class="head">{head}</div><div class="page">{drawn}</div></div>'
    return (
        f"<!doctype html><html><meta charset=utf-8><style>{_STYLE}</style>{body}"
        f"<script>{library}</script><script>{_DRAW}</script>"
    )


def _shoot(browser: Browser, page: str, target: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as file:
        file.write(page)
        file.flush()
        browser.open(Path(file.name))
        browser.picture(target)
        _shrink(target)


def _shoot_page(browser: Browser, page: Path, target: Path) -> None:
    """Take pictures of the parts of the HTML page that show one model, after its repair."""
    browser.ask("Emulation.setScrollbarsHidden", hidden=True)
    browser.open(page)
    browser.run(_CHOOSE)
    for part in ("overview", "repair", "graph", "memory", "time"):
        browser.picture(target / f"page-{part}.png", f"#{part}")
        _shrink(target / f"page-{part}.png")


def _shrink(picture: Path) -> None:
    """Write a picture anew with few colours: it goes into the repository."""
    Image.open(picture).convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE).save(
        picture, optimize=True
    )


if __name__ == "__main__":
    sys.exit(main())
