"""The report of ``npugate deploy``: JSON (``npugate-deploy/1``), Markdown, and a page."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import to_builtins

from npugate import escape
from npugate.deploy.values import Criterion, Deployment, Outcome, Result, Verdict
from npugate.reporters import Render

SCHEMA: Final = "npugate-deploy/1"
_MARKS: Final = {Verdict.PASSED: "✅", Verdict.FAILED: "❌", Verdict.SKIPPED: "⏭️"}
_BOXES: Final = {True: "[x]", False: "[ ]", None: "[?]"}
_DIGITS: Final = 12  # of a digest that is shown; JSON has all


def document(deployment: Deployment) -> str:
    """Return the report as one JSON object."""
    outcomes = [
        {**to_builtins(outcome), "passed": outcome.passed} for outcome in deployment.outcomes
    ]
    return escape.json_document(
        {
            "schema": SCHEMA,
            "version": deployment.version,
            "passed": deployment.passed,
            "given": dict(deployment.given),
            "plans": outcomes,
        }
    )


def markdown(deployment: Deployment) -> str:
    """Return the report as Markdown."""
    return "".join(f"{line}\n" for line in _markdown(deployment))


def _markdown(deployment: Deployment) -> Iterator[str]:
    word = "PASS" if deployment.passed else "FAIL"
    yield f"# Deployment report: {word}"
    yield ""
    yield f"npugate {escape.markdown(deployment.version)}"
    yield ""
    for name, value in deployment.given:
        yield f"- {escape.markdown(name)}: {escape.markdown_code(value)}"
    for outcome in deployment.outcomes:
        yield ""
        yield from _plan(outcome)


def _plan(outcome: Outcome) -> Iterator[str]:
    yield f"## Plan {escape.markdown(outcome.plan)}: {'PASS' if outcome.passed else 'FAIL'}"
    yield ""
    for criterion in outcome.criteria:
        found = escape.markdown(criterion.found)
        yield f"- {_BOXES[criterion.is_met]} {escape.markdown(criterion.text)}: {found}"
    yield ""
    yield "| step | verdict | figures |"
    yield "|---|---|---|"
    for step in outcome.steps:
        cells = [f"{what} {how}" for what, how in step.figures]
        said = "; ".join([*([step.reason] if step.reason else []), *cells])
        verdict = f"{_MARKS[step.verdict]} {step.verdict.value}{_when(step)}"
        yield f"| {escape.markdown(step.title)} | {verdict} | {escape.markdown(said)} |"
    yield ""
    yield "Files made:"
    yield ""
    for step in outcome.steps:
        for path, digest in step.made:
            yield f"- {escape.markdown_code(path)} {escape.markdown_code(digest[:_DIGITS])}"
    yield ""
    yield "Commands:"
    yield ""
    for step in outcome.steps:
        yield f"- {escape.markdown_code(step.command, escape.DATA_LIMIT)}"


def _when(step: Result) -> str:
    if step.verdict is Verdict.SKIPPED:
        return ""
    return ", unchanged" if step.is_cached else f", {step.seconds:.1f} s"


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Deployment report</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }}
body {{ max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .6rem; }}
tr {{ border-bottom: 1px solid gray; }}
code {{ font-size: .85em; overflow-wrap: anywhere; }}
.passed, .met {{ color: #1a7f37; }} .failed, .missed {{ color: #cf222e; }}
.skipped, .unknown {{ color: #777; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 0 .8rem; margin: 0; }}
dt {{ opacity: .7; }} dd {{ margin: 0; }}
</style></head><body>
{body}
</body></html>
"""


def page(deployment: Deployment) -> str:
    """Return the report as one page that makes no request."""
    return _PAGE.format(body="\n".join(_body(deployment)))


def _body(deployment: Deployment) -> Iterator[str]:
    yield f"<h1>Deployment report: {'PASS' if deployment.passed else 'FAIL'}</h1>"
    yield f"<p>npugate {_text(deployment.version)}</p>"
    rows = "".join(
        f"<dt>{_text(n)}</dt><dd><code>{_text(v)}</code></dd>" for n, v in deployment.given
    )
    yield f"<dl>{rows}</dl>"
    for outcome in deployment.outcomes:
        yield f"<h2>Plan {_text(outcome.plan)}: {'PASS' if outcome.passed else 'FAIL'}</h2>"
        yield f"<ul>{''.join(_criterion(item) for item in outcome.criteria)}</ul>"
        yield "<table><thead><tr><th>step<th>verdict<th>figures</tr></thead><tbody>"
        yield from (_row(step) for step in outcome.steps)
        yield "</tbody></table><h3>Commands</h3><ol>"
        yield from (f"<li><code>{_text(step.command)}</code></li>" for step in outcome.steps)
        yield "</ol><h3>Files made</h3><ul>"
        for step in outcome.steps:
            for path, digest in step.made:
                yield f"<li><code>{_text(path)}</code> <code>{_text(digest)}</code></li>"
        yield "</ul>"


def _criterion(item: Criterion) -> str:
    kind = {True: "met", False: "missed", None: "unknown"}[item.is_met]
    mark = {True: "✓", False: "✗", None: "?"}[item.is_met]
    return f'<li class="{kind}">{mark} {_text(item.text)}: {_text(item.found)}</li>'


def _row(step: Result) -> str:
    listed = "".join(f"<dt>{_text(a)}</dt><dd>{_text(b)}</dd>" for a, b in step.figures)
    reason = f"<p>{_text(step.reason)}</p>" if step.reason else ""
    verdict = f'<td class="{step.verdict.value}">{step.verdict.value}{_when(step)}</td>'
    return f"<tr><td>{_text(step.title)}</td>{verdict}<td>{reason}<dl>{listed}</dl></td></tr>"


def _text(value: str) -> str:
    return html.escape(escape.visible(value, escape.DATA_LIMIT))


FILES: Final[Mapping[str, Render[Deployment]]] = {
    "deployment.json": document,
    "deployment.md": markdown,
    "deployment.html": page,
}
"""Every file that a deployment is reported in -> what renders it."""
