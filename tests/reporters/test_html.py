"""The page: whole in itself, deaf to hostile names, small, and true to the report it shows."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace

from npugate.findings.values import Location, Source
from npugate.report.estimate import Interval, Operator, Pool
from npugate.report.values import Report
from npugate.reporters import html
from tests import sample_estimate
from tests.sample_report import ALL_HOSTILE, CPU, HOSTILE, REPAIRED, REPORT, finding, hostile, of

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 3_000_000
FOREIGN = {"link", "iframe", "object", "embed", "base", "form", "img", "audio", "video", "source"}
LOADING = {"src", "srcset", "style", "data", "poster", "background"}
DATA = re.compile(r'<script type="application/json" id="npugate-data">(.*)</script>')


class Page(HTMLParser):
    """What a browser would read of a page: elements, their attributes, texts of some."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[tuple[dict[str, str], str]] = []
        self.styles: list[str] = []
        self.title = ""
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = {name: value or "" for name, value in attrs}
        self.elements.append((tag, found))
        self._open = tag
        if tag == "script":
            self.scripts.append((found, ""))
        if tag == "style":
            self.styles.append("")

    def handle_endtag(self, tag):  # noqa: ARG002 - the parser's signature
        self._open = ""

    def handle_data(self, data):
        if self._open == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self._open == "style":
            self.styles[-1] += data
        elif self._open == "title":
            self.title += data

    @property
    def data(self):
        (text,) = [text for found, text in self.scripts if found.get("type") == "application/json"]
        return json.loads(text)

    @property
    def programs(self):
        return [text for found, text in self.scripts if found.get("type") != "application/json"]

    @property
    def policy(self):
        (text,) = [a["content"] for _, a in self.elements if a.get("http-equiv")]
        rows = (row.strip().split() for row in text.split(";"))
        return {row[0]: row[1:] for row in rows}


def modelled(count):
    view = sample_estimate.graph(count)
    model = replace(of().models[0], graph=view, estimate=sample_estimate.estimate(view))
    return replace(of(), models=(model,))


REPORTS = {
    "sample": REPORT,
    "repaired": REPAIRED,
    "hostile": ALL_HOSTILE,
    "drawn": modelled(40),
    "empty": replace(REPORT, models=()),
    "no verdict": Report.failure_of("0.1.0", "there is no such file", 2),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_asks_nobody_for_anything(name):
    page = Page(html.render(REPORTS[name], "https://example.org/blob/main/"))
    assert {tag for tag, _ in page.elements} & FOREIGN == set()
    for tag, attributes in page.elements:
        assert not {"src", "srcset", "style", "data", "poster", "background"} & attributes.keys(), (
            tag
        )
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("href", "#").startswith(
            "#"
        )  # links to sources are made by the program
    for style in page.styles:
        assert not re.search(r"url\(|@import", style)
    assert page.policy["default-src"] == ["'none'"]
    assert page.policy["base-uri"] == page.policy["form-action"] == ["'none'"]


@pytest.mark.parametrize("name", REPORTS)
def test_the_policy_allows_what_the_page_brings_and_nothing_else(name):
    page = Page(html.render(REPORTS[name]))
    for directive, texts in (("script-src", page.programs), ("style-src", page.styles)):
        digests = [
            f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'"
            for t in texts
        ]
        assert page.policy[directive] == digests
    assert set(page.policy) == {
        "default-src",
        "script-src",
        "style-src",
        "img-src",
        "base-uri",
        "form-action",
    }
    assert page.policy["img-src"] == ["data:", "blob:"]


def _shape(text):
    page = Page(text)
    return [(tag, sorted(found)) for tag, found in page.elements], len(page.programs)


PLAIN = _shape(html.render(hostile("name")))


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_name_adds_no_element_and_no_attribute(attack):
    assert _shape(html.render(hostile(HOSTILE[attack]), "https://example.org/")) == PLAIN


BREAKERS = {
    "script end": "</script><script>alert(1)</script>",
    "script end in capitals": "</SCRIPT ><svg onload=alert(1)>",
    "comment and script": "<!--<script>",
    "json end": '"}]}</script>',
    "separators": "a\u2028b\u2029c",
    "entities": "&lt;/script&gt;&quot;&#60;",
    "prototype": "__proto__",
    "hole": "{{policy}} {{scripts}} {{nothing}}",
    "title end": "</title></head><body onload=alert(1)>",
    "replacement": r"\g<0> \1 $& $1",
    "surrogate": "\ud800</script>",
}


@pytest.mark.parametrize("attack", BREAKERS)
def test_a_name_everywhere_leaves_the_data_whole(attack):
    name = BREAKERS[attack]
    report = _named(name)
    text = html.render(report)
    page = Page(text)
    assert _shape(text)[1] == PLAIN[1]
    assert len(page.data["models"]) == 1
    model = page.data["models"][0]
    shown = model["before"]["graph"]["nodes"][0][0]
    if name.isprintable():
        assert shown == model["path"] == name
        assert model["before"]["estimate"]["epochs"][0]["ops"][0]["reason"] == name
        assert page.title == f"PASS: {name}"
    assert shown.isprintable()
    (raw,) = re.findall(r'<script type="application/json" id="npugate-data">(.*)</script>', text)[
        :1
    ]
    assert not re.search(r"[<>&]", raw)


def _named(name):
    view = sample_estimate.graph(3, name=name.replace("{", "{{").replace("}", "}}"))
    view = replace(view, nodes=tuple(replace(n, scope=name, op_type=name) for n in view.nodes))
    found = sample_estimate.estimate(view)
    operator = Operator(name, found.epochs[0].engine, Location("", name, name), name, name, name)
    pool = Pool(name, 10, is_external=True)
    memory = replace(found.memory, pools=(pool, *found.memory.pools))
    epochs = (replace(found.epochs[0], operators=(operator,), bound=name), *found.epochs[1:])
    found = replace(found, epochs=epochs, memory=memory, board=name, notes=(name,))
    place = Location(name, name, name, name)
    model = replace(
        of(finding(CPU, name, place, 1)).models[0], path=name, graph=view, estimate=found
    )
    return replace(REPORT, models=(model,), notices=(name,))


def test_what_the_page_holds_is_what_the_report_says():
    view = sample_estimate.graph(10)
    places = [Location("", view.nodes[5].label, "Resize"), Location("body", "other", "Erf")]
    report = of(*(finding(CPU, f"at {n}", place, n) for n, place in enumerate(places)))
    estimate = sample_estimate.estimate(view)
    report = replace(report, models=(replace(report.models[0], graph=view, estimate=estimate),))
    before = Page(html.render(report)).data["models"][0]["before"]
    graph, told = before["graph"], before["estimate"]
    texts = graph["texts"]
    assert [row[0] for row in graph["nodes"]] == [node.label for node in view.nodes]
    assert [texts[row[1]] for row in graph["nodes"]] == [node.op_type for node in view.nodes]
    assert [texts[row[2]] for row in graph["nodes"]] == [node.scope for node in view.nodes]
    pairs = list(zip(graph["edges"][::2], graph["edges"][1::2], strict=True))
    assert pairs == [(edge.source, edge.target) for edge in view.edges]
    assert [item["node"] for item in before["findings"]] == [5, -1]
    assert [epoch["ops"][0]["node"] for epoch in told["epochs"]] == list(range(10))
    assert [epoch["engine"] for epoch in told["epochs"]] == [e.engine for e in estimate.epochs]
    assert told["memory"]["live"] == list(estimate.memory.live)
    assert told["memory"]["fit"] == "may-spill"
    assert told["time"]["us"][1] == pytest.approx(estimate.time.microseconds.likely, rel=1e-5)


@pytest.mark.parametrize("missing", ["estimate", "memory", "time", "graph"])
def test_what_is_not_known_is_null_and_not_invented(missing):
    view = sample_estimate.graph(5)
    found = sample_estimate.estimate(view, memory=missing != "memory", time=missing != "time")
    model = replace(
        of().models[0],
        graph=None if missing == "graph" else view,
        estimate=None if missing == "estimate" else found,
    )
    before = Page(html.render(replace(of(), models=(model,)))).data["models"][0]["before"]
    holder = before if missing in {"estimate", "graph"} else before["estimate"]
    assert holder[missing] is None
    others = {"graph", "estimate"} - {missing}
    assert all(before[name] is not None for name in others)


def test_a_repaired_model_is_there_twice():
    model = replace(REPAIRED.models[0], graph=sample_estimate.graph(4))
    repair = replace(model.repair, graph=sample_estimate.graph(3))
    report = replace(REPAIRED, models=(replace(model, repair=repair),))
    (told,) = Page(html.render(report)).data["models"]
    assert (told["before"]["verdict"], told["repair"]["after"]["verdict"]) == ("fail", "pass")
    assert len(told["before"]["graph"]["nodes"]) == 4
    assert len(told["repair"]["after"]["graph"]["nodes"]) == 3
    assert told["repair"]["figures"][0]["max_rank"] == 6


def test_a_source_line_is_a_link_where_the_sources_are_known():
    def sources(base):
        models = Page(html.render(REPORT, base)).data["models"]
        rows = (found["source"] for model in models for found in model["before"]["findings"])
        return [row["link"] for row in rows if row]

    assert set(sources("")) == {""}
    assert "https://h/o/r/blob/m/examples/rppg/model_4d_stm32.py#L27" in sources(
        "https://h/o/r/blob/m/"
    )


@pytest.mark.parametrize("file", ["//evil.example/x", "javascript:alert(1)", "a b?c#d", '"><x>'])
def test_a_source_file_cannot_lead_elsewhere(file):
    report = of(finding(CPU, "m", Location(), 1, source=Source(file, 3, "x")))
    (found,) = Page(html.render(report, "../")).data["models"][0]["before"]["findings"]
    assert re.fullmatch(r"\.\./(?!/)[\w./%~-]*#L\d+", found["source"]["link"])


def test_a_page_of_a_thousand_nodes_weighs_less_than_three_megabytes():
    assert len(html.render(modelled(1000)).encode()) < MOST_BYTES


def test_a_page_of_very_many_models_leaves_graphs_out_and_says_so():
    model = replace(of().models[0], graph=sample_estimate.graph(15_000))
    told = Page(html.render(replace(of(), models=(model,) * 4))).data["models"]
    assert [entry["crowded"] for entry in told] == [False, False, True, True]
    assert told[3]["before"]["graph"] is None


def test_a_page_is_the_same_each_time():
    assert html.render(REPORT) == html.render(REPORT)


def test_intervals_are_short_and_in_order():
    report = modelled(3)
    epoch = report.models[0].estimate.epochs[0]
    odd = replace(epoch, microseconds=Interval(1 / 3, 2 / 3, 1e9 / 3))
    estimate = replace(report.models[0].estimate, epochs=(odd,))
    report = replace(report, models=(replace(report.models[0], estimate=estimate),))
    told = Page(html.render(report)).data["models"][0]["before"]["estimate"]
    assert told["epochs"][0]["us"] == [0.333333, 0.666667, 333333000.0]
