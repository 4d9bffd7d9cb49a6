"""Each heading of docs/clean-export.md: before has its finding, after has none, both are equal."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from npugate.export import advice
from npugate.export.run import export
from npugate.export.values import ExportJob
from npugate.proof.samples import Port, generated
from npugate.proof.sessions import Session
from tests.torch_extra import needs_torch

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "clean-export.md"
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FINDING = re.compile(
    r"^Finding: `([\w-]+)`(?:, exporter: `(\w+)`)?(?:, see: `([\w-]+)`)?", re.MULTILINE
)


def slug(title):
    return title.lower().replace(" ", "-")


SECTIONS = {slug(title): text for title, text in SECTION.findall(GUIDE.read_text("utf-8"))}
CASES = {name: text for name, text in SECTIONS.items() if CODE.search(text)}


def test_the_guide_has_at_least_eight_cases_and_every_heading_that_an_advice_names():
    assert len(CASES) >= 8
    named = {item.guide for item in vars(advice).values() if isinstance(item, advice.Advice)}
    assert named <= {*SECTIONS, ""}
    assert len(named) > 8


def run(file, inputs):
    model = onnx.load(file)
    name = model.graph.input[0].name
    dims = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    session = Session(model)
    port = Port(name, onnx.TensorProto.FLOAT, dims)
    samples = generated([port], inputs)
    return [next(iter(session.run(sample.feeds).values())) for sample in samples]


@needs_torch
@pytest.mark.parametrize("name", CASES)
def test_before_has_its_finding_at_its_line_and_after_is_clean_and_equal(name, tmp_path):
    text = CASES[name]
    rule, exporter, see = FINDING.search(text).groups()
    first, second = CODE.findall(text)
    script = tmp_path / "net.py"
    script.write_text(f"{first}\n\n{second}")

    def made(which):
        output = tmp_path / f"{which}.onnx"
        job = ExportJob(
            f"net.py:{which}",
            output,
            exporter=exporter or "torchscript",
            seeds=1,
            repairs=False,
            folder=tmp_path,
        )
        return export(job), output

    before, old = made("before")
    found = next(item for item in before.findings if item.name == rule and item.file)
    assert found.file == "net.py"
    assert script.read_text().splitlines()[found.line - 1].strip() == found.text
    assert first.splitlines()[found.line - 1].strip() == found.text
    assert found.advice is not None
    assert found.advice.guide == (see or name)
    after, new = made("after")
    assert after.findings == ()
    assert after.passed
    for left, right in zip(run(old, 4), run(new, 4), strict=True):
        assert left.shape == right.shape
        np.testing.assert_allclose(right, left, rtol=1e-5, atol=1e-5 * np.abs(left).max())
