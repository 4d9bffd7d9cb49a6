"""The pictures of memory and time: well formed, alone, with units, and true to the figures."""

import re
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from npugate.report.estimate import Fit, Interval, Memory, Pool
from npugate.reporters import plots
from tests import sample_estimate
from tests.sample_report import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"
KIB = 1024


def parsed(text):
    return ET.fromstring(text)  # noqa: S314  # our own output


def texts(root):
    return [item.text for item in root.iter(f"{SVG}text")]


def memory_of(*live, pools=()):
    likely = Interval(0, max(live), 0)
    return Memory(Fit.FITS, pools, likely, likely, max(live), live.index(max(live)), live=live)


@pytest.mark.parametrize("count", [1, 2, 33, 1000])
def test_both_pictures_are_drawn_and_ask_for_nothing(count):
    estimate = sample_estimate.estimate(sample_estimate.graph(count))
    drawn = plots.of(estimate)
    assert set(drawn) == {"memory", "time"}
    for text in drawn.values():
        root = parsed(text)
        assert root.tag == f"{SVG}svg"
        assert not re.search(r"href|url\(|<script|@import", text)
        assert "step (epoch, in running order)" in texts(root)
        for item in root.iter():
            for name in ("x", "y", "x1", "x2", "y1", "y2"):
                assert -1 <= float(item.get(name, "0")) <= 861, (item.tag, name)


def test_there_is_a_bar_for_each_step_as_high_as_its_time():
    estimate = sample_estimate.estimate(sample_estimate.graph(7))
    bars = [r for r in parsed(plots.time(estimate)).iter(f"{SVG}rect") if r.get("height")]
    bars = [r for r in bars if r.get("height") not in {"11", "300"}]
    times = [epoch.microseconds.likely for epoch in estimate.epochs]
    assert len(bars) == 7
    scale = [float(bar.get("height")) / time for bar, time in zip(bars, times, strict=True)]
    assert max(scale) == pytest.approx(min(scale), rel=0.02)
    assert len({bar.get("fill") for bar in bars}) == 3


@pytest.mark.parametrize(
    ("size", "unit"), [(300, "bytes"), (300 * KIB, "KiB"), (300 * KIB * KIB, "MiB")]
)
def test_memory_is_told_in_a_unit_that_fits(size, unit):
    shown = texts(parsed(plots.memory(memory_of(size // 2, size))))
    assert f"RAM in use ({unit})" in shown
    assert f"peak 300 {unit}, step 1" in shown
    assert "100" in shown


def test_the_limits_are_those_of_the_memories_on_the_chip_up_to_the_first_that_is_enough():
    pools = (
        Pool("a", 100 * KIB),
        Pool("b", 100 * KIB),
        Pool("c", 100 * KIB),
        Pool("flash", 100 * KIB, is_writable=False),
        Pool("outside", 100 * KIB, is_external=True),
    )
    shown = texts(parsed(plots.memory(memory_of(150 * KIB, 10, pools=pools))))
    assert [text for text in shown if text.startswith("up to")] == [
        "up to a: 100 KiB",
        "up to b: 200 KiB",
    ]


def test_what_is_not_estimated_has_no_picture():
    view = sample_estimate.graph(3)
    assert set(plots.of(sample_estimate.estimate(view, memory=False))) == {"time"}
    assert set(plots.of(sample_estimate.estimate(view, time=False))) == {"memory"}
    nothing = replace(sample_estimate.estimate(view, memory=False, time=False), epochs=())
    assert plots.of(nothing) == {}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_board_or_memory_breaks_no_picture(attack):
    name = HOSTILE[attack]
    estimate = sample_estimate.estimate(sample_estimate.graph(3))
    memory = memory_of(1, 2, 3, pools=(Pool(name, 4),))
    drawn = plots.of(replace(estimate, board=name, memory=memory))
    for text in drawn.values():
        kinds = {item.tag.removeprefix(SVG) for item in parsed(text).iter()}
        assert kinds <= {"svg", "title", "style", "rect", "text", "line", "polygon", "polyline"}
        assert len(text) < 20_000
