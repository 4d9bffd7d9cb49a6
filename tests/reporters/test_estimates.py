"""An estimate in the reports: as JSON, read back, as a line, and against the base."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from msgspec.structs import replace

import npugate
from npugate import cli
from npugate.findings.values import Location
from npugate.report.estimate import (
    Engine,
    Epoch,
    Estimate,
    Fit,
    Interval,
    Memory,
    Operator,
    Pool,
    Time,
)
from npugate.report.values import Against
from npugate.reporters import estimates, markdown, mermaid, reading
from npugate.reporters import json as json_report
from npugate.rules import testing
from tests.sample_report import CLEAN

SCHEMA = json.loads((Path(npugate.__file__).parent / "report.schema.json").read_bytes())
FIXTURE = Path(__file__).resolve().parents[1] / "fixtures/models/rppg_4d_fp32.onnx"


def span(value):
    return Interval(value * 0.8, value, value * 1.2)


def estimate(activations=2048.0, microseconds=1500.0, cpu=1):
    engines = [Engine.NPU] * (4 - cpu) + [Engine.CPU] * cpu
    place = Location(node="n", op_type="Softmax")
    epochs = tuple(
        Epoch(i, engine, (Operator("Softmax", engine, place, reason="r"),), macs=1000 * (i + 1))
        for i, engine in enumerate(engines)
    )
    memory = Memory(Fit.FITS, (), span(4096.0), span(activations), 1024, 1)
    time = Time(span(microseconds), 0.75, 0.25, 1e6)
    return Estimate("", "2.2", "dk", epochs, 10_000, 11_000, memory, time)


def report_of(now, before=None):
    against = None if before is None else Against(frozenset(), frozenset(), (), before)
    models = tuple(replace(model, estimate=now, against=against) for model in CLEAN.models)
    return replace(CLEAN, models=models)


@pytest.mark.parametrize("time", [True, False])
@pytest.mark.parametrize("memory", [True, False])
def test_json_has_the_figures_and_gives_them_back(time, memory):
    now = estimate()
    now = now if time else replace(now, time=None)
    now = now if memory else replace(now, memory=None)
    text = json_report.render(report_of(now, estimate(cpu=2)))
    jsonschema.validate(json.loads(text), SCHEMA)
    model = reading.read(text.encode()).models[0]
    assert estimates.line(model.estimate, model.against.estimate) == estimates.line(
        now, estimate(cpu=2)
    )
    assert model.estimate.npu_mac_share == now.npu_mac_share


def test_the_line_says_what_changed_against_the_base():
    line = estimates.line(estimate(), estimate(activations=1024.0, microseconds=3000.0, cpu=2))
    assert "75% of 4 epochs on the NPU (was 50%)" in line
    assert "1.5 ms (1.2 to 1.8) (-50.0%)" in line
    assert "activations 2.0 KiB (+100.0%), fits" in line
    assert "weights 4.0 KiB," in line


def drawn(live, took, *pools):
    """An estimate with so many bytes alive and so many microseconds in each step."""
    epochs = tuple(Epoch(i, Engine.NPU, (), microseconds=span(us)) for i, us in enumerate(took))
    memory = replace(estimate().memory, live=tuple(live), pools=pools)
    return replace(estimate(), epochs=epochs, memory=memory)


def test_the_charts_have_a_bar_for_each_step_and_the_limit_of_the_chip():
    chip, flash = Pool("npuRAM", 4096), Pool("octoFlash", 2**30, is_external=True)
    memory, time = mermaid.charts(drawn([1024, 3072, 512], [250.0, 1500.0, 0.5], chip, flash))
    assert "  bar [1, 3, 0.5]\n  line [4, 4, 4]\n" in memory
    assert 'y-axis "KiB" 0 --> 4.4\n' in memory
    assert "  bar [0.25, 1.5, 0.0005]\n" in time
    assert "line" not in time
    assert 'x-axis "step" 0 --> 2\n' in time


@pytest.mark.parametrize(
    ("chip", "shown"), [(1024, True), (12 * 1024, True), (12 * 1024 + 1, False)]
)
def test_a_limit_far_above_the_peak_is_left_out(chip, shown):
    memory, _ = mermaid.charts(drawn([1024, 3072], [1.0, 1.0], Pool("npuRAM", chip)))
    assert ("line [" in memory) == shown


def test_no_number_of_a_chart_has_an_exponent():
    # The drawing library takes 1e-05 for a syntax error, and shows nothing else then.
    text = "".join(mermaid.charts(drawn([1, 2**40], [1e-3, 1e9], Pool("npuRAM", 2**41))))
    assert "bar [0.001, 1073741824]" in text
    assert "bar [0, 1000000]" in text
    assert not re.search(r"[0-9]e[+-]?[0-9]", text)


def test_many_steps_share_a_bar_and_few_or_unknown_ones_have_no_chart():
    memory, time = mermaid.charts(drawn([1024] * 99 + [2048], [10.0] * 100))
    assert memory.count("1,") == 33
    assert "3 steps a bar" in memory
    assert "bar [1, " in memory
    assert ", 2]" in memory
    assert "bar [0.03, " in time
    assert ", 0.01]" in time
    assert list(mermaid.charts(drawn([1024], [10.0]))) == []
    unknown = replace(drawn([], [10.0, 10.0]), epochs=estimate().epochs)
    assert list(mermaid.charts(unknown)) == []


def test_the_charts_of_the_report_are_those_of_its_json():
    report = report_of(drawn([1024, 3072], [1 / 3, 2 / 3], Pool("npuRAM", 4096)))
    read = reading.read(json_report.render(report).encode())
    page = markdown.render(read)
    assert page == markdown.render(report)
    assert page.count("xychart-beta") == 2
    model = replace(report.models[0], estimate=estimate())  # without steps there is nothing to fold
    assert "step by step" not in markdown.render(replace(report, models=(model,)))


def test_check_says_what_a_model_costs(capsys):
    cli.main(["check", str(FIXTURE), "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, SCHEMA)
    found = report["models"][0]["estimate"]
    assert found["board"] == "stm32n6570-dk"
    assert found["macs"] > 1_000_000
    assert sum(found["epochs"].values()) > 10
    assert found["fallbacks"][0]["reason"]


def test_every_epoch_off_the_npu_is_listed(tmp_path, capsys):
    steps = "".join(f" v{n + 1} = Abs (v{n})" for n in range(30))
    text = f"(float[1, 8] v0) => (float[1, 8] v30) {{{steps} }}"
    file = tmp_path / "long.onnx"
    model = testing.model_from_text(f'<ir_version: 8, opset_import: ["" : 14]> net {text}')
    file.write_bytes(model.SerializeToString())
    cli.main(["check", str(file), "--format", "json"])
    found = json.loads(capsys.readouterr().out)["models"][0]["estimate"]
    assert {row["node"] for row in found["fallbacks"]} == {f"v{n + 1}" for n in range(30)}


def test_a_target_without_an_accelerator_has_no_estimate(capsys):
    cli.main(["check", str(FIXTURE), "--target", "stm32h7", "--format", "json"])
    assert "estimate" not in json.loads(capsys.readouterr().out)["models"][0]


def test_a_report_that_claims_a_billion_epochs_makes_no_billion_objects():
    document = json.loads(json_report.render(report_of(estimate())))
    document["models"][0]["estimate"]["epochs"]["npu"] = 10**9
    found = reading.read(json.dumps(document).encode()).models[0].estimate
    assert len(found.epochs) < 200_000
