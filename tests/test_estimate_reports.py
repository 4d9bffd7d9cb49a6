"""An estimate in the reports: as JSON, read back, as a line, and against the base."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

import npugate
from npugate import cli
from npugate.estimate.values import Engine, Epoch, Estimate, Fit, Interval, Memory, Operator, Time
from npugate.report import Against
from npugate.reporters import estimates, reading
from npugate.reporters import json as json_report
from npugate.types import Location
from tests.sample_report import CLEAN

SCHEMA = json.loads((Path(npugate.__file__).parent / "report.schema.json").read_bytes())
FIXTURE = Path(__file__).resolve().parent / "fixtures/models/rppg_4d_fp32.onnx"


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


def test_check_says_what_a_model_costs(capsys):
    cli.main(["check", str(FIXTURE), "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, SCHEMA)
    found = report["models"][0]["estimate"]
    assert found["board"] == "stm32n6570-dk"
    assert found["macs"] > 1_000_000
    assert sum(found["epochs"].values()) > 10
    assert found["fallbacks"][0]["reason"]


def test_a_target_without_an_accelerator_has_no_estimate(capsys):
    cli.main(["check", str(FIXTURE), "--target", "stm32h7", "--format", "json"])
    assert "estimate" not in json.loads(capsys.readouterr().out)["models"][0]


def test_a_report_that_claims_a_billion_epochs_makes_no_billion_objects():
    document = json.loads(json_report.render(report_of(estimate())))
    document["models"][0]["estimate"]["epochs"]["npu"] = 10**9
    found = reading.read(json.dumps(document).encode()).models[0].estimate
    assert len(found.epochs) < 200_000
