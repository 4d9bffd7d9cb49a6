"""Open the report page in a headless browser; run by ``make validate``.

Opens pages made from the samples of the tests: a small model, one that was repaired, hostile names,
a thousand nodes with and without modules. Each must draw without a word on the console and without
a request; search, keys, themes, both sides of a repair and the plots are used; a thousand nodes are
there in under two seconds. ``--pictures DIR`` keeps what was seen.

Ends with 0 when all of it holds, 1 when not, and 77 when there is no browser.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from npugate.findings.values import Location  # as above
from npugate.report.values import ModelReport, Report  # after the path is set
from npugate.reporters import html  # as above
from tests import sample_estimate  # as above
from tests.sample_report import (  # as above
    ALL_HOSTILE,
    CPU,
    REPAIRED,
    REPORT,
    VIEW,
    finding,
)
from tools.devtools import Browser, BrowserError, find  # as above

MOST_SECONDS: Final = 2.0
NO_BROWSER: Final = 77  # what test programs end with when they were skipped
_KEY: Final = (
    "document.getElementById('{}').dispatchEvent(new KeyboardEvent('keydown', "
    "{{key: '{}', bubbles: true}}))"
)


def main(arguments: list[str]) -> int:
    """Make the pages, look at each, tell what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="keep a picture of each page")
    parser.add_argument("pages", nargs="*", type=Path, help="also open these files")
    chosen = parser.parse_args(arguments)
    program = find()
    if program is None:
        sys.stdout.write("skipped: no Chromium or Chrome on the path, so no page was opened\n")
        return NO_BROWSER
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, (report, use) in cases().items():
            page = Path(scratch, f"{name}.html")
            page.write_text(html.render(report, "https://example.org/blob/main/"), encoding="utf-8")
            faults += look(program, page, use, chosen.pictures)
    for page in chosen.pages:
        faults += look(program, page, idle, chosen.pictures)
    sys.stdout.writelines(f"failed: {fault}\n" for fault in faults)
    return 1 if faults else 0


Use = Callable[[Browser], list[str]]


def cases() -> Mapping[str, tuple[Report, Use]]:
    """Return each page's report and what is done with it."""
    flat = model(1000)
    if flat.graph is not None:
        nodes = tuple(replace(node, scope="") for node in flat.graph.nodes)
        flat = replace(flat, graph=replace(flat.graph, nodes=nodes))
    repaired = REPAIRED.models[0]
    if repaired.repair is not None:
        view = sample_estimate.graph(9)
        more = replace(repaired.repair, graph=view, estimate=sample_estimate.estimate(view))
        view = sample_estimate.graph(12)
        estimate = sample_estimate.estimate(view)
        repaired = replace(repaired, repair=more, graph=view, estimate=estimate)
    return {
        "small": (of(model(33)), explore),
        "thousand": (of(model(1000)), quick),
        "flat": (of(flat), quick),
        "repaired": (of(repaired), switch),
        "hostile": (ALL_HOSTILE, idle),
        "several": (replace(REPORT, models=(*REPORT.models, model(20))), choose),
        "unknown": (REPORT, idle),
        "no-verdict": (Report.failure_of("0", "no such file", 2), idle),
    }


def of(single: ModelReport) -> Report:
    """Return a report on one model."""
    return replace(REPORT, models=(single,), notices=())


def model(count: int) -> ModelReport:
    """Return a model of so many nodes, with an estimate and findings."""
    view = sample_estimate.graph(count)
    resized = [node for node in view.nodes if node.op_type == "Resize"]
    places = [Location("", node.label, node.op_type) for node in resized]
    found = tuple(
        finding(CPU, f"Resize {place.node!r} runs on the CPU", place, number, source=VIEW)
        for number, place in enumerate(places)
    )
    estimate = sample_estimate.estimate(view)
    return ModelReport(f"net{count}.onnx", "ab" * 32, 10, found, graph=view, estimate=estimate)


def look(program: str, page: Path, use: Use, pictures: Path | None) -> list[str]:
    """Open one page in a browser of its own and use it; return what is wrong."""
    faults: list[str] = []
    try:
        with Browser(program) as browser:
            browser.dark(on=False)
            seconds = browser.open(page)
            faults += use(browser)
            if pictures is not None:
                pictures.mkdir(parents=True, exist_ok=True)
                browser.picture(pictures / f"{page.stem}.png")
            browser.dark(on=True)
            if not browser.becomes("document.documentElement.dataset.theme === 'dark'"):
                faults.append("a system that turns dark leaves it light")
            if pictures is not None:
                browser.picture(pictures / f"{page.stem}-dark.png")
            faults += [f"it says: {text}" for text in browser.complaints]
            others = [url for url in browser.requests if url != page.resolve().as_uri()]
            faults += [f"it asks for {url}" for url in others]
    except BrowserError as error:
        return [f"{page.stem}: {error}"]
    sys.stdout.write(f"{page.stem}: drawn in {seconds:.2f} s\n")
    return [f"{page.stem}: {fault}" for fault in faults]


def idle(_browser: Browser) -> list[str]:
    """Do nothing: that it opens is what is asked."""
    return []


def told(browser: Browser, rows: Mapping[str, str]) -> list[str]:
    """Return the sentences whose program in the page is not true."""
    return [fault for fault, program in rows.items() if browser.run(program) is not True]


def quick(browser: Browser) -> list[str]:
    """Measure an opening when the browser itself has started; then find a node deep inside."""
    page = Path(browser.run("decodeURIComponent(location.pathname)"))
    seconds = browser.open(page)
    faults = [f"it takes {seconds:.2f} s"] if seconds >= MOST_SECONDS else []
    browser.run("npugate.byId('search').value = 'Softmax_601'")
    browser.run("npugate.byId('search').dispatchEvent(new Event('input'))")
    browser.run(_KEY.format("search", "Enter"))
    return faults + told(
        browser,
        {
            "few nodes are drawn": "npugate.graph.drawn() > 10",
            "too many nodes are drawn at once": "npugate.graph.drawn() < 400",
            "the search does not find a node in a closed group": (
                "npugate.byId('panel').textContent.includes('Softmax_601')"
            ),
        },
    )


def explore(browser: Browser) -> list[str]:
    """Use search, keys, themes and the plots."""
    links = "document.querySelector('#findings a').href.startsWith('https://example.org/')"
    faults = told(
        browser,
        {
            "no node is drawn": "npugate.graph.drawn() >= 33",
            "a plot is missing": "document.querySelectorAll('.plot canvas').length === 2",
            "a finding does not link to its source": links,
            "the table has not every step": (
                "document.querySelectorAll('#operators tbody tr').length === 33"
            ),
        },
    )
    return faults + search(browser) + keys(browser) + themes(browser)


def search(browser: Browser) -> list[str]:
    """Look for a kind of node."""
    browser.run("npugate.byId('search').value = 'maxpool'")
    browser.run("npugate.byId('search').dispatchEvent(new Event('input'))")
    browser.run("npugate.byId('search-on').click()")
    counted = "npugate.byId('search-count').textContent === '1 of 5'"
    shown = "npugate.byId('panel').textContent.includes('MaxPool')"
    return told(browser, {"the search counts wrongly": counted, "it shows nothing": shown})


def keys(browser: Browser) -> list[str]:
    """Go through the graph and a plot without a mouse."""
    for key in ("n", "ArrowDown", "+", "0", "Enter"):
        browser.run(_KEY.format("canvas", key))
    panel = "npugate.byId('panel').textContent"
    browser.run(
        "document.querySelector('.plot').dispatchEvent("
        "new KeyboardEvent('keydown', {key: 'ArrowRight'}))"
    )
    return told(
        browser,
        {
            "the key N goes to no finding": f"{panel}.includes('Resize')",
            "a node does not say why it left the NPU": (
                f"{panel}.includes('{sample_estimate.REASON}')"
            ),
            "a step of the memory does not name its tensors": (
                "document.querySelector('.plot .tip').textContent.includes('t0')"
            ),
        },
    )


def themes(browser: Browser) -> list[str]:
    """Go through light, dark and what the system has."""
    faults: list[str] = []
    for theme in ("light", "dark", "light"):  # the last by the system, which is light
        browser.run("npugate.byId('theme').click()")
        shown = f"document.documentElement.dataset.theme === '{theme}'"
        faults += told(browser, {f"the switch does not make it {theme}": shown})
    return faults


def switch(browser: Browser) -> list[str]:
    """Look at both sides of a repair."""
    before = "npugate.byId('graph-count').textContent === '12 nodes'"
    faults = told(browser, {"the original is not shown first": before})
    browser.run("npugate.byId('side-after').click()")
    after = "npugate.byId('graph-count').textContent === '9 nodes'"
    repaired = "npugate.byId('verdict').textContent === 'PASS'"
    browser_faults = told(
        browser, {"the repaired graph is not shown": after, "its verdict is not shown": repaired}
    )
    browser.run("npugate.byId('side-before').click()")
    return faults + browser_faults


def choose(browser: Browser) -> list[str]:
    """Go through the models."""
    faults: list[str] = []
    for index in range(browser.run("npugate.data.models.length")):
        browser.run(
            f"npugate.byId('model').value = '{index}'; "
            "npugate.byId('model').dispatchEvent(new Event('change'))"
        )
        shown = "npugate.byId('about').textContent.length > 20"
        faults += told(browser, {f"model {index} is not shown": shown})
    return faults


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
