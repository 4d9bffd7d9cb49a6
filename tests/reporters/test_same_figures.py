"""All reports say the same figures: text, Markdown, JSON, comment, page and pictures."""

import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from npugate import escape
from npugate.estimate import assemble
from npugate.facts import Facts
from npugate.limits import Limits
from npugate.model.reader import load
from npugate.reporters import costs, estimates, markdown, outline, pagedata, plots, reading, text
from npugate.reporters import json as json_report
from npugate.rules import testing
from npugate.target import profiles
from tests.estimate.test_placement import CASES, HEAD
from tests.evidence import FOLDER, REASON
from tests.sample_report import CLEAN

ROOT = Path(__file__).resolve().parents[2]
REAL = FOLDER / "groundtruth/models/yolov8n_micro_224_int8.onnx"
GATE = """(float[1, 8, 16, 16] x) => (float[1, 8, 16, 16] y) <float s = {0.1}, int8 z = {1}>
    { q = QuantizeLinear (x, s, z)  d = DequantizeLinear (q, s, z)
      g = Sigmoid (d)  gq = QuantizeLinear (g, s, z)  gd = DequantizeLinear (gq, s, z)
      r = Mul (d, gd)  rq = QuantizeLinear (r, s, z)  y = DequantizeLinear (rq, s, z) }"""


def model_of(source, folder):
    """Return the bytes of a case, of the product whose peak is above its bound, or of a file."""
    if source == "file":
        if not REAL.is_file():
            pytest.skip(REASON)
        return REAL
    file = folder / "net.onnx"
    body = GATE if source == "gate" else CASES[source][0]
    file.write_bytes(testing.model_from_text(HEAD + body).SerializeToString())
    return file


@pytest.mark.parametrize("toolchain", ["2.2", "4.0"])
@pytest.mark.parametrize("source", ["file", "gate", *CASES])
def test_every_report_says_the_same_figures(source, toolchain, tmp_path):
    file = model_of(source, tmp_path)
    target = profiles.load("stm32n6", toolchain)
    found = assemble.estimate(Facts(load(file, file.name, Limits())), target)
    report = replace(CLEAN, models=(replace(CLEAN.models[0], estimate=found),))
    said = json.loads(json_report.render(report))["models"][0]["estimate"]
    page = pagedata.page(report, "")["models"][0]["before"]["estimate"]
    pictures = plots.of(found)
    detail = costs.render(report)

    size = outline.size_text(round(said["memory"]["activations"]["likely"]))
    weights = outline.size_text(round(said["memory"]["weights"]["likely"]))
    took = f"{said['time']['microseconds']['likely'] / 1e3:.3g} ms"
    macs, epochs = said["macs"], sum(said["epochs"].values())
    words = (
        f"activations {size}", f"weights {weights}", took, f"{macs / 1e6:.2f} MMAC",
        f"{said['npu_share']['epochs']:.0%} of {outline.plural(epochs, 'epoch')} on the NPU",
    )  # fmt: skip
    shown = " ".join(text.render(report).split())
    assert [word for word in words if word not in shown] == []
    assert [word for word in words if escape.markdown(word) not in markdown.render(report)] == []
    comment = reading.read(json_report.render(report).encode()).models[0].estimate
    assert estimates.line(comment) == estimates.line(found)
    assert [w for w in (size, weights, took, f"{macs:,} multiply") if w not in detail] == []

    peak = max(step["live_bytes"] for step in said["steps"])
    assert page["memory"]["live"][page["memory"]["peak"]] == peak
    pairs = (
        (page["memory"]["activations"], said["memory"]["activations"]),
        (page["memory"]["weights"], said["memory"]["weights"]),
        (page["time"]["us"], said["time"]["microseconds"]),
    )
    for drawn, figure in pairs:  # the page keeps six digits
        assert drawn == pytest.approx([figure[key] for key in ("low", "likely", "high")], rel=1e-5)
    assert (page["macs"], len(page["epochs"])) == (macs, epochs)
    assert sum(step["macs"] for step in said["steps"]) == macs
    assert f"peak {plots._bytes(peak)}," in pictures["memory"]
    assert took in pictures["time"]
    assert len(re.findall(r'<rect [^>]*height="[\d.]+" fill="#', pictures["time"])) >= epochs


def test_the_page_calls_one_figure_the_peak():
    script = (ROOT / "npugate/reporters/page/charts.js").read_text(encoding="utf-8")
    peaks = re.findall(r"[Pp]eak (?:is )?\$\{bytes\((.*?)\)\}", script)
    assert len(peaks) == 2
    assert set(peaks) == {"found.live[found.peak] ?? found.lower"}
